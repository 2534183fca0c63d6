"""scripts/transfer.sh from a trained model to data with other letters: stopped, continued, and found complete."""
import os
import re
import shutil
import subprocess

import numpy as np
import pytest

from open_seq2seq.checkpoints.files import latest_checkpoint
from open_seq2seq.checkpoints.restore import open_checkpoint
from open_seq2seq.experiment.derived_config import derived_config, formatted
from open_seq2seq.experiment.loading import load_experiment
from tests.fixtures.processes import linked_clone
from tests.training.short_runs import make_corpus, train_short

KERNEL = "ForwardPass/fully_connected_ctc_decoder/fully_connected/kernel"
CONV11 = "ForwardPass/w2l_encoder/conv11/kernel"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a model of the letters a, b and c in "run", whose config is gone, and data with other letters in "new"."""
    folder, before = tmp_path_factory.mktemp("trained"), os.getcwd()
    make_corpus(folder)
    os.chdir(str(folder))
    try:
        train_short("--max_steps=3", "--width_multiplier=2", "--encoder_params/activation_fn=relu", mode="train_eval")
    finally:
        os.chdir(before)
    (folder / "new").mkdir()
    for name in ("train.csv", "dev.csv"):
        text = (folder / name).read_text()
        header, *rows = text.splitlines()
        letters = {ord("b"): "\u04e9", ord("c"): "b"}
        rows = ["%s,%s" % (row.rpartition(",")[0], row.rpartition(",")[2].translate(letters)) for row in rows]
        (folder / "new" / name).write_text("\n".join([header] + rows) + "\n", encoding="utf-8")
    os.rename(str(folder / "config.py"), str(folder / "elsewhere.py"))
    return folder


@pytest.fixture
def model(trained, tmp_path, monkeypatch):
    """The logdir of a copy of the model in the working directory."""
    for name in os.listdir(str(trained)):
        if name in ("run", "new"):
            shutil.copytree(str(trained / name), str(tmp_path / name))
        elif not name.endswith(".wav"):
            shutil.copy(str(trained / name), str(tmp_path / name))
    monkeypatch.chdir(str(tmp_path))
    return tmp_path / "run"


def test_the_derived_config_has_the_network_and_the_features_of_the_model(model, tmp_path):
    text = derived_config(str(model), "new", "vocab.txt", "runs/new", 20)
    (tmp_path / "derived.py").write_text(text, encoding="utf-8")
    derived = load_experiment("derived.py", "train_eval")
    own = load_experiment("elsewhere.py", "train_eval")
    for mode, folder in (("train", "train.csv"), ("eval", "dev.csv")):
        params, expected = derived.params[mode], own.params[mode]
        layers = params["encoder_params"]["convnet_layers"]
        assert [layer["num_channels"] for layer in layers] == [16, 16] and layers[1]["residual"]
        assert params["data_layer_params"]["dataset_files"] == [str(tmp_path / "new" / folder)]
        assert params["load_model"] == str(model) and params["logdir"] == "runs/new" and params["freeze_encoder_steps"] == 20
        for key in ("lr_policy", "optimizer", "lr_policy_params", "optimizer_params", "random_seed", "loss"):
            assert params[key] == expected[key], key
        for key in set(expected["data_layer_params"]) - {"dataset_files", "vocab_file"}:
            assert params["data_layer_params"][key] == expected["data_layer_params"][key], key
        for key in set(expected["encoder_params"]) - {"convnet_layers", "activation_fn"}:
            assert params["encoder_params"][key] == expected["encoder_params"][key], key


def test_a_literal_is_divided_into_lines_that_mean_the_same():
    value = {"a": [{"b%d" % number: [number] for number in range(30)}], "c": "x" * 150, "d": {"e" * 40: 1.5, "f" * 40: None,
                                                                                                   "g" * 40: []}, "h": {}}
    lines = formatted(value, 0)
    assert eval("\n".join(lines)) == value and len(lines) > 5


@pytest.mark.parametrize("prepare, words", [
    (lambda folder, model: ("nowhere", "new"), ("nowhere", "no such directory")),
    (lambda folder, model: ((folder / "empty").mkdir() or "empty", "new"), ("empty", "no checkpoint")),
    (lambda folder, model: (os.remove("new/dev.csv") or str(model), "new"), ("dev.csv is missing", "train.csv, dev.csv")),
    (lambda folder, model: ([os.remove(str(path)) for path in model.glob("*.json")]
                            and str(model), "new"), ("not known how checkpoint", "--config FILE"))])
def test_a_transfer_without_a_model_or_data_says_what_is_missing(prepare, words, model, tmp_path):
    source, data = prepare(tmp_path, model)
    with pytest.raises(Exception) as raised:
        derived_config(source, data, "vocab.txt", "runs/new", 0)
    assert all(word in str(raised.value) for word in words), raised.value
    assert hasattr(raised.value, "exit_status")


@pytest.mark.slow
def test_a_transfer_is_continued_where_it_was_stopped(model, tmp_path):
    copy = linked_clone(tmp_path / "a clone")

    def transfer(*words, expected=0):
        command = ["bash", str(copy / "scripts" / "transfer.sh"), "--from=run", "--data=new", "--output=out", "--",
                   "--max_steps=6", "--save_checkpoint_steps=2", "--ema_decay=0.9", "--unfreeze_at={'conv11': 5}"] + list(words)
        done = subprocess.run(command, cwd=str(tmp_path), capture_output=True, text=True, stdin=subprocess.DEVNULL,
                              encoding="utf-8", timeout=300)
        assert done.returncode == expected, done.stdout + done.stderr
        return done.stdout + done.stderr

    wrong = transfer("--lr_scale_of_layers={'conv9': 0.5}", expected=2)
    assert "'conv9'" in wrong and "conv11" in wrong and "before its first checkpoint" in wrong
    first = transfer()  # with corrected arguments
    assert "starts again" in first and (tmp_path / "out" / "config.py.earlier").exists()
    assert "letters copied by name: 3 of 4, and the blank: ' ab'" in first and "new letters: '\u04e9'" in first
    assert "Frozen before step 5: conv11" in first and (tmp_path / "out" / "vocab.txt").read_text(encoding="utf-8").split("\n")[
        :4] == [" ", "a", "b", "\u04e9"]
    logs = str(tmp_path / "out" / "model" / "logs")
    start, four, end = (open_checkpoint(path) for path in (
        latest_checkpoint(str(model), best=True), os.path.join(logs, "model.ckpt-4"), os.path.join(logs, "model.ckpt-6")))
    np.testing.assert_array_equal(four.get_tensor(CONV11), start.get_tensor(CONV11))
    assert np.abs(end.get_tensor(CONV11) - start.get_tensor(CONV11)).max() > 0.0
    assert np.abs(four.get_tensor(KERNEL)[:, :2] - start.get_tensor(KERNEL)[:, :2]).max() < 0.2  # the space and a were copied
    assert "is trained" in transfer() and "was begun with" in transfer("--random_seed=1", expected=3)

    # as if it had been killed after step 4
    os.remove(str(tmp_path / "out" / "trained.txt"))
    for name in os.listdir(logs):
        if re.match(r"model\.ckpt-6|best_dev", name):
            os.remove(os.path.join(logs, name))
    again = transfer()
    assert "resuming the training" in again and "config.py exists" in again and "vocab.txt exists" in again
    np.testing.assert_array_equal(open_checkpoint(os.path.join(logs, "model.ckpt-6")).get_tensor(KERNEL), end.get_tensor(KERNEL))
