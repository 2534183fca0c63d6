"""The experiments in configs/speech2text: they load in every mode and build the networks that they describe."""
import glob
import os
import re

import pytest

from open_seq2seq.config.overrides import parse_overrides
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
    assert (data["num_audio_features"], data["max_duration"], data["input_type"]) == (64, 16.63, "logfbank")
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
    assert {key for key in one if one[key] != eight[key]} == {"use_horovod"}


# docs/configuration.md names these with the reasons; the values are those of the ModelZoo port's files of the same names
DIFFERENT = {
    "5x3 1p": {"num_epochs": 1, "eval max_duration": 16.63, "train max_feature_length": 1664, "train max_label_length": 96,
               "eval max_feature_length": 1664, "eval max_label_length": 96, "train join_shorter_than": 0,
               "summaries": ["learning_rate", "variables", "gradients", "larc_summaries", "variable_norm", "gradient_norm",
                             "global_gradient_norm"]},
    "5x3 8p": {"num_epochs": 50},
    "10x5": {"num_epochs": 400, "train max_duration": 16.7, "eval max_duration": -1.0, "train max_feature_length": None,
             "eval max_feature_length": None, "train max_label_length": None, "eval max_label_length": None}}
EQUAL = {"random_seed": 0, "batch_size_per_gpu": 32, "iter_size": 1, "save_summaries_steps": 100, "print_loss_steps": 10,
         "print_samples_steps": 2200, "eval_steps": 2200, "save_checkpoint_steps": 1100, "num_checkpoints": 2,
         "logdir": "jasper_log_folder", "loss_scaling": "Backoff", "train max_duration": 16.63, "train dither": 1e-5,
         "train pad_to": 16, "train shuffle": True, "eval shuffle": False}


@pytest.mark.parametrize("name, file", [("5x3 1p", "jasper5x3_LibriSpeech_nvgrad_masks_1p.py"),
                                        ("5x3 8p", "jasper5x3_LibriSpeech_nvgrad_masks_8p.py"),
                                        ("10x5", "jasper10x5_LibriSpeech_nvgrad_masks.py")])
def test_the_documentation_lists_what_differs_from_the_port(name, file):
    params = load(file, "train_eval")

    def ours(key):
        section, _, data_key = key.rpartition(" ")
        return params[section]["data_layer_params"][data_key] if section else params["train"][key]

    ports = dict(EQUAL, **DIFFERENT["5x3 1p"])
    ports.update(DIFFERENT[name])
    with open(os.path.join(REPOSITORY, "docs", "configuration.md")) as page:
        table = page.read().partition("| key | the port's | here |")[2].partition("\n\n")[0]
    different = {key.split(" ")[-1] for key, value in ports.items() if (ours(key) or None) != (value or None)}
    if name == "5x3 1p":
        assert different == set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE))
    else:
        assert different <= set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE))


def test_the_environment_determines_the_directory_of_the_data(monkeypatch):
    monkeypatch.delenv("JASPER_DATA", raising=False)
    assert load("jasper_mini_digits.py", "train")["train"]["data_layer_params"]["dataset_files"] == ["corpus/digits/train.csv"]
    monkeypatch.setenv("JASPER_DATA", "/elsewhere")
    assert load("jasper_mini_digits.py", "eval")["eval"]["data_layer_params"]["dataset_files"] == ["/elsewhere/digits/dev.csv"]
    assert load("jasper5x3_LibriSpeech_nvgrad_masks_1p.py", "infer")["infer"]["data_layer_params"]["dataset_files"] == [
        "/elsewhere/librispeech/librivox-test-clean.csv"]


def test_data_that_a_command_names_are_evaluated_instead_of_the_eval_files_of_a_task():
    config = os.path.join(CONFIGS, "jasper_mini_turkic.py")

    def files(mode, section, task=None, **typed):
        overrides = parse_overrides(["--%s_params/data_layer_params/dataset_files=['%s']" % item for item in typed.items()])
        params = load_experiment(config, mode, overrides, task=task).params[section]
        return [os.path.basename(os.path.dirname(path)) + "/" + os.path.basename(path)
                for path in params["data_layer_params"]["dataset_files"]]

    assert files("eval", "eval", "kazakh") == ["kk/dev.csv"]
    assert files("eval", "eval", "kazakh", eval="new/some.csv") == ["new/some.csv"]
    assert files("infer", "infer") == ["ky/test.csv"]
    assert files("infer", "infer", "kazakh") == ["kk/dev.csv"]
    assert files("train_eval", "test", test="new/some.csv") == ["new/some.csv"]
