"""Joins the CTC paths of overlapping windows into one path, as if the recording had been decoded at once.

In the overlap both windows have decoded the same audio, each with less context towards its own end. The joined path changes from
one window to the other at a single frame, the seam, so that every frame is used exactly once. The spikes of one character may be
some frames apart in the two paths, and a seam between them would lose or duplicate the character. Therefore the seam is the
frame, within the middle of the overlap, where the joined text differs least from the text of either window; among equal frames
it is the one in the middle of the longest run on which both paths agree.

A space is not a sound. A network outputs one when there are words on both sides of it; where a pause is as long as the overlap,
neither window does. Therefore a seam within a pause ends a word, whatever the paths contain.
"""
import collections

import numpy as np
from rapidfuzz.distance import Levenshtein

from open_seq2seq.decoding.greedy import collapse
from open_seq2seq.decoding.word_times import BestPath

OUTER_PART = 0.25        # of the overlap, at each end, where one of the windows has little context
ENOUGH_AGREEMENT = 15    # frames on each side; more agreement is not safer
BETWEEN_WORDS = 0.3      # s; pauses within a word are shorter

LogitPath = collections.namedtuple("LogitPath", BestPath._fields + ("logits",))
LogitPath.__doc__ = """A BestPath and the float32 [frames, V + 1] logits that it is of."""

Piece = collections.namedtuple("Piece", "path first_frame after_pause")
Piece.__doc__ = """A final BestPath or LogitPath, the number of its first frame in the recording, whether a word has ended before
it."""


def find_seam(left, right, planned, blank):
    """The frame at which to change from one path to the other.

    Args:
      left, right: int [frames], the labels of the same frames in the earlier and in the later window.
      planned: the frame in the middle of the pause at which the recording was split.
      blank: index of the CTC blank.

    Returns:
      Number of frames, 0..frames, to use from ``left``; the rest are from ``right``.
    """
    frames = len(left)
    margin = int(frames * OUTER_PART)
    candidates = range(margin, frames - margin + 1)
    left_text, right_text = _text(left, blank), _text(right, blank)
    agreement = _agreement(left, right)

    def cost(seam):
        joined = _text(np.concatenate([left[:seam], right[seam:]]), blank)
        differences = Levenshtein.distance(joined, left_text) + Levenshtein.distance(joined, right_text)
        return differences, -agreement[seam], abs(seam - planned)

    return min(candidates, key=cost)


def _text(labels, blank):
    return collapse(labels[np.newaxis], [len(labels)], blank)[0]


def _agreement(left, right):
    """int [frames + 1]: for a seam before each frame, the number of equal frames on both sides, at most ENOUGH_AGREEMENT."""
    differs = np.flatnonzero(left != right)
    borders = np.arange(len(left) + 1)
    before = np.concatenate([[-1], differs])[np.searchsorted(differs, borders)]
    after = np.concatenate([differs, [len(left)]])[np.searchsorted(differs, borders)]
    return np.minimum(np.minimum(borders - before - 1, after - borders), ENOUGH_AGREEMENT)


class Stitcher:
    """Receives the paths of windows one after the other and returns one path in pieces.

    Args:
      blank: index of the CTC blank.
      frame_seconds: duration of a frame in s.
    """

    def __init__(self, blank, frame_seconds):
        self._blank, self._between_words = blank, BETWEEN_WORDS / frame_seconds
        self._path, self._first = None, 0      # what is not final yet of the last window's path
        self._planned = None

    def add(self, path, first_frame, overlap_frame=None, cut_frame=None):
        """Adds the path of a window.

        Args:
          path: BestPath or LogitPath.
          first_frame: number of its first frame in the recording. If the previous window had an ``overlap_frame``, the windows
            overlap, and this is the same frame.
          overlap_frame: number of the frame where the next window begins; None if this window ends a section.
          cut_frame: number of the frame where the seam to the next window is planned.

        Returns:
          List of Piece that are final now, in the order of time, without overlap.
        """
        settled, after_pause = [], False
        if self._path is not None:
            shared = min(self._first + len(self._path.labels) - first_frame, len(path.labels))
            seam = find_seam(self._path.labels[:shared], path.labels[:shared], self._planned - first_frame, self._blank)
            settled.append(Piece(_part(self._path, 0, seam), first_frame, False))
            # a window that contains only noise has no level to compare the noise with
            quiet = ~(self._path.loud[:shared] & path.loud[:shared])
            # in a short overlap only a short part of a pause is seen
            after_pause = _length_around(quiet, seam) >= min(self._between_words, shared / 4)
            path, first_frame = _part(path, seam, None), first_frame + seam
        if overlap_frame is None:
            self._path = None
            return settled + [Piece(path, first_frame, after_pause)]
        split = overlap_frame - first_frame
        self._path, self._first, self._planned = _part(path, split, None), overlap_frame, cut_frame
        return settled + [Piece(_part(path, 0, split), first_frame, after_pause)]


def _length_around(flags, border):
    """Number of consecutive set flags on both sides of ``border``."""
    before, after = flags[:border][::-1], flags[border:]
    return sum(len(side) if side.all() else int(np.argmin(side)) for side in (before, after))


def _part(path, first, end):
    return type(path)(*[values[first:end] for values in path])
