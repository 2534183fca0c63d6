"""Distance between predicted and target features, e.g. those of the clean audio of a noisy utterance."""
import tensorflow.compat.v1 as tf

from open_seq2seq.config.parameters import Choice, Parameter
from open_seq2seq.data.tasks import FEATURES
from open_seq2seq.encoders.shapes import check_tensor, dimension
from open_seq2seq.losses.ctc_loss import LossOutput, weighted_mean


class RegressionLoss:
    """The mean distance over the values of an utterance's valid frames, averaged over the batch.

    Args:
      params: checked dict of :attr:`PARAMETERS`.
    """

    TARGETS = FEATURES  # the kind of a task's data (data/tasks.py)
    PARAMETERS = (
        Parameter("distance", Choice("squared", "absolute"), default="squared", doc="of each value"),
    )

    def __init__(self, params):
        self._function = {"squared": tf.square, "absolute": tf.abs}[params["distance"]]

    def __call__(self, logits, logit_lengths, labels, label_lengths, weights=None):
        """Connects the loss.

        Args:
          logits: float32 [B, T1, F], predicted features.
          logit_lengths: int32 [B], their valid lengths in frames.
          labels: float32 [B, T2, F], target features; the frames of the shorter one count.
          label_lengths: int32 [B].
          weights: float32 [B], factors of the rows' losses in the mean, which is still divided by B. None: all are 1.

        Returns:
          LossOutput; the loss of a row without frames is 0.

        Raises:
          IncompatibleShapeError, IncompatibleDtypeError: an input is not as described.
        """
        check_tensor(logits, "RegressionLoss: logits", 3, (tf.float32,), known_last_dimension=True)
        check_tensor(labels, "RegressionLoss: labels", 3, (tf.float32,), known_last_dimension=True)
        with tf.name_scope("regression"):
            predicted, expected = dimension(logits, 1), dimension(labels, 1)
            known = isinstance(predicted, int) and isinstance(expected, int)
            frames = min(predicted, expected) if known else tf.minimum(predicted, expected)
            lengths = tf.minimum(tf.cast(logit_lengths, tf.int32), tf.cast(label_lengths, tf.int32))
            valid = tf.cast(tf.sequence_mask(lengths, frames), tf.float32)
            distances = tf.reduce_mean(self._function(logits[:, :frames] - labels[:, :frames]), 2)
            # the gradient of a division has operations of unknown shape, which an NPU would compile for every step
            losses = tf.reduce_sum(distances * valid, 1) * tf.reciprocal(tf.maximum(tf.reduce_sum(valid, 1), 1.0))
            return LossOutput(weighted_mean(losses, weights), losses, tf.is_finite(losses))
