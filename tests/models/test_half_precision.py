"""A model in float16 with float32 variables: types of the operations, accuracy, and training."""
import collections

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.config.parameters import Report, check_parameters
from open_seq2seq.data.speech2text.dataset import Batch
from open_seq2seq.decoders import FullyConnectedCTCDecoder
from open_seq2seq.encoders import Execution, TDNNEncoder
from open_seq2seq.losses import CTCLoss
from open_seq2seq.models import Speech2Text
from open_seq2seq.optimizers import optimize
from open_seq2seq.optimizers.lr_policies import poly_decay
from open_seq2seq.optimizers.novograd import NovoGrad

VOCABULARY_SIZE, FEATURES, FRAMES = 5, 8, 32
LENGTHS, LABELS, LABEL_LENGTHS = [32, 25, 30, 19], [[0, 1, 2], [3, 3, 0], [4, 0, 1], [2, 0, 0]], [3, 2, 3, 1]
LAYERS = [
    {"type": "conv1d", "kernel_size": [5], "stride": [2], "num_channels": 16},
    {"type": "conv1d", "kernel_size": [3], "num_channels": 16, "repeat": 2, "residual": True, "residual_dense": True},
    {"type": "conv1d", "kernel_size": [3], "num_channels": 16, "residual": True, "residual_dense": True},
    {"type": "sep_conv1d", "kernel_size": [3], "num_channels": 16},
    {"type": "conv1d", "kernel_size": [3], "dilation": [2], "num_channels": 16},
    {"type": "conv1d", "kernel_size": [1], "num_channels": 16},
]
# a number rounded to float16 is wrong by at most half of this share
ROUNDING = 2.0 ** -10

MASKS = {"use_conv_mask": True, "mask_batch_norm": True}
l2 = lambda scale: (lambda tensor: scale * tf.nn.l2_loss(tensor))  # noqa: E731


def checked(encoder=None, **changes):
    report = Report()
    params = check_parameters(Speech2Text.PARAMETERS, dict({
        "batch_size_per_gpu": 4, "data_layer": object, "encoder": TDNNEncoder, "decoder": FullyConnectedCTCDecoder,
        "loss": CTCLoss, "initializer": tf.glorot_uniform_initializer, "initializer_params": {"seed": 3},
        "encoder_params": dict({"convnet_layers": LAYERS, "dropout_keep_prob": 1.0, "activation_fn": tf.nn.relu},
                               **(encoder or {}))}, **changes), "base_params", report)
    for part in ("encoder", "decoder", "loss"):
        params[part + "_params"] = check_parameters(params[part].PARAMETERS, params[part + "_params"], part, report)
    assert not report.problems, report.problems
    return params


def batch():
    features = np.random.RandomState(0).randn(4, FRAMES, FEATURES).astype(np.float32)
    return Batch(tf.constant(features), tf.constant(LENGTHS), tf.constant(LABELS), tf.constant(LABEL_LENGTHS), tf.range(4))


def run(dtype, mode, encoder, fast_gradients=True, scale=1.0):
    """(logits, dict of gradients without the scale, moving statistics after an update) of a model in a fresh graph."""
    with tf.Graph().as_default():
        output = Speech2Text(checked(encoder), mode, VOCABULARY_SIZE, Execution(fast_gradients, dtype))(batch())
        variables = tf.trainable_variables() if mode == "train" else []
        gradients = tf.gradients(output.loss.loss * scale, variables)
        assert all(gradient.dtype == tf.float32 for gradient in gradients)
        moving = [variable for variable in tf.global_variables() if "/moving_" in variable.op.name]
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            logits, values = session.run([output.logits, gradients])
            session.run(tf.get_collection(tf.GraphKeys.UPDATE_OPS))
            statistics = session.run(moving)
    return logits, {variable.op.name: value / scale for variable, value in zip(variables, values)}, statistics


def distance(actual, expected):
    """Norm of the difference as a share of the expected norm."""
    return np.linalg.norm(actual - expected) / np.linalg.norm(expected)


@pytest.mark.slow
@pytest.mark.parametrize("encoder", [{}, MASKS], ids=["fused", "masked"])
def test_logits_gradients_and_statistics_are_close_to_those_in_float32(encoder):
    """Some thirty roundings of relative size 2^-11 at most lie behind the logits (nine products, as many normalizations, sums
    and activations), their signs independent: sqrt(30) * 2^-11, or 3 * 2^-10. Gradients pass twice as many, and sums over
    frames. The activation is smooth: the gradient of tf.nn.relu jumps where rounding moves a value across zero, by chance."""
    encoder = dict(encoder, activation_fn=tf.nn.softplus)
    expected, expected_gradients, expected_statistics = run(tf.float32, "train", encoder)
    for fast_gradients in (True, False):
        logits, gradients, statistics = run(tf.float16, "train", encoder, fast_gradients, scale=2.0 ** 7)
        assert logits.dtype == np.float32
        assert 0 < distance(logits, expected) < 4 * ROUNDING
        assert gradients.keys() == expected_gradients.keys()
        for name, gradient in gradients.items():
            assert distance(gradient, expected_gradients[name]) < 8 * ROUNDING, name
        for actual, value in zip(statistics, expected_statistics):
            np.testing.assert_allclose(actual, value, atol=4 * ROUNDING * np.abs(value).max())


@pytest.mark.slow
@pytest.mark.parametrize("encoder", [{}, MASKS], ids=["fused", "masked"])
def test_evaluation_in_half_precision_with_relu(encoder):
    expected, _, _ = run(tf.float32, "eval", encoder)
    assert 0 < distance(run(tf.float16, "eval", encoder)[0], expected) < 3 * ROUNDING


@pytest.mark.slow
@pytest.mark.parametrize("normalization", ["layer_norm", "instance_norm", None])
def test_other_normalizations_and_dropout_run_in_half_precision(graph, normalization):
    layers = [{"type": "conv1d", "kernel_size": [3], "num_channels": 6, "repeat": 2, "dropout_keep_prob": 0.999999}]
    encoder = {"convnet_layers": layers, "normalization": normalization, "use_conv_mask": True}
    expected, _, _ = run(tf.float32, "train", encoder)
    assert distance(run(tf.float16, "train", encoder)[0], expected) < 4 * ROUNDING


def variables_of(execution):
    with tf.Graph().as_default():
        Speech2Text(checked(regularizer=l2, regularizer_params={"scale": 0.1}), "train", VOCABULARY_SIZE, execution)(batch())
        return ([(variable.op.name, variable.dtype.base_dtype, variable.shape.as_list()) for variable in tf.global_variables()],
                [(loss.op.name, loss.dtype) for loss in tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)])


def test_variables_and_penalties_are_those_of_float32():
    variables, penalties = variables_of(Execution(dtype=tf.float16))
    assert (variables, penalties) == variables_of(Execution())
    assert len(variables) == 53 and all(dtype == tf.float32 for _, dtype, _ in variables)
    assert penalties and all(dtype == tf.float32 for _, dtype in penalties)


@pytest.mark.slow
@pytest.mark.parametrize("fast_gradients", [True, False])
@pytest.mark.parametrize("encoder", [{}, MASKS], ids=["fused", "masked"])
def test_products_are_half_and_statistics_single_precision(graph, encoder, fast_gradients):
    output = Speech2Text(checked(encoder), "train", VOCABULARY_SIZE, Execution(fast_gradients, tf.float16))(batch())
    tf.gradients(output.loss.loss, tf.trainable_variables())
    types = collections.defaultdict(set)
    for operation in graph.get_operations():
        if "T" in operation.node_def.attr:
            types[operation.type].add(operation.get_attr("T"))
    products = [name for name in types if "Conv" in name or "MatMul" in name]
    assert {"Conv2D", "MatMul", "DepthwiseConv2dNative", "DepthwiseConv2dNativeBackpropInput"} <= set(products)
    assert {name: types[name] for name in products} == {name: {tf.float16} for name in products}
    assert types["ReluGrad"] == {tf.float16}
    assert ("FusedBatchNormV3" in types) == (not encoder)
    for operation in graph.get_operations():
        if operation.type in ("FusedBatchNormV3", "FusedBatchNormGradV3"):
            assert operation.get_attr("T") == tf.float16 and operation.get_attr("U") == tf.float32
    assert output.loss.loss.dtype == output.loss.per_utterance.dtype == output.logits.dtype == tf.float32


@pytest.mark.slow
def test_loss_scaling_keeps_gradients_that_would_vanish(graph):
    """A loss so small that what reaches the logits is below 2^-25, which float16 rounds to zero."""
    output = Speech2Text(checked(), "train", VOCABULARY_SIZE, Execution(dtype=tf.float16))(batch())
    kernels = [variable for variable in tf.trainable_variables() if "kernel" in variable.op.name]
    loss = output.loss.loss * 2.0 ** -26
    lost, kept = tf.gradients(loss, kernels), tf.gradients(loss * 2.0 ** 14, kernels)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        lost, kept = session.run([lost, kept])
    expected = run(tf.float32, "train", {})[1]
    for kernel, without, with_scale in zip(kernels, lost, kept):
        assert not np.any(without), kernel.op.name
        # 2^-12 of the true gradient, so some of its smallest numbers are still lost
        assert distance(with_scale * 2.0 ** 12, expected[kernel.op.name]) < 0.2, kernel.op.name


@pytest.mark.slow
def test_training_with_novograd_and_backoff_learns_and_survives_overflows(graph):
    """The first scale of 2^24 overflows float16 for sure; the steps until it fits are skipped, the others learn."""
    tf.set_random_seed(1)
    params = checked(dict(MASKS, dropout_keep_prob=0.95), optimizer=NovoGrad, optimizer_params={
        "beta1": 0.95, "beta2": 0.98, "epsilon": 1e-8, "weight_decay": 1e-3}, lr_policy=poly_decay, lr_policy_params={
            "learning_rate": 0.02, "power": 2.0}, max_steps=300, regularizer=l2, regularizer_params={"scale": 1e-4},
        loss_scaling="Backoff", loss_scaling_params={"scale_max": 2.0 ** 24, "step_window": 1000})
    output = Speech2Text(params, "train", VOCABULARY_SIZE, Execution(dtype=tf.float16))(batch())
    train = optimize(output.loss.loss, params, 300, 10)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        losses, finite = [], []
        for _ in range(300):
            _, loss, is_finite = session.run([train.update, output.loss.loss, train.gradients_finite])
            losses.append(loss)
            finite.append(is_finite)
        steps, skipped, scale = session.run([train.global_step, train.skipped_steps, train.loss_scale])
        variables = session.run(tf.global_variables())
    assert 3 <= skipped < 24 and not any(finite[:3])
    assert steps == sum(finite) == 300 - skipped
    assert scale == 2.0 ** (24 - skipped)
    assert losses[0] > 5.0 and np.mean(losses[-10:]) < 0.5
    assert all(np.all(np.isfinite(value)) for value in variables)
