"""Cross-entropy of one class for each utterance."""
import tensorflow.compat.v1 as tf

from open_seq2seq.config.parameters import Float, Parameter
from open_seq2seq.data.tasks import LABEL
from open_seq2seq.encoders.shapes import check_tensor
from open_seq2seq.losses.ctc_loss import LossOutput, weighted_mean


class CrossEntropyLoss:
    """The negative log probability of the class, averaged over the batch.

    Args:
      params: checked dict of :attr:`PARAMETERS`.
    """

    TARGETS = LABEL  # the kind of a task's data (data/tasks.py)
    PARAMETERS = (
        Parameter("label_smoothing", Float(minimum=0.0, below=1.0), default=0.0,
                  doc="share of the probability that the target distributes over all classes equally"),
    )

    def __init__(self, params):
        self._smoothing = params["label_smoothing"]

    def __call__(self, logits, logit_lengths, labels, label_lengths, weights=None):
        """Connects the loss.

        Args:
          logits: float32 [B, classes].
          logit_lengths, label_lengths: not used.
          labels: int32 [B], the class of each row; any number where its weight is 0.
          weights: float32 [B], factors of the rows' losses in the mean, which is still divided by B. None: all are 1.

        Returns:
          LossOutput, in nats.

        Raises:
          IncompatibleShapeError, IncompatibleDtypeError: an input is not as described.
        """
        check_tensor(logits, "CrossEntropyLoss: logits", 2, (tf.float32,), known_last_dimension=True)
        check_tensor(labels, "CrossEntropyLoss: labels", 1, (tf.int32,))
        classes = logits.shape.as_list()[1]
        with tf.name_scope("cross_entropy"):
            targets = tf.one_hot(tf.clip_by_value(labels, 0, classes - 1), classes)
            if self._smoothing:
                targets = targets * (1.0 - self._smoothing) + self._smoothing / classes
            losses = -tf.reduce_sum(targets * tf.nn.log_softmax(logits), 1)
            return LossOutput(weighted_mean(losses, weights), losses, tf.is_finite(losses))
