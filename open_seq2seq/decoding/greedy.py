"""Greedy (best path) decoding of CTC outputs (Graves et al. 2006, section 3.2), in NumPy.

:func:`best_path` takes the most probable output of every frame; :func:`collapse` makes label sequences of complete paths,
:class:`PathReader` of a path that arrives piece by piece. Both follow the rule in :func:`label_starts`.
"""
import collections
import concurrent.futures

import numpy as np

from open_seq2seq.decoding.decoder import Character, Decoder, Hypothesis
from open_seq2seq.decoding.options import GREEDY

Run = collections.namedtuple("Run", "label first end starts")
Run.__doc__ = """Consecutive frames of a path with the same output.

label: int, may be the blank. first, end: its frames in the piece, ``end`` excluded. starts: whether a label of the collapsed
sequence starts here; False for a blank and for the continuation of a label from the previous piece."""


def best_path(logits):
    """The most probable output of every frame.

    Args:
      logits: float [..., T', V + 1].

    Returns:
      int [..., T'].
    """
    return np.argmax(logits, axis=-1)


def label_starts(paths, blank, previous=None):
    """The collapse rule of CTC: repeats are merged, then blanks are removed.

    Args:
      paths: int [..., T'], the output of every frame.
      blank: index of the blank.
      previous: output of the frame before the first; None: the first frame is the start of the path.

    Returns:
      bool [..., T'], whether a label of the collapsed sequence starts at the frame.
    """
    starts = paths != blank
    starts[..., 1:] &= paths[..., 1:] != paths[..., :-1]
    if previous is not None:
        starts[..., :1] &= paths[..., :1] != previous
    return starts


class PathReader:
    """Collapses a path that arrives piece by piece; the pieces may be split anywhere.

    Args:
      blank: index of the blank.
    """

    def __init__(self, blank):
        self._blank, self._previous = blank, None

    def read(self, labels):
        """Reads the next frames.

        Args:
          labels: int [T'].

        Returns:
          List of the Runs of these frames, in order. The labels of those that start are the collapsed sequence.
        """
        if not len(labels):
            return []
        starts = label_starts(labels, self._blank, self._previous)
        firsts = [0] + (np.flatnonzero(labels[1:] != labels[:-1]) + 1).tolist()
        ends = firsts[1:] + [len(labels)]
        self._previous = int(labels[-1])
        return [Run(int(labels[first]), first, end, bool(starts[first])) for first, end in zip(firsts, ends)]

    def restart(self):
        """The next frame is the start of a new path: it does not repeat the last label."""
        self._previous = None


class GreedyDecoder(Decoder):
    """Transcripts of the most probable output of every frame.

    Args:
      vocabulary: a ``Vocabulary``; the blank is the output after its last label.
    """

    name = GREEDY
    needs_logits = False

    def describe(self):
        return "Greedy decoding"

    def decode_logits(self, logits, lengths):
        logits, lengths = self.checked(logits, lengths)
        return self.decode_best_path(best_path(logits), lengths)

    def decode_best_path(self, paths, lengths):
        """Transcripts of best paths, for a graph that computes the argmax on its device.

        Args:
          paths, lengths: see :func:`collapse`.

        Returns:
          A list of B str.

        Raises:
          ValueError: the arrays' shapes do not match.
        """
        return [self.vocabulary.decode(labels) for labels in collapse(paths, lengths, self.vocabulary.size)]

    def submit(self, logits, lengths, characters=False):
        future = concurrent.futures.Future()
        future.set_result([self._hypothesis(log_probabilities, characters)
                           for log_probabilities in self.log_probabilities(logits, lengths)])
        return future

    def _hypothesis(self, log_probabilities, with_characters):
        """The Hypothesis of one utterance's log probabilities [valid frames, V + 1]."""
        path, blank = best_path(log_probabilities), self.vocabulary.size
        best = log_probabilities[np.arange(len(path)), path]
        runs = [run for run in PathReader(blank).read(path) if run.label != blank]
        score = float(best.sum(dtype=np.float64))
        characters = [Character(self.vocabulary.characters[run.label], run.first, run.end,
                                float(best[run.first:run.end].mean(dtype=np.float64))) for run in runs]
        text = self.vocabulary.decode([run.label for run in runs if run.starts])
        return Hypothesis(text, score, score, characters if with_characters else None)


def collapse(paths, lengths, blank):
    """Label sequences of best paths: repeats merged, then blanks removed (:func:`label_starts`).

    Args:
      paths: integer array [B, T'], the most probable output of every frame.
      lengths: integer array [B], valid frames; the padding after them is not read.
      blank: index of the blank.

    Returns:
      A list of B lists of int.

    Raises:
      ValueError: the arrays' shapes do not match.
    """
    paths, lengths = np.asarray(paths), np.asarray(lengths)
    if paths.ndim != 2 or lengths.shape != paths.shape[:1]:
        raise ValueError("paths have shape %s and lengths %s, expected [B, T'] and [B]" % (paths.shape, lengths.shape))
    batch_size, frames = paths.shape
    kept = label_starts(paths, blank) & (np.arange(frames) < lengths[:, np.newaxis])
    return [paths[row, kept[row]].tolist() for row in range(batch_size)]
