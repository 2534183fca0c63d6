"""Checks of a module's input tensors before its first op, in the manner of DeepMind sonnet.

These are mistakes of a caller, not of a user, so they are no :class:`~open_seq2seq.errors.JasperError`.
"""


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
