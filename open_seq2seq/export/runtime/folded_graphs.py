"""The network of an exported graph as the arrays that it was made of, for computation without the graph's runtime.

``export.freeze.inference_graph`` gives every layer a scope, in which the constants have fixed names; tf2onnx keeps them. What
is read here is compared with the model's own logits before it is used, so a graph that was made differently is never misread.
"""
import collections

import numpy as np
import tensorflow.compat.v1 as tf

from open_seq2seq.devices.cpu import Cpu
from open_seq2seq.encoders.input_transform import SCOPE as INPUT_TRANSFORM
from open_seq2seq.export.freeze.fast_inference_graph import plain_form
from open_seq2seq.export.freeze.folding import DECODER, ENCODER, FoldedConvolution, FoldedNetwork

GraphNode = collections.namedtuple("GraphNode", "op name inputs stride dilation padding")
GraphNode.__doc__ = """An operation: its type, its name, names of its inputs without ":0"; stride, dilation and padding of a
convolution."""

ACTIVATIONS = {
    "Relu": lambda values: np.maximum(values, 0),
    "Relu6": lambda values: np.clip(values, 0, 6),
    "Tanh": np.tanh,
    "Elu": lambda values: np.where(values > 0, values, np.expm1(np.minimum(values, 0))),
}
_CONVOLUTIONS = ("Conv2D", "DepthwiseConv2dNative", "Conv")
_WITHOUT_EFFECT = ("Transpose", "Identity")
_KNOWN = _CONVOLUTIONS + _WITHOUT_EFFECT + (
    "Const", "BiasAdd", "Add", "AddV2", "Mul", "Concat", "ConcatV2", "StridedSlice", "Slice", "Squeeze", "Unsqueeze",
    "ExpandDims", "VariableV2", "Placeholder")
_COMPARED_FRAMES, _TOLERANCE = 160, 1e-3


def array_function(activation):
    """A function of a float32 array for a function of a tensor; None stays None."""
    if activation is None:
        return None
    if activation is tf.nn.relu:
        return ACTIVATIONS["Relu"]
    graph = tf.Graph()
    with graph.as_default():
        inputs = tf.placeholder(tf.float32)
        outputs = activation(inputs)
    session = tf.Session(graph=graph, config=Cpu().session_config())
    return lambda values: session.run(outputs, {inputs: values})


def network_of_graph(nodes, constants):
    """The network of a graph.

    Args:
      nodes: list of :class:`GraphNode` in the order of computation.
      constants: dict from name to array: kernels float32 [width, Cin, Cout], depthwise ones [width, Cin, 1], biases [Cout].

    Returns:
      A ``FoldedNetwork`` whose activation is a function of arrays; None if the graph was not made by ``inference_graph`` or
      ``fast_inference_graph``, or has batch norm or another precision.
    """
    try:
        nodes, constants = plain_form(nodes, constants)
    except ValueError:
        return None
    nodes = [node for node in nodes if node.name.startswith(ENCODER)]
    operations = {node.op for node in nodes}
    activations = operations.intersection(ACTIVATIONS)
    scope = DECODER.split("/")[0] + "/" + DECODER.split("/")[1] + "/"
    if (operations.difference(_KNOWN, ACTIVATIONS) or len(activations) > 1 or scope + "kernel" not in constants
            or any(array.dtype != np.float32 for array in constants.values())):
        return None
    sources = {node.name: node.inputs for node in nodes}
    skipped = {node.name: node.inputs[0] for node in nodes if node.op in _WITHOUT_EFFECT}

    def source(name):
        while name in skipped:
            name = skipped[name]
        return name

    layers, transform = collections.OrderedDict(), None
    for node in nodes:
        if node.op in _CONVOLUTIONS:
            path = node.inputs[1].split("/")
            if node.inputs[1] not in constants or len(path) != 4:      # tf2onnx renames depthwise kernels
                return None
            name, kernel = path[2:]
            layers.setdefault(name, {})[kernel] = node
    if INPUT_TRANSFORM in layers:
        del layers[INPUT_TRANSFORM]
        transform = tuple(constants["%s%s/%s" % (ENCODER, INPUT_TRANSFORM, name)] for name in ("kernel", "bias"))
    branches = {name: _branches(layer["residual_kernel"], sources, source) for name, layer in layers.items()
                if "residual_kernel" in layer}
    block_inputs = []
    convolutions = []
    for name, layer in sorted(layers.items(), key=lambda item: _position(item[0], layers)):
        main = layer.get("depthwise_kernel") or layer.get("kernel")
        if main is None:
            return None
        opens_block = any(source(main.inputs[0]) in one for one in branches.values())
        if opens_block:
            block_inputs.append(source(main.inputs[0]))
        found = {key: constants.get("%s%s/%s" % (ENCODER, name, key)) for key in
                 ("depthwise_kernel", "pointwise_kernel", "kernel", "bias", "residual_kernel")}
        kernel = found["kernel"] if found["depthwise_kernel"] is None else found["pointwise_kernel"]
        if kernel is None or not set(branches.get(name, ())) <= set(block_inputs):
            return None
        convolutions.append(FoldedConvolution(
            name, found["depthwise_kernel"], kernel, found["bias"], main.stride, main.dilation, main.padding,
            tuple(block_inputs.index(one) for one in branches.get(name, ())), found["residual_kernel"], opens_block))
    if not convolutions:
        return None
    return FoldedNetwork(convolutions, ACTIVATIONS[activations.pop()] if activations else None, "Mul" in operations,
                         constants[scope + "kernel"], constants[scope + "bias"], transform)


def _position(name, layers):
    """The position of a layer among all: blocks and repeats are numbered from 1, and their numbers are joined ("conv111")."""
    block, repeat, position = 1, 1, 0
    while "conv%d%d" % (block, repeat) in layers:
        if name == "conv%d%d" % (block, repeat):
            return position
        position += 1
        if "conv%d%d" % (block, repeat + 1) in layers:
            repeat += 1
        else:
            block, repeat = block + 1, 1
    return position


def _branches(residual, sources, source):
    """Names of the tensors that a residual convolution receives."""
    joined = source(residual.inputs[0])
    if not joined.endswith("/concat"):
        return [joined]
    return [source(name) for name in sources[joined] if not name.endswith("/axis")]


def checked_network(network, model, make):
    """``network`` if it computes the model's logits, else None.

    Args:
      network: ``FoldedNetwork``, or None.
      model: the ``LogitModel``.
      make: function from a network to an ``IncrementalNetwork``.
    """
    if network is None:
        return None
    samples = min(_COMPARED_FRAMES, model.description.frames or _COMPARED_FRAMES) * model.extractor.hop
    while samples > 1 and model.extractor.num_frames(samples) > (model.description.frames or _COMPARED_FRAMES):
        samples = max(samples - model.extractor.hop, 1)
    waveform = np.random.RandomState(0).normal(size=samples, scale=0.1).astype(np.float32)
    features = model.extractor(waveform)
    expected, lengths = model.logits_of_audio([waveform])
    expected = expected[0, :lengths[0]]
    incremental = make(network)
    incremental.add(features)
    found = incremental.logits()
    if found.shape != expected.shape or np.abs(found - expected).max() > _TOLERANCE * np.abs(expected).max():
        return None
    return network
