"""Span masks of HuBERT and wav2vec 2.0: which frames of an utterance a model has to predict without seeing them."""
import numpy as np


def number_of_spans(random, length, mask_prob, mask_length, min_masks):
    """``int(mask_prob * length / mask_length + u)``, u drawn uniformly from [0, 1), but at least ``min_masks``; an int.

    Args:
      random: ``numpy.random.RandomState``.
      length: frames of the utterance, an int.
      mask_prob: share of the frames that the spans would cover if they did not overlap.
      mask_length: frames of a span.
      min_masks: the fewest spans.
    """
    return max(min_masks, int(mask_prob * length / float(mask_length) + random.rand()))


def span_mask(random, length, spans, mask_length):
    """The mask of one utterance, as fairseq's ``compute_mask_indices`` draws it (static length, overlaps allowed).

    The starts of the spans are drawn without replacement from the first ``length - mask_length`` frames. Spans overlap, so the
    share of masked frames is smaller than that of their sum: 0.57 for 0.8. Utterances of few frames may be masked completely.

    Args:
      random: ``numpy.random.RandomState``.
      length, spans, mask_length: ints; see :func:`number_of_spans`.

    Returns:
      bool [length].
    """
    mask = np.zeros([length], bool)
    if not length or not spans:
        return mask
    # an utterance with too few frames for the spans takes starts from one frame more than there are spans
    last = mask_length if length - mask_length > spans else length - spans - 1
    starts = random.choice(length - last, spans, replace=False)
    places = (starts[:, np.newaxis] + np.arange(mask_length)).reshape(-1)
    mask[places[places < length]] = True
    return mask


def with_same_counts(masks, randoms):
    """Removes single masked frames at random until all utterances have as many masked frames as the one with the fewest.

    fairseq does this to every batch (``require_same_masks``). The spans get holes, and the mask of an utterance depends on the
    others of its batch.

    Args:
      masks: list of bool arrays.
      randoms: list of a ``RandomState`` for each; it may be the same one.

    Returns:
      List of bool arrays.
    """
    counts = [int(mask.sum()) for mask in masks]
    fewest, reduced = min(counts, default=0), []
    for mask, count, random in zip(masks, counts, randoms):
        if count > fewest:
            kept, mask = random.choice(np.flatnonzero(mask), fewest, replace=False), np.zeros_like(mask)
            mask[kept] = True
        reduced.append(mask)
    return reduced


class SpanMasks:
    """The masks of the utterances of batches.

    The mask of an utterance is drawn from (seed, position, index) alone: position is its place in the stream of training
    utterances of all ranks, 0 in an evaluation. So it is the same after a resume and with any number of ranks, unless
    ``require_same_masks`` makes it depend on the other utterances of a rank's batch.

    Args:
      seed: int.
      mask_prob, mask_length, min_masks: see :func:`number_of_spans`.
      require_same_masks: see :func:`with_same_counts`.
    """

    def __init__(self, seed, mask_prob=0.8, mask_length=10, min_masks=2, require_same_masks=False):
        self._seed, self._mask_prob, self._mask_length = seed, mask_prob, mask_length
        self._min_masks, self._require_same_masks = min_masks, require_same_masks

    def of_batch(self, lengths, indices, positions, frames):
        """bool [B, frames]; all False in rows of length 0.

        Args:
          lengths: int [B], frames of the utterances.
          indices: int [B], of the utterances.
          positions: int [B].
          frames: int.
        """
        rows = [row for row, length in enumerate(lengths) if length > 0]
        randoms = [np.random.RandomState(_words(self._seed) + _words(positions[row]) + _words(indices[row])) for row in rows]
        masks = [self._of_utterance(random, int(lengths[row])) for row, random in zip(rows, randoms)]
        if self._require_same_masks:
            masks = with_same_counts(masks, randoms)
        batch = np.zeros([len(lengths), frames], bool)
        for row, mask in zip(rows, masks):
            batch[row, :len(mask)] = mask
        return batch

    def _of_utterance(self, random, length):
        spans = number_of_spans(random, length, self._mask_prob, self._mask_length, self._min_masks)
        return span_mask(random, length, spans, self._mask_length)


def _words(number):
    """A number below 2^64 as two of 32 bits, which RandomState accepts."""
    return [int(number) & 0xFFFFFFFF, int(number) >> 32 & 0xFFFFFFFF]
