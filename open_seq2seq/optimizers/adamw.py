"""Adam with decoupled weight decay (Loshchilov and Hutter, arXiv:1711.05101)."""
import tensorflow.compat.v1 as tf

from open_seq2seq.config.parameters import Any, Bool, Float, Parameter
from open_seq2seq.optimizers.update_operations import subtract_scaled


class AdamW(tf.train.AdamOptimizer):
    """Adam that first subtracts ``learning_rate * weight_decay * weight`` from every weight, as PyTorch's AdamW does.

    ``tf.contrib.opt.AdamWOptimizer`` omits the learning rate from that product.

    Args:
      learning_rate: float or float32 scalar.
      weight_decay, beta1, beta2, epsilon: floats, see :attr:`PARAMETERS`.
      use_locking: bool, lock the variables while they are updated.
      name: prefix of the saved state's names.
    """

    PARAMETERS = (
        Parameter("weight_decay", Float(minimum=0.0), default=0.01, doc="weight decay, times the learning rate"),
        Parameter("beta1", Float(minimum=0.0, maximum=1.0), default=0.9, doc="decay of the first moment"),
        Parameter("beta2", Float(minimum=0.0, maximum=1.0), default=0.999, doc="decay of the second moment"),
        Parameter("epsilon", Float(minimum=0.0), default=1e-8, doc="added to the root of the second moment"),
        Parameter("use_locking", Bool(), default=False, doc="lock the variables while they are updated"),
        Parameter("name", Any(), default="AdamW", doc="prefix of the saved state's names"),
    )

    def __init__(self, learning_rate, weight_decay=0.01, beta1=0.9, beta2=0.999, epsilon=1e-8, use_locking=False,
                 name="AdamW"):
        super().__init__(learning_rate, beta1, beta2, epsilon, use_locking, name)
        self._weight_decay = weight_decay

    def _shrink(self, variable):
        return subtract_scaled(variable, self._lr_t * self._weight_decay, variable, self._use_locking)

    def _apply_dense(self, grad, var):
        with tf.control_dependencies([self._shrink(var)]):
            return super()._apply_dense(grad, var)

    def _resource_apply_dense(self, grad, var):
        with tf.control_dependencies([self._shrink(var)]):
            return super()._resource_apply_dense(grad, var)
