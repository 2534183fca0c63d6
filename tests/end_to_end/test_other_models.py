"""Trainings that use a trained model or labels of frames: a teacher, features of a layer, an input transform."""
import json
import re

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.modes import main

pytestmark = pytest.mark.slow
TRANSFORM = "ForwardPass/w2l_encoder/input_transform/"


@pytest.fixture(scope="module")
def digits(trained_digits, tmp_path_factory):
    """(function (arguments) -> exit status, in the folder of the trained network; a folder for results)."""
    def call(*words):
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(str(trained_digits.folder))
            return main(["--device=cpu"] + [str(word) for word in words])
    return call, tmp_path_factory.mktemp("other_models")


def _losses(out):
    return [float(value) for value in re.findall(r"Train loss: ([\d.]+)", out)]


def _trained(logdir):
    """dict of names -> shapes of the last checkpoint."""
    return tf.train.NewCheckpointReader(tf.train.latest_checkpoint(str(logdir))).get_variable_to_shape_map()


def _train(call, folder, name, *words, steps=4):
    return call("--config_file=config.py", "--mode=train_eval", "--logdir=%s" % (folder / name), "--max_steps=%d" % steps,
                "--eval_steps=%d" % steps, "--save_checkpoint_steps=%d" % steps, "--print_loss_steps=1",
                "--diagnostics_utterances=0", *words)


def test_a_teacher_computed_in_each_step_or_before(digits, trained_digits, capsys):
    call, folder = digits
    assert _train(call, folder, "plain") == 0
    plain = _losses(capsys.readouterr().out)
    assert _train(call, folder, "taught", "--teacher_params={'model': 'run', 'temperature': 2.0, 'weight': 0.7}") == 0
    taught = _losses(capsys.readouterr().out)
    # the same variables, among them none of the teacher
    assert _trained(folder / "taught") == _trained(folder / "plain")
    assert call("--config_file=config.py", "--mode=features", "--layer=logits", "--enable_logs", "--manifest=train.csv",
                "--features=%s" % (folder / "logits")) == 0
    assert _train(call, folder, "stored", "--teacher_params={'logits': '%s', 'temperature': 2.0, 'weight': 0.7}" % (
        folder / "logits")) == 0
    stored = _losses(capsys.readouterr().out)
    assert len(plain) == len(taught) == len(stored) == 4
    np.testing.assert_allclose(stored, taught, rtol=1e-2)
    assert abs(taught[0] - plain[0]) > 0.1
    # another vocabulary, other strides
    (folder / "vocab.txt").write_text("\n".join("abcdefghijklmnopqrstuvwxyz' ") + "\n")
    capsys.readouterr()
    for teacher, change, word in (
            ("{'model': 'run'}", "--data_layer_params/vocab_file=%s" % (folder / "vocab.txt"), "vocabulary"),
            ("{'logits': '%s'}" % (folder / "logits"), "--encoder_params/convnet_layers/0/stride=[4]", "frames")):
        assert _train(call, folder, "refused", "--teacher_params=%s" % teacher, change) == 2
        assert word in capsys.readouterr().err


def test_features_of_a_layer_as_input(digits, capsys):
    pytest.importorskip("kaldiio")
    call, folder = digits
    for kind in ("npz", "ark"):
        assert call("--config_file=config.py", "--mode=features", "--layer=conv41", "--enable_logs", "--format=%s" % kind,
                    "--manifest=train.csv,dev.csv", "--nshard=2", "--features=%s" % (folder / kind)) == 0
    for kind, use, width in (("npz", "append", 128), ("ark", "alone", 96)):
        stored = "--data_layer_params/stored_features={'files': '%s', 'size': 96, 'use': '%s'}" % (folder / kind, use)
        assert _train(call, folder, kind + "_run", stored, steps=2) == 0
        assert _trained(folder / (kind + "_run"))["ForwardPass/w2l_encoder/conv11/kernel"] == [11, width, 64]
    run = ("--config_file=config.py", "--logdir=%s" % (folder / (kind + "_run")), stored)
    assert call("--mode=eval", *run) == 0
    capsys.readouterr()
    assert call("--mode=export", "--export_dir=%s" % (folder / "export"), *run) == 2
    assert "stored_features" in capsys.readouterr().err


def test_input_transform_of_cluster_labels(digits, trained_digits, capsys):
    call, folder = digits
    features, path = "--features=%s" % (folder / "mfcc"), folder / "lda.npz"
    assert call("--mode=features", "--manifest=train.csv", features) == 0
    assert call("--mode=kmeans", features, "--clusters=20") == 0
    assert call("--mode=labels", features) == 0
    estimate = ("--config_file=config.py", "--mode=input_transform", "--manifest=train.csv", "--output=%s" % path)
    key = "--encoder_params/input_transform="
    # the config may name the file that is about to be written
    assert call(*estimate, "--labels=%s" % (folder / "mfcc"), "--context=1", key + str(path)) == 0
    with np.load(str(path)) as arrays:
        matrix = arrays["transform"]
        assert json.loads(str(arrays["features"]))["num_audio_features"] == 32
    assert matrix.shape == (96, 97)
    assert _train(call, folder, "transformed", key + str(path), steps=2) == 0
    reader = tf.train.NewCheckpointReader(tf.train.latest_checkpoint(str(folder / "transformed")))
    np.testing.assert_array_equal(reader.get_tensor(TRANSFORM + "bias"), matrix[:, -1])
    np.testing.assert_array_equal(reader.get_tensor(TRANSFORM + "kernel")[0], matrix[:, :32].T)
    run = ("--config_file=config.py", "--logdir=%s" % (folder / "transformed"))
    shape = "{'context': 1, 'num_features': 32, 'size': 96}"
    assert call("--mode=eval", *run, key + shape) == 0
    assert call("--mode=export", "--export_dir=%s" % (folder / "transformed_export"), *run, key + shape) == 0
    capsys.readouterr()
    # another transform, other features
    assert call(*estimate, "--labels=%s" % (folder / "mfcc"), "--context=1", "--within_class_factor=1") == 0
    assert call("--mode=eval", *run, key + str(path)) == 3
    assert "another input transform" in capsys.readouterr().err
    assert call("--mode=eval", *run, key + str(path), "--data_layer_params/window_size=0.03") == 2
    assert "window_size" in capsys.readouterr().err
    assert call(*estimate, "--labels=%s" % folder) == 2
    assert "--mode=labels" in capsys.readouterr().err
