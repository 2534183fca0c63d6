"""Values that no network can have, in a config and on the command line: a ConfigError that names the key, never a traceback."""
import json

import pytest

from open_seq2seq.config.overrides import parse_overrides
from open_seq2seq.errors import ConfigError
from open_seq2seq.experiment.command_line import parse_command_line
from open_seq2seq.experiment.loading import load_experiment
from open_seq2seq.experiment.saving import plain

LAYER = 'base_params["encoder_params"]["convnet_layers"][0]'


def message(path, *words, mode="train"):
    with pytest.raises(ConfigError) as caught:
        load_experiment(path, mode, parse_overrides(list(words)))
    return str(caught.value).replace(path, "CONFIG")


@pytest.mark.parametrize("change, expected", [
    ("base_params[(1, 2)] = 3", "CONFIG: base_params[(1, 2)] is unknown "),
    ("base_params['encoder_params'][(1,)] = 3", 'CONFIG: base_params["encoder_params"][(1,)] is unknown '),
    ("base_params['initializer_params'] = {(1, 2): 3}",
     'CONFIG: base_params["initializer_params"] is {(1, 2): 3} (dict), expected a dict with string keys'),
    ("base_params['encoder_params']['itself'] = base_params",
     'CONFIG: base_params["encoder_params"]["itself"] is a dict that contains itself; expected a value that ends'),
    ("layers = base_params['encoder_params']['convnet_layers']; layers.append((layers,))",
     'CONFIG: base_params["encoder_params"]["convnet_layers"][2][0] is a list that contains itself'),
    ("deep = []\nfor _ in range(100000): deep = [deep]\nbase_params['summaries'] = deep",
     'CONFIG: base_params["summaries"][0][0]'),
    ("base_params['summaries'] = " + "[" * 5000 + "]" * 5000, ": syntax error: "),  # which one depends on Python
    ("x = " + "-" * 5000 + "1", "CONFIG:?: syntax error: an expression is nested too deeply"),
    ("x = base_params\ny = x" + ".a" * 5000, "CONFIG:?: syntax error: an expression is nested too deeply"),
    ("double = []\nfor _ in range(45): double = [double, double]\nbase_params['summaries'] = double",
     "CONFIG: base_params has more than 1000000 values"),
    ("base_params['summaries'] = ['x'] * 100000",
     'CONFIG: base_params["summaries"] has more invalid items; the items after 20 were not checked'),
    ("base_params.update(('key%d' % number, 1) for number in range(20000))", "\n... and 19950 more problems"),
    (LAYER + '["num_channels"] = 10 ** 30',
     "CONFIG: " + LAYER + '["num_channels"] is 1' + "0" * 30 + " (int), expected an integer at least 1 and at most 65536"),
    (LAYER + '["dilation"] = [10 ** 400]', "CONFIG: " + LAYER + '["dilation"][0] is an integer of 1329 bits (int), expected'),
    (LAYER + '["dilation"] = [10 ** 5000]', "CONFIG: " + LAYER + '["dilation"][0] is an integer of 16610 bits (int), expected'),
    (LAYER + '["repeat"] = 10 ** 9', "CONFIG: " + LAYER + '["repeat"] is 1000000000 (int), expected'),
    (LAYER + '["kernel_size"] = [float("nan")]', "CONFIG: " + LAYER + '["kernel_size"][0] is nan (float), expected an integer'),
    (LAYER + '.update(stride=[100], repeat=3)', "CONFIG: " + LAYER + " makes the total stride of the layers up to it 1000000 "
                                                                     "frames, expected at most 10000"),
    ('base_params["lr_policy_params"]["learning_rate"] = float("inf")',
     'CONFIG: base_params["lr_policy_params"]["learning_rate"] is inf, expected a number at least 0.0 that float32 can hold'),
    ('base_params["lr_policy_params"]["learning_rate"] = 10 ** 400',
     'CONFIG: base_params["lr_policy_params"]["learning_rate"] is an integer of 1329 bits, expected a number'),
    ('base_params["max_steps"] = 10 ** 30', 'CONFIG: base_params["max_steps"] is 1' + "0" * 30 + ", expected an integer at least "
                                            "1 that int32 can hold (at most 2147483647)"),
    ('base_params["random_seed"] = 2 ** 64', 'CONFIG: base_params["random_seed"] is 18446744073709551616 (int), expected'),
    ('base_params["freeze_variables_regex"] = "(" * 5000 + ")" * 5000',
     'CONFIG: base_params["freeze_variables_regex"] is \'((('),
    ('base_params["freeze_variables_regex"] = "a{99999999999}"',
     'CONFIG: base_params["freeze_variables_regex"] is \'a{99999999999}\', which is not a regular expression: the repeti'),
    ('base_params["encoder_params"].update(initializer=tf.random_normal_initializer, initializer_params={"stddev": 1e999})',
     'CONFIG: base_params["encoder_params"]["initializer_params"]["stddev"] is inf, expected a finite number'),
    ('base_params["encoder_params"].update(initializer=tf.random_normal_initializer, initializer_params={"stddev": "wide"})',
     'CONFIG: base_params["encoder_params"]["initializer_params"] is {\'stddev\': \'wide\'}, which RandomNormal does not '
     "take: "),
    ('base_params.update(regularizer=tf.contrib.layers.l2_regularizer, regularizer_params={"scale": "0.1"})',
     'CONFIG: base_params["regularizer_params"] is {\'scale\': \'0.1\'}, which l2_regularizer does not take: '),
    ("tf.contrib.layers.xavier_initializer(dtype=tf.int32)", "TypeError: Cannot create initializer for non-floating point type"),
    ('base_params["logdir"] = "a\\0b"', 'CONFIG: base_params["logdir"] is \'a\\x00b\', which contains a NUL character'),
    ('base_params["x" * 10000] = 1', "... (10002 characters)] is unknown "),
])
def test_in_a_config(write_config, change, expected):
    assert expected in message(write_config(change + "\n"))


@pytest.mark.parametrize("words, expected", [
    (["--\u00b2=3"], "command line: --\u00b2 is unknown "),
    (["--encoder_params/convnet_layers/\u00b2/num_channels=3"],
     "command line: --encoder_params/convnet_layers/\u00b2/num_channels leads to item \u00b2 of a list of 2"),
    (["--encoder_params/convnet_layers/99999999999/num_channels=3"], "leads to item 99999999999 of a list of 2"),
    (["--summaries=" + "[" * 5000 + "]" * 5000], "command line: --summaries is [[["),
    (["--summaries=" + "[" * 60 + "]" * 60], "]" * 60 + ", which is not a Python literal"),
    (["--batch_size_per_gpu=" + "9" * 5000], "command line: --batch_size_per_gpu is '999"),
    (["--encoder_params/convnet_layers/0/num_channels=1" + "0" * 30], "expected an integer at least 1 and at most 65536"),
    (["--lr_policy_params/learning_rate=1e400"], "command line: --lr_policy_params/learning_rate is inf, expected"),
    (["--lr_policy_params/learning_rate=nan"], "command line: --lr_policy_params/learning_rate is 'nan' (str), expected"),
])
def test_on_the_command_line(write_config, words, expected):
    assert expected in message(write_config(), *words)


@pytest.mark.parametrize("words, expected", [
    (["--" + "/".join(["a"] * 5000) + "=1"], "has 5000 keys inside each other, expected at most 20"),
    (["--train_files=" + "[" * 5000], "which is not a list of strings"),
    (["--epochs=-1" + "0" * 400], "--epochs is an integer of 1329 bits, expected the total number"),
    (["--bench_steps=" + "9" * 5000], "expected an integer at least 1"),
    (["--bench_steps=" + "9" * 30], "expected an integer at least 1 and at most 2147483647"),
    (["--debug_port=65536"], "expected an integer at least 1 and at most 65535"),
    (["--npu_memory=inf"], "is 'inf', expected a finite number above 0"),
])
def test_arguments(words, expected):
    with pytest.raises(ConfigError) as caught:
        parse_command_line(["--config_file=c.py"] + words)
    assert expected in str(caught.value)


def test_messages_about_long_values_are_short(write_config):
    text = message(write_config('base_params["summaries"] = "x" * 10 ** 6\nbase_params["num_gpus"] = 1'))
    assert len(text) < 1000 and "... (1000002 characters)" in text


def test_the_resolved_config_can_hold_any_value():
    value = {"big": 10 ** 5000, "nan": float("nan"), "infinite": float("-inf"), (1, 2): {3}, "argument": "run\udcff"}
    assert json.loads(json.dumps(plain(value), ensure_ascii=False).encode("utf-8").decode("utf-8")) == {
        "big": "an integer of 16610 bits", "nan": "nan", "infinite": "-inf", "(1, 2)": "{3}", "argument": "run\\xff"}
