"""Reads a frozen graph's file node by node, and leaves the weights in it until they are needed.

Read at once, a graph of 1 GB takes 2 GB: the file's bytes and what is made of them; and what is freed in pieces, the C library
keeps.

A serialized message is a row of fields, each a tag (field number times 8, plus the wire type), and for the wire type 2 a length
and so many bytes (Protocol Buffers, Encoding). The fields of a GraphDef are: 1 a node, repeated; 2 library, 3 version, 4
versions.
"""
import numpy as np
import tensorflow.compat.v1 as tf

from open_seq2seq.errors import CheckpointError
from open_seq2seq.export.graph_weights import take_out_weight

_NODE = 1 << 3 | 2


class StoredArray:
    """An array in a file, which is read when NumPy is given this: ``np.asarray(stored)``.

    Args:
      path: the file.
      offset: of the first number, in bytes.
      dtype, shape: of the array, in C order.
    """

    def __init__(self, path, offset, dtype, shape):
        self._path, self._offset = path, offset
        self.dtype, self.shape = dtype, shape

    def __array__(self, dtype=None, copy=None):
        read = np.fromfile(self._path, self.dtype, int(np.prod(self.shape)), offset=self._offset)
        return read.reshape(self.shape).astype(dtype or self.dtype, copy=False)


def read_graph(path, weights=None):
    """The ``tf.GraphDef`` in a file.

    Args:
      path: the file.
      weights: dict that gets the large constants as arrays or StoredArrays, which become variables in the graph, see
        ``graph_weights``; None: they stay.

    Raises:
      CheckpointError: it is none, or cannot be read.
    """
    graph_def = tf.GraphDef()
    try:
        with open(path, "rb") as file:
            for tag, content in _fields(file):
                if tag != _NODE:
                    graph_def.MergeFromString(content)
                    continue
                node = tf.NodeDef.FromString(content)
                if weights is not None:
                    take_out_weight(node, weights, _storing(path, file.tell() - len(content), content))
                graph_def.node.add().CopyFrom(node)
    except OSError as error:
        raise CheckpointError("cannot read %s: %s" % (path, error.strerror))
    except Exception as error:  # protobuf's own class is another one in each of its versions
        raise CheckpointError("%s is no frozen graph: %s. Export the model again" % (path, str(error).split("\n")[0]))
    return graph_def


def _storing(path, offset, content):
    """A function of an array whose bytes are in ``content``, which lies at ``offset`` of a file, to its StoredArray."""
    def stored(array):
        return StoredArray(path, offset + content.index(array.tobytes()), array.dtype, array.shape)
    return stored


def _fields(file):
    """Yields (tag, content): of a node its bytes, of another field the whole field.

    Raises:
      ValueError: the file ends within a field, or is no serialized message.
    """
    while True:
        tag, tag_bytes = _varint(file, at_start=True)
        if tag is None:
            return
        if tag & 7 == 2:
            length, length_bytes = _varint(file)
            content = file.read(length)
            if len(content) < length:
                raise ValueError("the file ends %d bytes too early" % (length - len(content)))
        elif tag & 7 == 0:
            length_bytes, content = b"", _varint(file)[1]
        else:
            raise ValueError("it has a field with tag %d, which graphs have not" % tag)
        yield tag, content if tag == _NODE else tag_bytes + length_bytes + content


def _varint(file, at_start=False):
    """(number, its bytes) of the next number; (None, b"") at the end of the file, where one may end."""
    number, read = 0, b""
    while True:
        byte = file.read(1)
        if not byte and at_start and not read:
            return None, b""
        if not byte or len(read) == 10:
            raise ValueError("the file ends within a field" if not byte else "it is no serialized message")
        read += byte
        number |= (byte[0] & 127) << 7 * (len(read) - 1)
        if byte[0] < 128:
            return number, read
