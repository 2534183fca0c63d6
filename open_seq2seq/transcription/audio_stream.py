"""Audio as a stream of blocks: one channel, at the model's rate, at most one block in memory."""
import contextlib
import shutil
import sys
import tempfile

import numpy as np
import soxr

from open_seq2seq.data.audio.inspection import MAX_CHANNELS, inspect_file, open_audio_file
from open_seq2seq.data.audio.reading import INT16_SCALE, Level, blocks_of
from open_seq2seq.data.audio.structure import MAX_MISSING_FRACTION
from open_seq2seq.data.rejection import EMPTY_AUDIO, NOT_FINITE, UNREADABLE, RejectedData
from open_seq2seq.errors import DataError, StorageError

BLOCK_FRAMES = 1 << 16       # 4 s at 16 kHz


class Resampler:
    """Converts blocks to one channel (mean) and another rate (soxr, very high quality), as training does with whole files.

    Args:
      from_rate, to_rate: samples per second.
      name: of the recording, for messages.
    """

    def __init__(self, from_rate, to_rate, name):
        self._rate, self._name, self._seen = from_rate, name, 0
        self._stream = None
        if from_rate != to_rate:
            self._stream = soxr.ResampleStream(from_rate, to_rate, 1, dtype="float32", quality="VHQ")

    def __call__(self, block, last=False):
        """float32 [frames] or [frames, channels] -> float32 [samples]; ``last`` marks the end of the recording.

        Raises:
          RejectedData: NaN or infinite samples.
        """
        finite = np.isfinite(block)
        if not finite.all():
            first = self._seen + int(np.argmin(finite.reshape(len(block), -1).all(axis=1)))
            raise RejectedData(NOT_FINITE, "%s: a sample is NaN or infinite at %.3f s; the program that wrote it is at "
                                           "fault" % (self._name, first / float(self._rate)))
        self._seen += len(block)
        if block.ndim > 1:
            block = block.mean(axis=1)
        return block if self._stream is None else self._stream.resample_chunk(np.ascontiguousarray(block), last=last)


def warn_on_stderr(text):
    """Prints a warning about a recording."""
    print("warning: " + text, file=sys.stderr, flush=True)


def blocks_of_file(path, sample_rate, name=None, max_missing_fraction=MAX_MISSING_FRACTION, warn=warn_on_stderr):
    """Opens a file and yields its samples.

    Args:
      path: any file that docs/audio.md lists as read.
      sample_rate: samples per second wanted.
      name: what messages call it; the path by default.
      max_missing_fraction: a file of which at most this part is missing is used, with a warning.
      warn: function of a sentence about a recording that is used although something is wrong with it.

    Yields:
      float32 [samples], about 4 s of one channel, -1..1 (float files may go beyond).

    Raises:
      RejectedData: it cannot be read, is not audio, is empty, damaged or incomplete, has NaN in it, or its channels cancel each
        other. The message names the file. Some of this is found only at the end of the file.
    """
    name = name or path
    with _named(name), open_audio_file(path) as file:
        inspection = inspect_file(file, max_missing_fraction)
        for note in inspection.notes:
            warn("%s: %s" % (name, note))
        level, resampler = Level(inspection), Resampler(inspection.sample_rate, sample_rate, name)
        for block in blocks_of(file, inspection, max_missing_fraction, level):
            yield resampler(block)
        for note in level.notes + ("the recording is silent",) * level.is_silent:
            warn("%s: %s" % (name, note))
        yield resampler(np.zeros([0], np.float32), last=True)


def inspect_recording(path, name):
    """The Inspection of a file, without decoding it; ``name`` and errors as in :func:`blocks_of_file`."""
    with _named(name), open_audio_file(path) as file:
        return inspect_file(file)


def duration_of_file(path):
    """Seconds that a file lasts, for a progress bar; None when it cannot be read."""
    try:
        return inspect_recording(path, path).duration
    except RejectedData:
        return None


def blocks_of_array(samples, from_rate, sample_rate):
    """Yields samples in memory as :func:`blocks_of_file` yields those of a file.

    Args:
      samples: floats in -1..1 or int16, [samples] or [samples, channels].
      from_rate, sample_rate: samples per second that it has and that are wanted.

    Yields:
      float32 [samples].

    Raises:
      RejectedData: no samples, or NaN.
      DataError: an array of another type or shape.
    """
    samples = np.asarray(samples)
    if samples.dtype == np.int16:
        scale = INT16_SCALE
    elif samples.dtype.kind == "f":
        scale = np.float32(1)
    else:
        raise DataError("samples are %s, expected floats in -1..1 or int16" % samples.dtype)
    if not from_rate > 0:
        raise DataError("the sample rate is %s, expected samples per second" % (from_rate,))
    if samples.ndim == 2 and samples.shape[1] > MAX_CHANNELS:
        raise DataError("samples have shape %s, which is %d channels; expected [samples, channels]: transpose them"
                        % (samples.shape, samples.shape[1]))
    if samples.ndim not in (1, 2):
        raise DataError("samples have shape %s, expected [samples] or [samples, channels]" % (samples.shape,))
    if not samples.size:
        raise RejectedData(EMPTY_AUDIO, "the array has no samples")
    resampler = Resampler(from_rate, sample_rate, "the array")
    for start in range(0, len(samples), BLOCK_FRAMES):
        yield resampler(samples[start:start + BLOCK_FRAMES].astype(np.float32) * scale)
    yield resampler(np.zeros([0], np.float32), last=True)


@contextlib.contextmanager
def spooled(stream, suffix=""):
    """Copies a binary stream that cannot be rewound (standard input) to a temporary file; yields its path.

    Raises:
      StorageError: the disk has no space for it.
    """
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(tempfile.NamedTemporaryFile(prefix="transcribe-", suffix=suffix))
            shutil.copyfileobj(stream, file, 1 << 20)
            file.flush()
        except OSError as error:
            raise StorageError("cannot keep standard input in %s: %s. Free some space, or set TMPDIR to a folder that has some"
                               % (tempfile.gettempdir(), error.strerror or error))
        yield file.name


@contextlib.contextmanager
def _named(name):
    """Puts the recording's name in front of the reason why it is rejected."""
    try:
        yield
    except RejectedData as rejected:
        detail = str(rejected)
        if name not in detail:
            detail = "%s: %s: %s" % (name, rejected.reason.name, detail)
        raise RejectedData(rejected.reason, detail)
    except OSError as error:
        raise RejectedData(UNREADABLE, "%s: %s" % (name, error.strerror or error))
