"""Dimensions of tensors: the number where the graph knows it, else the tensor that the session will know.

With fully known inputs no dimension of a network may depend on a tensor: the Ascend adapter compiles a graph anew for every
shape, and what it cannot infer it leaves to the host.

Checks of a module's input tensors before its first op, in the manner of DeepMind sonnet.

These are mistakes of a caller, not of a user, so they are no :class:`~open_seq2seq.errors.JasperError`.
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


class IncompatibleShapeError(ValueError):
    """A tensor has another rank than the module works on, or a dimension it must know is unknown."""


class IncompatibleDtypeError(TypeError):
    """A tensor has another dtype than the module works on."""


def check_tensor(tensor, name, rank, dtypes, known_last_dimension=False):
    """Verifies a tensor's static properties.

    Args:
      tensor: the tensor to check.
      name: how the message calls it, e.g. ``TDNNEncoder: features``.
      rank: the expected number of dimensions.
      dtypes: tuple of the accepted dtypes.
      known_last_dimension: whether the last dimension has to be known while the graph is built.

    Raises:
      IncompatibleDtypeError: the dtype is not among ``dtypes``.
      IncompatibleShapeError: the rank is unknown or different, or the last dimension is unknown.
    """
    if tensor.dtype.base_dtype not in dtypes:
        raise IncompatibleDtypeError("%s has dtype %s, expected %s" % (
            name, tensor.dtype.base_dtype.name, " or ".join(dtype.name for dtype in dtypes)))
    if tensor.shape.ndims != rank:
        raise IncompatibleShapeError("%s has shape %s, expected rank %d" % (name, tensor.shape, rank))
    if known_last_dimension and tensor.shape.as_list()[-1] is None:
        raise IncompatibleShapeError("%s has shape %s, expected its last dimension to be known" % (name, tensor.shape))
