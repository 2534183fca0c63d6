"""Greedy (best path) decoding of CTC outputs (Graves et al. 2006, section 3.2), in NumPy."""
import numpy as np


def collapse(best_path, lengths, blank):
    """Label sequences of best paths: repeats merged, then blanks removed.

    Args:
      best_path: integer array [B, T'], the most probable output of every frame.
      lengths: integer array [B], true lengths in frames; frames from there on are not read.
      blank: index of the blank.

    Returns:
      A list of B lists of int.

    Raises:
      ValueError: the arrays' shapes do not belong together.
    """
    best_path, lengths = np.asarray(best_path), np.asarray(lengths)
    if best_path.ndim != 2 or lengths.shape != best_path.shape[:1]:
        raise ValueError("best_path has shape %s and lengths %s, expected [B, T'] and [B]" % (best_path.shape, lengths.shape))
    batch_size, frames = best_path.shape
    kept = best_path != blank
    kept[:, 1:] &= best_path[:, 1:] != best_path[:, :-1]
    kept &= np.arange(frames) < lengths[:, np.newaxis]
    return [best_path[row, kept[row]].tolist() for row in range(batch_size)]
