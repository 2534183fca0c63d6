"""The fixed first layer: its file, its graph, and what is refused."""
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.checkpoints.restore import read_values
from open_seq2seq.config.parameters import Report
from open_seq2seq.encoders.input_transform import (
    InputTransform,
    Transform,
    check_features,
    features_of,
    read_transform,
    transformed,
    write_transform,
)
from open_seq2seq.errors import CheckpointError, ConfigError, DataError
from open_seq2seq.pretraining.feature_transform import splice

DATA = {"num_audio_features": 3, "input_type": "logfbank", "sample_freq": 16000, "dither": 1e-5, "pad_to": 16}


def _written(path, left=2, right=1, seed=0):
    matrix = np.random.RandomState(seed).randn(5, (left + 1 + right) * 3 + 1).astype(np.float32)
    transform = Transform(matrix, left, right, features_of(DATA), {"labels": "train.km"})
    write_transform(str(path), transform)
    return transform


def _checked(value):
    report = Report()
    return InputTransform().check(value, "input_transform", report), report.problems


@pytest.mark.parametrize("left, right", [(2, 1), (0, 3), (0, 0)])
def test_layer_is_the_product_with_spliced_frames(tmp_path, left, right):
    transform = _written(tmp_path / "lda.npz", left, right)
    params, problems = _checked(str(tmp_path / "lda.npz"))
    assert not problems and (params["num_features"], params["size"], params["context"]) == (3, 5, max(left, right))
    features = np.random.RandomState(1).randn(2, 7, 3).astype(np.float32)
    with tf.Graph().as_default(), tf.Session() as session:
        outputs = transformed(tf.constant(features), params, training=True)
        assert not tf.trainable_variables() and len(tf.global_variables()) == 2
        session.run(tf.global_variables_initializer())
        found = session.run(outputs)
    for row, expected in zip(found, features):
        np.testing.assert_allclose(row, splice(expected, left, right).dot(transform.matrix[:, :-1].T) + transform.matrix[:, -1],
                                   rtol=1e-4, atol=1e-5)


def test_what_a_resolved_config_has_is_enough_without_the_file(tmp_path):
    _written(tmp_path / "lda.npz")
    params, _ = _checked(str(tmp_path / "lda.npz"))
    (tmp_path / "lda.npz").unlink()
    again, problems = _checked(params)
    assert again == params and not problems
    with tf.Graph().as_default():
        assert transformed(tf.zeros([1, 4, 3]), params, training=False).shape.as_list() == [1, 4, 5]
    for missing in (params, dict(params, file=None)):
        with tf.Graph().as_default(), pytest.raises((ConfigError, DataError), match="--mode=input_transform"):
            transformed(tf.zeros([1, 4, 3]), missing, training=True)


def test_other_features_and_files_are_refused(tmp_path):
    _written(tmp_path / "lda.npz")
    params, _ = _checked(str(tmp_path / "lda.npz"))
    for change, expected in (({"num_audio_features": 4}, ("3", "4")), ({"sample_freq": 8000}, ("sample_freq", "16000", "8000"))):
        report = Report()
        check_features(params, dict(DATA, **change), "key", report)
        assert len(report.problems) == 1 and all(word in report.problems[0] for word in expected + ("lda.npz",))
    report = Report()
    # they do not change what a frame contains
    check_features(params, dict(DATA, dither=0.0, pad_to=8), "key", report)
    assert not report.problems
    with tf.Graph().as_default(), pytest.raises(ConfigError, match="3 features.* 4"):
        transformed(tf.zeros([1, 4, 4]), params, training=True)
    (tmp_path / "other.npz").write_bytes(b"no array")
    np.savez(str(tmp_path / "shape.npz"), transform=np.zeros([2, 5]), left=1, right=1, features="{}", description="{}")
    for name in ("none.npz", "other.npz", "shape.npz"):
        with pytest.raises(DataError, match=name):
            read_transform(str(tmp_path / name))
        assert name in _checked(str(tmp_path / name))[1][0]


def test_a_checkpoint_with_another_transform_is_refused(tmp_path):
    for number in (1, 2):
        _written(tmp_path / ("%d.npz" % number), seed=number)

    def variables(number):
        params, _ = _checked(str(tmp_path / ("%d.npz" % number)))
        with tf.variable_scope("ForwardPass"):
            transformed(tf.zeros([1, 4, 3]), params, training=True)
        return tf.global_variables()

    with tf.Graph().as_default(), tf.Session() as session:
        saved = variables(1)
        session.run(tf.global_variables_initializer())
        checkpoint = tf.train.Saver().save(session, str(tmp_path / "model.ckpt"), 1)
        assert len(read_values(checkpoint, saved)[1]) == 2
    with tf.Graph().as_default(), pytest.raises(CheckpointError, match="2.npz"):
        read_values(checkpoint, variables(2))
