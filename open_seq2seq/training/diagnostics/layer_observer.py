"""Statistics of the layers of a network on a set of utterances: dead channels, and the drift of batch-norm statistics.

Every batch gives a few numbers per channel, which are added on the host over all batches and all ranks.
"""
import collections

import numpy as np
import tensorflow.compat.v1 as tf

from open_seq2seq.distributed.gathering import gather_numbers
from open_seq2seq.encoders.shapes import dimension
from open_seq2seq.optimizers.layers import layer_of

# as batch norm adds it: a channel with a smaller variance is practically constant
VARIANCE_EPSILON = 1e-3
UNKNOWN = -1.0  # magnitude of a channel without a finite output


class LayerObserver:
    """An ``Execution.observer`` that builds sums and maxima over the frames of a batch.

    If a model is built for batches of several shapes, it is observed in each of them.
    """

    def __init__(self):
        self._sums, self._largest = collections.OrderedDict(), collections.OrderedDict()

    def normalization(self, scope, inputs, mask, moving_mean, moving_variance):
        """Observes the inputs of a batch norm, relative to its moving statistics; ``mask``: what its training counts, or None."""
        with tf.name_scope("observe_normalization"):
            scale = tf.rsqrt(moving_variance + VARIANCE_EPSILON)
            deviations = (tf.cast(inputs, tf.float32) - moving_mean) * scale
            counted = tf.ones_like(deviations[:, :, :, :1]) if mask is None else tf.expand_dims(mask, 1)
            masked = deviations * counted
            utterances = [tf.reduce_sum(counted, [1, 2]) * tf.ones_like(moving_mean), tf.reduce_sum(masked, [1, 2]),
                          tf.reduce_sum(masked * deviations, [1, 2])]
            # an utterance whose features are not finite is excluded; its count is excluded, too
            finite = tf.is_finite(utterances[1] + utterances[2])
            sums = [tf.reduce_sum(tf.where(finite, of_utterance, tf.zeros_like(of_utterance)), 0) for of_utterance in utterances]
            # epsilon relative to the moving variance: without it a variance near 0 would seem to drift far
            self._sums.setdefault(layer_of(scope + "/gamma"), []).append(tf.stack(sums + [VARIANCE_EPSILON * tf.square(scale)]))

    def activation(self, scope, outputs, lengths):
        """Observes the outputs of an activation function, over valid frames."""
        with tf.name_scope("observe_activation"):
            within = tf.sequence_mask(lengths, dimension(outputs, 1), tf.float32)[:, :, tf.newaxis]
            # a sum keeps values that are not finite, a maximum may not
            of_utterance = tf.reduce_sum(tf.abs(tf.cast(outputs, tf.float32)) * within, 1)
            largest = tf.reduce_max(tf.where(tf.is_finite(of_utterance), of_utterance, UNKNOWN * tf.ones_like(of_utterance)), 0)
            self._largest.setdefault(layer_of(scope + "/outputs"), []).append(largest)

    @property
    def layers(self):
        """(layers with batch norm, layers with an activation): lists of (name, channels)."""
        return tuple([(layer, by_shape[0].shape.as_list()[-1]) for layer, by_shape in observed.items()]
                     for observed in (self._sums, self._largest))

    @property
    def observations(self):
        """What to fetch, one for each shape of batches: (list of float32 [4, C], list of float32 [C])."""
        shapes = max([len(by_shape) for by_shape in list(self._largest.values()) + list(self._sums.values())] + [0])
        return [([by_shape[shape] for by_shape in self._sums.values()], [by_shape[shape] for by_shape in self._largest.values()])
                for shape in range(shapes)]


class LayerStatistics:
    """Sums what is fetched of a :class:`LayerObserver`.

    Args:
      observer: a LayerObserver whose model has been built.
      group: a ``ProcessGroup``.
    """

    def __init__(self, observer, group):
        self._normalized, self._activated = observer.layers
        self._channels = [channels for _, channels in self._normalized], [channels for _, channels in self._activated]
        self._group = group
        self.restart()

    def restart(self):
        """Sets the sums to 0."""
        self._sums = [np.zeros([3, channels]) for channels in self._channels[0]]
        self._largest = [np.full([channels], UNKNOWN) for channels in self._channels[1]]
        self._epsilons = [None] * len(self._sums)

    def add(self, values):
        """Adds a batch: the values of one of the observer's ``observations``."""
        sums, largest = values
        for number, value in enumerate(sums):
            self._sums[number] += value[:3]
            self._epsilons[number] = value[3]
        for number, value in enumerate(largest):
            self._largest[number] = np.maximum(self._largest[number], value)

    def result(self, session):
        """The statistics over all batches of all ranks; the ranks call it together.

        Returns:
          Dict from the name of a layer to a dict of those that apply to it: ``dead_channels``, the share of channels that were 0
          in all frames; ``mean_drift``, root mean square over the channels of (mean of the frames - moving mean) in moving
          standard deviations; ``variance_drift``, mean over the channels of |ln(variance of the frames / moving variance)|. In
          each channel, utterances with a number that is not finite are excluded; NaN if none is left.
        """
        own = np.concatenate([value.ravel() for value in self._sums + self._largest] + [np.zeros([0])])
        # float64 as pairs of int32, which every process group can transfer
        ranks = gather_numbers(self._group, session, own.view(np.int32)).view(np.float64)
        split = np.cumsum([3 * channels for channels in self._channels[0]] + self._channels[1])[:-1]
        parts = np.split(ranks, split, axis=1)
        found = {}
        for (layer, channels), part, epsilon in zip(self._normalized, parts, self._epsilons):
            if epsilon is None:
                continue
            count, total, squares = part.sum(0).reshape([3, channels])
            share = 1.0 / np.where(count, count, np.nan)
            mean = total * share
            variance = np.maximum(squares * share - mean ** 2, 0.0)
            found.setdefault(layer, {}).update(
                mean_drift=float(np.sqrt(np.mean(mean ** 2))),
                variance_drift=float(np.mean(np.abs(np.log(variance + epsilon)))))
        for (layer, _), part in zip(self._activated, parts[len(self._normalized):]):
            largest = part.max(0)
            known = largest != UNKNOWN
            found.setdefault(layer, {})["dead_channels"] = float(np.mean(largest == 0.0)) if known.any() else float("nan")
        return found
