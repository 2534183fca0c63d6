"""Greedy (best path) decoding of CTC outputs (Graves et al. 2006, section 3.2), in NumPy."""
import numpy as np


class GreedyDecoder:
    """Transcripts of the most probable output of every frame.

    Args:
      vocabulary: a ``Vocabulary``; the blank is the output after its last label.
    """

    def __init__(self, vocabulary):
        self._vocabulary = vocabulary

    def decode_logits(self, logits, lengths):
        """Transcripts of logits.

        Args:
          logits: float [B, T', V + 1].
          lengths: integer [B], valid frames.

        Returns:
          A list of B str.

        Raises:
          ValueError: the arrays' shapes do not match, or the number of outputs is not that of the vocabulary and the blank.
        """
        logits = np.asarray(logits)
        if logits.ndim != 3 or logits.shape[2] != self._vocabulary.size + 1:
            raise ValueError("logits have shape %s, expected [B, T', %d]" % (logits.shape, self._vocabulary.size + 1))
        return self.decode_best_path(logits.argmax(2), lengths)

    def decode_best_path(self, best_path, lengths):
        """Transcripts of best paths, for a graph that computes the argmax on its device.

        Args:
          best_path, lengths: see :func:`collapse`.

        Returns:
          A list of B str.

        Raises:
          ValueError: the arrays' shapes do not match.
        """
        return [self._vocabulary.decode(labels) for labels in collapse(best_path, lengths, self._vocabulary.size)]


def collapse(best_path, lengths, blank):
    """Label sequences of best paths: repeats merged, then blanks removed.

    Args:
      best_path: integer array [B, T'], the most probable output of every frame.
      lengths: integer array [B], valid frames; the padding after them is not read.
      blank: index of the blank.

    Returns:
      A list of B lists of int.

    Raises:
      ValueError: the arrays' shapes do not match.
    """
    best_path, lengths = np.asarray(best_path), np.asarray(lengths)
    if best_path.ndim != 2 or lengths.shape != best_path.shape[:1]:
        raise ValueError("best_path has shape %s and lengths %s, expected [B, T'] and [B]" % (best_path.shape, lengths.shape))
    batch_size, frames = best_path.shape
    kept = best_path != blank
    kept[:, 1:] &= best_path[:, 1:] != best_path[:, :-1]
    kept &= np.arange(frames) < lengths[:, np.newaxis]
    return [best_path[row, kept[row]].tolist() for row in range(batch_size)]
