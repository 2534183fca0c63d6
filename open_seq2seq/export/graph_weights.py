"""A frozen graph's weights, taken out of it and given back as variables.

TensorFlow keeps several copies of a graph: the caller's, the session's, the one that its optimizer makes. Constants are part
of each, so a model of 440 MB would take 2 GB. Variables are there once.
"""
import numpy as np
import tensorflow.compat.v1 as tf

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
