"""Loss scaling with the status register."""
import tensorflow.compat.v1 as tf
from fake_ascend import status_register

from npu_bridge.estimator.npu.npu_loss_scale_manager import FixedLossScaleManager
from npu_bridge.estimator.npu.npu_optimizer import overall_finite


class NPULossScaleOptimizer(tf.train.Optimizer):
    def __init__(self, opt, loss_scale_manager, is_distributed=False):
        super().__init__(use_locking=False, name="NPULossScaleOptimizer%s" % type(opt).__name__)
        self._opt, self._loss_scale_manager, self._is_distributed = opt, loss_scale_manager, is_distributed
        self._overflows = []

    def __getattr__(self, name):
        return getattr(self.__dict__["_opt"], name)

    def compute_gradients(self, loss, var_list=None, gate_gradients=tf.train.Optimizer.GATE_OP, aggregation_method=None,
                          colocate_gradients_with_ops=False, grad_loss=None):
        loss = loss() if callable(loss) else loss
        scale = self._loss_scale_manager.get_loss_scale()
        gradients = self._opt.compute_gradients(
            loss * tf.cast(scale, loss.dtype.base_dtype), var_list=var_list, gate_gradients=gate_gradients,
            aggregation_method=aggregation_method, colocate_gradients_with_ops=colocate_gradients_with_ops, grad_loss=grad_loss)
        limited, self._overflows = status_register.saturate([gradient for gradient, _ in gradients])
        return [(None if gradient is None else gradient * tf.cast(tf.reciprocal(scale), gradient.dtype.base_dtype), variable)
                for gradient, (_, variable) in zip(limited, gradients)]

    def apply_gradients(self, grads_and_vars, global_step=None, name=None):
        grads_and_vars = list(grads_and_vars)
        manager = self._loss_scale_manager
        if isinstance(manager, FixedLossScaleManager) and not manager.get_enable_overflow_check():
            finite = tf.constant(True)
        else:
            finite = overall_finite(grads_and_vars, self._overflows, self._is_distributed)
        update = tf.cond(finite, lambda: self._opt.apply_gradients(grads_and_vars, global_step, name), tf.no_op)
        return tf.group(update, manager.update_loss_scale(finite))
