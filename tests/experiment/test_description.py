"""--mode=describe: sizes, receptive field and cost of networks, against hand-made sums and against gradients."""
import json
import os

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.data.speech2text.dataset import Batch
from open_seq2seq.experiment.description import describe, print_description
from open_seq2seq.experiment.loading import load_experiment
from tests.paths import REPOSITORY

TASKS = """
base_params["tasks"] = {"letters": {"data": {}}, "clean": {"data": {"kind": "features"}},
                        "speaker": {"data": {"kind": "label", "column": "speaker"}},
                        "accent": {"data": {"kind": "label", "column": "accent", "classes": ["north", "south", "west"]}}}
"""

JASPER_5X3 = os.path.join(REPOSITORY, "configs", "speech2text", "jasper5x3_LibriSpeech_nvgrad_masks_1p.py")

SMALL = """
from open_seq2seq.models import Speech2Text
from open_seq2seq.encoders import TDNNEncoder
from open_seq2seq.decoders import FullyConnectedCTCDecoder
from open_seq2seq.data import Speech2TextDataLayer
base_model = Speech2Text
base_params = {
    "batch_size_per_gpu": 1,
    "encoder": TDNNEncoder,
    "encoder_params": {
        "convnet_layers": [
            {"type": "conv1d", "kernel_size": [5], "stride": [2], "num_channels": 4},
            {"type": "conv1d", "repeat": 2, "kernel_size": [3], "num_channels": 6, "residual": True, "residual_dense": True},
            {"type": "sep_conv1d", "kernel_size": [3], "dilation": [2], "num_channels": 8},
        ],
        "dropout_keep_prob": 1.0, "activation_fn": None, "initializer": "xavier_initializer"},
    "decoder": FullyConnectedCTCDecoder,
    "data_layer": Speech2TextDataLayer,
    "data_layer_params": {"num_audio_features": 3, "window_size": 0.025, "window_stride": 0.01},
}
"""


@pytest.fixture
def small(tmp_path):
    """An experiment with a network that can be added up by hand."""
    path = tmp_path / "small.py"
    path.write_text(SMALL)
    return load_experiment(str(path), "describe")


def test_a_small_network_by_hand(small):
    described = describe(small.base_model, small.params["describe"])
    rows = {layer.name: layer for layer in described.layers}
    assert list(rows) == ["conv11", "conv21", "conv22", "conv22 residual", "conv31", "fully_connected"]
    # kernels, then gamma and beta of the batch norm
    assert [layer.parameters for layer in described.layers] == [
        5 * 3 * 4 + 8, 3 * 4 * 6 + 12, 3 * 6 * 6 + 12, 4 * 6 + 12, 3 * 6 + 6 * 8 + 16, 8 * 29 + 29]
    assert described.trainable_parameters == 68 + 84 + 120 + 36 + 82 + 261
    # 5 frames; then steps of 2 frames: 3 taps, 3 taps, 3 taps 2 apart
    assert [rows[name].receptive_field_frames for name in ("conv11", "conv21", "conv22", "conv31")] == [5, 9, 13, 21]
    assert described.receptive_field_frames == 21
    assert described.receptive_field_seconds == pytest.approx(20 * 0.01 + 0.025)
    # multiplications and additions of every kernel at 50 frames a second
    assert rows["conv21"].flops_per_audio_second == 2 * 3 * 4 * 6 * 50
    assert rows["conv31"].flops_per_audio_second == 2 * (3 * 6 + 6 * 8) * 50
    assert described.flops_per_audio_second == 2 * 50 * (60 + 72 + 108 + 24 + 66 + 232)
    assert described.output_frames_per_second == 50.0
    assert rows["conv31"].output_shape == [50, 8] and rows["fully_connected"].output_shape == [50, 29]
    assert (rows["conv31"].kind, rows["conv31"].dilation, rows["conv22 residual"].kind) == ("sep_conv1d", 2, "1x1 sum of 1")


@pytest.mark.parametrize("kind", ["conv1d", "sep_conv1d"])
def test_residual_branches_are_counted_not_their_kernels(small, kind):
    params = small.params["describe"]
    first, block, last = params["encoder_params"]["convnet_layers"]
    params["encoder_params"]["convnet_layers"] = [first, dict(block, type=kind), dict(block, type=kind), last]
    kinds = {layer.name: layer.kind for layer in describe(small.base_model, params).layers}
    assert kinds["conv22 residual"] == "1x1 sum of 1" and kinds["conv32 residual"] == "1x1 sum of 2"


def test_the_receptive_field_is_what_the_gradient_reaches(small, graph):
    params = small.params["describe"]
    expected = describe(small.base_model, params).receptive_field_frames
    features = tf.constant(np.random.RandomState(0).randn(1, 80, 3), tf.float32)
    output = small.base_model(params, "infer", 28)(Batch(features, tf.constant([80]), None, None, None))
    (gradient,) = tf.gradients(output.logits[0, 20, 0], features)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        touched = np.flatnonzero(np.abs(session.run(gradient))[0].sum(axis=1))
    assert touched[-1] - touched[0] + 1 == expected == 21


def test_jasper_5x3():
    experiment = load_experiment(JASPER_5X3, "describe")
    described = describe(experiment.base_model, experiment.params["describe"])
    assert described.trainable_parameters == 109709085 == sum(layer.parameters for layer in described.layers)
    assert described.vocabulary_size == 28
    # 11 + 2 * (3 * (10 + 12 + 16 + 20 + 24) + 28 * 2) frames
    assert described.receptive_field_frames == 615
    assert described.variables["ForwardPass/w2l_encoder/conv63/res_4/kernel"] == [1, 640, 768]
    assert described.variables["ForwardPass/w2l_encoder/conv11/bn/moving_mean"] == [256]
    assert described.layers[-1].parameters == 1024 * 29 + 29


@pytest.mark.shared
def test_variables_are_those_of_the_original(goldens):
    with open(os.path.join(goldens, "variables.json")) as file:
        golden = json.load(file)["jasper5x3_LibriSpeech_nvgrad_masks_1p"]
    experiment = load_experiment(JASPER_5X3, "describe")
    described = describe(experiment.base_model, experiment.params["describe"])
    assert described.trainable_parameters == golden["trainable_parameters"]
    assert described.variables == dict(golden["trainable"], **golden["moving_statistics"])


def test_the_vocabulary_s_size_comes_from_its_file_if_there_is_one(small, tmp_path):
    (tmp_path / "vocab.txt").write_text("a\nb\nc\n")
    params = small.params["describe"]
    params["data_layer_params"]["vocab_file"] = str(tmp_path / "vocab.txt")
    assert describe(small.base_model, params).layers[-1].output_shape == [50, 4]
    params["data_layer_params"]["vocab_file"] = str(tmp_path / "nosuch.txt")
    assert describe(small.base_model, params).layers[-1].output_shape == [50, 29]


def test_json_is_one_object_and_nothing_else(small, capsys):
    print_description(small, as_json=True)
    printed = json.loads(capsys.readouterr().out)
    assert printed["trainable_parameters"] == 651
    assert printed["variables"]["ForwardPass/w2l_encoder/conv31/depthwise_kernel"] == [3, 6, 1]
    assert printed["layers"][0] == {
        "name": "conv11", "kind": "conv1d", "kernel_size": 5, "stride": 2, "dilation": 1, "output_shape": [50, 4],
        "parameters": 68, "receptive_field_frames": 5, "receptive_field_seconds": 0.065, "flops_per_audio_second": 6000.0}


def test_the_table(small, capsys):
    print_description(small)
    printed = capsys.readouterr().out
    (row,) = [line for line in printed.split("\n") if "conv31" in line]
    assert [cell.strip() for cell in row.split("│")[1:-1]] == [
        "conv31", "sep_conv1d", "3", "1", "2", "50 x 8", "82", "0.23 s", "0.0"]
    assert "*** Total trainable parameters: 651\n" in printed and "*** Receptive field: 21 frames, 0.23 s\n" in printed


def test_a_custom_encoder_is_described_by_its_variables(tmp_path):
    path = tmp_path / "own.py"
    path.write_text(SMALL + """
import tensorflow as tf
from open_seq2seq.encoders import EncoderOutput
class Squeeze:
    def __init__(self, params, mode, execution=None):
        pass
    def __call__(self, features, feature_lengths):
        with tf.variable_scope("squeeze"):
            return EncoderOutput(features * tf.get_variable("scale", [3]), feature_lengths)
base_params["encoder"] = Squeeze
base_params["encoder_params"] = {"initializer": None, "regularizer": None}
""")
    experiment = load_experiment(str(path), "describe")
    described = describe(experiment.base_model, experiment.params["describe"])
    assert described.trainable_parameters == 3 + 3 * 29 + 29
    assert described.receptive_field_frames is None and described.flops_per_audio_second is None
    assert described.layers[-1].output_shape == [None, 29] and described.layers[-1].kind == "linear"


@pytest.mark.parametrize("task, outputs, channels", [
    ("letters", "28 characters and the CTC blank", 29), ("clean", "3 features for each feature frame", 6),
    ("accent", "3 classes", 3),
    ("speaker", "the classes of the training data, here counted as 2 because the config does not name them", 2)])
def test_the_outputs_of_a_task(tmp_path, capsys, task, outputs, channels):
    (tmp_path / "tasks.py").write_text(SMALL + TASKS)
    experiment = load_experiment(str(tmp_path / "tasks.py"), "describe", task=task)
    described = describe(experiment.base_model, experiment.params["describe"])
    assert described.outputs == outputs and described.layers[-1].output_shape[1] == channels
    assert described.vocabulary_size == (28 if task == "letters" else None)
    print_description(experiment)
    assert "*** Outputs: %s\n" % outputs in capsys.readouterr().out
