"""Cuts a stream of samples into overlapping windows for a model: at pauses, without long silence.

Pauses are found by energy, in frames of 10 ms, compared with the noise floor of the last window's length of audio. Where speech
continues without a pause for longer than a window may be, the cut is at its quietest point, and the overlap lets
:mod:`stitching` merge the two transcripts within a word.
"""
import collections

import numpy as np

from open_seq2seq.decoding.sound_levels import levels_of, quiet_frames

FRAME_SECONDS = 0.01
LEAST_PAUSE = 0.1                 # s; shorter ones are stops within a word (b, d, g, k, p, t)
ENOUGH_PAUSE = 0.6                # s; between longer pauses the later one is taken
LEAST_SPEECH = 0.1                # s of louder frames before an eager cut
QUIET_POINT = 0.1                 # s over which energy is averaged where there is no pause
# skipped silence must be certain: near the noise floor, far below the loudest frame so far, or below any recorded speech
SILENCE_ABOVE_FLOOR = 10.0        # dB
SILENCE_BELOW_LOUD = 30.0         # dB
SILENCE_LEVEL = -60.0             # dB below full scale
LONG_SILENCE = 3.0                # s
KEPT_SILENCE = 0.5                # s of it next to speech, up to twice as much where it arrives in small blocks

Segmentation = collections.namedtuple("Segmentation", "shortest longest overlap eager")
Segmentation.__doc__ = """shortest, longest: s between two cuts (the last part may be shorter); overlap: s of a window
beyond each cut; eager: cut at the first good pause instead of the best one, for text as soon as possible."""

FOR_FILES = Segmentation(4.0, 16.0, 1.0, False)
FOR_MICROPHONE = Segmentation(1.5, 15.0, 0.75, True)

Window = collections.namedtuple("Window", "start samples cut connected")
Window.__doc__ = """start: number of its first sample in the recording. samples: float32. cut: number of the sample from which the
next window counts, None when a silence or the end follows. connected: whether it overlaps with the window before it."""


class Segmenter:
    """Collects samples, and returns a window as soon as its end is known.

    Args:
      segmentation: a Segmentation.
      sample_rate: samples per second.
      grid: windows begin at multiples of this many samples, and cuts are at such multiples.
      capacity: largest number of samples of a window, or None for no limit; the segmentation is shortened to it.
    """

    def __init__(self, segmentation, sample_rate, grid, capacity=None):
        self._frame = max(1, int(round(sample_rate * FRAME_SECONDS)))
        self._rate, self._grid, self._eager = sample_rate, grid, segmentation.eager
        overlap, longest = segmentation.overlap * sample_rate, segmentation.longest * sample_rate
        if capacity is not None:
            overlap = min(overlap, capacity / 8)
            longest = min(longest, capacity - 2 * overlap - 2 * grid)
        self._longest = max(self._on_grid(longest), 4 * grid)
        self.overlap = self._on_grid(min(overlap, self._longest / 4))
        # so that three windows never overlap in one place
        self._shortest = max(min(int(segmentation.shortest * sample_rate), self._longest // 2), 2 * self.overlap + grid)
        self._samples = np.zeros([0], np.float32)
        self._origin = 0             # number of the first of them; on the grid
        self._cut = None             # number of the sample where the last window was cut, None: after silence
        self._loudest = -np.inf      # dB

    def add(self, block):
        """Takes float32 [samples]; returns a list of the Windows that are complete with it."""
        self._samples = np.concatenate([self._samples, block])
        return self._complete(ended=False)

    def end(self):
        """The recording has ended; returns a list of the remaining Windows."""
        return self._complete(ended=True)

    def _complete(self, ended):
        windows = []
        while True:
            levels = self._levels()
            if self._cut is None:
                levels = self._without_leading_silence(levels, ended)
            window = self._next(levels, ended)
            if window is None:
                return windows
            windows.append(window)

    def _next(self, levels, ended):
        """The next Window, whose samples are removed from the buffer; None when more samples are needed to decide."""
        begin = 0 if self._cut is None else self._cut - self._origin
        rest = len(self._samples) - begin
        if rest <= 0:
            return None
        silence = self._long_silence(levels, begin)
        if silence is not None:
            first, end = silence
            # half a second more may exceed the capacity of a small window
            stop = max(min(first + int(KEPT_SILENCE * self._rate), begin + self._longest + self.overlap), begin + self.overlap)
            return self._end_before_silence(stop, max(end - int(KEPT_SILENCE * self._rate), stop))
        if ended and rest <= self._longest:
            window = self._end_before_silence(len(self._samples), len(self._samples))
            self._samples = self._samples[:0]
            return window
        if ended or rest >= self._longest + self.overlap:
            return self._connect(self._best_cut(levels, begin))
        cut = self._first_pause(levels, begin) if self._eager else None
        return None if cut is None else self._connect(cut)

    def _end_before_silence(self, stop, resume):
        window = Window(self._origin, self._samples[:stop], None, self._cut is not None)
        self._cut = None
        self._drop(resume)
        return window

    def _connect(self, cut):
        window = Window(self._origin, self._samples[:cut + self.overlap], self._origin + cut, self._cut is not None)
        self._cut = self._origin + cut
        self._drop(cut - self.overlap)
        return window

    def _drop(self, samples):
        samples = self._on_grid(max(samples, 0))
        # a copy, so that the memory of the samples before it is freed
        self._samples = self._samples[samples:].copy()
        self._origin += samples

    def _on_grid(self, samples):
        return int(samples) // self._grid * self._grid

    def _levels(self):
        return levels_of(self._samples, self._frame)

    def _without_leading_silence(self, levels, ended):
        """Drops the silence at the start of the buffer; returns the levels of the remaining samples."""
        silent = self._silent(levels)
        if ended and len(silent) and silent.all():
            self._samples = self._samples[:0]
            return levels[:0]
        leading = len(silent) if silent.all() else int(np.argmin(silent))
        dropped = (leading * FRAME_SECONDS - KEPT_SILENCE) * self._rate
        if dropped < KEPT_SILENCE * self._rate:
            return levels
        self._drop(dropped)
        return self._levels()

    def _silent(self, levels):
        """bool [frames]: certainly only noise."""
        if not len(levels):
            return np.zeros([0], bool)
        self._loudest = max(self._loudest, float(levels.max()))
        return levels < min(np.percentile(levels, 10) + SILENCE_ABOVE_FLOOR,
                            max(self._loudest - SILENCE_BELOW_LOUD, SILENCE_LEVEL))

    def _long_silence(self, levels, begin):
        """(first sample, end) in the buffer of the first long silence that begins within a window, or None."""
        for first, end in _runs(self._silent(levels)):
            first, end = first * self._frame, end * self._frame
            if end - max(first, begin) >= LONG_SILENCE * self._rate and first - begin < self._longest:
                return first, end
        return None

    def _pauses(self, levels, begin, end):
        """List of (samples of the pause, its middle on the grid), those of ``begin`` to ``end`` in the buffer."""
        found = []
        for first, last in _runs(quiet_frames(levels)):
            first, last = max(first * self._frame, begin), min(last * self._frame, end)
            if last - first >= LEAST_PAUSE * self._rate:
                found.append((last - first, self._on_grid((first + last) // 2)))
        return found

    def _best_cut(self, levels, begin):
        """Where to cut, in samples from the start of the buffer."""
        first, last = begin + self._shortest, begin + self._longest
        pauses = self._pauses(levels, first, last)
        if pauses:
            enough = ENOUGH_PAUSE * self._rate
            cut = max(pauses, key=lambda pause: (min(pause[0], enough), pause[1]))[1]
            return max(cut, begin + self._grid)
        size = max(1, int(QUIET_POINT / FRAME_SECONDS))
        power = np.convolve(10 ** (levels[first // self._frame:last // self._frame] / 10), np.ones(size), "valid")
        quietest = first + (int(np.argmin(power)) + size // 2) * self._frame if len(power) else last
        return max(self._on_grid(quietest), begin + self._grid)

    def _first_pause(self, levels, begin):
        """The first good pause after speech, or None; in samples from the start of the buffer."""
        quiet = quiet_frames(levels)
        for first, end in _runs(quiet):
            first, end = max(first * self._frame, begin + self._shortest), end * self._frame
            spoken = np.sum(~quiet[begin // self._frame:first // self._frame]) * FRAME_SECONDS
            if end - first >= ENOUGH_PAUSE * self._rate and spoken >= LEAST_SPEECH:
                return self._on_grid((first + end) // 2)
        return None


def _runs(flags):
    """List of (first, end) of the runs of True in a bool array."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist()))
