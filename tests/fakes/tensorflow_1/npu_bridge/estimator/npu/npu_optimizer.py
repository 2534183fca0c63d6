"""Wrappers of an optimizer: average gradients over the ranks, scale the loss, check the status register for overflow."""
import os

import tensorflow.compat.v1 as tf
from fake_ascend import status_register

from npu_bridge.estimator.npu.npu_common import NPUBasics
from npu_bridge.hccl import hccl_ops


def allreduce(tensor, average=True):
    """Sum or mean of a tensor over all ranks."""
    size = NPUBasics("").size()
    if isinstance(tensor, tf.IndexedSlices):
        values = hccl_ops.allgather(tensor.values, size)
        return tf.IndexedSlices(tf.div(values, tf.cast(size, values.dtype)) if average else values,
                                hccl_ops.allgather(tensor.indices, size), tensor.dense_shape)
    summed = hccl_ops.allreduce(tensor, "sum")
    return tf.div(summed, tf.cast(size, tensor.dtype)) if average else summed


def npu_allreduce(values, reduction="mean", fusion=1, fusion_id=-1, group="hccl_world_group"):
    """Reduces a tensor or a list of tensors over all ranks; the reduction is given by its name."""
    mean = reduction == "mean"
    size = NPUBasics("").size()
    listed = values if isinstance(values, (list, tuple)) else [values]
    reduced = [hccl_ops.allreduce(value, "sum" if mean else reduction, fusion, fusion_id, group) for value in listed]
    if mean:
        reduced = [tf.div(value, tf.cast(size, value.dtype)) for value in reduced]
    return reduced if isinstance(values, (list, tuple)) else reduced[0]


class _Wrapping(tf.train.Optimizer):
    """An optimizer that delegates to another one."""

    def __init__(self, optimizer, name):
        super().__init__(use_locking=False, name=name)
        self._opt = optimizer

    def get_slot(self, *arguments, **options):
        return self._opt.get_slot(*arguments, **options)

    def get_slot_names(self, *arguments, **options):
        return self._opt.get_slot_names(*arguments, **options)

    def variables(self, *arguments, **options):
        return self._opt.variables(*arguments, **options)

    def _average(self, gradients):
        with tf.name_scope(self._name + "_Allreduce"):
            return [(None if gradient is None else allreduce(gradient), variable) for gradient, variable in gradients]


class NPUOptimizer(_Wrapping):
    def __init__(self, opt, loss_scale_manager=None, is_distributed=False, is_loss_scale=False, is_tailing_optimization=False,
                 name=None):
        if is_loss_scale and loss_scale_manager is None:
            raise ValueError("is_loss_scale is True, loss_scale_manager can not be None")
        super().__init__(opt, name or "NPUOptimizer%s" % type(opt).__name__)
        self._loss_scale_manager = loss_scale_manager
        self._is_distributed, self._is_loss_scale = is_distributed, is_loss_scale
        self._overflows = []

    def compute_gradients(self, loss, var_list=None, gate_gradients=tf.train.Optimizer.GATE_OP, aggregation_method=None,
                          colocate_gradients_with_ops=False, grad_loss=None):
        if self._is_loss_scale:
            loss = loss() if callable(loss) else loss
            scale = self._loss_scale_manager.get_loss_scale()
            loss = loss * tf.cast(scale, loss.dtype.base_dtype)
        gradients = self._opt.compute_gradients(
            loss, var_list=var_list, gate_gradients=gate_gradients, aggregation_method=aggregation_method,
            colocate_gradients_with_ops=colocate_gradients_with_ops, grad_loss=grad_loss)
        # on the device the values saturate where they are computed, and the hardware sets the register
        limited, self._overflows = status_register.saturate([gradient for gradient, _ in gradients])
        gradients = [(gradient, variable) for gradient, (_, variable) in zip(limited, gradients)]
        if self._is_distributed:
            gradients = self._average(gradients)
        if not self._is_loss_scale:
            return gradients
        inverse = tf.reciprocal(scale)
        return [(None if gradient is None else gradient * tf.cast(inverse, gradient.dtype.base_dtype), variable)
                for gradient, variable in gradients]

    def apply_gradients(self, grads_and_vars, global_step=None, name=None):
        if not self._is_loss_scale:
            return self._opt.apply_gradients(grads_and_vars, global_step, name)
        grads_and_vars = list(grads_and_vars)
        finite = overall_finite(grads_and_vars, self._overflows, self._is_distributed)
        update = tf.cond(finite, lambda: self._opt.apply_gradients(grads_and_vars, global_step, name), tf.no_op)
        return tf.group(update, self._loss_scale_manager.update_loss_scale(finite))


def overall_finite(grads_and_vars, overflows, is_distributed):
    """bool []: whether no rank's status register shows an overflow; the register is cleared."""
    gradients = [gradient for gradient, _ in grads_and_vars if gradient is not None]
    with tf.control_dependencies(gradients):
        local = status_register.get_float_status(overflows)
    with tf.control_dependencies([local]):
        cleared = status_register.clear_float_status()
    with tf.control_dependencies([cleared]):
        status = hccl_ops.allreduce(local, "sum", fusion=0) if is_distributed else local
        return tf.reduce_all(tf.equal(status, 0), name="overflow_status_reduce_all")


class NPUDistributedOptimizer(_Wrapping):
    def __init__(self, optimizer, is_weight_update_sharding=False, name=None):
        if is_weight_update_sharding:
            raise NotImplementedError("the fake adapter has no weight update sharding")
        super().__init__(optimizer, name or "Distributed%s" % type(optimizer).__name__)

    def compute_gradients(self, *arguments, **options):
        gradients = self._opt.compute_gradients(*arguments, **options)
        if int(os.environ.get("RANK_SIZE") or "1") <= 1:
            return gradients
        return self._average(gradients)

    def apply_gradients(self, *arguments, **options):
        return self._opt.apply_gradients(*arguments, **options)


def npu_distributed_optimizer_wrapper(optimizer):
    """Averages the gradients of an optimizer, or of a class of optimizers, over the ranks."""
    if isinstance(optimizer, str):
        raise NotImplementedError("the fake adapter knows no Keras optimizers")
    return NPUDistributedOptimizer(optimizer)
