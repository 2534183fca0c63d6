"""Converts an upload to what every browser plays: mono 16-bit WAV, block by block."""
import numpy as np
import soundfile

from open_seq2seq.data.audio.containers import unsupported_container
from open_seq2seq.data.rejection import NOT_AUDIO, RejectedData
from open_seq2seq.errors import DataError
from open_seq2seq.transcription.audio_stream import blocks_of_file, inspect_recording, warn_on_stderr


def readable_duration(seconds):
    """``seconds`` as text, e.g. "12.5 s" or "61 min"."""
    return "%.3g s" % seconds if seconds < 100 else "%d min" % (seconds / 60)


def check_sound(path, max_seconds):
    """Looks at the structure of an upload.

    Args:
      path: the file.
      max_seconds: longest recording.

    Raises:
      DataError: it cannot be read, as the command line would say, or it is longer than ``max_seconds``.
    """
    try:
        seconds = inspect_recording(path, "The file").duration
    except RejectedData as rejected:
        if rejected.reason is not NOT_AUDIO:
            raise
        sentence = unsupported_container(path) or ""
        if "Convert" not in sentence:
            sentence = (sentence + " Expected WAV, FLAC, OGG, MP3 or AIFF.").strip()
        raise DataError("This file is not a recording that can be read here. %s" % sentence)
    if seconds > max_seconds:
        raise _too_long(seconds, max_seconds)


def _too_long(seconds, max_seconds):
    return DataError("The recording lasts %s; this server takes up to %s. Cut it, or use the command line."
                     % (readable_duration(seconds), readable_duration(max_seconds)))


def write_playback(source, target, sample_rate, max_seconds, name, go_on=lambda: None, warn=warn_on_stderr):
    """Writes a recording as mono 16-bit WAV.

    Args:
      source: any file that docs/audio.md lists as read.
      target: path of the WAV.
      sample_rate: of the WAV.
      max_seconds: a longer recording is refused, whatever its header states.
      name: what messages call the recording.
      go_on: called before each block; may raise to stop.
      warn: function of a sentence about a recording that is used although something is wrong with it.

    Returns:
      Number of samples written.

    Raises:
      DataError: it cannot be read to its end, is empty or too long, or holds NaN.
    """
    written = 0
    with soundfile.SoundFile(target, "w", sample_rate, 1, format="WAV", subtype="PCM_16") as wav:
        for block in blocks_of_file(source, sample_rate, name, warn=warn):
            go_on()
            written += len(block)
            if written > max_seconds * sample_rate:
                raise _too_long(written / float(sample_rate), max_seconds)
            wav.write(np.clip(block, -1.0, 1.0))
    return written
