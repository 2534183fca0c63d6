"""A head that predicts the pitch or the speaker from an encoder's outputs; with a reversed gradient it removes them."""
import tensorflow.compat.v1 as tf

from open_seq2seq.decoders.gradient_scaling import reversed_gradient, strength
from open_seq2seq.decoders.linear import linear
from open_seq2seq.encoders.shapes import dimensions
from open_seq2seq.optimizers.parallel_schedule import schedule_step


class AuxiliaryHead:
    """One linear layer per frame.

    Args:
      name: of the label set.
      classes: int.
      is_adversarial: whether the gradient is reversed before the encoder: the head learns to predict the label, and the encoder
        learns to make it unpredictable (domain-adversarial training, arXiv:1505.07818).
      steps: steps in which the strength of the reversal rises; used only by an adversarial head.
    """

    def __init__(self, name, classes, is_adversarial, steps):
        self._name, self._classes, self._is_adversarial, self._steps = name, classes, is_adversarial, steps

    def __call__(self, outputs):
        """float32 [B, T', classes], the logits, from float32 or float16 [B, T', C]."""
        outputs = tf.cast(outputs, tf.float32)
        if self._is_adversarial:
            step = schedule_step()
            outputs = reversed_gradient(outputs, tf.ones([]) if step is None else strength(step, self._steps))
        with tf.variable_scope("auxiliary_heads"), tf.variable_scope(self._name):
            logits = linear(outputs, self._classes, initializer=tf.glorot_uniform_initializer())
            return tf.reshape(logits, dimensions(outputs)[:2] + [self._classes])
