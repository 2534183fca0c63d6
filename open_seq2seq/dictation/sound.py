"""Where a dictation hears: the microphone, or a recording in its place."""
import sys
import time

import numpy as np

from open_seq2seq.transcription.audio_stream import blocks_of_file, inspect_recording, spooled
from open_seq2seq.transcription.microphone import microphone_blocks

BLOCK_SECONDS = 0.1


class Microphone:
    """The microphone, which is open only while dictation listens.

    Args:
      sample_rate: samples per second of the blocks.
      device: its name or number in sounddevice; None for the default one.
      warn: function of a line of text.
    """

    is_endless = True

    def __init__(self, sample_rate, device, warn):
        self._sample_rate, self._device, self._warn = sample_rate, device, warn

    def blocks(self, stop):
        """Yields float32 [samples], one channel, until ``stop`` is set; raises DeviceError if the microphone is missing."""
        return microphone_blocks(self._sample_rate, stop, self._device, self._warn)


class Recording:
    """A recording in place of the microphone: each dictation hears it from its beginning, at the speed of real time.

    Args:
      path: of an audio file.
      sample_rate: samples per second of the blocks.
      is_endless: whether silence follows the recording, as from a microphone; else the dictation ends with it.
      clock, sleep: as in ``time``.
    """

    def __init__(self, path, sample_rate, is_endless, clock=time.monotonic, sleep=time.sleep):
        self._path, self._sample_rate, self.is_endless = path, sample_rate, is_endless
        self._clock, self._sleep = clock, sleep

    def blocks(self, stop):
        """Yields float32 [samples], one channel, until ``stop`` is set or the recording ends.

        Raises:
          RejectedData: the file cannot be read.
        """
        size = int(BLOCK_SECONDS * self._sample_rate)
        samples = np.concatenate(list(blocks_of_file(self._path, self._sample_rate)))
        begun, position = self._clock(), 0
        while not stop.is_set() and (self.is_endless or position < len(samples)):
            block = samples[position:position + size]
            if self.is_endless and len(block) < size:
                block = np.concatenate([block, np.zeros([size - len(block)], np.float32)])
            position += size
            # a block is complete when its last sample has been heard
            wait = begun + position / float(self._sample_rate) - self._clock()
            if wait > 0:
                self._sleep(wait)
            yield block


def require_recording(path, stack):
    """Checks a recording before a model is loaded.

    Args:
      path: a file, or "-" for standard input.
      stack: ``contextlib.ExitStack`` that ends with the command.

    Returns:
      Path of the file.

    Raises:
      RejectedData: it cannot be read.
      StorageError: standard input cannot be kept.
    """
    if path == "-":
        path = stack.enter_context(spooled(sys.stdin.buffer, ".audio"))
        inspect_recording(path, "standard input")
        return path
    inspect_recording(path, path)
    return path
