"""Masked prediction of cluster labels (HuBERT, arXiv:2106.07447), and the figures of its progress."""
import collections

import tensorflow.compat.v1 as tf

from open_seq2seq.config.parameters import Dict, Float, Int, Parameter
from open_seq2seq.encoders.shapes import dimension

MaskedPredictionOutput = collections.namedtuple("MaskedPredictionOutput", "loss per_utterance counted sums predicted expected")
MaskedPredictionOutput.__doc__ = """The output of :class:`MaskedPredictionLoss`.

loss: float32 scalar, nats per counted frame of the first label set.
per_utterance: float32 [B], weighted sum of the cross-entropies of an utterance's frames, in nats.
counted: bool [B], whether that is finite.
sums: float32 [label sets, len(SUMS)], see :data:`SUMS`.
predicted, expected: float32 [classes of all label sets]: how many masked frames have each class as prediction and as target.
"""

SUMS = ("masked", "unmasked", "masked_loss", "unmasked_loss", "masked_correct", "unmasked_correct", "masked_entropy")
"""Numbers of frames, sums of cross-entropies (nats), numbers of correct predictions, sum of the entropies of the predicted
distributions over masked frames (nats)."""

_IMPOSSIBLE = -1e9


class MaskedPredictionLoss:
    """Cross-entropy of the clusters of masked frames, and with ``pred_nomask_weight`` of the others.

    With inputs of static shape every operation has a static shape: all frames are computed, and those that do not count are
    multiplied by 0.

    Args:
      params: checked dict of :attr:`PARAMETERS`.
    """

    PARAMETERS = (
        Parameter("pred_masked_weight", Float(minimum=0.0), default=1.0, doc="factor of the loss of masked frames"),
        Parameter("pred_nomask_weight", Float(minimum=0.0), default=0.0, doc="factor of the loss of frames that are not masked"),
        Parameter("feature_penalty", Float(minimum=0.0), default=0.0,
                  doc="factor of the mean square of the encoder's outputs, which is added to the loss; HuBERT has 10 for the "
                      "outputs of its convolutions"),
        Parameter("auxiliary_weights", Dict(), default={},
                  doc="factor of the loss of each auxiliary label set, e.g. {\"pitch\": 0.1, \"speaker\": -0.1}; a negative one "
                      "trains the encoder adversarially, by gradient reversal"),
        Parameter("adversarial_steps", Int(minimum=1), default=None,
                  doc="steps in which the strength of the gradient reversal rises from 0 to 1; None: max_steps"),
    )

    def __init__(self, params):
        self._masked_weight, self._unmasked_weight = params["pred_masked_weight"], params["pred_nomask_weight"]
        self._penalty, self._auxiliary_weights = params["feature_penalty"], params["auxiliary_weights"]

    def __call__(self, output, targets, mask, weights=None, encoder_output=None, mean_over_ranks=None, auxiliary_sets=()):
        """Connects the loss to logits and targets.

        Args:
          output: ClusterOutput; the logits of the auxiliary label sets, in their order, are the last.
          targets: int32 [B, T', label sets], negative for frames without a label.
          mask: bool [B, T'].
          weights: float32 [B]; rows with weight 0 do not count. The mean is over frames, so other weights have no effect. None:
            all count.
          encoder_output: EncoderOutput, for ``feature_penalty``.
          mean_over_ranks: function from a list of tensors to a list of their means over all processes. The sum of a rank's losses
            is divided by the mean number of frames; the mean of the ranks' losses is then that of one process. None: one process.
          auxiliary_sets: names of the auxiliary label sets, whose losses count on all frames.

        Returns:
          MaskedPredictionOutput.
        """
        with tf.name_scope("masked_prediction"):
            frames = dimension(targets, 1)
            valid = tf.sequence_mask(output.logit_lengths, frames)
            if weights is not None:
                valid = tf.logical_and(valid, weights[:, tf.newaxis] > 0.0)
            parts = [_LabelSet(logits, duplicates, targets[:, :, number], mask, valid)
                     for number, (logits, duplicates) in enumerate(zip(output.logits, output.duplicates))]
            of_clusters = parts[:len(parts) - len(auxiliary_sets)]
            per_utterance = tf.add_n([part.loss(self._masked_weight, self._unmasked_weight) for part in of_clusters])
            counts = [parts[0].count(self._masked_weight, self._unmasked_weight)]
            counts += [part.count(1.0, 1.0) for part in parts[len(of_clusters):]]
            if mean_over_ranks is not None:
                counts = mean_over_ranks(counts)
            loss = tf.reduce_sum(per_utterance) / tf.maximum(counts[0], 1.0)
            for name, part, count in zip(auxiliary_sets, parts[len(of_clusters):], counts[1:]):
                # an adversarial head itself learns to predict; its gradient is reversed before the encoder
                loss += abs(self._auxiliary_weights[name]) * tf.reduce_sum(part.loss(1.0, 1.0)) / tf.maximum(count, 1.0)
            if self._penalty:
                loss += self._penalty * mean_square(encoder_output.outputs, tf.cast(valid, tf.float32))
            return MaskedPredictionOutput(
                loss, per_utterance, tf.is_finite(per_utterance), tf.stack([part.sums for part in parts]),
                tf.concat([part.predicted for part in parts], 0), tf.concat([part.expected for part in parts], 0))


def mean_square(features, valid):
    """Mean of the squares of features [B, T, C] over the frames for which ``valid`` (float32 [B, T]) is 1; float32 scalar."""
    features = tf.cast(features, tf.float32)
    total = tf.reduce_sum(tf.reduce_mean(tf.square(features), 2) * valid)
    return total / tf.maximum(tf.reduce_sum(valid), 1.0)


class _LabelSet:
    """Cross-entropies and figures of one label set.

    Attributes:
      masked, unmasked: float32 [B, T'], 1 for the frames that count. sums, predicted, expected: see MaskedPredictionOutput.
      cross_entropy: float32 [B, T'], nats.
    """

    def __init__(self, logits, duplicates, targets, mask, valid):
        classes = logits.shape.as_list()[-1]
        valid = tf.logical_and(valid, targets >= 0)
        self.masked = tf.cast(tf.logical_and(valid, mask), tf.float32)
        self.unmasked = tf.cast(tf.logical_and(valid, tf.logical_not(mask)), tf.float32)
        true_class = tf.maximum(targets, 0)
        is_true = tf.one_hot(true_class, classes)
        true_logits = tf.reduce_sum(logits * is_true, 2)
        # copies of the true class's embedding are excluded from the softmax
        if duplicates is not None:
            logits += tf.gather(duplicates * _IMPOSSIBLE, true_class)
        # as a matrix, because TensorFlow adds checks of unknown shapes to other ranks
        self.cross_entropy = tf.reshape(tf.nn.sparse_softmax_cross_entropy_with_logits(
            labels=tf.reshape(true_class, [-1]), logits=tf.reshape(logits, [-1, classes])), [dimension(targets, 0),
                                                                                             dimension(targets, 1)])
        correct = tf.cast(true_logits >= tf.reduce_max(logits, 2), tf.float32)
        log_sum = tf.stop_gradient(self.cross_entropy + true_logits)
        probabilities = tf.exp(logits - log_sum[:, :, tf.newaxis])
        entropy = log_sum - tf.reduce_sum(probabilities * logits, 2)
        masked, unmasked = self.masked, self.unmasked
        self.sums = tf.stack([tf.reduce_sum(values) for values in (
            masked, unmasked, self.cross_entropy * masked, self.cross_entropy * unmasked, correct * masked, correct * unmasked,
            entropy * masked)])
        best = tf.one_hot(tf.argmax(logits, 2, output_type=tf.int32), classes)
        self.predicted, self.expected = _frequencies(best, masked), _frequencies(is_true, masked)

    def count(self, masked_weight, unmasked_weight):
        """float32 scalar, the number of frames that :meth:`loss` counts."""
        counted = [frames for frames, weight in ((self.masked, masked_weight), (self.unmasked, unmasked_weight)) if weight]
        return tf.add_n([tf.reduce_sum(frames) for frames in counted]) if counted else tf.zeros([])

    def loss(self, masked_weight, unmasked_weight):
        """float32 [B], the weighted sum of each utterance's cross-entropies."""
        return tf.reduce_sum(self.cross_entropy * (masked_weight * self.masked + unmasked_weight * self.unmasked), 1)


def _frequencies(one_hot, counted):
    """float32 [classes]: the sum of the rows of ``one_hot`` [B, T', classes] for which ``counted`` [B, T'] is 1."""
    classes = one_hot.shape.as_list()[-1]
    return tf.reshape(tf.matmul(tf.reshape(counted, [1, -1]), tf.reshape(one_hot, [-1, classes])), [classes])
