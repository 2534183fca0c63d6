"""Gradient accumulation: one update from the gradients of ``iter_size`` batches.

The accumulators are local variables: between updates they hold nothing, so a checkpoint does without them
(``tf.local_variables_initializer`` sets them to zero).
"""
import tensorflow.compat.v1 as tf


class GradientAccumulator:
    """Sums of the gradients of several batches, one for each variable.

    Args:
      variables: the variables that are trained.
    """

    def __init__(self, variables):
        self._sums = [
            tf.get_variable(variable.op.name + "/gradient_sum", shape=variable.shape, dtype=variable.dtype.base_dtype,
                            initializer=tf.zeros_initializer(), trainable=False, use_resource=False,
                            collections=[tf.GraphKeys.LOCAL_VARIABLES])
            for variable in variables]

    def add(self, gradients):
        """Operation that adds the gradients of one batch."""
        return tf.group(*[total.assign_add(gradient, read_value=False) for total, gradient in zip(self._sums, gradients)])

    def total(self, gradients):
        """Tensors: what was added so far plus ``gradients``."""
        return [gradient + total for total, gradient in zip(self._sums, gradients)]

    def clear(self):
        """Operation that sets the sums to zero, also where they are not finite."""
        return tf.group(*[total.assign(tf.zeros(total.shape, total.dtype.base_dtype), read_value=False)
                          for total in self._sums])
