"""TDNNEncoder: shapes, masks, normalization, residuals, dropout, regularization, and invalid inputs."""
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.config.parameters import Report, check_parameters
from open_seq2seq.encoders import TDNNEncoder
from open_seq2seq.encoders.shapes import IncompatibleDtypeError, IncompatibleShapeError
from open_seq2seq.errors import ConfigError

FEATURES = 5


def layer(**changes):
    return dict({"type": "conv1d", "kernel_size": [3], "num_channels": 4}, **changes)


def checked(layers, **changes):
    report = Report()
    params = dict({"convnet_layers": layers, "dropout_keep_prob": 1.0, "activation_fn": tf.nn.relu}, **changes)
    params = check_parameters(TDNNEncoder.PARAMETERS, params, "encoder_params", report)
    assert not report.problems, report.problems
    return params


def random_features(*shape):
    return np.random.RandomState(0).randn(*shape).astype(np.float32)


def encode(params, mode, features, lengths, fetch=None, seed=1):
    """Runs a fresh encoder; returns its outputs and lengths, and fetch() if given."""
    with tf.Graph().as_default():
        tf.set_random_seed(seed)
        output = TDNNEncoder(params, mode)(tf.constant(features), tf.constant(lengths, tf.int32))
        extra = fetch() if fetch else []
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            outputs, output_lengths, extra = session.run([output.outputs, output.output_lengths, extra])
    return (outputs, output_lengths, extra) if fetch else (outputs, output_lengths)


def test_convolution_by_hand():
    params = checked([layer(num_channels=1, kernel_size=[3], stride=[2])], normalization=None, activation_fn=None,
                     initializer=tf.constant_initializer, initializer_params={"value": 1.0})
    outputs, lengths = encode(params, "eval", np.arange(1, 7, dtype=np.float32).reshape(1, 6, 1), [5])
    # SAME at stride 2 pads an even number of frames on the right only: 1+2+3, 3+4+5, 5+6+0
    assert outputs[0, :, 0].tolist() == [6.0, 12.0, 11.0]
    assert lengths.tolist() == [3]


def test_mask_sets_padding_to_zero_before_the_convolution():
    params = checked([layer(num_channels=1, kernel_size=[3])], normalization=None, activation_fn=None, use_conv_mask=True,
                     initializer=tf.constant_initializer, initializer_params={"value": 1.0})
    outputs, _ = encode(params, "eval", np.ones((1, 5, 1), np.float32), [3])
    assert outputs[0, :, 0].tolist() == [2.0, 3.0, 2.0, 1.0, 0.0]  # and the output itself is not masked


@pytest.mark.parametrize("layers", [
    [layer(kernel_size=[11], stride=[2]), layer(repeat=2, residual=True, residual_dense=True), layer(dilation=[2])],
    [layer(kernel_size=[4], padding="VALID"), layer(repeat=2, padding="VALID", dilation=[2])],
    [layer(type="sep_conv1d", kernel_size=[5], stride=[2]), layer(type="sep_conv1d", repeat=2, residual=True)],
])
@pytest.mark.parametrize("mode", ["eval", "train"])
def test_masked_frames_do_not_change_valid_ones(layers, mode):
    params = checked(layers, use_conv_mask=True, mask_batch_norm=True)
    features = random_features(2, 32, FEATURES)
    polluted = features.copy()
    polluted[0, 21:] = 1e3
    polluted[1, 18:] = -1e3
    lengths = [21, 18]
    clean, clean_lengths = encode(params, mode, features, lengths)
    dirty, dirty_lengths = encode(params, mode, polluted, lengths)
    assert clean_lengths.tolist() == dirty_lengths.tolist() == [
        TDNNEncoder.output_frames(params, frames) for frames in lengths]
    for row, frames in enumerate(clean_lengths):
        assert np.abs(clean[row, :frames]).max() > 0.1
        np.testing.assert_array_equal(clean[row, :frames], dirty[row, :frames])


@pytest.mark.parametrize("layers", [
    [layer(kernel_size=[11], stride=[2]), layer(kernel_size=[7], stride=[3])],
    [layer(kernel_size=[4], padding="VALID", repeat=2), layer(padding="VALID", dilation=[3])],
    [layer(type="sep_conv1d", kernel_size=[6], stride=[2]), layer(type="sep_conv1d", dilation=[2], padding="VALID")],
])
@pytest.mark.parametrize("frames", [30, 31])
def test_output_frames_is_what_the_graph_computes(layers, frames):
    params = checked(layers)
    outputs, lengths = encode(params, "eval", random_features(2, frames, FEATURES), [frames, 20])
    assert outputs.shape == (2, TDNNEncoder.output_frames(params, frames), 4)
    assert lengths.tolist() == [TDNNEncoder.output_frames(params, frames), TDNNEncoder.output_frames(params, 20)]


def test_unknown_batch_and_frames(graph):
    features = tf.placeholder(tf.float32, [None, None, FEATURES])
    lengths = tf.placeholder(tf.int32, [None])
    params = checked([layer(stride=[2]), layer(repeat=2, residual=True)], use_conv_mask=True)
    output = TDNNEncoder(params, "infer")(features, lengths)
    assert output.outputs.shape.as_list() == [None, None, 4]
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for batch, frames in ((1, 9), (3, 16)):
            value = session.run(output.outputs, {features: random_features(batch, frames, FEATURES), lengths: [7] * batch})
            assert value.shape == (batch, (frames + 1) // 2, 4)


def test_variables_have_the_original_names(graph):
    layers = [layer(), layer(repeat=2, residual=True), layer(residual=True, residual_dense=True), layer(type="sep_conv1d")]
    with tf.variable_scope("ForwardPass"):
        TDNNEncoder(checked(layers), "train")(tf.zeros([1, 8, FEATURES]), tf.constant([8]))
    names = [variable.op.name for variable in tf.trainable_variables() if not variable.op.name.endswith("beta")]
    assert names == ["ForwardPass/w2l_encoder/" + name for name in (
        "conv11/kernel", "conv11/bn/gamma", "conv21/kernel", "conv21/bn/gamma",
        "conv22/res/kernel", "conv22/res_bn/gamma", "conv22/kernel", "conv22/bn/gamma",
        "conv31/res_0/kernel", "conv31/res_bn_0/gamma", "conv31/kernel", "conv31/bn/gamma",
        "conv41/depthwise_kernel", "conv41/pointwise_kernel", "conv41/bn/gamma")]


def test_batch_norm_is_fused_and_updates_only_in_training():
    layers = [layer(repeat=2, residual=True), layer()]
    for mode, updates in (("train", 8), ("eval", 0), ("infer", 0)):
        with tf.Graph().as_default() as graph:
            TDNNEncoder(checked(layers), mode)(tf.zeros([1, 8, FEATURES]), tf.constant([8]))
            norms = [op for op in graph.get_operations() if op.type == "FusedBatchNormV3"]
            assert len(norms) == 4
            # side by side, TensorFlow joins the two in inference, and so does an exporter
            assert mode == "train" or all(norm.inputs[0].op.type == "Conv2D" for norm in norms)
            assert len(tf.get_collection(tf.GraphKeys.UPDATE_OPS)) == updates


def test_masked_batch_norm_by_hand():
    params = checked([layer(kernel_size=[1], num_channels=1)], mask_batch_norm=True, activation_fn=None,
                     initializer=tf.constant_initializer, initializer_params={"value": 1.0})
    features = np.array([[1.0, 2.0, 3.0, 50.0], [6.0, 70.0, 80.0, 90.0]], np.float32)[:, :, np.newaxis]

    def after_one_update():
        with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
            return [tf.identity(variable.read_value()) for variable in tf.global_variables()
                    if "moving" in variable.op.name]

    outputs, _, (mean, variance) = encode(params, "train", features, [3, 1], after_one_update)
    # valid frames 1, 2, 3, 6: mean 3, biased variance 3.5, unbiased 14 / 3
    np.testing.assert_allclose(outputs[:, :, 0], (features[:, :, 0] - 3.0) / np.sqrt(3.5 + 1e-3), rtol=1e-5)
    np.testing.assert_allclose(mean, [0.1 * 3.0], rtol=1e-5)
    np.testing.assert_allclose(variance, [0.9 + 0.1 * 14.0 / 3.0], rtol=1e-5)


def test_masked_batch_norm_equals_the_fused_one_without_padding():
    layers = [layer(repeat=2, residual=True)]
    features = random_features(3, 20, FEATURES)
    # an explicit seed, because seeds derived from the graph depend on the number of earlier ops
    weights = {"initializer": tf.glorot_uniform_initializer, "initializer_params": {"seed": 5}}
    masked, _ = encode(checked(layers, mask_batch_norm=True, **weights), "train", features, [20] * 3)
    fused, _ = encode(checked(layers, **weights), "train", features, [20] * 3)
    np.testing.assert_allclose(masked, fused, atol=2e-5)


@pytest.mark.parametrize("normalization, axes, scope", [
    ("layer_norm", (1, 2), "LayerNorm"), ("instance_norm", (1,), "InstanceNorm")])
def test_other_normalizations(normalization, axes, scope):
    params = checked([layer(kernel_size=[1], num_channels=FEATURES, repeat=2)], normalization=normalization, activation_fn=None,
                     initializer=tf.initializers.identity)
    params["initializer"] = lambda: (lambda shape, dtype=None, partition_info=None: tf.reshape(tf.eye(FEATURES), shape))
    features = 3.0 * random_features(2, 12, FEATURES) + 1.0
    outputs, _, names = encode(params, "eval", features, [12, 12],
                               lambda: tf.constant([variable.op.name for variable in tf.global_variables()]))
    expected = (features - features.mean(axes, keepdims=True)) / features.std(axes, keepdims=True)
    np.testing.assert_allclose(outputs, expected, atol=1e-4)
    assert [name.decode() for name in names] == ["w2l_encoder/" + name for name in (
        "conv11/kernel", scope + "/beta", scope + "/gamma", "conv12/kernel", scope + "_1/beta", scope + "_1/gamma")]


@pytest.mark.skipif(not tf.__version__.startswith("1."), reason="the reference is tf.contrib, which TensorFlow 2 has not")
@pytest.mark.parametrize("normalization", ["layer_norm", "instance_norm"])
def test_other_normalizations_equal_contrib(graph, normalization):
    from tensorflow.contrib import layers as contrib_layers

    from open_seq2seq.encoders import normalization as ours
    inputs = tf.constant(2.0 * random_features(3, 9, 4) + 1.0)
    with tf.variable_scope("ours"):
        mine = getattr(ours, normalization)(inputs)
    theirs = getattr(contrib_layers, normalization)(inputs)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        np.testing.assert_allclose(*session.run([mine, theirs]), atol=1e-5)


def test_residual_sums_by_hand():
    """With all kernels the identity and moving statistics of 0 and 1, a block adds its inputs up."""
    identity = lambda: (lambda shape, dtype=None, partition_info=None: tf.reshape(tf.eye(FEATURES), shape))  # noqa: E731
    dense = layer(kernel_size=[1], num_channels=FEATURES, residual=True, residual_dense=True)
    plain = layer(kernel_size=[1], num_channels=FEATURES, residual=True)
    features = np.abs(random_features(1, 6, FEATURES))
    for layers, factor in (([plain, plain], 4.0), ([dense, dense], 5.0), ([dense, plain, dense], 9.0)):
        outputs, _ = encode(checked(layers, initializer=identity, bn_epsilon=1e-12), "eval", features, [6])
        np.testing.assert_allclose(outputs, factor * features, rtol=1e-4)


def test_drop_block_in_inference_leaves_the_residual():
    identity = lambda: (lambda shape, dtype=None, partition_info=None: tf.reshape(tf.eye(FEATURES), shape))  # noqa: E731
    layers = [layer(kernel_size=[1], num_channels=FEATURES, residual=True)] * 2
    features = np.abs(random_features(1, 6, FEATURES))
    for changes, factor in (({"drop_block_prob": 0.5}, 4.0), ({"drop_block_prob": 0.5, "drop_block_index": 1}, 2.0),
                            ({"drop_block_index": 1}, 4.0)):
        outputs, _ = encode(checked(layers, initializer=identity, bn_epsilon=1e-12, **changes), "eval", features, [6])
        np.testing.assert_allclose(outputs, factor * features, rtol=1e-4)


def test_drop_block_in_training_keeps_or_skips_complete_blocks(graph):
    tf.set_random_seed(3)
    params = checked([layer(residual=True)], drop_block_prob=0.4, activation_fn=None)
    output = TDNNEncoder(params, "train")(tf.constant(random_features(1, 6, FEATURES)), tf.constant([6])).outputs
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        values = [session.run(output).tobytes() for _ in range(200)]
    counts = sorted(values.count(value) for value in set(values))
    assert len(counts) == 2 and 55 <= counts[0] <= 105  # 80 expected, standard deviation 7


def test_dropout_only_in_training_and_by_the_layers_own_probability():
    features = np.ones((1, 4000, 1), np.float32)
    one = {"initializer": tf.constant_initializer, "initializer_params": {"value": 1.0}, "normalization": None}
    params = checked([layer(num_channels=1, kernel_size=[1], dropout_keep_prob=0.6)], dropout_keep_prob=0.1, **one)
    evaluated, _ = encode(params, "eval", features, [4000])
    assert (evaluated == 1.0).all()
    trained, _ = encode(params, "train", features, [4000])
    assert set(np.unique(trained)) == {np.float32(0.0), np.float32(1.0) / np.float32(0.6)}
    assert abs((trained > 0).mean() - 0.6) < 0.03
    inherited = checked([layer(num_channels=1, kernel_size=[1])], dropout_keep_prob=0.1, **one)
    assert abs((encode(inherited, "train", features, [4000])[0] > 0).mean() - 0.1) < 0.02


def test_dropout_before_a_masked_convolution_masks_too():
    """In training the next layer sees zeros in padded frames, but the last outputs are not masked."""
    one = {"initializer": tf.constant_initializer, "initializer_params": {"value": 1.0}, "normalization": None}
    layers = [layer(num_channels=1, kernel_size=[3], dropout_keep_prob=0.999999, repeat=2)]
    params = checked(layers, use_conv_mask=True, activation_fn=None, **one)
    outputs, _ = encode(params, "train", np.ones((1, 6, 1), np.float32), [3])
    # 2, 3, 2 after the first convolution, and 1 in the frame after the end, which is masked
    np.testing.assert_allclose(outputs[0, :, 0], [5.0, 7.0, 5.0, 2.0, 0.0, 0.0], rtol=1e-5)


def test_dropout_follows_the_graph_seed():
    params = checked([layer()], dropout_keep_prob=0.5)
    features = random_features(1, 50, FEATURES)
    first, again, other = (encode(params, "train", features, [50], seed=seed)[0] for seed in (7, 7, 8))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first == 0, other == 0)


def test_regularizer_covers_kernels_and_gammas_but_not_residual_kernels(graph):
    layers = [layer(), layer(repeat=2, residual=True), layer(type="sep_conv1d", residual=True, residual_dense=True)]
    regularizer = lambda scale: (lambda tensor: scale * tf.reduce_sum(tf.abs(tensor)))  # noqa: E731
    params = checked(layers, regularizer=regularizer, regularizer_params={"scale": 0.5})
    TDNNEncoder(params, "train")(tf.zeros([1, 8, FEATURES]), tf.constant([8]))
    names = [tensor.op.name.split("/Regularizer/")[0].replace("w2l_encoder/", "")
             for tensor in tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)]
    assert names == ["conv11/kernel", "conv11/bn/gamma", "conv21/kernel", "conv21/bn/gamma",
                     "conv22/res_bn/gamma", "conv22/kernel", "conv22/bn/gamma",
                     "conv31/res_bn_0/gamma", "conv31/depthwise_kernel", "conv31/pointwise_kernel", "conv31/bn/gamma"]


@pytest.mark.parametrize("features, lengths, error, message", [
    (lambda: tf.zeros([2, 8]), lambda: tf.constant([8, 8]), IncompatibleShapeError, "expected rank 3"),
    (lambda: tf.zeros([2, 8, 5], tf.int32), lambda: tf.constant([8, 8]), IncompatibleDtypeError, "expected float32"),
    (lambda: tf.placeholder(tf.float32, [2, 8, None]), lambda: tf.constant([8, 8]), IncompatibleShapeError, "last dimension"),
    (lambda: tf.placeholder(tf.float32), lambda: tf.constant([8, 8]), IncompatibleShapeError, "expected rank 3"),
    (lambda: tf.zeros([2, 8, 5]), lambda: tf.constant([[8, 8]]), IncompatibleShapeError, "feature_lengths"),
    (lambda: tf.zeros([2, 8, 5]), lambda: tf.constant([8.0, 8.0]), IncompatibleDtypeError, "feature_lengths"),
])
def test_wrong_inputs_are_refused_before_the_first_op(graph, features, lengths, error, message):
    encoder = TDNNEncoder(checked([layer()]), "eval")
    features, lengths = features(), lengths()
    operations = len(graph.get_operations())
    with pytest.raises(error, match=message):
        encoder(features, lengths)
    assert len(graph.get_operations()) == operations


def test_residual_without_batch_norm_is_refused():
    with pytest.raises(ConfigError, match='"normalization"] is None, but residual layers need "batch_norm"'):
        TDNNEncoder(checked([layer(residual=True)], normalization=None), "eval")


def test_initializer_that_does_not_take_its_params_is_refused():
    params = checked([layer()], initializer=tf.constant_initializer, initializer_params={"uniform": False})
    with pytest.raises(ConfigError, match="initializer_params"):
        TDNNEncoder(params, "eval")


def test_channels_first_is_noted():
    report = Report()
    check_parameters(TDNNEncoder.PARAMETERS, {"convnet_layers": [layer()], "dropout_keep_prob": 1.0, "activation_fn": None,
                                              "data_format": "channels_first"}, "encoder_params", report)
    assert not report.problems
    assert report.notes == ['encoder_params["data_format"] is "channels_first", which has no effect: '
                            'activations are "channels_last"']
