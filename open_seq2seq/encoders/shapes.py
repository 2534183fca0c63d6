"""Static and dynamic shapes of tensors.

:func:`dimension` returns an int where the graph knows a dimension, else a tensor. With fully known inputs no dimension of a
network may depend on a tensor: the Ascend adapter compiles a graph again for every shape, and runs on the host what it cannot
infer.

:func:`check_tensor` verifies the inputs of a module before its first op, as in DeepMind sonnet. Its errors are mistakes of the
calling code, not of a user, so they are not a :class:`~open_seq2seq.errors.JasperError`.
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
    """List of all dimensions, see :func:`dimension`; functions such as ``tf.reshape`` accept it."""
    return [dimension(tensor, axis) for axis in range(tensor.shape.ndims)]


def at_least(number, minimum):
    """The larger of ``number``, an int or int32 scalar tensor, and ``minimum``, an int; an int if both are."""
    return tf.maximum(number, minimum) if tf.is_tensor(number) else max(number, minimum)


def pad_frames(inputs, before, after):
    """Adds frames of zeros.

    Args:
      inputs: [B, T, C].
      before, after: ints or int32 scalar tensors, numbers of frames.

    Returns:
      Tensor [B, before + T + after, C].
    """
    if not tf.is_tensor(before) and not tf.is_tensor(after) and before == after == 0:
        return inputs
    return tf.pad(inputs, [[0, 0], [before, after], [0, 0]])


class IncompatibleShapeError(ValueError):
    """A tensor has an unsupported rank, or a dimension that must be known is unknown."""


class IncompatibleDtypeError(TypeError):
    """A tensor has an unsupported dtype."""


def check_tensor(tensor, name, rank, dtypes, known_last_dimension=False):
    """Verifies a tensor's static properties.

    Args:
      tensor: the tensor to check.
      name: its name in messages, e.g. ``TDNNEncoder: features``.
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
