"""The figures of masked prediction: loss in bits, accuracies, how many frames are masked, entropy, clusters in use, collapse."""
import math

import numpy as np

from open_seq2seq.losses.masked_prediction import SUMS

# a model whose predictions have a perplexity below this share of the targets' perplexity has collapsed
COLLAPSED_SHARE = 0.1
ADVICE = ("What to try: a lower learning rate or a longer warmup (lr_policy_params); other clusters, if one of them has most "
          "frames (--mode=label_quality); fewer or shorter masks (mask_prob, mask_length)")


class PretrainingFigures:
    """Sums over batches, and the figures that follow from them.

    Args:
      vocabulary: ``ClusterLabels`` of the data layer; used are its size and the number of auxiliary label sets, the last ones.
    """

    def __init__(self, vocabulary):
        self._sizes = tuple(vocabulary.size)
        self._num_of_clusters = len(self._sizes) - vocabulary.auxiliary
        self.restart()

    def restart(self):
        """Forgets all batches."""
        self._sums = np.zeros([len(self._sizes), len(SUMS)])
        self._predicted, self._expected = np.zeros([sum(self._sizes)]), np.zeros([sum(self._sizes)])

    def add(self, sums, predicted, expected):
        """Adds a batch: the values of ``MaskedPredictionOutput``'s fields of these names."""
        self._sums += sums
        self._predicted += predicted
        self._expected += expected

    def numbers(self):
        """Dict from names to floats: everything that has been added, for the sum over the ranks."""
        totals = (("sums", self._sums.reshape(-1)), ("predicted", self._predicted), ("expected", self._expected))
        return {"%s_%d" % (name, place): float(value) for name, values in totals for place, value in enumerate(values)}

    def set_numbers(self, numbers):
        """Takes the sums from a dict like that of :meth:`numbers`."""
        for name, values in (("sums", self._sums), ("predicted", self._predicted), ("expected", self._expected)):
            values.flat = [numbers["%s_%d" % (name, place)] for place in range(values.size)]

    def _sets(self):
        """Yields (dict of the sums, counts of predictions, counts of targets) for each label set."""
        ends = np.cumsum(self._sizes)
        for label_set, (size, end) in enumerate(zip(self._sizes, ends)):
            yield dict(zip(SUMS, self._sums[label_set].tolist())), self._predicted[end - size:end], self._expected[end - size:end]

    def figures(self):
        """Dict of the figures; those of the second label set end in ``_1``, and so on. Figures of no frame are NaN.

        loss_bits, unmasked_loss_bits: cross-entropy per masked and per other frame. masked_accuracy, unmasked_accuracy: share of
        right predictions. masked_share: of all frames with labels. prediction_entropy_bits: of the predicted distributions, mean
        over masked frames. clusters_expected: classes that are the target of a masked frame; clusters_in_use: those of them that
        are also predicted, so that neither the special symbols nor clusters that do not occur count. prediction_perplexity,
        target_perplexity: of the frequencies of all predictions and of the targets.
        """
        figures = {}
        for label_set, (sums, predicted, expected) in enumerate(self._sets()):
            suffix = "_%d" % label_set if label_set else ""
            for name, value in (
                    ("loss_bits", _ratio(sums["masked_loss"], sums["masked"]) / math.log(2.0)),
                    ("unmasked_loss_bits", _ratio(sums["unmasked_loss"], sums["unmasked"]) / math.log(2.0)),
                    ("masked_accuracy", _ratio(sums["masked_correct"], sums["masked"])),
                    ("unmasked_accuracy", _ratio(sums["unmasked_correct"], sums["unmasked"])),
                    ("masked_share", _ratio(sums["masked"], sums["masked"] + sums["unmasked"])),
                    ("prediction_entropy_bits", _ratio(sums["masked_entropy"], sums["masked"]) / math.log(2.0)),
                    ("clusters_in_use", _in_use(predicted, expected)), ("clusters_expected", int(np.count_nonzero(expected))),
                    ("prediction_perplexity", _perplexity(predicted)), ("target_perplexity", _perplexity(expected))):
                figures[name + suffix] = value
        return figures

    def collapse(self):
        """A sentence on predictions that have collapsed to few clusters, with what to try; None if they have not."""
        # an adversary leaves an auxiliary head nothing to predict from
        for label_set, (_, predicted, expected) in list(enumerate(self._sets()))[:self._num_of_clusters]:
            found, targets = _perplexity(predicted), _perplexity(expected)
            if found < max(1.0 + 1e-6, COLLAPSED_SHARE * targets) and targets > 2.0:
                return ("The predictions%s have collapsed: %d of the %d clusters that occur are predicted for masked frames "
                        "(perplexity %.1f, of the targets %.1f). %s" % (
                            " of label set %d" % label_set if label_set else "", _in_use(predicted, expected),
                            np.count_nonzero(expected), found, targets, ADVICE))
        return None


def figures_line(figures):
    """The figures of the first label set as a phrase for the log."""
    return ("%.3f bits per masked frame, accuracy %.1f %% on masked and %.1f %% on other frames, %.1f %% of the frames masked, "
            "entropy of the predictions %.2f bits, %d of %d clusters in use" % (
                figures["loss_bits"], 100 * figures["masked_accuracy"], 100 * figures["unmasked_accuracy"],
                100 * figures["masked_share"], figures["prediction_entropy_bits"], figures["clusters_in_use"],
                figures["clusters_expected"]))


def _in_use(predicted, expected):
    return int(np.count_nonzero(predicted[expected > 0]))


def _ratio(numerator, denominator):
    return numerator / denominator if denominator else float("nan")


def _perplexity(counts):
    shares = counts[counts > 0] / max(counts.sum(), 1.0)
    return float(np.exp(-(shares * np.log(shares)).sum())) if len(shares) else 0.0
