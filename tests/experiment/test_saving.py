import json
import os

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.errors import StorageError
from open_seq2seq.experiment import saving
from open_seq2seq.experiment.command_line import parse_command_line
from open_seq2seq.experiment.loading import load_experiment


@pytest.fixture
def saved(write_config, tmp_path):
    """The directory that a run's config was saved to, and the config's path."""
    path = write_config('base_params["encoder_params"]["activation_fn"] = lambda x: x')
    words = ["--config_file=" + path, "--batch_size_per_gpu=9", "--logdir=a b"]
    arguments, overrides = parse_command_line(words)
    experiment = load_experiment(path, "train", overrides)
    directory = str(tmp_path / "run" / "deep")
    result = saving.write_resolved_config(directory, experiment, arguments, ["run.py"] + words, "2026-01-31_12-00-00")
    assert result == os.path.join(directory, "resolved_config_2026-01-31_12-00-00.json")
    return directory, path


def read(directory, name):
    with open(os.path.join(directory, name)) as file:
        return file.read()


def test_four_files_under_the_original_s_names(saved):
    directory, path = saved
    assert sorted(os.listdir(directory)) == [
        "cmd-args_2026-01-31_12-00-00.log", "config_2026-01-31_12-00-00.py", "git-info_2026-01-31_12-00-00.log",
        "resolved_config_2026-01-31_12-00-00.json"]
    with open(path) as file:
        assert read(directory, "config_2026-01-31_12-00-00.py") == file.read()
    # the command line can be pasted into a shell
    assert read(directory, "cmd-args_2026-01-31_12-00-00.log").endswith("--batch_size_per_gpu=9 '--logdir=a b'\n")
    assert read(directory, "git-info_2026-01-31_12-00-00.log").startswith("commit hash: ")


def test_the_resolved_config_describes_the_run(saved):
    directory, path = saved
    resolved = json.loads(read(directory, "resolved_config_2026-01-31_12-00-00.json"))
    train = resolved["params"]["train"]
    assert train["batch_size_per_gpu"] == 9 and train["logdir"] == "a b" and train["num_checkpoints"] == 5
    assert train["encoder"] == "open_seq2seq.encoders.tdnn_encoder.TDNNEncoder"
    assert train["encoder_params"]["activation_fn"] == "experiment_config.<lambda>"
    assert train["encoder_params"]["convnet_layers"][1]["residual"] is True
    assert train["dtype"] == "float32"
    assert resolved["overrides"] == ["--batch_size_per_gpu=9", "--logdir=a b"]
    assert resolved["config_file"] == path and resolved["tensorflow"] == tf.__version__
    assert resolved["arguments"]["mode"] == "train" and len(resolved["sha256"]) == 64


def test_the_environment_is_not_saved(write_config, tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2hunter2")
    path = write_config()
    arguments, overrides = parse_command_line(["--config_file=" + path])
    saving.write_resolved_config(str(tmp_path / "run"), load_experiment(path, "train", overrides), arguments)
    for name in os.listdir(str(tmp_path / "run")):
        assert "hunter2" not in read(str(tmp_path / "run"), name)


def test_values_that_json_cannot_represent():
    assert saving.plain({"a": (np.float32(0.5), np.arange(2)), 3: tf.float16, "i": float("inf"), "n": float("nan"),
                         "f": np.linalg.norm, "c": dict, "b": True, "none": None}) == {
        "a": [0.5, [0, 1]], "3": "float16", "i": "inf", "n": "nan", "f": "numpy.linalg.norm", "c": "builtins.dict",
        "b": True, "none": None}


def test_flattened_paths_are_those_of_overrides():
    assert saving.flattened({"b": {"layers": [{"repeat": 5}, 7]}, "a": "x", "none": {}}) == [
        ("b/layers/0/repeat", 5), ("b/layers/1", 7), ("a", "x")]


def test_code_outside_a_repository_has_no_commit(monkeypatch, tmp_path):
    monkeypatch.setattr(saving, "CODE", str(tmp_path))
    assert saving.code_state() == (None, "")


def test_a_directory_that_cannot_be_created(write_config, tmp_path):
    path = write_config()
    (tmp_path / "file").write_text("")
    arguments, overrides = parse_command_line(["--config_file=" + path])
    with pytest.raises(StorageError, match="cannot create the directory"):
        saving.write_resolved_config(str(tmp_path / "file" / "run"), load_experiment(path, "train", overrides), arguments)
