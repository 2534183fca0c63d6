"""From whatever was uploaded to a sound that every browser plays: mono 16-bit WAV, block by block."""
import numpy as np
import soundfile

from open_seq2seq.data.speech2text.audio import UNKNOWN_FRAMES
from open_seq2seq.errors import DataError
from open_seq2seq.transcription.audio_stream import blocks_of_file


def readable_duration(seconds):
    """``seconds`` in words, e.g. "12.5 s" or "61 min"."""
    return "%.3g s" % seconds if seconds < 100 else "%d min" % (seconds / 60)


def check_sound(path, max_seconds):
    """Looks at a file's header.

    Args:
      path: the file.
      max_seconds: longest recording.

    Raises:
      DataError: libsndfile does not know it, or it is longer than ``max_seconds``.
    """
    try:
        with soundfile.SoundFile(path) as sound:
            seconds = sound.frames / float(sound.samplerate)
    except RuntimeError:               # soundfile.LibsndfileError is one
        raise DataError(_not_audio(path))
    if sound.frames < UNKNOWN_FRAMES and seconds > max_seconds:
        raise _too_long(seconds, max_seconds)


def _not_audio(path):
    with open(path, "rb") as file:
        start = file.read(16)
    kind = ""
    if start.startswith(b"%PDF"):
        kind = " It is a PDF."
    elif start[4:8] == b"ftyp" or start.startswith(b"\x1aE\xdf\xa3"):
        kind = " It is an MP4 or WebM file; save its sound as WAV, FLAC, OGG or MP3 first."
    elif start.lstrip()[:1] == b"<":
        kind = " It is an HTML or XML page."
    return "This file is no recording that can be read here.%s Expected WAV, FLAC, OGG, MP3 or AIFF." % kind


def _too_long(seconds, max_seconds):
    return DataError("The recording lasts %s; this server takes up to %s. Cut it, or use the command line."
                     % (readable_duration(seconds), readable_duration(max_seconds)))


def write_playback(source, target, sample_rate, max_seconds, name, go_on=lambda: None):
    """Writes a recording as mono 16-bit WAV.

    Args:
      source: any file that libsndfile reads.
      target: path of the WAV.
      sample_rate: of the WAV.
      max_seconds: more than this is refused, whatever the header promised.
      name: what messages call the recording.
      go_on: called before each block; may raise to stop.

    Returns:
      Number of samples written.

    Raises:
      DataError: it cannot be read to its end, is empty or too long, or holds NaN.
    """
    written = 0
    with soundfile.SoundFile(target, "w", sample_rate, 1, format="WAV", subtype="PCM_16") as wav:
        for block in blocks_of_file(source, sample_rate, name):
            go_on()
            written += len(block)
            if written > max_seconds * sample_rate:
                raise _too_long(written / float(sample_rate), max_seconds)
            wav.write(np.clip(block, -1.0, 1.0))
    return written
