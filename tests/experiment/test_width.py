import json

import pytest

from open_seq2seq.errors import ConfigError
from open_seq2seq.experiment.command_line import parse_command_line
from open_seq2seq.experiment.description import print_description
from open_seq2seq.experiment.loading import load_experiment
from open_seq2seq.experiment.network_scaling import scaled_channels, scaled_kernel
from open_seq2seq.experiment.saving import plain


@pytest.mark.parametrize("channels, multiplier, expected", [
    (256, 0.5, 128), (256, 0.25, 64), (96, 0.5, 48), (160, 0.3, 48), (896, 0.1, 88), (896, 1.5, 1344), (16, 0.1, 8),
    (100, 1.0, 100), (100, 0.999, 96), (20, 0.6, 16), (1024, 0.0001, 8)])
def test_channels_are_rounded_to_multiples_of_8(channels, multiplier, expected):
    assert scaled_channels(channels, multiplier) == expected


def load(path, *words, mode="train"):
    overrides = parse_command_line(["--config_file=" + path] + list(words))[1]
    return load_experiment(path, mode, overrides)


def channels(params):
    return [layer["num_channels"] for layer in params["encoder_params"]["convnet_layers"]]


def test_every_mode_has_the_multiplied_channels_once(write_config):
    path = write_config('base_params["encoder_params"]["convnet_layers"][1]["num_channels"] = 64')
    for mode, names in (("train_eval", ("train", "eval")), ("infer", ("infer",)), ("export", ("export",)),
                        ("describe", ("describe",))):
        params = load(path, "--width_multiplier=0.5", mode=mode).params
        assert [channels(params[name]) for name in names] == [[8, 32]] * len(names)
    # the resolved config has the channels that were built
    resolved = plain(load(path, "--width_multiplier", "0.5").params["train"])
    assert channels(resolved) == [8, 32] and resolved["width_multiplier"] == 0.5
    assert channels(load(path).params["train"]) == [8, 64]


def test_the_multiplier_of_the_command_line_replaces_that_of_the_config(write_config):
    path = write_config('base_params["width_multiplier"] = 4; train_params["width_multiplier"] = 3')
    assert channels(load(path).params["train"]) == [24, 24] and channels(load(path, mode="eval").params["eval"]) == [32, 32]
    assert channels(load(path, "--width_multiplier=2").params["train"]) == [16, 16]
    # channels from the command line are multiplied, too
    assert channels(load(path, "--width_multiplier=2", "--encoder_params/convnet_layers/1/num_channels=40").params["train"]) == [
        16, 80]


def test_describe_shows_channels_and_parameters(write_config, capsys):
    path, parameters = write_config(), {}
    for multiplier in ("1", "4"):
        capsys.readouterr()
        print_description(load(path, "--width_multiplier=" + multiplier, mode="describe"), as_json=True)
        description = json.loads(capsys.readouterr().out)
        parameters[multiplier] = description["trainable_parameters"]
        assert [layer["output_shape"][1] for layer in description["layers"][:2]] == [8 * int(multiplier)] * 2
    # 16 features, kernels of 5, 3 and 3 frames and 1 for the residual, batch norm, and 29 outputs with their bias
    def expected(width):
        return 16 * 5 * width + 2 * 3 * width * width + width * width + 4 * 2 * width + width * 29 + 29
    assert parameters == {"1": expected(8), "4": expected(32)}


@pytest.mark.parametrize("change, words, message", [
    ("", ["--width_multiplier=0"], "command line: --width_multiplier is 0 (int), expected a number above 0.0"),
    ("", ["--width_multiplier=1e9"], "command line: --width_multiplier is 1000000000.0 (float), expected a number above 0.0 and "
                                     "at most 100.0"),
    ("", ["--width_multiplier=half"], "command line: --width_multiplier is 'half' (str), expected a number above 0.0"),
    ('base_params["encoder_params"]["convnet_layers"][1]["num_channels"] = "many"', ["--width_multiplier=0.5"],
     'base_params["encoder_params"]["convnet_layers"][1]["num_channels"] is \'many\' (str)'),
    ("class Other:\n"
     "    pass\n"
     'base_params["encoder"], base_params["encoder_params"] = Other, {}', ["--width_multiplier=0.5"],
     'command line: --width_multiplier is 0.5, and the encoder has no "convnet_layers"')])
def test_mistakes(write_config, change, words, message):
    with pytest.raises(ConfigError) as caught:
        load(write_config(change), *words)
    assert message in str(caught.value) and len(str(caught.value).split("\n")) == 1


def test_depth_kernels_and_dropout_are_changed_by_one_number_each(write_config, capsys):
    path = write_config('base_params["encoder_params"]["convnet_layers"][1]["num_channels"] = 64\n'
                        'base_params["encoder_params"]["dropout_keep_prob"] = 0.8\n'
                        'base_params["encoder_params"]["convnet_layers"][1].update(residual=True, dropout_keep_prob=0.7)')
    plain_layers = load(path).params["train"]["encoder_params"]["convnet_layers"]
    encoder = load(path, "--block_copies=3", "--kernel_multiplier=1.6", "--dropout_multiplier=0.5",
                   "--width_multiplier=0.5").params["train"]["encoder_params"]
    layers = encoder["convnet_layers"]
    assert [layer["num_channels"] for layer in layers] == [8, 32, 32, 32]
    assert [layer["kernel_size"] for layer in plain_layers] == [[5], [3]]
    assert [layer["kernel_size"] for layer in layers] == [[9], [5], [5], [5]]
    assert [layer["dropout_keep_prob"] for layer in layers[1:]] == pytest.approx([0.85] * 3)
    assert encoder["dropout_keep_prob"] == pytest.approx(0.9)
    print_description(load(path, "--block_copies=3", mode="describe"), as_json=True)
    assert "conv41" in capsys.readouterr().out


@pytest.mark.parametrize("multiplier, width, expected", [
    (0.6, 11, 7), (1.4, 7, 9), (0.1, 7, 3), (2.0, 1, 1), (1.0, 4, 4), (0.8, 29, 23)])
def test_kernels_are_odd(multiplier, width, expected):
    assert scaled_kernel(width, multiplier) == expected
