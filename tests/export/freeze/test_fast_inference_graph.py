"""The graph with fast convolutions gives the logits of the plain one, for networks with random weights."""
import functools

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.encoders import fast_convolutions
from open_seq2seq.export.freeze.fast_inference_graph import FastInferenceGraph
from open_seq2seq.export.freeze.folding import FoldedConvolution, FoldedNetwork
from open_seq2seq.export.freeze.inference_graph import InferenceGraph

FEATURES, CHANNELS, LABELS = 6, 4, 3


def convolution(name, width=5, **changes):
    """A convolution of CHANNELS to CHANNELS, or of ``inputs``, with random weights."""
    generator = np.random.RandomState(sum(name.encode()))
    inputs, branches = changes.pop("inputs", CHANNELS), changes.get("branches", ())
    kernel = (generator.randn(width, inputs, CHANNELS) / np.sqrt(width * inputs)).astype(np.float32)
    residual = generator.randn(1, len(branches) * CHANNELS, CHANNELS).astype(np.float32) / 2 if branches else None
    values = dict(depthwise=None, kernel=kernel, bias=generator.randn(CHANNELS).astype(np.float32), stride=1, dilation=1,
                  padding="SAME", branches=(), residual_kernel=residual, opens_block=False)
    return FoldedConvolution(name=name, **dict(values, **changes))


FIRST = convolution("first", inputs=FEATURES, stride=2)
DEPTHWISE = np.random.RandomState(3).randn(5, CHANNELS, 1).astype(np.float32)
# each with the number of convolutions that have to be fast: of stride 1, SAME padding and several taps, not separable
NETWORKS = {
    "stride 2": ([convolution("first", 9, inputs=FEATURES, stride=2), convolution("a")], 1),
    "stride 2 and a residual branch": ([convolution("first", 11, inputs=FEATURES, stride=2, opens_block=True)], 0),
    "widths": ([FIRST] + [convolution("c%d" % width, width) for width in (5, 6, 8, 11)], 4),
    "dilations": ([FIRST, convolution("a"), convolution("b", dilation=2), convolution("c", dilation=3), convolution("d", 1)], 3),
    "dense residual": ([FIRST, convolution("a", opens_block=True), convolution("b", branches=(0,)),
                        convolution("c", opens_block=True, branches=(0, 1), dilation=2),
                        convolution("d", 1, branches=(0, 1))], 3),
    "first layer": ([convolution("a", inputs=FEATURES, opens_block=True), convolution("b")], 2),
    "stride in the middle": ([FIRST, convolution("a"), convolution("b", stride=2), convolution("c", 9)], 2),
    "VALID in the middle": ([FIRST, convolution("a"), convolution("b", padding="VALID"), convolution("c")], 2),
    "separable in the middle": ([FIRST, convolution("a", opens_block=True),
                                 convolution("b", 1, depthwise=DEPTHWISE, branches=(0,)),
                                 convolution("c"), convolution("d", 1, depthwise=DEPTHWISE)], 2),
    "residual branches alone": ([FIRST, convolution("a", opens_block=True), convolution("b", kernel=None, branches=(0,)),
                                 convolution("c")], 2),
    "no biases": ([FIRST, convolution("a", bias=None), convolution("b", 1, bias=None)], 1),
    "none": ([FIRST, convolution("b", 1)], 0),
}


@pytest.fixture(autouse=True)
def fast_at_any_size(monkeypatch):
    monkeypatch.setattr(fast_convolutions, "LEAST_GAIN", 0.0)


def logits_of(network, graph_class, features, lengths, static):
    with tf.Graph().as_default() as graph:
        mask = (np.arange(-(-features.shape[2] // network.convolutions[0].stride)) < lengths[:, np.newaxis]).astype(np.float32)
        images = tf.placeholder(tf.float32, features.shape if static else [None, 1, None, features.shape[3]])
        mask_input = tf.placeholder(tf.float32, mask.shape if static else [None, None])
        logits = graph_class(network)(images, mask_input)
        assert logits.op.name == "ForwardPass/fully_connected_ctc_decoder/logits"
        with tf.Session() as session:
            return session.run(logits, {images: features, mask_input: mask}), logits, graph


def convolutions(graph):
    return sum(operation.type == "Conv2D" for operation in graph.get_operations())


def frames_after(layers, frames):
    """Frames after the last layer, of int [B] frames after the first one."""
    for one in layers[1:]:
        frames = np.maximum(frames - 4, 0) if one.padding == "VALID" else -(-frames // one.stride)
    return frames


@pytest.mark.slow
@pytest.mark.parametrize("name, masked", [(name, True) for name in sorted(NETWORKS)] + [("dense residual", False)])
def test_the_same_logits(name, masked):
    layers, fast_layers = NETWORKS[name]
    generator = np.random.RandomState(1)
    network = FoldedNetwork(layers, tf.nn.relu, masked, generator.randn(CHANNELS, LABELS).astype(np.float32),
                            generator.randn(LABELS).astype(np.float32))
    # SAME padding of a stride differs between odd and even numbers of frames
    for frames, static in ((48, True), (35, False)):
        lengths = -(-np.array([frames, frames - 7, 5]) // layers[0].stride)
        features = generator.randn(3, 1, frames, FEATURES).astype(np.float32)
        features[np.arange(frames) >= layers[0].stride * lengths[:, np.newaxis, np.newaxis]] = 0
        expected, plain, plain_graph = logits_of(network, InferenceGraph, features, lengths, static)
        actual, fast, graph = logits_of(network, FastInferenceGraph, features, lengths, static)
        assert fast.shape.as_list() == plain.shape.as_list()
        # after an utterance's end masked activations may differ
        for row, valid in enumerate(frames_after(layers, lengths) if masked else [actual.shape[1]] * 3):
            np.testing.assert_allclose(actual[row, :valid], expected[row, :valid], atol=1e-5)
        assert np.std(expected) > 0.1 and actual.shape == expected.shape
        assert convolutions(graph) == convolutions(plain_graph) - fast_layers


def test_an_activation_that_is_not_zero_at_zero_is_masked():
    network = FoldedNetwork(NETWORKS["dilations"][0], tf.nn.sigmoid, True, np.eye(CHANNELS, LABELS, dtype=np.float32),
                            np.zeros([LABELS], np.float32))
    features = np.random.RandomState(1).randn(1, 1, 48, FEATURES).astype(np.float32)
    features[:, :, 30:] = 0
    expected, alone = (logits_of(network, graph_class, features, np.array([15]), True)[0]
                       for graph_class in (InferenceGraph, FastInferenceGraph))
    np.testing.assert_allclose(alone[:, :15], expected[:, :15], atol=1e-5)


def test_layers_with_few_channels_stay_plain(monkeypatch):
    monkeypatch.undo()
    layers, _ = NETWORKS["widths"]
    network = FoldedNetwork(layers, tf.nn.relu, True, np.eye(CHANNELS, LABELS, dtype=np.float32), np.zeros([LABELS], np.float32))
    features = np.zeros([1, 1, 16, FEATURES], np.float32)
    _, _, graph = logits_of(network, FastInferenceGraph, features, np.array([8]), True)
    assert convolutions(graph) == len(layers) + 1


def test_a_graph_has_as_many_fast_convolutions_as_its_largest_size_allows():
    layers, fast_layers = NETWORKS["widths"]
    network = FoldedNetwork(layers, tf.nn.relu, True, np.random.RandomState(1).randn(CHANNELS, LABELS).astype(np.float32),
                            np.zeros([LABELS], np.float32))
    features, lengths = np.random.RandomState(2).randn(1, 1, 16, FEATURES).astype(np.float32), np.array([8])

    def constant_bytes(graph):
        return sum(tf.make_ndarray(operation.get_attr("value")).nbytes for operation in graph.get_operations()
                   if operation.type == "Const" and operation.get_attr("dtype") == tf.float32)

    expected, _, graph = logits_of(network, InferenceGraph, features, lengths, True)
    smallest, numbers = constant_bytes(graph), []
    largest = constant_bytes(logits_of(network, FastInferenceGraph, features, lengths, True)[2])
    for limit in np.linspace(smallest, largest + 100, 5).astype(int):
        limited = functools.partial(FastInferenceGraph, largest=limit)
        actual, _, graph = logits_of(network, limited, features, lengths, True)
        np.testing.assert_allclose(actual, expected, atol=1e-5)
        built = limited(network)
        numbers.append(len(built.fast))
        assert constant_bytes(graph) <= limit + 100 and len(built.fast) + len(built.too_large) == fast_layers
    assert numbers[0] == 0 and 0 < numbers[2] < fast_layers and numbers[-1] == fast_layers
