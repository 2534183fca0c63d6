"""Reads a frozen graph's file node by node, and leaves the weights in it until they are needed.

Read at once, a graph of 1 GB takes 2 GB: the file's bytes and what is made of them; and what is freed in pieces, the C library
keeps.

A serialized message is a row of fields, each a tag (field number times 8, plus the wire type), and for the wire type 2 a length
and so many bytes (Protocol Buffers, Encoding). The fields of a GraphDef are: 1 a node, repeated; 2 library, 3 version, 4
versions.

A frozen graph's weights, taken out of it and given back as variables.

TensorFlow keeps several copies of a graph: the caller's, the session's, the one that its optimizer makes. Constants are part
of each, so a model of 440 MB would take 2 GB. Variables are there once.
"""
import numpy as np
import tensorflow.compat.v1 as tf

from open_seq2seq.errors import CheckpointError

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


RUN_BYTES = 1 << 24  # set in one run: every run plans the graph anew, and holds twice what it sets
SMALLEST_BYTES = 1 << 16  # constants below it are no burden, and as constants the graph's optimizer can work with them


def take_out_weights(graph_def):
    """Replaces the large constants of a graph by variables of the same names.

    Args:
      graph_def: a ``tf.GraphDef``, which is changed.

    Returns:
      Dict from node name to array.
    """
    weights = {}
    for node in graph_def.node:
        take_out_weight(node, weights)
    return weights


def take_out_weight(node, weights, stored=None):
    """The same of one node.

    Args:
      node: a ``tf.NodeDef``, which is changed.
      weights: dict that gets the node's array.
      stored: function of the array and what to keep in place of it, if its numbers are in the node as bytes.
    """
    # one with a control input belongs to a loop, which a variable would not be part of
    if node.op != "Const" or node.input or node.attr["value"].tensor.ByteSize() < SMALLEST_BYTES:
        return
    weights[node.name] = tf.make_ndarray(node.attr["value"].tensor)
    if stored is not None and node.attr["value"].tensor.tensor_content:
        weights[node.name] = stored(weights[node.name])
    node.op = "VariableV2"
    node.attr.pop("value")
    node.attr["shape"].shape.CopyFrom(tf.TensorShape(weights[node.name].shape).as_proto())
    node.attr["shared_name"].s = b""
    node.attr["container"].s = b""


def give_back_weights(session, weights):
    """Sets the variables that :func:`take_out_weights` made; ``weights`` is emptied on the way, to free each as it is set."""
    with session.graph.as_default():
        assignments = {}
        for name, array in weights.items():
            value = tf.placeholder(tf.as_dtype(array.dtype), array.shape)
            assignments[name] = value, tf.assign(session.graph.get_tensor_by_name(name + ":0"), value).op
    # all operations first: a graph that has grown is sent to the session again
    while weights:
        runs, values, size = [], {}, 0
        while weights and size < RUN_BYTES:
            name, array = weights.popitem()
            value, assign = assignments[name]
            values[value] = np.asarray(array)
            runs.append(assign)
            size += values[value].nbytes
        session.run(runs, values)
