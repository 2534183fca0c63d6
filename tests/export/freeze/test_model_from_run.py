"""A model loaded from its run's folder, without executing the config."""
import json
import os
import shutil

import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.checkpoints.files import remove_checkpoint
from open_seq2seq.checkpoints.writer import write_checkpoint
from open_seq2seq.errors import CheckpointError
from open_seq2seq.experiment.command_line import parse_command_line
from open_seq2seq.experiment.saving import plain
from open_seq2seq.export.freeze.model_from_run import trained_model_from_run, with_model_of_run
from open_seq2seq.export.runtime.checkpoint_model import CheckpointModel
from tests.export.networks import DENSE, VOCABULARY, batch, largest_difference, trained_model

NAME = "resolved_config_2026-01-31_12-00-00.json"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run's folder in the layout of ``--enable_logs``, its model and its resolved config."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "logs").mkdir()
    trained = trained_model(folder / "logs")
    params = dict(trained.params, data_layer_params=dict(trained.params["data_layer_params"], vocab_file="not/here.txt"))
    resolved = {"base_model": plain(trained.base_model), "params": {"train": plain(params)}, "vocabulary": list(VOCABULARY),
                "sha256": "a" * 64, "arguments": parse_command_line(["--config_file=c.py"])[0]._asdict()}
    (folder / NAME).write_text(json.dumps(resolved), encoding="utf-8")
    # must not be executed
    (folder / "config_2026-01-31_12-00-00.py").write_text("raise SystemExit('a config was executed')")
    return folder, trained, resolved


def changed(run, tmp_path, change):
    """A copy of the run's folder with a changed resolved config; ``change`` is a function of the dict."""
    folder, _, resolved = run
    copy = tmp_path / "copy"
    shutil.copytree(str(folder), str(copy))
    resolved = json.loads(json.dumps(resolved))
    change(resolved)
    (copy / NAME).write_text(json.dumps(resolved), encoding="utf-8")
    return str(copy)


@pytest.mark.slow
def test_the_network_is_the_same(run):
    folder, trained, _ = run
    features, lengths = batch()
    with CheckpointModel(None, trained) as model:
        expected = model.logits(features, lengths)
    for path in (folder, folder / "logs", folder / "logs" / "model.ckpt-7", folder / "logs" / "model.ckpt-7.index"):
        found = trained_model_from_run(str(path))
        assert found.vocabulary == VOCABULARY and found.config_sha256 == "a" * 64
        assert found.params["encoder_params"]["activation_fn"] is tf.nn.relu
        # references of an exported model are normalized as in the training; here not at all
        assert found.params["data_layer_params"] == dict(trained.params["data_layer_params"], normalization=None,
                                                         unknown_characters="refuse")
    with CheckpointModel(str(folder)) as model:
        assert model.description.step == 7 and model.description.pad_to == 16 and not model.description.folded
        assert largest_difference(expected, model.logits(features, lengths)) == 0.0


def test_a_moved_folder_and_the_newest_config(run, tmp_path):
    def other_vocabulary(resolved):
        resolved["vocabulary"] = list("abcde")

    folder = changed(run, tmp_path, lambda resolved: None)
    shutil.copy(os.path.join(folder, NAME), os.path.join(folder, NAME.replace("01-31", "02-01")))
    other = changed(run, tmp_path / "other", other_vocabulary)
    shutil.copy(os.path.join(other, NAME), os.path.join(folder, NAME.replace("01-31", "02-02")))
    found = trained_model_from_run(folder)
    assert found.vocabulary == tuple("abcde") and found.checkpoint == os.path.join(folder, "logs", "model.ckpt-7")


def test_a_checkpoint_that_a_training_deletes_is_replaced_by_the_newest(run, tmp_path):
    folder = changed(run, tmp_path, lambda resolved: None)
    logs = os.path.join(folder, "logs")
    for name in os.listdir(logs):
        if name.startswith("model.ckpt-7."):
            shutil.copy(os.path.join(logs, name), os.path.join(logs, name.replace("-7", "-8")))
    os.remove(os.path.join(logs, "checkpoint"))  # TensorFlow's file that names the current one
    used = []

    def use(trained):
        used.append(os.path.basename(trained.checkpoint))
        for name in os.listdir(logs):
            if name.startswith("model.ckpt-8."):
                os.remove(os.path.join(logs, name))
        with CheckpointModel(None, trained) as model:
            return model.description.step

    assert with_model_of_run(folder, use) == 7 and used == ["model.ckpt-8", "model.ckpt-7"]


def test_an_activation_that_has_moved_within_tensorflow(run, tmp_path):
    def change(resolved):
        resolved["params"]["train"]["encoder_params"]["activation_fn"] = "tensorflow.python.ops.somewhere_else.relu6"

    assert trained_model_from_run(changed(run, tmp_path, change)).params["encoder_params"]["activation_fn"] is tf.nn.relu6


def params_of(resolved):
    return resolved["params"]["train"]


@pytest.mark.parametrize("change, message", [
    (lambda r: params_of(r)["encoder_params"].update(activation_fn="experiment_config.<lambda>"),
     r"activation_fn.* is experiment_config.<lambda>, expected one of TensorFlow's"),
    (lambda r: params_of(r).update(encoder="os.system"), "encoder is os.system, expected open_seq2seq.encoders.tdnn_encoder"),
    (lambda r: r.update(base_model="experiment_config.Mine"), "base_model is experiment_config.Mine"),
    (lambda r: params_of(r)["encoder_params"]["convnet_layers"][0].update(repeat="3"), "repeat.* is '3'"),
    (lambda r: params_of(r)["data_layer_params"].update(input_type="wavelets"), "input_type.* is 'wavelets'"),
    (lambda r: params_of(r)["data_layer_params"].pop("window_stride"), "data_layer_params lacks window_stride; defaults would"),
    (lambda r: params_of(r)["data_layer_params"].update(window_size=1000), "window_size.* is 1000 s, which is 16000000 samples"),
    (lambda r: params_of(r).update(encoder_params=3), "encoder_params is 3, expected a dict"),
    (lambda r: params_of(r)["encoder_params"].update(normalization=None), "residual layers need"),
    (lambda r: r.update(params={}), "is not the resolved config"),
    (lambda r: r.update(params={"eval": 1}), "has no params"),
    (lambda r: r.update(vocabulary=None), "does not list the vocabulary, and: vocabulary not/here.txt does not exist"),
])
def test_networks_that_need_their_config_are_refused(run, tmp_path, change, message):
    folder = changed(run, tmp_path, change)
    with pytest.raises(CheckpointError, match=message) as caught:
        trained_model_from_run(folder)
    assert "run.py --config_file=FILE --mode=export --logdir=%s" % folder in str(caught.value)


def test_missing_and_damaged_files_are_named(run, tmp_path):
    folder = changed(run, tmp_path, lambda resolved: None)
    with open(os.path.join(folder, NAME), "w") as file:
        file.write("{")
    with pytest.raises(CheckpointError, match="resolved config of a run"):
        trained_model_from_run(folder)
    os.remove(os.path.join(folder, NAME))
    with pytest.raises(CheckpointError, match="has no resolved_config_DATE.json"):
        trained_model_from_run(folder)
    shutil.rmtree(os.path.join(folder, "logs"))
    with pytest.raises(CheckpointError, match="no checkpoint in logdir"):
        trained_model_from_run(folder)


@pytest.mark.slow
def test_a_changed_manifest_does_not_describe_the_model(run, tmp_path, capsys):
    """A run's checkpoint has its resolved config in its manifest; the run's folder has it too."""
    folder = changed(run, tmp_path, lambda resolved: None)
    checkpoint = os.path.join(folder, "logs", "model.ckpt-7")
    reader = tf.train.load_checkpoint(checkpoint)
    values = {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}
    remove_checkpoint(checkpoint)
    write_checkpoint(checkpoint, values, {"resolved_config": run[2], "vocabulary": list(VOCABULARY)})
    with open(checkpoint + ".json", encoding="utf-8") as file:
        text = file.read()
    expected = params_of(run[2])["data_layer_params"]["window_size"]
    old = '"window_size": %r' % expected
    for new in ('"window_size": 0.04', old + ', "window_size": 0.04'):
        assert text.count(old) == 1
        with open(checkpoint + ".json", "w", encoding="utf-8") as file:
            file.write(text.replace(old, new))
        with CheckpointModel(folder) as model:
            assert model.description.feature_params["window_size"] == expected
        assert "model.ckpt-7.json is damaged, was changed or cannot be read" in capsys.readouterr().out
    os.remove(os.path.join(folder, NAME))
    with pytest.raises(CheckpointError, match="model.ckpt-7.json is damaged or was changed, and .* has no resolved_config_DATE"):
        trained_model_from_run(folder)


def test_a_checkpoint_of_another_network_is_refused(run, tmp_path):
    folder = changed(run, tmp_path, lambda r: params_of(r)["encoder_params"].update(convnet_layers=plain(DENSE[:-1])))
    with pytest.raises(CheckpointError, match="another architecture"):
        CheckpointModel(folder)
