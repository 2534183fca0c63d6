"""To which layer the first value that is not finite is traced: one small network with non-finite values in many places."""
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.config.parameters import Report, check_parameters
from open_seq2seq.data.speech2text.dataset import Batch
from open_seq2seq.decoders import FullyConnectedCTCDecoder
from open_seq2seq.encoders import TDNNEncoder
from open_seq2seq.losses import CTCLoss
from open_seq2seq.models import Speech2Text
from open_seq2seq.training.nonfinite import layer_search as non_finite
from open_seq2seq.training.nonfinite.layer_search import ExaminedNetwork, First, describe_first

LAYERS = [{"type": "conv1d", "kernel_size": [3], "stride": [2], "num_channels": 8},
          {"type": "conv1d", "kernel_size": [3], "num_channels": 8, "repeat": 2, "residual": True, "residual_dense": True}]
ENCODER = "ForwardPass/w2l_encoder/"
DECODER = "ForwardPass/fully_connected_ctc_decoder/fully_connected/"
LABEL_LENGTHS = [3, 2, 0]


def checked(loss_params=None):
    report = Report()
    params = check_parameters(Speech2Text.PARAMETERS, {
        "batch_size_per_gpu": 3, "data_layer": object, "encoder": TDNNEncoder, "decoder": FullyConnectedCTCDecoder,
        "loss": CTCLoss, "loss_params": loss_params or {}, "encoder_params": {
            "convnet_layers": LAYERS, "dropout_keep_prob": 1.0, "activation_fn": tf.nn.relu, "use_conv_mask": True}}, "", report)
    for part in ("encoder", "decoder", "loss"):
        params[part + "_params"] = check_parameters(params[part].PARAMETERS, params[part + "_params"], part, report)
    assert not report.problems, report.problems
    return params


def a_batch():
    random = np.random.RandomState(0)
    # the third row is padding, as with static shapes
    return Batch(random.randn(3, 24, 4).astype(np.float32), np.int32([24, 17, 0]), np.int32([[0, 1, 2], [3, 3, 0], [0, 0, 0]]),
                 np.int32(LABEL_LENGTHS), np.int32([5, 3, -1]), np.float32([1.5, 1.5, 0.0]))


class Laboratory:
    """A network that can be examined repeatedly, with values of its variables for which everything is finite."""

    def __init__(self, loss_params=None):
        self.batch = a_batch()
        self.network = ExaminedNetwork(Speech2Text, checked(loss_params), 5, self.batch)
        random = np.random.RandomState(1)
        self.weights = {}
        for variable in self.network.variables:
            name, shape = variable.op.name, variable.shape.as_list()
            self.weights[name] = (np.ones(shape) if name.endswith(("gamma", "variance")) else np.zeros(shape)
                                  if len(shape) == 1 else random.randn(*shape) * 0.3).astype(np.float32)

    def examine(self, batch=None, loss_scale=1.0, **changed):
        """``changed`` maps names of variables to functions of their values."""
        weights = dict(self.weights)
        for name, change in changed.items():
            assert name in weights
            weights[name] = change(np.array(weights[name])).astype(np.float32)
        self.network.set_variables(weights)
        return self.network.examine(self.batch if batch is None else batch, loss_scale)


@pytest.fixture(scope="module")
def laboratory():
    laboratory = Laboratory()
    yield laboratory
    laboratory.network.session.close()


def nan_in_one(values):
    values.flat[0] = np.nan
    return values


@pytest.mark.slow
def test_a_healthy_network_is_finite_and_its_numbers_are_those_of_the_model(laboratory):
    examination = laboratory.examine()
    assert examination.first is None
    assert describe_first(None).startswith("everything is finite")
    batch = laboratory.batch
    with tf.Graph().as_default(), tf.Session() as session:
        output = Speech2Text(checked(), "train", 5)(Batch(*[value if value is None else tf.constant(value) for value in batch]))
        variables = tf.trainable_variables()
        fetches = [output.loss.loss, output.loss.per_utterance, tf.gradients(output.loss.loss, variables)]
        for variable in tf.global_variables():
            variable.load(laboratory.weights[variable.op.name], session)
        loss, per_utterance, gradients = session.run(fetches)
    assert examination.loss == pytest.approx(float(loss), rel=1e-5)
    np.testing.assert_allclose(examination.per_utterance[:2], per_utterance[:2], rtol=1e-5)
    norm = np.sqrt(sum(np.sum(np.square(gradient.astype(np.float64))) for gradient in gradients))
    assert examination.gradient_norm == pytest.approx(norm, rel=1e-4)
    assert [row.name for row in examination.layers] == [
        "features", "conv11", "conv21", "conv22/res_0", "conv22", "fully_connected"]
    features, first = examination.layers[0].values, examination.layers[1].gradient
    assert features.minimum == batch.features.min() and features.maximum == batch.features.max()
    assert features.mean_magnitude == pytest.approx(np.abs(batch.features).mean(), rel=1e-5)
    assert features.non_finite == features.beyond_half == first.non_finite == 0.0 and first.mean_magnitude > 0.0
    rows = {row.name: row for row in examination.variables}
    assert len(rows) == len(laboratory.weights)
    assert rows[ENCODER + "conv11/bn/moving_mean"].gradient is None
    kernel = [gradient for variable, gradient in zip(variables, gradients) if variable.op.name == ENCODER + "conv21/kernel"][0]
    assert rows[ENCODER + "conv21/kernel"].gradient.maximum == pytest.approx(kernel.max(), rel=1e-3)


@pytest.mark.parametrize("variable, layer", [
    (ENCODER + "conv11/kernel", "conv11"), (ENCODER + "conv21/bn/gamma", "conv21"),
    (ENCODER + "conv22/res_0/kernel", "conv22/res_0"), (ENCODER + "conv22/res_bn_0/beta", "conv22/res_0"),
    (ENCODER + "conv22/bn/beta", "conv22"), (DECODER + "kernel", "fully_connected"), (DECODER + "bias", "fully_connected")])
def test_a_variable_that_is_not_finite_is_named_with_its_layer(laboratory, variable, layer):
    examination = laboratory.examine(**{variable: nan_in_one})
    assert examination.first == First(non_finite.VARIABLE, layer, None, None, variable)
    assert np.isnan(examination.loss) and np.isnan(examination.per_utterance[:2]).all()
    rows = {row.name: row for row in examination.variables}
    assert rows[variable].values.non_finite == pytest.approx(1.0 / laboratory.weights[variable].size)
    assert describe_first(examination.first) == (
        "the first value that is not finite is in layer %s: in its variable %s" % (layer, variable))


@pytest.mark.parametrize("variable, layer, operation", [
    (ENCODER + "conv11/kernel", "conv11", "Conv2D"), (ENCODER + "conv21/kernel", "conv21", "Conv2D"),
    (ENCODER + "conv22/res_0/kernel", "conv22/res_0", "MatMul"), (DECODER + "kernel", "fully_connected", "MatMul")])
def test_a_layer_that_overflows_is_named_though_its_weights_are_finite(laboratory, variable, layer, operation):
    examination = laboratory.examine(**{variable: lambda values: np.sign(values) * 3e38})
    assert examination.first.where == non_finite.FORWARD
    assert (examination.first.layer, examination.first.type) == (layer, operation)
    assert examination.first.operation.startswith("ForwardPass/") and examination.first.variable is None
    assert "is an output of layer %s, in the forward pass" % layer in describe_first(examination.first)
    outputs = {row.name: row.values for row in examination.layers}[layer]
    assert outputs.non_finite > 0.0
    before = [row for row in examination.layers if row.name == "features"][0]
    assert before.values.non_finite == 0.0


def test_a_sum_of_finite_branches_that_overflows_belongs_to_the_layer_that_sums(laboratory):
    names = (ENCODER + "conv22/bn/beta", ENCODER + "conv22/res_bn_0/beta")
    first = laboratory.examine(**{name: lambda values: values + 2e38 for name in names}).first
    assert (first.where, first.layer) == (non_finite.FORWARD, "conv22") and first.type.startswith("Add")


def test_features_that_are_not_finite_are_named_as_features(laboratory):
    features = np.array(laboratory.batch.features)
    features[1, 2, 3] = np.inf
    first = laboratory.examine(laboratory.batch._replace(features=features)).first
    assert (first.where, first.layer) == (non_finite.FORWARD, non_finite.FEATURES)
    assert describe_first(first) == "the first value that is not finite is in the features, before any layer"


def test_moving_statistics_do_not_matter_to_training(laboratory):
    name = ENCODER + "conv21/bn/moving_variance"
    examination = laboratory.examine(**{name: lambda values: -values, ENCODER + "conv21/bn/moving_mean": nan_in_one})
    assert examination.first is None
    assert {row.name: row.values.minimum for row in examination.variables}[name] == -1.0


def test_logits_too_large_for_the_loss(laboratory):
    # only the blank keeps a probability above 0
    examination = laboratory.examine(**{DECODER + "bias": lambda values: values + [0, 0, 0, 0, 0, 1e30]})
    assert examination.first.where == non_finite.LOSS and np.isnan(examination.loss)
    assert np.isinf(examination.per_utterance[:2]).all()
    assert "probability of the labels is 0" in describe_first(examination.first)


@pytest.mark.slow
def test_labels_that_do_not_fit_are_distinguished_from_a_diverged_network():
    laboratory = Laboratory(loss_params={"mask_nan": False})
    batch = laboratory.batch._replace(feature_lengths=np.int32([24, 2, 24]), weights=np.float32([1, 1, 1]))
    examination = laboratory.examine(batch)
    laboratory.network.session.close()
    assert examination.first.where == non_finite.TOO_SHORT and np.isinf(examination.loss)
    assert np.isfinite(examination.per_utterance[0]) and np.isinf(examination.per_utterance[1])


@pytest.mark.parametrize("loss_scale, where", [(2e37, non_finite.NORM), (3e38, non_finite.BACKWARD)])
def test_only_the_backward_pass_overflows(laboratory, loss_scale, where):
    examination = laboratory.examine(loss_scale=loss_scale)
    assert np.isfinite(examination.loss) and np.isfinite(examination.per_utterance[:2]).all()
    assert all(row.values.non_finite == 0.0 for row in examination.layers)
    assert examination.first.where == where
    if where == non_finite.BACKWARD:
        assert examination.first.layer == "fully_connected"
        assert any(row.gradient is not None and row.gradient.non_finite for row in examination.variables)
    else:
        assert examination.first.variable.startswith("ForwardPass/")
        assert all(row.gradient is None or row.gradient.non_finite == 0.0 for row in examination.variables)
