"""Audio files: a fast look at their headers, and their samples at the model's rate.

Any WAV, FLAC, OGG or MP3 that libsndfile reads, of any rate and number of channels. 16-bit PCM WAV, which is what speech
corpora hold, is read without libsndfile. (TensorFlow's own ``decode_raw`` inside the graph was measured against this in a
``tf.data`` map on 2 cores: no faster on 1.15, 150 us less an utterance on 2.21, which is a few per cent of the features'
time; but a file that turns bad would end the whole pipeline.)
"""
import collections
import concurrent.futures
import contextlib
import os
import stat
import sys
import time

import numpy as np
import soundfile
import soxr

from open_seq2seq.data.audio.containers import CONVERTIBLE_EXTENSIONS, unsupported_container  # noqa: F401
from open_seq2seq.data.speech2text.rejection import (
    EMPTY_AUDIO,
    MISSING_FILE,
    NOT_AUDIO,
    NOT_FINITE,
    UNREADABLE,
    WRONG_HEADER,
    RejectedData,
)
from open_seq2seq.data.speech2text.wav_header import PCM, read_wav_header

AudioInfo = collections.namedtuple("AudioInfo", "path duration num_samples")
AudioInfo.__doc__ = """What a scan finds: the path that exists, duration in s, number of samples at the model's rate."""

INT16_SCALE = np.float32(1.0 / 32768.0)
BLOCK = 1 << 20                    # samples read from libsndfile at a time
SCAN_CHUNK = 256                   # files a thread takes at a time
PROGRESS_SECONDS = 5.0
# from this many frames on libsndfile means "unknown"; at 48 kHz it would be 6 years
UNKNOWN_FRAMES = 1 << 43
FLOAT_SUBTYPES = ("FLOAT", "DOUBLE")


def resampled_length(num_samples, from_rate, to_rate):
    """Samples that ``num_samples`` become at another rate: soxr's rounding."""
    return int(num_samples * to_rate / float(from_rate) + 0.5)


def read_audio(path, sample_rate):
    """Reads a file, mixes it down to one channel (mean) and resamples it (soxr, very high quality).

    Args:
      path: the file.
      sample_rate: samples per second wanted.

    Returns:
      float32 [samples], -1..1 (float files may go beyond).

    Raises:
      RejectedData: it cannot be read, is no audio, is empty, shorter than its header says, or not finite.
    """
    samples, rate = _read(path)
    if samples.ndim > 1:
        samples = samples.mean(axis=1)
    if rate != sample_rate:
        samples = soxr.resample(samples, rate, sample_rate, quality="VHQ")
    return samples


def inspect_audio(path, sample_rate, fallback=None):
    """Looks at a file's header. Float files are read whole, as only they can hold NaN.

    Args:
      path: the file.
      sample_rate: the model's rate.
      fallback: another path to try when the first does not exist.

    Returns:
      AudioInfo.

    Raises:
      RejectedData: as :func:`read_audio`.
    """
    if fallback is not None and not os.path.exists(path) and os.path.exists(fallback):
        path = fallback
    with open_audio_file(path) as file:
        header = read_wav_header(file)
    if header is not None:
        rate, num_samples, must_read = header.sample_rate, header.num_samples, header.encoding != PCM
    else:
        with open_sound(path) as sound:
            rate, num_samples = sound.samplerate, sound.frames
            must_read = sound.subtype in FLOAT_SUBTYPES or num_samples > UNKNOWN_FRAMES
    if must_read:
        num_samples = len(_read(path)[0])
    length = resampled_length(num_samples, rate, sample_rate)
    if length == 0:
        raise RejectedData(EMPTY_AUDIO, "no samples")
    return AudioInfo(path, num_samples / float(rate), length)


def scan_audio(paths, sample_rate, show_progress=True):
    """Looks at many files' headers with a pool of threads.

    Args:
      paths: list of (path, fallback or None).
      sample_rate: the model's rate.
      show_progress: print a line on stderr every few seconds.

    Returns:
      List with an AudioInfo or a RejectedData for each path.
    """
    def scan_chunk(start):
        found = []
        for path, fallback in paths[start:start + SCAN_CHUNK]:
            try:
                found.append(inspect_audio(path, sample_rate, fallback))
            except RejectedData as rejected:
                found.append(rejected)
        return found

    results, last_shown = [], time.monotonic()
    # mostly waiting for a file system, so more threads than cores
    with concurrent.futures.ThreadPoolExecutor(max_workers=min(32, 4 * (os.cpu_count() or 1))) as pool:
        for chunk in pool.map(scan_chunk, range(0, len(paths), SCAN_CHUNK)):
            results.extend(chunk)
            if show_progress and time.monotonic() - last_shown > PROGRESS_SECONDS:
                last_shown = time.monotonic()
                sys.stderr.write("looked at %d of %d audio files\n" % (len(results), len(paths)))
    return results


def _read(path):
    """(float32 [samples] or [samples, channels], rate)"""
    with open_audio_file(path) as file:
        header = read_wav_header(file)
        if header is not None and header.encoding == PCM and header.bits == 16:
            count = header.num_samples * header.channels
            data = np.fromfile(file, "<i2", count)
            if len(data) < count:
                raise RejectedData(WRONG_HEADER, "the header promises %d samples, %d were there to read" % (count, len(data)))
            samples = data.astype(np.float32)
            samples *= INT16_SCALE
            return samples.reshape(-1, header.channels) if header.channels > 1 else samples, header.sample_rate
    with open_sound(path) as sound:
        samples, rate, promised = _read_blocks(path, sound), sound.samplerate, sound.frames
    if header is not None:
        promised = header.num_samples
    if len(samples) < promised < UNKNOWN_FRAMES:
        raise RejectedData(WRONG_HEADER, "the header promises %d samples, %d were there to read" % (promised, len(samples)))
    if not len(samples):
        raise RejectedData(EMPTY_AUDIO, "no samples")
    finite = np.isfinite(samples)
    if not finite.all():
        first = int(np.argmin(finite.all(axis=1)))
        raise RejectedData(NOT_FINITE, "%d of %d samples are NaN or infinite, the first at %.3f s"
                           % (np.sum(~finite), finite.size, first / float(rate)))
    return samples, rate


def _read_blocks(path, sound):
    """Everything up to the end, as the number of frames in a header is not to be relied on."""
    blocks = []
    try:
        while True:
            block = sound.read(BLOCK, dtype="float32", always_2d=True)
            if not len(block):
                break
            blocks.append(block)
    except RuntimeError as error:      # soundfile.LibsndfileError is one
        raise RejectedData(UNREADABLE, "libsndfile stopped after %d samples: %s" % (sum(map(len, blocks)), error))
    return np.concatenate(blocks) if blocks else np.zeros([0, sound.channels], np.float32)


@contextlib.contextmanager
def open_audio_file(path):
    """A binary file; whatever the file system has against it, now or while it is read, becomes RejectedData."""
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise RejectedData(NOT_AUDIO, "%s is a pipe or a device; expected a file" % path)
            yield file
    except (FileNotFoundError, NotADirectoryError):
        raise RejectedData(MISSING_FILE, "%s does not exist" % path)
    except OSError as error:
        raise RejectedData(UNREADABLE, "%s: %s" % (path, error.strerror or error))


def _without_waiting(path, flags):
    """Opens a pipe, too, without waiting for somebody to write into it."""
    return os.open(path, flags | os.O_NONBLOCK)


def open_sound(path):
    """A ``soundfile.SoundFile``.

    Raises:
      RejectedData: libsndfile cannot read it; says what the file begins with.
    """
    try:
        # as bytes: soundfile itself encodes only names that are text
        return soundfile.SoundFile(os.fsencode(path))
    except TypeError:      # soundfile goes by the name of .raw files, and wants to be told what is in them
        raise RejectedData(NOT_AUDIO, "a .raw file does not say its rate and format; save it as WAV or FLAC")
    except RuntimeError as error:
        with open_audio_file(path) as file:
            start = file.read(40)
        if not start:
            raise RejectedData(EMPTY_AUDIO, "the file has 0 bytes")
        page = start.lstrip()[:1] == b"<"
        raise RejectedData(NOT_AUDIO, "the file begins with %s%s (%s)" % (
            ascii(start.decode("latin1")), ": an HTML or XML page saved under the name of an audio file?" if page else "",
            str(error).split(": ", 1)[-1]))
