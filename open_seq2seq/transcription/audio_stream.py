"""Audio as a stream of blocks: one channel, at the model's rate, no more of it in memory than a block."""
import contextlib
import shutil
import tempfile

import numpy as np
import soxr

from open_seq2seq.data.speech2text.audio import INT16_SCALE, UNKNOWN_FRAMES, open_audio_file, open_sound
from open_seq2seq.data.speech2text.rejection import EMPTY_AUDIO, NOT_FINITE, UNREADABLE, WRONG_HEADER, RejectedData
from open_seq2seq.data.speech2text.wav_header import read_wav_header
from open_seq2seq.errors import DataError, StorageError

BLOCK_FRAMES = 1 << 16       # 4 s at 16 kHz
MAX_CHANNELS = 1024          # libsndfile's limit


class Resampler:
    """Brings blocks to one channel (mean) and another rate (soxr, very high quality), as training does with whole files.

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
        """float32 [frames] or [frames, channels] -> float32 [samples]; ``last`` after which nothing comes.

        Raises:
          RejectedData: NaN or infinite samples.
        """
        finite = np.isfinite(block)
        if not finite.all():
            first = self._seen + int(np.argmin(finite.reshape(len(block), -1).all(axis=1)))
            raise RejectedData(NOT_FINITE, "%s has a sample that is NaN or infinite at %.3f s; the program that wrote it is at "
                                           "fault, write it again" % (self._name, first / float(self._rate)))
        self._seen += len(block)
        if block.ndim > 1:
            block = block.mean(axis=1)
        return block if self._stream is None else self._stream.resample_chunk(np.ascontiguousarray(block), last=last)


def blocks_of_file(path, sample_rate, name=None):
    """Opens a file and yields what it holds.

    Args:
      path: any file that libsndfile reads.
      sample_rate: samples per second wanted.
      name: what messages call it; the path by default.

    Yields:
      float32 [samples], 4 s or so of one channel, -1..1 (float files may go beyond).

    Raises:
      RejectedData: it cannot be read, is no audio, is empty, ends before its header says, or has NaN in it. The message
        names the file.
    """
    name = name or path
    with _named(name):
        with open_audio_file(path) as file:
            header = read_wav_header(file)
        with open_sound(path) as sound:
            promised = sound.frames if header is None else header.num_samples
            resampler, seen = Resampler(sound.samplerate, sample_rate, name), 0
            for block in _read(sound):
                seen += len(block)
                yield resampler(block)
        if promised < UNKNOWN_FRAMES and seen < promised:
            raise RejectedData(WRONG_HEADER, "the header promises %d samples, %d were there to read; was it cut off while "
                                             "copying?" % (promised, seen))
        if not seen:
            raise RejectedData(EMPTY_AUDIO, "no samples")
        yield resampler(np.zeros([0], np.float32), last=True)


def duration_of_file(path):
    """Seconds that a file's header says it lasts, for a progress bar; None when it does not say."""
    try:
        # it refuses a pipe, for which libsndfile would wait
        with open_audio_file(path), open_sound(path) as sound:
            return sound.frames / float(sound.samplerate) if 0 < sound.frames < UNKNOWN_FRAMES else None
    except RejectedData:
        return None


def blocks_of_array(samples, from_rate, sample_rate):
    """The same of samples in memory.

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
      StorageError: no room for it.
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
    """Puts the recording's name before the reason why it is rejected."""
    try:
        yield
    except RejectedData as rejected:
        detail = str(rejected)
        if name not in detail:
            detail = "%s: %s: %s" % (name, rejected.reason.name, detail)
        raise RejectedData(rejected.reason, detail)
    except OSError as error:
        raise RejectedData(UNREADABLE, "%s: %s" % (name, error.strerror or error))


def _read(sound):
    """Blocks up to the end, as the number of frames in a header is not to be relied on."""
    while True:
        try:
            block = sound.read(BLOCK_FRAMES, dtype="float32", always_2d=True)
        except RuntimeError as error:      # soundfile.LibsndfileError is one
            raise RejectedData(UNREADABLE, "libsndfile stopped after %d samples: %s" % (sound.tell(), error))
        if not len(block):
            return
        yield block
