"""Joins the CTC paths of overlapping windows to one path, as if the recording had been read at once.

In the overlap both windows have read the same sound, each with less context towards its own end. The path changes from one to
the other at a single frame, so that no frame is read twice and none is left out. Which frame: spikes of the two paths may lie
some frames apart, and a change between the two places of one character would lose or double it. So among all frames of the
overlap's middle, that one is taken where the joined text differs least from what either window read there, and among
these the middle of the longest stretch on which both agree.

A space is no sound. A network writes one when it hears words on both sides, and where a pause is as long as the overlap neither
window does. So a change within a pause ends a word, whatever the windows say.
"""
import collections

import numpy as np
from rapidfuzz.distance import Levenshtein

from open_seq2seq.decoding.greedy import collapse
from open_seq2seq.transcription.word_times import BestPath

OUTER_PART = 0.25        # of the overlap, at each end: there one of the windows has hardly any context
ENOUGH_AGREEMENT = 15    # frames on each side; more of it is not safer
BETWEEN_WORDS = 0.3      # s; no pause within a word is as long

Piece = collections.namedtuple("Piece", "path first_frame after_pause")
Piece.__doc__ = """A settled BestPath, the number of its first frame in the recording, whether a word has ended before it."""


def find_seam(left, right, planned, blank):
    """Where to change from one path to the other.

    Args:
      left, right: int [frames], the labels that the earlier and the later window gave the same frames.
      planned: the frame in the middle of the pause that was cut at.
      blank: index of the CTC blank.

    Returns:
      A number of frames 0..frames: so many from ``left``, the rest from ``right``.
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
    """int [frames + 1]: for a change before each frame, how far both paths agree on either side of it, up to enough."""
    differs = np.flatnonzero(left != right)
    borders = np.arange(len(left) + 1)
    before = np.concatenate([[-1], differs])[np.searchsorted(differs, borders)]
    after = np.concatenate([differs, [len(left)]])[np.searchsorted(differs, borders)]
    return np.minimum(np.minimum(borders - before - 1, after - borders), ENOUGH_AGREEMENT)


class Stitcher:
    """Takes the paths of windows one after the other and gives out one path in pieces.

    Args:
      blank: index of the CTC blank.
      frame_seconds: s from frame to frame.
    """

    def __init__(self, blank, frame_seconds):
        self._blank, self._between_words = blank, BETWEEN_WORDS / frame_seconds
        self._path, self._first = None, 0      # what the last window read and is not given out yet
        self._planned = None

    def add(self, path, first_frame, overlap_frame=None, cut_frame=None):
        """Takes the path of a window.

        Args:
          path: BestPath.
          first_frame: number of its first frame in the recording. The window overlaps with the one before it if that had an
            ``overlap_frame``; then this is the same.
          overlap_frame: number of the frame where the next window begins; None when this one ends a stretch.
          cut_frame: number of the frame where the change to the next window is planned.

        Returns:
          List of Piece, what is settled now; in the order of time, none overlapping.
        """
        settled, after_pause = [], False
        if self._path is not None:
            shared = min(self._first + len(self._path.labels) - first_frame, len(path.labels))
            seam = find_seam(self._path.labels[:shared], path.labels[:shared], self._planned - first_frame, self._blank)
            settled.append(Piece(_part(self._path, 0, seam), first_frame, False))
            # a window with nothing but noise in it has nothing to tell the noise from
            quiet = ~(self._path.loud[:shared] & path.loud[:shared])
            # where the overlap is short, so is what is seen of a pause
            after_pause = _length_around(quiet, seam) >= min(self._between_words, shared / 4)
            path, first_frame = _part(path, seam, None), first_frame + seam
        if overlap_frame is None:
            self._path = None
            return settled + [Piece(path, first_frame, after_pause)]
        split = overlap_frame - first_frame
        self._path, self._first, self._planned = _part(path, split, None), overlap_frame, cut_frame
        return settled + [Piece(_part(path, 0, split), first_frame, after_pause)]


def _length_around(flags, border):
    """How many flags are set without a gap on both sides of ``border`` together."""
    before, after = flags[:border][::-1], flags[border:]
    return sum(len(side) if side.all() else int(np.argmin(side)) for side in (before, after))


def _part(path, first, end):
    return BestPath(*[values[first:end] for values in path])
