"""Reads a frozen graph node by node and keeps its weights out of it, as variables instead of constants.

TensorFlow keeps several copies of a graph (the caller's, the session's, the optimizer's), each with all constants; a variable
exists once. And a graph that protobuf parses at once exists twice during the parsing, as bytes and as messages. jasper5x3 on 2
cores, up to the first logits of 4 s of audio, medians of 5 processes (``python benchmarks/graph_loading.py``):

    graph                 read here           parsed at once, variables    constants
    plain, 0.41 GiB       2.0 s, 0.75 GiB     1.8 s, 1.19 GiB              6.5 s, 2.29 GiB
    fast, 0.93 GiB        6.3 s, 1.36 GiB     5.4 s, 2.18 GiB              9.5 s, 4.93 GiB

So reading node by node takes 7 to 17 % more time than parsing at once, and needs 37 % less memory.

A serialized message is a sequence of fields. Each is a tag (field number times 8, plus the wire type); for wire type 2 a length
and that many bytes follow (Protocol Buffers, Encoding). The fields of a GraphDef are: 1 a node, repeated; 2 library, 3 version,
4 versions.
"""
import numpy as np
import tensorflow.compat.v1 as tf

from open_seq2seq.errors import CheckpointError

RUN_BYTES = 1 << 24  # set in one session.run: each run plans the graph again and holds two copies of what it sets
SMALLEST_BYTES = 1 << 16  # smaller constants cost little memory, and TensorFlow's optimizer can compute with constants
_NODE = 1 << 3 | 2


def read_graph(path, weights=None):
    """The ``tf.GraphDef`` in a file.

    Args:
      path: the file.
      weights: dict that receives the large constants as arrays or :class:`StoredArray`; in the graph they become variables, see
        :func:`take_out_weights`. None: they stay constants.

    Raises:
      CheckpointError: the file is not a frozen graph, or cannot be read.
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
    except Exception as error:  # the class that protobuf raises differs from version to version
        raise CheckpointError("%s is not a frozen graph: %s. Export the model again" % (path, str(error).split("\n")[0]))
    return graph_def


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
    """Replaces a node by a variable if it is a large constant.

    Args:
      node: a ``tf.NodeDef``, which is changed.
      weights: dict that receives the node's array.
      stored: function from the array to what ``weights`` receives instead, for a node that holds the numbers as bytes.
    """
    # a constant with a control input belongs to a loop, which a variable cannot be part of
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
    """Sets the variables that :func:`take_out_weights` made. Each array is removed from ``weights`` when it is set."""
    with session.graph.as_default():
        assignments = {}
        for name, array in weights.items():
            value = tf.placeholder(tf.as_dtype(array.dtype), array.shape)
            assignments[name] = value, tf.assign(session.graph.get_tensor_by_name(name + ":0"), value).op
    # all operations are added first: a graph that has grown is sent to the session again
    while weights:
        runs, values, size = [], {}, 0
        while weights and size < RUN_BYTES:
            name, array = weights.popitem()
            value, assign = assignments[name]
            values[value] = np.asarray(array)
            runs.append(assign)
            size += values[value].nbytes
        session.run(runs, values)


class StoredArray:
    """An array in a file; ``np.asarray(stored)`` reads it.

    Args:
      path: the file.
      offset: position of the first number, in bytes.
      dtype, shape: of the array, in C order.
    """

    def __init__(self, path, offset, dtype, shape):
        self._path, self._offset = path, offset
        self.dtype, self.shape = dtype, shape

    def __array__(self, dtype=None, copy=None):
        read = np.fromfile(self._path, self.dtype, int(np.prod(self.shape)), offset=self._offset)
        return read.reshape(self.shape).astype(dtype or self.dtype, copy=False)


def _storing(path, offset, content):
    """A function from an array whose bytes are in ``content``, at ``offset`` of a file, to its :class:`StoredArray`."""
    def stored(array):
        return StoredArray(path, offset + content.index(array.tobytes()), array.dtype, array.shape)
    return stored


def _fields(file):
    """Yields (tag, content) for each field: for a node its bytes, for other fields the whole field.

    Raises:
      ValueError: the file ends within a field, or is not a serialized message.
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
            raise ValueError("it has a field with tag %d, which a graph does not have" % tag)
        yield tag, content if tag == _NODE else tag_bytes + length_bytes + content


def _varint(file, at_start=False):
    """(number, its bytes) of the next number; (None, b"") at the end of the file if ``at_start`` of a field."""
    number, read = 0, b""
    while True:
        byte = file.read(1)
        if not byte and at_start and not read:
            return None, b""
        if not byte or len(read) == 10:
            raise ValueError("the file ends within a field" if not byte else "it is not a serialized message")
        read += byte
        number |= (byte[0] & 127) << 7 * (len(read) - 1)
        if byte[0] < 128:
            return number, read
