"""The flags of Coqui STT's playbook set the corresponding keys of the config."""
import os

import pytest

from open_seq2seq.errors import ConfigError, UsageError
from open_seq2seq.experiment.command_line import parse_command_line
from open_seq2seq.experiment.flags import Arguments
from open_seq2seq.experiment.loading import load_experiment
from open_seq2seq.experiment.playbook import FLAGS, INSTEAD
from open_seq2seq.experiment.saving import plain
from open_seq2seq.models import Speech2Text
from tests.paths import REPOSITORY

DIVIDED = '''
base_params["num_checkpoints"] = 2
base_params["encoder_params"]["convnet_layers"][1]["dropout_keep_prob"] = 0.5
'''
# the last command line of the playbook's page on training, with the flags that this project needs in addition
PLAYBOOK = """--train_files data/train.csv --dev_files data/dev.csv --test_files data/test.csv --checkpoint_dir data/checkpoints
    --export_dir data/exported-model --width_multiplier 4 --reduce_lr_on_plateau true --plateau_epochs 8 --plateau_reduction 0.08
    --early_stop true --es_epochs 10 --es_min_delta 0.06 --dropout_rate 0.3""".split()


def load(path, *words):
    arguments, overrides = parse_command_line(["--config_file", path] + list(words))
    return arguments, load_experiment(path, arguments.mode, overrides, arguments.export_dir is not None)


@pytest.mark.parametrize("joined", [False, True])
def test_the_playbook_s_command_line(write_config, joined):
    words = PLAYBOOK + ["--checkpoint_secs", "1800", "--max_to_keep", "3", "--epochs", "75", "--train_batch_size", "8",
                        "--dev_batch_size", "4", "--test_batch_size", "2", "--learning_rate", "0.001"]
    if joined:
        words = ["%s=%s" % pair for pair in zip(words[::2], words[1::2])]
    arguments, experiment = load(write_config(DIVIDED), *words)
    assert arguments.mode == "train_eval" and arguments.export_dir == "data/exported-model"
    params = plain(experiment.params)
    assert list(experiment.params) == ["train", "eval", "test", "export"]
    assert {name: params[name]["data_layer_params"]["dataset_files"] for name in ("train", "eval", "test")} == {
        "train": ["data/train.csv"], "eval": ["data/dev.csv"], "test": ["data/test.csv"]}
    train = params["train"]
    assert [train[key] for key in ("checkpoint_dir", "save_checkpoint_secs", "num_checkpoints", "num_epochs", "max_steps",
                                   "batch_size_per_gpu", "width_multiplier")] == ["data/checkpoints", 1800.0, 3, 75, None, 8, 4.0]
    assert [train[key] for key in ("reduce_lr_on_plateau", "plateau_epochs", "plateau_reduction", "early_stop", "es_epochs",
                                   "es_min_delta")] == [True, 8, 0.08, True, 10, 0.06]
    assert params["eval"]["eval_batch_size_per_gpu"] == 4 and params["test"]["eval_batch_size_per_gpu"] == 2
    assert train["lr_policy_params"]["learning_rate"] == 0.001
    encoder = train["encoder_params"]
    # also the layer with its own probability
    assert (encoder["dropout_keep_prob"], [layer["dropout_keep_prob"] for layer in encoder["convnet_layers"]]) == (
        0.7, [None, 0.7])
    assert [layer["num_channels"] for layer in encoder["convnet_layers"]] == [32, 32]
    assert experiment.notes == ['%s: base_params["max_steps"] has no effect: the command line says --epochs=75'
                                % experiment.path]


@pytest.mark.parametrize("words", [
    ["--train_files", "a.csv", "b.csv"], ["--train_files=a.csv,b.csv"], ["--train_files", "a.csv,b.csv"],
    ["--train_files", "['a.csv', 'b.csv']"], ["--train_files=a.csv, b.csv"]])
def test_several_files(write_config, words):
    _, experiment = load(write_config(), *words)
    assert experiment.params["train"]["data_layer_params"]["dataset_files"] == ["a.csv", "b.csv"]


def test_the_mode_decides_what_test_files_are_for(write_config):
    path = write_config()
    files = {mode: load(path, "--mode=" + mode, "--test_files", "t.csv", "--test_batch_size=3")[1].params
             for mode in ("train", "eval", "infer")}
    assert list(files["train"]) == ["train", "test"]
    for params in (files["train"]["test"], files["eval"]["eval"], files["infer"]["infer"]):
        assert params["data_layer_params"]["dataset_files"] == ["t.csv"] and params["eval_batch_size_per_gpu"] == 3
    assert files["train"]["train"]["eval_batch_size_per_gpu"] is None
    # a config can have test_params, too; keys that are not in them are those of eval_params
    with_section = write_config('eval_params["random_seed"] = 5\n'
                                'test_params = {"data_layer_params": {"dataset_files": ["own.csv"]}}')
    test = load(with_section)[1].params["test"]
    assert test["data_layer_params"]["dataset_files"] == ["own.csv"] and test["random_seed"] == 5


def test_dev_files_make_it_train_eval_unless_the_mode_is_typed(write_config):
    path = write_config("del eval_params")
    assert load(path, "--dev_files=d.csv")[0].mode == "train_eval"
    arguments, experiment = load(path, "--dev_files=d.csv", "--mode=train")
    assert arguments.mode == "train"
    assert experiment.notes == ["command line: --dev_files=d.csv has no effect in --mode=train"]


def test_dev_files_are_evaluated_once_an_epoch_unless_the_steps_are_typed(write_config):
    path = write_config('base_params["eval_steps"] = 500')
    assert load(path, "--mode=train_eval")[1].params["train"]["eval_steps"] == 500
    _, experiment = load(path, "--dev_files=d.csv")
    assert experiment.params["train"]["eval_steps"] is None
    assert [note for note in experiment.notes if "eval_steps" in note] == [
        path + ': base_params["eval_steps"] has no effect: with --dev_files the model is evaluated once an epoch, unless '
        "--eval_steps is given, too"]
    for words in (["--eval_steps=7", "--dev_files=d.csv"], ["--dev_files=d.csv", "--eval_steps", "7"]):
        _, experiment = load(path, *words)
        assert experiment.params["train"]["eval_steps"] == 7
        assert not [note for note in experiment.notes if "eval_steps" in note]


def test_the_last_value_takes_precedence_and_contradictions_are_named(write_config):
    path = write_config(DIVIDED)
    _, experiment = load(path, "--epochs=5", "--num_epochs=7")
    assert experiment.params["train"]["num_epochs"] == 7
    assert "command line: --epochs=5 and --num_epochs=7 set the same key; the last one takes precedence" in experiment.notes
    _, experiment = load(path, "--num_epochs=7", "--epochs=5", "--data_layer_params/dataset_files=['x.csv']",
                         "--train_files", "a.csv", "b.csv", "--encoder_params/convnet_layers/1/dropout_keep_prob=0.9",
                         "--dropout_rate=0.3", "--encoder_params/convnet_layers/0/dropout_keep_prob=0.8")
    params = experiment.params["train"]
    assert params["num_epochs"] == 5 and params["data_layer_params"]["dataset_files"] == ["a.csv", "b.csv"]
    assert [layer["dropout_keep_prob"] for layer in params["encoder_params"]["convnet_layers"]] == [0.8, 0.7]
    assert "command line: --data_layer_params/dataset_files=['x.csv'] and --train_files=a.csv,b.csv set the same key; the " \
           "last one takes precedence" in experiment.notes
    # the same value twice is not a contradiction
    assert not any("same key" in note for note in load(path, "--epochs=5", "--num_epochs=5")[1].notes)


@pytest.mark.parametrize("words, message", [
    (["--epochs", "-5"], "--epochs is -5, expected the total number of passes through the training data"),
    (["--epochs=0"], "--epochs is 0, expected the total number of passes"),
    (["--dropout_rate=1.0"], "--dropout_rate is 1.0, expected the share of values to drop, at least 0 and below 1"),
    (["--dropout_rate", "much"], "--dropout_rate is much, expected the share"),
    (["--train_files"], "--train_files is given without a value; manifest CSVs to train on"),
    (["--train_files="], "--train_files is given without a value"),
    (["--train_files", "--epochs=3"], "--train_files is given without a value"),
    (["--dev_files=a.csv,,b.csv"], "--dev_files is 'a.csv,,b.csv', expected files separated by commas"),
    (["--test_files=[a.csv]"], "--test_files is [a.csv], which is not a list of strings; write --test_files=a.csv,b.csv"),
    (["--train_batch_size", "8", "9"], "'9' belongs to no flag"),
    (["--n_hidden", "64"], "--n_hidden is a flag of Coqui STT that run.py does not have: it is the width of Coqui STT's layers; "
                           "use --width_multiplier=0.5"),
    (["--alphabet_config_path=a.txt"], "use --data_layer_params/vocab_file=FILE"),
    (["--dropout_rate2=0.3"], "use --encoder_params/convnet_layers/1/dropout_keep_prob"),
    (["--drop_source_layers", "1"], "use --drop_layers=N with --load_checkpoint_dir"),
    (["--noearly_stop"], "--noearly_stop is unknown; write --early_stop=false"),
    (["--noshow_progressbar"], "--noshow_progressbar is a flag of Coqui STT that run.py does not have; remove it"),
    (["--train_file=a.csv"], "--train_file is unknown (did you mean --train_files?)"),
    (["--train-files=a.csv"], "--train-files is unknown (did you mean --train_files?)"),
    (["--export-dir=m"], "--export-dir is unknown (did you mean --export_dir?)"),
    (["--mode=eval", "--export_dir=m"], "--export_dir belongs to --mode=export, and this is --mode=eval"),
    (["--frames=100"], "--frames belongs to --mode=export, and this is --mode=train"),
])
def test_wrong_command_lines(words, message):
    with pytest.raises(UsageError) as caught:
        parse_command_line(["--config_file=c.py"] + words)
    assert message in str(caught.value)


@pytest.mark.parametrize("words, message", [
    (["--epochs=many"], "command line: --epochs is 'many' (str), expected an integer at least 1"),
    (["--dev_batch_size=0", "--dev_files=d.csv"], "command line: --dev_batch_size is 0 (int), expected an integer at least 1"),
    (["--learning_rate=-1"], "command line: --learning_rate is -1 (int), expected a number at least 0.0"),
    (["--checkpoint_secs=-1"], "command line: --checkpoint_secs is -1 (int), expected a number above 0.0"),
    (["--early_stop=true"], "command line: --early_stop is True and needs evaluations, which --mode=train does not make; use "
                            "--mode=train_eval, or --dev_files"),
    (["--dev_files=d.csv", "--early_stop=true", "--es_epochs=0"], "command line: --es_epochs is 0 (int), expected an integer"),
    (["--dev_files=d.csv", "--plateau_reduction=1.5"],
     "command line: --plateau_reduction is 1.5 (float), expected a number above 0.0 and below 1.0"),
    (["--dev_files=d.csv", "--early_stop=yes"], "command line: --early_stop is 'yes' (str), expected True or False"),
])
def test_wrong_values_are_named_as_they_were_typed(write_config, words, message):
    with pytest.raises(ConfigError) as caught:
        load(write_config(), *words)
    assert str(caught.value).startswith(message)


def test_checkpoints_by_time_can_be_switched_off(write_config):
    path = write_config('base_params["save_checkpoint_secs"] = 60')
    assert load(path, "--checkpoint_secs=0")[1].params["train"]["save_checkpoint_secs"] is None


def test_no_flag_hides_a_key_of_the_config():
    declared = {parameter.name for parameter in Speech2Text.PARAMETERS}
    assert not declared & set(INSTEAD)
    assert {flag.name for flag in FLAGS if flag.keys is None} - declared == {"export_dir"}
    assert not {flag.name for flag in FLAGS} & set(INSTEAD)
    # a key of the config is not mistaken for a misspelled flag
    for name in sorted(declared - set(Arguments._fields) - {flag.name for flag in FLAGS}):
        # --decoder is also how logits are decoded; a class is written with a capital letter
        assert [override.keys for override in parse_command_line(["--config_file=c.py", "--%s=M.C" % name])[1]] == [(name,)]


def test_every_flag_is_in_the_help_and_on_the_page(capsys):
    with pytest.raises(SystemExit):
        parse_command_line(["--help"])
    shown = capsys.readouterr().out
    with open(os.path.join(REPOSITORY, "docs", "playbook.md"), encoding="utf-8") as file:
        page = file.read()
    for flag in FLAGS:
        assert "  --%s " % flag.name in shown and "`--%s`" % flag.name in page, flag.name
