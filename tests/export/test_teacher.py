"""A trained model in the graph of a training: its logits, its variables, and teachers that do not fit."""
import collections
import os

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.checkpoints.graph_variables import graph_variables
from open_seq2seq.data.fairseq_files.feature_shards import FeatureDescription, shard_path, write_shard
from open_seq2seq.encoders.input_transform import features_of
from open_seq2seq.errors import ConfigError, UsageError
from open_seq2seq.export.freeze.frozen_graph import ExportOptions
from open_seq2seq.export.runtime.checkpoint_model import CheckpointModel
from open_seq2seq.export.teacher import StoredTeacher, Teacher
from open_seq2seq.losses.ctc_loss import LossOutput
from open_seq2seq.models.distillation import description_of_logits, taught_by
from open_seq2seq.models.speech2text import ModelOutput
from tests.export.networks import FEATURES, VOCABULARY, batch, largest_difference, layer, trained_model, write

Input = collections.namedtuple("Input", "features feature_lengths weights")
# large enough that the weights are taken out of the graph
LAYERS = [layer(stride=[2], num_channels=64), layer(repeat=2, residual=True, num_channels=64), layer(kernel_size=[1])]


@pytest.fixture
def teacher(tmp_path):
    """(TrainedModel, Teacher)."""
    trained = trained_model(tmp_path, LAYERS)
    path, _ = write(trained, ExportOptions(None, None), tmp_path / "model.pb")
    return trained, Teacher.load(path)


def test_logits_are_those_of_the_checkpoint(teacher):
    trained, teacher = teacher
    assert teacher.weights and not any(node.name in teacher.weights for node in teacher.graph_def.node)
    features, lengths = batch()
    features *= (np.arange(features.shape[1]) < lengths[:, None])[:, :, None]
    with CheckpointModel(None, trained) as model:
        expected = model.logits(features, lengths)
    with tf.Graph().as_default(), tf.Session() as session:
        # behind the features there are those of another model, which the teacher does not get
        inputs = [tf.constant(np.concatenate([features, features], 2)), tf.placeholder(tf.float32, [None, None, FEATURES])]
        static, dynamic = (teacher(one, tf.constant(lengths, tf.int32)) for one in inputs)
        assert static.shape.as_list() == [3, 24, len(VOCABULARY) + 1]
        # both uses share the weights, which are neither trained nor saved nor exchanged
        assert len(tf.local_variables()) == len(teacher.weights)
        assert not tf.trainable_variables() and not tf.global_variables() and not graph_variables().names
        assert tf.gradients(static, tf.local_variables()[0]) == [None]
        session.run(tf.local_variables_initializer())
        for found in session.run([static, dynamic], {inputs[1]: features}):
            assert largest_difference(expected, (found, expected[1])) < 1e-5


def _params(tmp_path, trained, characters=VOCABULARY, layers=None, **data):
    (tmp_path / "vocab.txt").write_text("\n".join(characters) + "\n")
    params = dict(trained.params["data_layer_params"], vocab_file=str(tmp_path / "vocab.txt"), **data)
    encoder_params = trained.params["encoder_params"]
    if layers is not None:
        (tmp_path / "student").mkdir(exist_ok=True)
        encoder_params = trained_model(tmp_path / "student", layers).params["encoder_params"]
    return dict(trained.params, encoder_params=encoder_params, data_layer_params=params)


def test_teachers_that_do_not_fit_are_refused(teacher, tmp_path):
    trained, teacher = teacher
    teacher.require_match(_params(tmp_path, trained))
    for expected, changes in (
            (("5 labels", "4"), dict(characters=VOCABULARY[:-1])), (("label 1", "'a'", "'b'"), dict(characters=" bac'")),
            (("frames", "one of 2"), dict(layers=[layer(stride=[4])])),
            (("frames",), dict(layers=[layer(stride=[2], padding="VALID")])),
            (("norm_per_feature", "True", "False"), dict(norm_per_feature=False)),
            (("num_audio_features", "8", "9"), dict(num_audio_features=9))):
        with pytest.raises(UsageError) as caught:
            teacher.require_match(_params(tmp_path, trained, **changes))
        assert all(word in str(caught.value) for word in expected + ("model.pb",)), caught.value
    for options, expected in ((ExportOptions(None, 160), "--frames=dynamic"), (ExportOptions(4, None), "--batch_size"),
                              (ExportOptions(1, 160, with_features=True), "audio")):
        path, _ = write(trained, options, tmp_path / "other.pb")
        with pytest.raises(UsageError, match=expected):
            Teacher.load(path)
    with pytest.raises(UsageError, match="onnx"):
        Teacher.load(str(tmp_path / "model.onnx"))
    assert features_of(teacher.description.feature_params)["num_audio_features"] == FEATURES


def test_stored_outputs_that_do_not_fit_are_refused(tmp_path):
    trained, folder = trained_model(tmp_path, LAYERS), str(tmp_path / "logits")
    os.makedirs(folder)

    def written(characters=VOCABULARY, rate=50.0):
        frames = np.zeros([4, len(characters) + 1], np.float32)
        path = shard_path(folder, "train", 0, 1)
        description = FeatureDescription(description_of_logits(characters), rate, frames.shape[1], "0", None)
        write_shard(path, [(frames, [4])], description)
        return folder

    def params(**data):
        changes = dict({"join_shorter_than": 0, "augmentation": None}, **data)
        return _params(tmp_path, trained, **changes)

    found = StoredTeacher.of(written(), params())
    assert (found.stride, found.num_labels, found.num_features) == (2, len(VOCABULARY), FEATURES)
    for expected, error, arguments, data in (
            (("5 labels", "3 labels"), UsageError, (VOCABULARY[:3],), {}),
            (("25 frames", "1 of 3", "makes 2"), UsageError, (VOCABULARY, 25.0), {}),
            (("join_shorter_than",), ConfigError, (), {"join_shorter_than": 1.0})):
        with pytest.raises(error) as caught:
            StoredTeacher.of(written(*arguments), params(**data))
        assert all(word in str(caught.value) for word in expected), caught.value


def test_a_student_gets_the_teachers_loss_in_training_only():
    logits, targets = np.random.RandomState(0).randn(2, 3, 4), np.random.RandomState(1).randn(2, 3, 4)

    class Model:
        """Documented."""

        def __init__(self, params, mode, vocabulary_size):
            self.seen = None

        def __call__(self, batch):
            self.seen = batch.features
            loss = LossOutput(tf.constant(7.0), tf.constant([6.0, 8.0]), tf.constant([True, True]))
            return ModelOutput(tf.constant(logits, tf.float32), tf.constant([3, 2]), None, loss, None)

    stored = StoredTeacher("folder", 3, 2, 5, 50.0)
    features = np.concatenate([np.zeros([2, 6, 5]), np.repeat(targets, 2, 1)], 2).astype(np.float32)
    student = taught_by(Model, stored, 1.0, 0.25)
    assert (student.__qualname__, student.__module__, student.__doc__) == (Model.__qualname__, Model.__module__, "Documented.")
    losses = {}
    for mode in ("train", "eval"):
        with tf.Graph().as_default(), tf.Session() as session:
            model = student({}, mode, 3)
            output = model(Input(tf.constant(features), tf.constant([6, 4]), tf.constant([1.0, 1.0])))
            assert model.seen.shape.as_list() == [2, 6, 5 if mode == "train" else 9]
            losses[mode] = session.run(output.loss)
    assert losses["eval"].loss == 7.0
    probabilities = np.exp(targets) / np.exp(targets).sum(2, keepdims=True)
    student_logs = logits - np.log(np.exp(logits).sum(2, keepdims=True))
    frames = (probabilities * (np.log(probabilities) - student_logs)).sum(2)
    expected = 0.75 * np.array([6.0, 8.0]) + 0.25 * np.array([frames[0].sum(), frames[1, :2].sum()])
    np.testing.assert_allclose(losses["train"].per_utterance, expected, rtol=1e-5)
    np.testing.assert_allclose(losses["train"].loss, expected.mean(), rtol=1e-5)
