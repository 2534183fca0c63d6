"""Dimensions of tensors: the number where the graph knows it, else the tensor that the session will know.

With fully known inputs no dimension of a network may depend on a tensor: the Ascend adapter compiles a graph anew for every
shape, and what it cannot infer it leaves to the host.
"""
import tensorflow.compat.v1 as tf


def dimension(tensor, axis):
    """One dimension.

    Args:
      tensor: tensor of known rank.
      axis: int.

    Returns:
      An int, or an int32 scalar tensor where it is unknown while the graph is built.
    """
    known = tensor.shape.as_list()[axis]
    return tf.shape(tensor)[axis] if known is None else known


def dimensions(tensor):
    """All dimensions, a list as :func:`dimension` has them; ``tf.reshape`` and its like take it."""
    return [dimension(tensor, axis) for axis in range(tensor.shape.ndims)]


def at_least(number, minimum):
    """The larger of the two, int if both are; ``number`` may be an int32 scalar tensor."""
    return tf.maximum(number, minimum) if tf.is_tensor(number) else max(number, minimum)


def pad_frames(inputs, before, after):
    """``inputs`` [B, T, C] with frames of zeros before and after it; the numbers of these are ints or int32 scalar tensors."""
    if not tf.is_tensor(before) and not tf.is_tensor(after) and before == after == 0:
        return inputs
    return tf.pad(inputs, [[0, 0], [before, after], [0, 0]])
