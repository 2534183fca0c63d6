"""The samples of an audio file, block by block, at the file's own rate."""

import contextlib

import numpy as np

from open_seq2seq.data.audio import containers
from open_seq2seq.data.audio.flac import JOINED, joined_file
from open_seq2seq.data.audio.inspection import open_part
from open_seq2seq.data.audio.source import ByteSource
from open_seq2seq.data.audio.structure import Checks
from open_seq2seq.data.rejection import (
    CANCELLING_CHANNELS,
    MISSING_CHANNEL,
    NOT_FINITE,
    UNREADABLE,
    WRONG_HEADER,
    RejectedData,
)

INT16_SCALE = np.float32(1.0 / 32768.0)
BLOCK = 1 << 16                    # samples of each channel; 4 s at 16 kHz
LARGE_BLOCK = 1 << 20
ALIGNMENT = 64                     # bytes
LOOK = 2048                        # samples of a first look
_PLACES = (0.5, 0.0, 0.125, 0.25, 0.375, 0.625, 0.75, 0.875, 1.0)
LOUD = 100.0                       # float files may go beyond 1, but hardly beyond this
TOO_LOUD = 1e15                    # the power of such samples overflows in float32
SILENCE = 2.5 / 32768              # the largest difference between samples of a silent recording: rounding of 16 bits and dither
DOUBT = 5.0                        # times the share at which channels cancel: a part of a file does not decide
CANCELLING = 0.01                  # power of the mean of the channels against the mean power of the channels


def blocks_of(file, inspection, max_missing_fraction, level=None, block_size=BLOCK):
    """Decodes a file.

    Args:
      file: the open file that was inspected.
      inspection: its Inspection.
      max_missing_fraction: at most this part of the samples may be missing after decoding.
      level: Level, receives the blocks; None: its checks are made all the same.
      block_size: samples of each channel in a block.

    Yields:
      float32 [samples], the mean of the channels, -1..1 (float files may go beyond).

    Raises:
      RejectedData: decoding fails, gives fewer samples than ``max_missing_fraction`` allows, or NaN; the channels cancel.
    """
    level = Level(inspection) if level is None else level
    if inspection.container == containers.FLAC:
        joined = joined_file(ByteSource(file), inspection.parts[0].start)
        if joined >= 0:
            raise RejectedData(WRONG_HEADER, JOINED % joined)
    count = 0
    for block in _blocks(file, inspection, block_size):
        count += len(block)
        yield level.mono(block)
    Checks(max_missing_fraction).missing(inspection.num_samples, count, "samples", "decoding ended there")
    level.check()


def samples_of(file, inspection, max_missing_fraction, level=None):
    """float32 [samples]: all of :func:`blocks_of`."""
    block_size = inspection.num_samples if inspection.pcm16 is not None else LARGE_BLOCK
    blocks = list(blocks_of(file, inspection, max_missing_fraction, level, block_size))
    return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)


def samples_between(file, inspection, first, end, channel=None):
    """Part of a recording.

    Args:
      file: the open file that was inspected.
      inspection: its Inspection.
      first, end: samples of each channel, 0 <= first <= end.
      channel: the channel to read, counted from 0. None: the mean of all channels.

    Returns:
      float32 [at most end - first], fewer where decoding ends earlier.

    Raises:
      RejectedData: decoding fails, the samples are not finite, the channel does not exist, or the channels cancel each other.
    """
    if channel is not None and channel >= inspection.channels:
        raise RejectedData(MISSING_CHANNEL, "channel %d is asked for, the file has %d, counted from 0"
                           % (channel, inspection.channels))
    level, pieces, position = Level(inspection), [], 0
    for block in _blocks_from(file, inspection, first):
        part = block[:end - first - position]
        pieces.append(level.mono(part if channel is None else part[:, channel:channel + 1]))
        position += len(block)
        if position >= end - first:
            break
    level.check()
    return np.concatenate(pieces) if pieces else np.zeros(0, np.float32)


def _blocks_from(file, inspection, first):
    """The blocks behind sample ``first``; other containers than these are decoded from their beginning, as seeking is inexact."""
    if inspection.pcm16 is not None:
        file.seek(inspection.pcm16 + 2 * inspection.channels * first)
        left = inspection.num_samples - first
        while left > 0:
            block = _pcm16(file, min(left, BLOCK), inspection.channels)
            if not len(block):
                return
            yield block
            left -= len(block)
    elif inspection.container == containers.FLAC and len(inspection.parts) == 1:
        with open_part(file, inspection.parts[0]) as sound:
            sound.seek(min(first, sound.frames))
            block = _read_block(sound, BLOCK)
            while len(block):
                yield block
                block = _read_block(sound, BLOCK)
    else:
        left = first
        for block in _blocks(file, inspection, BLOCK):
            if left < len(block):
                yield block[left:]
            left = max(0, left - len(block))


def _read_block(sound, count):
    """float32 [samples, channels] of an open SoundFile; no samples at its end."""
    try:
        return sound.read(count, dtype="float32", always_2d=True)
    except RuntimeError as error:      # soundfile.LibsndfileError is one
        raise RejectedData(UNREADABLE, "libsndfile stopped: %s" % str(error).strip())


def first_look(file, inspection):
    """Looks at a few blocks of a file, and at the rest only when they are silent or their channels may cancel each other.

    Args:
      file: the open file that was inspected.
      inspection: its Inspection.

    Returns:
      Whether the whole recording is silent.

    Raises:
      RejectedData: as :func:`blocks_of`, where it is found.
    """
    # the blocks are judged together, as a quiet one says little; in doubt the whole file decides, as in blocks_of
    is_mono = inspection.channels == 1 and len(inspection.parts) == 1      # parts may differ in channels
    if is_mono and inspection.pcm16 is None:
        looks = _blocks(file, inspection, LOOK)
    else:
        looks = _looks(file, inspection)
    level, is_suspect = Level(inspection), False
    try:
        for block in looks:
            level.mono(block)
            if is_mono:
                if not level.is_silent:
                    return False
            else:
                one = Level(inspection)
                one.mono(block)
                is_suspect = is_suspect or one.cancels
    except (RuntimeError, RejectedData):      # soundfile.LibsndfileError is one; seeking in a damaged file may fail
        is_suspect = True
    if not is_suspect and not level.is_silent and not level.may_cancel:
        return False
    level = Level(inspection)
    for block in _blocks(file, inspection, BLOCK):
        level.mono(block)
        if is_mono and not level.is_silent:
            return False
    level.check()
    return level.is_silent


def _looks(file, inspection):
    """Yields :data:`LOOK` samples at a few places of each part, at one place where it has one channel."""
    if inspection.pcm16 is not None:
        parts = [(None, inspection.num_samples)]
    else:
        parts = [(part, part.samples) for part in inspection.parts]
    for part, samples in parts:
        last = max(0, samples - LOOK)
        with contextlib.ExitStack() as stack:
            sound = None if part is None else stack.enter_context(open_part(file, part))
            channels = inspection.channels if sound is None else sound.channels
            for start in sorted({int(place * last) for place in (_PLACES if channels > 1 else _PLACES[:1])}):
                if sound is None:
                    file.seek(inspection.pcm16 + start * 2 * inspection.channels)
                    yield _pcm16(file, min(LOOK, samples), inspection.channels)
                else:
                    sound.seek(start)
                    yield sound.read(min(LOOK, samples), dtype="float32", always_2d=True)


def _blocks(file, inspection, block_size):
    source = _pcm16_blocks if inspection.pcm16 is not None else _decoded_blocks
    return source(file, inspection, block_size)


def _pcm16(file, count, channels):
    """float32 [samples, channels]; fewer than ``count`` at the end of the file."""
    if count <= LOOK:
        piece = file.read(2 * count * channels)
        data = np.frombuffer(piece, "<i2", len(piece) // 2)
    else:
        data = np.fromfile(file, "<i2", count * channels)
    data = data[:len(data) // channels * channels]
    return np.multiply(data, INT16_SCALE, out=_aligned(len(data))).reshape(-1, channels)


def _aligned(count):
    """An uninitialized float32 [count] that TensorFlow uses without copying it."""
    memory = np.empty(count + ALIGNMENT // 4, np.float32)
    first = -memory.ctypes.data % ALIGNMENT // 4
    return memory[first:first + count]


def _pcm16_blocks(file, inspection, block_size):
    """16-bit PCM, which is what speech corpora hold, is read without libsndfile."""
    file.seek(inspection.pcm16)
    left = inspection.num_samples
    while left:
        block = _pcm16(file, min(left, block_size), inspection.channels)
        if not len(block):
            return
        yield block
        left -= len(block)


def _decoded_blocks(file, inspection, block_size):
    for part in inspection.parts:
        with open_part(file, part) as sound:
            left = part.samples
            while left:
                try:
                    block = sound.read(min(left, block_size), dtype="float32", always_2d=True)
                except RuntimeError as error:      # soundfile.LibsndfileError is one
                    raise RejectedData(UNREADABLE, "libsndfile stopped within %d samples behind %.1f s: %s" % (
                        block_size, (part.samples - left) / float(sound.samplerate), str(error).strip()))
                if not len(block):
                    break
                yield block
                left -= len(block)


class Level:
    """How loud a recording is: whether it is silent, and whether its channels cancel each other in their mean.

    Args:
      inspection: the recording's Inspection.
    """

    def __init__(self, inspection):
        self._rate, self._seen, self._is_integer = inspection.sample_rate, 0, inspection.pcm16 is not None
        self._low, self._high = np.inf, -np.inf
        self._channel_power = self._mean_power = 0.0
        self._channels, self._has_parts = 1, len(inspection.parts) > 1
        self.peak = 0.0

    def mono(self, block):
        """float32 [samples, channels] -> float32 [samples], the mean of the channels.

        Raises:
          RejectedData: NaN or infinite samples.
        """
        if not self._is_integer:
            _check_finite(block, self._seen, self._rate)
            if len(block):
                self.peak = max(self.peak, float(block.max()), -float(block.min()))
                if self.peak > TOO_LOUD:
                    raise RejectedData(NOT_FINITE, "its samples reach %.3g; expected floats in -1..1" % self.peak)
        self._seen += len(block)
        if block.shape[1] == 1:
            mono = block[:, 0]
            if self._has_parts:      # another part may have several channels
                power = float(np.square(mono, dtype=np.float64).sum())
                self._channel_power, self._mean_power = self._channel_power + power, self._mean_power + power
        else:
            mono = block.mean(axis=1)
            self._channels = max(self._channels, block.shape[1])
            self._channel_power += float(np.square(block, dtype=np.float64).mean(axis=1).sum())
            self._mean_power += float(np.square(mono, dtype=np.float64).sum())
        if len(mono) and self.is_silent:
            self._low, self._high = min(self._low, float(mono.min())), max(self._high, float(mono.max()))
        return mono

    @property
    def is_silent(self):
        """Whether no sample so far differs from another by more than rounding."""
        return self._high - self._low <= SILENCE or self._low == np.inf

    @property
    def notes(self):
        """Tuple of sentences about what is wrong with the samples although they are used."""
        if self.peak <= LOUD:
            return ()
        return ("its samples reach %.3g; expected floats in -1..1" % self.peak,)

    @property
    def cancels(self):
        """Whether the channels cancel each other so far."""
        if self._channels == 1 or not self._seen or self._channel_power / self._seen <= SILENCE ** 2:
            return False
        return self._mean_power < self._threshold * self._channel_power

    @property
    def may_cancel(self):
        """Whether the channels of the recording may cancel each other, if these blocks are only a part of it."""
        return self._channels > 1 and self._mean_power < DOUBT * self._threshold * self._channel_power

    @property
    def _threshold(self):
        # independent channels have 1/channels of their power in their mean
        return min(CANCELLING, 0.1 / self._channels)

    def check(self):
        """Raises RejectedData when the channels of the whole recording cancel each other."""
        if self.cancels:
            raise RejectedData(CANCELLING_CHANNELS, "the mean of the %d channels has %.2g %% of their power. Is one of them "
                               "inverted? Keep one channel, e.g. sox INPUT OUTPUT.wav remix 1"
                               % (self._channels, 100.0 * self._mean_power / self._channel_power))


def _check_finite(block, seen, rate):
    # the sum is finite almost always, and is faster to find than every sample
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(np.add.reduce(block, axis=None)):
            return
    finite = np.isfinite(block)
    if finite.all():
        return
    first = seen + int(np.argmin(finite.all(axis=1)))
    raise RejectedData(NOT_FINITE, "a sample is NaN or infinite at %.3f s; the program that wrote the file is at fault"
                       % (first / float(rate)))
