"""``tf.cond`` that may update reference variables, on every TensorFlow."""
import tensorflow.compat.v1 as tf


def cond_with_updates(predicate, when_true, when_false):
    """``tf.cond`` whose branches return operations that update variables.

    TensorFlow 2 makes a function of each branch, and a function cannot hold a reference variable; the older control flow,
    which 1.15 has and the Ascend adapter is written for, can.

    Args:
      predicate: bool scalar.
      when_true, when_false: functions without arguments that return an operation.

    Returns:
      An operation that runs one of them.
    """
    def finished(branch):
        def build():
            with tf.control_dependencies([branch()]):
                return tf.constant(True)
        return build

    functional = tf.control_flow_v2_enabled()
    if functional:
        tf.disable_control_flow_v2()
    try:
        return tf.cond(predicate, finished(when_true), finished(when_false)).op
    finally:
        if functional:
            tf.enable_control_flow_v2()
