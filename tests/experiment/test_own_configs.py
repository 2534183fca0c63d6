"""The experiments in configs/speech2text: they load in every mode and build the networks that they describe."""
import glob
import os

import pytest

from open_seq2seq.experiment.description import describe
from open_seq2seq.experiment.loading import load_experiment
from tests.paths import REPOSITORY

CONFIGS = os.path.join(REPOSITORY, "configs", "speech2text")
NAMES = sorted(os.path.basename(path) for path in glob.glob(os.path.join(CONFIGS, "*.py")))


def load(name, mode):
    return load_experiment(os.path.join(CONFIGS, name), mode).params


@pytest.mark.parametrize("name", NAMES)
def test_they_load_in_every_mode(name):
    for mode in ("train", "eval", "infer", "train_eval", "describe"):
        params = load(name, mode)
        assert sorted(params) == (["eval", "train"] if mode == "train_eval" else [mode])
        assert all(checked["encoder"].__name__ == "TDNNEncoder" for checked in params.values())


@pytest.mark.parametrize("name", NAMES)
def test_their_docstrings_describe_purpose_cost_and_wer(name):
    with open(os.path.join(CONFIGS, name)) as file:
        head = file.read(2000).split('"""')[1]
    for word in ("\nFor: ", "\nCost: ", "\nExpected WER", "\nData: "):
        assert word in head


@pytest.mark.slow
@pytest.mark.parametrize("name, parameters", [
    ("jasper5x3_LibriSpeech_nvgrad_masks_1p.py", 109709085),
    ("jasper5x3_LibriSpeech_nvgrad_masks_8p.py", 109709085),
    ("jasper10x5_LibriSpeech_nvgrad_masks.py", 332632349),
])
def test_sizes(name, parameters):
    experiment = load_experiment(os.path.join(CONFIGS, name), "describe")
    assert describe(experiment.base_model, experiment.params["describe"]).trainable_parameters == parameters


def test_the_5x3_recipe():
    train = load("jasper5x3_LibriSpeech_nvgrad_masks_1p.py", "train")["train"]
    assert (train["batch_size_per_gpu"], train["num_epochs"], train["max_steps"]) == (32, 50, None)
    assert train["optimizer"].__name__ == "NovoGrad"
    assert {key: train["optimizer_params"][key] for key in ("beta1", "beta2", "epsilon", "weight_decay", "grad_averaging")} == {
        "beta1": 0.95, "beta2": 0.98, "epsilon": 1e-8, "weight_decay": 0.001, "grad_averaging": False}
    assert train["lr_policy"].__name__ == "poly_decay"
    assert [train["lr_policy_params"][key] for key in ("learning_rate", "min_lr", "power")] == [0.02, 1e-5, 2.0]
    assert train["larc_params"]["larc_eta"] == 0.001
    data = train["data_layer_params"]
    assert (data["num_audio_features"], data["max_duration"], data["input_type"]) == (64, 16.7, "logfbank")
    assert [data["augmentation"][key] for key in ("n_freq_mask", "width_freq_mask", "n_time_mask", "width_time_mask")] == [
        2, 6, 2, 6]
    assert [(layer["repeat"], layer["kernel_size"][0], layer["num_channels"], layer["dropout_keep_prob"])
            for layer in train["encoder_params"]["convnet_layers"]] == [
        (1, 11, 256, 0.8), (3, 11, 256, 0.8), (3, 13, 384, 0.8), (3, 17, 512, 0.8), (3, 21, 640, 0.7), (3, 25, 768, 0.7),
        (1, 29, 896, 0.6), (1, 1, 1024, 0.6)]


def test_the_configs_for_one_and_eight_devices_differ_only_in_this():
    one = load("jasper5x3_LibriSpeech_nvgrad_masks_1p.py", "train")["train"]
    eight = load("jasper5x3_LibriSpeech_nvgrad_masks_8p.py", "train")["train"]
    assert eight["use_horovod"] and not one["use_horovod"]
    del one["encoder_params"]["activation_fn"], eight["encoder_params"]["activation_fn"]
    assert {key for key in one if one[key] != eight[key]} == {"use_horovod", "logdir"}


def test_the_environment_determines_the_directory_of_the_data(monkeypatch):
    monkeypatch.delenv("JASPER_DATA", raising=False)
    assert load("jasper_mini_digits.py", "train")["train"]["data_layer_params"]["dataset_files"] == ["corpus/digits/train.csv"]
    monkeypatch.setenv("JASPER_DATA", "/elsewhere")
    assert load("jasper_mini_digits.py", "eval")["eval"]["data_layer_params"]["dataset_files"] == ["/elsewhere/digits/dev.csv"]
    assert load("jasper5x3_LibriSpeech_nvgrad_masks_1p.py", "infer")["infer"]["data_layer_params"]["dataset_files"] == [
        "/elsewhere/librispeech/librivox-test-clean.csv"]
