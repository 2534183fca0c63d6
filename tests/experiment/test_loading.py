import hashlib
import os
import subprocess
import sys

import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.config.overrides import parse_overrides
from open_seq2seq.errors import ConfigError
from open_seq2seq.experiment.loading import load_experiment
from open_seq2seq.models import Speech2Text
from tests.paths import REPOSITORY


def load(path, *words, mode="train"):
    return load_experiment(path, mode, parse_overrides(list(words)))


def error_message(path, *words, mode="train"):
    with pytest.raises(ConfigError) as caught:
        load(path, *words, mode=mode)
    assert caught.value.exit_status == 2
    return str(caught.value).replace(path, "CONFIG")


def test_a_mode_s_params_are_base_params_updated_by_the_mode_s_own(write_config):
    path = write_config("""
        train_params["batch_size_per_gpu"] = 32
        train_params["data_layer_params"]["shuffle"] = False
    """)
    train = load(path).params["train"]
    assert train["batch_size_per_gpu"] == 32
    assert train["data_layer_params"]["dataset_files"] == ["train.csv"]
    assert train["data_layer_params"]["num_audio_features"] == 16
    assert train["data_layer_params"]["shuffle"] is False
    evaluation = load(path, mode="eval").params["eval"]
    assert evaluation["batch_size_per_gpu"] == 4 and evaluation["data_layer_params"]["dataset_files"] == ["dev.csv"]
    both = load(path, "--eval_steps=3", mode="train_eval").params
    assert sorted(both) == ["eval", "train"]
    assert both["train"]["batch_size_per_gpu"] == 32 and both["eval"]["batch_size_per_gpu"] == 4


def test_references_that_are_not_normalized_like_the_transcripts_of_training_are_noted(write_config):
    path, steps = write_config(), "data_layer_params/normalization=['lower', {'map': {'&': ' and '}}]"
    for words, told in (([], False), (["--" + steps], False), (["--train_params/" + steps], True)):
        experiment = load(path, *words, mode="train_eval")
        notes = [note for note in experiment.notes if "normalization" in note]
        assert len(notes) == told and all("eval_params" in note and "base_params" in note for note in notes)
    assert experiment.params["train"]["data_layer_params"]["normalization"] == ["lower", {"map": {"&": " and "}}]
    message = error_message(path, "--data_layer_params/normalization=['lower', 'lwoer']")
    assert "--data_layer_params/normalization/1" in message and "'lwoer'" in message and '"lower"' in message


def test_the_fields_of_an_experiment(write_config, capsys):
    path = write_config("print('a config may print')")
    experiment = load(path, "--batch_size_per_gpu=7")
    with open(path, "rb") as file:
        source = file.read()
    assert experiment.path == path and experiment.source == source
    assert experiment.sha256 == hashlib.sha256(source).hexdigest()
    assert experiment.base_model is Speech2Text
    assert experiment.overrides[0].value == experiment.params["train"]["batch_size_per_gpu"] == 7
    output = capsys.readouterr()
    assert output.out == ""
    assert "Config %s, sha256 %s\na config may print\n" % (path, experiment.sha256) in output.err


def test_the_dicts_of_the_config_are_not_changed(write_config):
    path = write_config("""
        import sys
        sys.base_params_of_test = base_params
    """)
    load(path, "--encoder_params/convnet_layers/0/num_channels=99")
    assert sys.base_params_of_test["encoder_params"]["convnet_layers"][0]["num_channels"] == 8
    del sys.base_params_of_test


def test_overrides_win_over_the_mode_s_params_and_reach_one_mode_alone(write_config):
    path = write_config('train_params["batch_size_per_gpu"] = 32')
    params = load(path, "--batch_size_per_gpu=5", "--eval_params/batch_size_per_gpu=6", "--train_params/print_loss_steps=1",
                  "--eval_steps=2", mode="train_eval").params
    assert params["train"]["batch_size_per_gpu"] == 5 and params["eval"]["batch_size_per_gpu"] == 6
    assert params["train"]["print_loss_steps"] == 1 and params["eval"]["print_loss_steps"] == 5


def test_the_name_of_a_mode_s_dict_on_the_command_line(write_config):
    path = write_config()
    assert load(path, "--train_params/print_loss_steps=1", mode="eval").notes == [
        "command line: --train_params/print_loss_steps=1 has no effect in --mode=eval"]
    assert error_message(path, "--trian_params/print_loss_steps=1") == (
        'command line: --trian_params is unknown (did you mean "train_params"?)')
    assert error_message(path, "--logdir") == "command line: --logdir is True (bool), expected a path"


def test_names_on_the_command_line(write_config):
    path = write_config('del base_params["optimizer_params"]')
    params = load(path, "--lr_policy=fixed_lr", "--optimizer=NovoGrad", "--dtype=mixed",
                  "--encoder_params/activation_fn=elu", "--encoder_params/initializer=glorot_normal_initializer").params["train"]
    assert params["lr_policy"].__name__ == "fixed_lr" and params["optimizer"].__name__ == "NovoGrad"
    assert params["optimizer_params"]["beta1"] == 0.95 and params["dtype"] == "mixed"
    assert params["encoder_params"]["activation_fn"] is tf.nn.elu
    assert params["encoder_params"]["initializer"] is tf.glorot_normal_initializer
    assert load(path, "--dtype=float32", "--optimizer=SGD").params["train"]["dtype"] is tf.float32
    assert error_message(path, "--optimizer=NovoGard", "--encoder_params/activation_fn=rleu") == (
        "command line: --optimizer is 'NovoGard', expected a string or a function or a class, or one of the names Adagrad, "
        "Adam, AdamW, Ftrl, Momentum, NovoGrad, RMSProp, SGD (did you mean 'NovoGrad'?)\n"
        "command line: --encoder_params/activation_fn is 'rleu', expected a function or a class or one of None, or one of the "
        "names elu, leaky_relu, relu, relu6, selu, sigmoid, softplus, swish, tanh (did you mean 'relu'?)")


def test_all_mistakes_at_once_each_with_the_dict_it_was_written_in(write_config):
    path = write_config("""
        base_params["encoder_params"]["convnet_layers"][1]["num_chanels"] = 3
        base_params["batch_size_per_gpu"] = "many"
        base_params["print_samples_steps"] = 7
        base_params["optimizer_params"]["momentun"] = 0.9
        base_params["lr_policy_params"]["min_lr"] = -1
        base_params["larc_params"] = {"larc_etta": 0.001, "larc_eta": 0.001}
        base_params["max_grad_norm"] = 1.0
        base_params["num_epochs"] = 3
        train_params["data_layer_params"]["max_durtion"] = 16.7
        train_params["data_layer_params"]["augmentation"] = {"n_freq_mask": -1}
    """)
    assert error_message(path, "--decoder_params/beam=3", "--train_params/finetun=1").split("\n") == [
        'CONFIG: base_params["batch_size_per_gpu"] is \'many\' (str), expected an integer at least 1 and at most 1000000',
        'command line: --train_params/finetun is unknown (did you mean "finetune"?)',
        'CONFIG: train_params["data_layer_params"]["max_durtion"] is unknown (did you mean "max_duration"?)',
        'CONFIG: train_params["data_layer_params"]["augmentation"]["n_freq_mask"] is -1 (int), expected an integer at least 0 '
        "and at most 1000",
        'CONFIG: base_params["encoder_params"]["convnet_layers"][1]["num_chanels"] is unknown (did you mean "num_channels"?)',
        'command line: --decoder_params/beam is unknown (did you mean "beta"?)',
        'CONFIG: base_params["optimizer_params"]["momentun"] is unknown (did you mean "momentum"?)',
        'CONFIG: base_params["lr_policy_params"]["min_lr"] is -1 (int), expected a number at least 0.0',
        'CONFIG: base_params["larc_params"]["larc_etta"] is unknown (did you mean "larc_eta"?)',
        'CONFIG: base_params["max_steps"] and CONFIG: base_params["num_epochs"] are both given; keep one, or remove the other '
        "with --num_epochs=None or --max_steps=None",
        'CONFIG: base_params["max_grad_norm"] and CONFIG: base_params["larc_params"] are both given; LARC limits the gradients '
        "already, keep one",
        'CONFIG: base_params["print_samples_steps"] is 7, expected a multiple of print_loss_steps, which is 5: samples are '
        "printed below a loss"]


def test_a_mistake_that_both_modes_inherit_is_listed_once(write_config):
    path = write_config('base_params["batch_size_per_gpu"] = 0')
    assert error_message(path, "--eval_steps=1", mode="train_eval") == (
        'CONFIG: base_params["batch_size_per_gpu"] is 0 (int), expected an integer at least 1 and at most 1000000')


@pytest.mark.parametrize("change, mode, message", [
    ('del base_params["max_steps"]', "train", 'base_params["num_epochs"] is missing; training needs num_epochs or max_steps'),
    ('del base_params["optimizer"]', "train", 'base_params["optimizer"] is missing; training needs it'),
    ('del base_params["lr_policy"]', "train", 'base_params["lr_policy"] is missing; training needs it'),
    ('del base_params["loss"]', "eval", 'base_params["loss"] is missing; --mode=eval needs it'),
    ('del base_params["logdir"]', "infer", 'base_params["logdir"] is missing; expected the directory of the run'),
    ('del infer_params["data_layer_params"]', "infer", 'base_params["data_layer_params"]["dataset_files"] is missing'),
    ('base_params["eval_steps"] = 2; del eval_params', "train_eval", "eval_params is missing; --mode=train_eval needs it"),
    ('base_params["early_stop"] = True', "train", 'base_params["early_stop"] is True and needs evaluations, which --mode=train '
     "does not make; use --mode=train_eval"),
    ('base_params["reduce_lr_on_plateau"] = True', "train",
     'base_params["reduce_lr_on_plateau"] is True and needs evaluations'),
    ('base_params.update(early_stop=True, reduce_lr_on_plateau=True, es_epochs=10, plateau_epochs=10)', "train_eval",
     'base_params["plateau_epochs"] is 10, expected less than es_epochs, which is 10: the training would end before'),
    ('base_params.update(load_checkpoint_dir="runs/a", save_checkpoint_dir="runs/../runs/a")', "train",
     'base_params["save_checkpoint_dir"] is \'runs/../runs/a\' and load_checkpoint_dir is the same directory'),
    ('base_params["plateau_reduction"] = 1.5', "train",
     'base_params["plateau_reduction"] is 1.5 (float), expected a number above 0.0 and below 1.0'),
    ('base_params["es_epochs"] = 0', "train", 'base_params["es_epochs"] is 0 (int), expected an integer at least 1'),
    ('base_params["stopping_metric"] = "wers"', "train", 'base_params["stopping_metric"] is \'wers\', expected one of \'loss\', '
     "'wer' (did you mean 'wer'?)"),
    ('train_params["encoder_params"] = 3', "train", 'train_params["encoder_params"] is 3 (int), expected a dict'),
    ('base_params["encoder_params"] = 3; train_params["encoder_params"] = {}', "train",
     'base_params["encoder_params"] is 3, but train_params has a dict there'),
])
def test_rules_for_combinations_of_keys(write_config, change, mode, message):
    assert "CONFIG: " + message in error_message(write_config(change), mode=mode)


@pytest.mark.parametrize("change,note", [
    ('base_params["summaries"] = ["learning_rate"]', "has no effect: nothing is written without save_summaries_steps"),
    ('base_params.update(summaries=["larc_summaries"], save_summaries_steps=5)', "which has no effect without larc_params"),
    ('base_params.update(summaries=["learning_rate"], save_summaries_steps=5)', None)])
def test_summaries_without_effect_are_noted(write_config, change, note):
    notes = [found for found in load(write_config(change), mode="train").notes if "summaries" in found]
    assert len(notes) == (note is not None) and all(note in found for found in notes)


def test_directories_without_effect_are_noted(write_config):
    named = 'base_params.update(load_checkpoint_dir="a", save_checkpoint_dir="b", checkpoint_dir="c", load_model="d")'
    notes = "\n".join(load(write_config(named), mode="train").notes)
    assert "checkpoint_dir\"] has no effect" in notes
    assert 'load_model"] has no effect: training resumes from load_checkpoint_dir' in notes
    notes = "\n".join(load(write_config('base_params["drop_layers"] = 1'), mode="train").notes)
    assert 'drop_layers"] has no effect without load_model' in notes


def test_evaluation_needs_neither_optimizer_nor_length(write_config):
    path = write_config('del base_params["optimizer"], base_params["lr_policy"], base_params["max_steps"]')
    assert load(path, mode="eval").params["eval"]["optimizer"] is None


def test_describe_needs_no_data_set(write_config):
    path = write_config("del train_params, eval_params, infer_params")
    assert load(path, mode="describe").params["describe"]["data_layer_params"]["num_audio_features"] == 16
    # the oldest configs have no data layer in base_params
    path = write_config("""
        eval_params["data_layer"] = base_params.pop("data_layer")
        eval_params["data_layer_params"] = dict(base_params.pop("data_layer_params"), num_audio_features=40)
    """)
    assert load(path, mode="describe").params["describe"]["data_layer_params"]["num_audio_features"] == 40


def test_custom_classes_are_not_checked_and_a_note_says_so(write_config):
    path = write_config("""
        class OwnEncoder:
            pass
        base_params["encoder"] = OwnEncoder
        base_params["encoder_params"] = {"anything": [1]}
    """)
    experiment = load(path)
    assert experiment.params["train"]["encoder_params"] == {"anything": [1]}
    assert experiment.notes == [
        '%s: base_params["encoder_params"] is not checked: the class or function that takes it declares no PARAMETERS' % path]


def test_keys_without_effect_are_noted(write_config):
    experiment = load(write_config('base_params["num_gpus"] = 8\ntrian_params = {}\ndel train_params["data_layer_params"]\n'
                                   'base_params["data_layer_params"]["dataset_files"] = ["a.csv"]\ndel train_params'))
    assert len(experiment.notes) == 2
    assert experiment.notes[0].endswith("config.py: trian_params is not used (did you mean train_params?)")
    assert 'config.py: base_params["num_gpus"] has no effect: one process drives one device' in experiment.notes[1]


@pytest.mark.parametrize("text, message", [
    ("base_model = 1\nbase_params = {\n", "CONFIG:2: syntax error: "),
    ("x = 1\nbase_params = {'a': x y}\n", "CONFIG:2: syntax error: "),
    ("x = 1\ny = x / 0\n", "CONFIG:2: ZeroDivisionError: division by zero\n    y = x / 0"),
    ("import sys\nsys.exit(3)\n", "CONFIG:2: SystemExit: 3\n    sys.exit(3)"),
    ("def f():\n    raise ValueError('bad')\nf()\n", "CONFIG:2: ValueError: bad\n    raise ValueError('bad')"),
    ("import nosuchmodule\n", "CONFIG:1: No module named 'nosuchmodule'. Install it, or put the module next to the config"),
    ("from open_seq2seq.encoders import DeepSpeech2Encoder\n", "CONFIG:1: cannot import name 'DeepSpeech2Encoder'"),
    ("from open_seq2seq.encoders import DeepSpeech2Encoder\n", "This project has convolutional CTC speech models: base_model "),
    ("from open_seq2seq.parts.rnns import utils\n", "This project has convolutional CTC speech models: base_model "),
    ("base_params = {}\n", "CONFIG: base_model is missing; expected the model's class: base_model = Speech2Text"),
    ("base_model = 3\nbase_params = {}\n", "CONFIG: base_model is 3; expected the model's class"),
    ("base_model = dict\n", "CONFIG: base_params is missing; expected a dict"),
    ("base_model = dict\nbase_params = 3\n", "CONFIG: base_params is 3; expected a dict"),
    ("base_model = dict\nbase_params = {}\neval_params = []\n", "CONFIG: eval_params is []; expected a dict"),
    ("x = 1\0\n", "CONFIG:?: syntax error: source code"),
])
def test_configs_that_cannot_be_run(write_config, text, message):
    assert message in error_message(write_config(text, complete=False))


def test_a_syntax_error_shows_the_line(write_config):
    message = error_message(write_config("x = 1\nbase_params = {'a': x y}\n", complete=False))
    assert message.endswith("\n    base_params = {'a': x y}")


def test_a_syntax_error_in_an_imported_module_names_that_file(write_config, tmp_path):
    (tmp_path / "broken_neighbour.py").write_text("a = 1\nb = )\n")
    assert "%s:2: syntax error" % (tmp_path / "broken_neighbour.py") in error_message(
        write_config("import broken_neighbour\n", complete=False))


def test_a_missing_file_suggests_a_similar_name(tmp_path, write_config):
    path = write_config(name="jasper_mini.py")
    with pytest.raises(ConfigError, match=r"jasper_mni.py cannot be read: No such file .*did you mean %s" % path):
        load(str(tmp_path / "jasper_mni.py"))
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load(str(tmp_path))


def test_modules_beside_the_config_are_imported_and_forgotten(tmp_path, write_config):
    for folder, size in (("first", 3), ("second", 4)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "sizes_of_test.py").write_text("batch = %d\n" % size)
        path = write_config("import sizes_of_test\nbase_params['batch_size_per_gpu'] = sizes_of_test.batch\n",
                            name=os.path.join(folder, "config.py"))
        path_before = list(sys.path)
        assert load(path).params["train"]["batch_size_per_gpu"] == size
        assert "sizes_of_test" not in sys.modules and sys.path == path_before


def test_tf_without_an_import_as_the_oldest_configs_have_it(write_config):
    path = write_config("base_params['dtype'] = tf.float16")
    with open(path) as file:
        text = file.read().replace("import tensorflow as tf\n", "")
    with open(path, "w") as file:
        file.write(text)
    assert load(path).params["train"]["dtype"] is tf.float16


def test_a_config_s_lambda_works_after_loading(write_config, graph):
    path = write_config('base_params["encoder_params"]["activation_fn"] = lambda x: tf.minimum(tf.nn.relu(x), 20.0)')
    activation = load(path).params["train"]["encoder_params"]["activation_fn"]
    with tf.Session() as session:
        assert session.run(activation(tf.constant([-1.0, 5.0, 30.0]))).tolist() == [0.0, 5.0, 20.0]


def test_an_error_of_our_own_code_is_not_converted(write_config):
    # a ConfigError would hide the traceback of a bug
    path = write_config("from open_seq2seq.text.vocabulary import Vocabulary\nVocabulary('aa')")
    with pytest.raises(AssertionError, match="characters repeat"):
        load(path)


@pytest.mark.parametrize("word, suggestion", [
    ("--config=c.py", "--config_file"), ("--outputs=x", "--output"), ("--infer_output=x", "--infer_output_file"),
    ("--train_file=a.csv", "--train_files"), ("--benchmarking", "--benchmark"), ("--continue", "--continue_learning")])
def test_a_misspelled_flag_is_reported_with_a_suggestion(write_config, word, suggestion):
    message = error_message(write_config(), word)
    assert message == 'command line: %s is unknown (did you mean "%s"?)' % (word.partition("=")[0], suggestion)


def test_a_key_similar_to_a_flag_is_a_key(write_config):
    path = write_config("""
        from open_seq2seq.config.parameters import Int, Parameter
        class Own(Speech2Text):
            PARAMETERS = Speech2Text.PARAMETERS + (Parameter("outputs", Int(), default=0),)
        base_model = Own
    """)
    assert load(path, "--outputs=3").params["train"]["outputs"] == 3


@pytest.mark.skipif(not tf.__version__.startswith("1."), reason="TensorFlow 2 has no contrib")
def test_loading_a_config_does_not_import_the_contrib_modules_of_tensorflow():
    # they are imported when any attribute of the module tensorflow.contrib is read, and take half a second
    script = ("import sys\n"
              "from open_seq2seq.experiment.loading import load_experiment\n"
              "load_experiment('configs/speech2text/jasper_mini_digits.py', 'eval', [])\n"
              "print(sorted(name for name in sys.modules if '.contrib.' in name)[:3])")
    printed = subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, check=True).stdout
    assert printed.splitlines()[-1] == "[]"
