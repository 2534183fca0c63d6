"""With inputs of fully static shape nothing that a training or an evaluation runs has an unknown dimension."""
import itertools

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.config.parameters import Report, check_parameters
from open_seq2seq.data.speech2text.dataset import Batch
from open_seq2seq.decoders import FullyConnectedCTCDecoder
from open_seq2seq.encoders import Execution, TDNNEncoder
from open_seq2seq.losses import CTCLoss
from open_seq2seq.models import Speech2Text

BATCH_SIZE, FRAMES, FEATURES, NUM_LABELS, VOCABULARY_SIZE = 3, 40, 6, 5, 7


def layer(**changes):
    return dict({"type": "conv1d", "kernel_size": [3], "num_channels": 8}, **changes)


DENSE = [
    layer(kernel_size=[11], stride=[2]), layer(repeat=2, residual=True, residual_dense=True),
    layer(kernel_size=[5], repeat=2, residual=True, residual_dense=True), layer(kernel_size=[7], dilation=[2]),
    layer(kernel_size=[4], padding="VALID"), layer(kernel_size=[1])]
SEPARABLE = [
    layer(type="sep_conv1d", kernel_size=[5], stride=[2]), layer(type="sep_conv1d", kernel_size=[3], repeat=2, residual=True),
    layer(type="sep_conv1d", kernel_size=[5], dilation=[2]), layer(type="sep_conv1d", kernel_size=[1])]


def checked(layers, masked):
    report = Report()
    params = check_parameters(Speech2Text.PARAMETERS, {
        "batch_size_per_gpu": BATCH_SIZE, "data_layer": object, "encoder": TDNNEncoder, "decoder": FullyConnectedCTCDecoder,
        "loss": CTCLoss, "encoder_params": {
            "convnet_layers": layers, "dropout_keep_prob": 0.8, "activation_fn": tf.nn.relu, "drop_block_prob": 0.1,
            "use_conv_mask": masked, "mask_batch_norm": masked}}, "base_params", report)
    for part in ("encoder", "decoder", "loss"):
        params[part + "_params"] = check_parameters(params[part].PARAMETERS, params[part + "_params"], part, report)
    assert not report.problems, report.problems
    return params


def batch(batch_size=BATCH_SIZE, frames=FRAMES, labels=NUM_LABELS):
    return Batch(tf.placeholder(tf.float32, [batch_size, frames, FEATURES]), tf.placeholder(tf.int32, [batch_size]),
                 tf.placeholder(tf.int32, [batch_size, labels]), tf.placeholder(tf.int32, [batch_size]),
                 tf.placeholder(tf.int32, [batch_size]), tf.placeholder(tf.float32, [batch_size]))


def executed(fetches):
    """All operations that a session runs for the fetches."""
    found, waiting = set(), [getattr(fetch, "op", fetch) for fetch in fetches]
    while waiting:
        operation = waiting.pop()
        if operation not in found:
            found.add(operation)
            waiting.extend([tensor.op for tensor in operation.inputs] + list(operation.control_inputs))
    return found


def unknown_shapes(operations):
    """Descriptions of all outputs of unknown shape. The last of FusedBatchNormV3, cuDNN's own, never has one."""
    return [(operation.type, output.name, str(output.shape)) for operation in operations for output in operation.outputs
            if not output.shape.is_fully_defined() and not (operation.type == "FusedBatchNormV3" and output.name.endswith(":5"))]


@pytest.mark.slow
@pytest.mark.parametrize("layers", [DENSE, SEPARABLE], ids=["dense", "separable"])
@pytest.mark.parametrize("masked, synchronized", [(False, False), (True, False), (True, True)])
def test_no_unknown_shape_and_nothing_wider_than_needed(layers, masked, synchronized):
    for fast_gradients, mode in itertools.product((False, True), ("train", "eval", "infer")):
        with tf.Graph().as_default() as graph:
            execution = Execution(fast_gradients, sum_over_ranks=(lambda tensors: list(map(tf.identity, tensors)))
                                  if synchronized else None)
            output = Speech2Text(checked(layers, masked), mode, VOCABULARY_SIZE, execution)(batch())
            fetches = [output.logits, output.logit_lengths, output.best_path]
            if mode != "infer":
                fetches += list(output.loss)
            if mode == "train":
                fetches += tf.gradients(output.loss.loss, tf.trainable_variables())
                fetches += tf.get_collection(tf.GraphKeys.UPDATE_OPS)
            operations = executed(fetches)
            assert len(operations) > 100
            assert unknown_shapes(operations) == []
            assert {operation.type for operation in graph.get_operations()}.isdisjoint(
                ["While", "StatelessWhile", "Enter", "LoopCond", "PyFunc"])
            wide = [output.name for operation in operations for output in operation.outputs
                    if output.dtype in (tf.float64, tf.int64) and operation.type != "Const" and output.shape.num_elements() > 1]
            assert wide == []


def test_evaluation_of_fewer_frames_than_a_window(graph):
    output = Speech2Text(checked([layer(kernel_size=[30], padding="VALID")], True), "eval", VOCABULARY_SIZE)(batch(frames=12))
    assert output.logits.shape.as_list() == [BATCH_SIZE, 1, VOCABULARY_SIZE + 1]
    assert unknown_shapes(executed([output.best_path, output.loss.loss])) == []


def test_unknown_shapes_are_found(graph):
    frames = tf.placeholder(tf.int32, [])
    assert [kind for kind, _, _ in unknown_shapes(executed([tf.reduce_sum(tf.zeros([2, frames]))]))] == ["Fill"]


@pytest.mark.slow
@pytest.mark.parametrize("fast_gradients", [False, True])
@pytest.mark.parametrize("layers", [DENSE, SEPARABLE], ids=["dense", "separable"])
def test_static_shapes_change_no_number(layers, fast_gradients):
    """The same network on the same batch, once with all shapes known and once with none."""
    features = np.random.RandomState(0).randn(BATCH_SIZE, FRAMES, FEATURES).astype(np.float32)
    results = []
    for shape in ((BATCH_SIZE, FRAMES, NUM_LABELS), (None, None, None)):
        with tf.Graph().as_default():
            params = checked(layers, masked=True)
            params["encoder_params"].update(dropout_keep_prob=1.0, drop_block_prob=0.0)
            inputs = batch(*shape)
            output = Speech2Text(params, "train", VOCABULARY_SIZE, Execution(fast_gradients))(inputs)
            variables = tf.trainable_variables()
            gradients = tf.gradients(output.loss.loss, variables)
            with tf.Session() as session:
                session.run([tf.assign(variable, 0.3 * np.random.RandomState(number).randn(*variable.shape.as_list()))
                             for number, variable in enumerate(variables)])
                session.run([v.initializer for v in tf.global_variables() if "/moving_" in v.op.name])
                results.append(session.run([output.logits, output.best_path, output.loss.loss] + gradients, {
                    inputs.features: features, inputs.feature_lengths: [40, 31, 40], inputs.label_lengths: [1, 0, 1],
                    inputs.labels: np.ones([BATCH_SIZE, NUM_LABELS], np.int32), inputs.weights: np.ones(BATCH_SIZE)}))
    assert results[0][2] > 0.0
    for static, dynamic in zip(*results):
        np.testing.assert_allclose(static, dynamic, rtol=0, atol=1e-5 * max(np.abs(dynamic).max(), 1.0))
