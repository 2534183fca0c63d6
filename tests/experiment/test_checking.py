"""Rules for combinations of keys: all violations are reported together, before data or a graph are used."""
import os

import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.config.overrides import parse_overrides
from open_seq2seq.errors import ConfigError
from open_seq2seq.experiment.loading import load_experiment

LIBROSA = "--data_layer_params/backend=librosa"
GLOROT = "--encoder_params/initializer=glorot_uniform_initializer"


def problems(path, *words, mode="train"):
    with pytest.raises(ConfigError) as caught:
        load_experiment(path, mode, parse_overrides(list(words)))
    return str(caught.value).replace(path, "CONFIG").split("\n")


@pytest.mark.parametrize("words, expected", [
    (["--summaries=['learning_rat']"], "command line: --summaries/0 is 'learning_rat', expected one of 'learning_rate', "
     "'gradients', 'gradient_norm', 'global_gradient_norm', 'variables', 'variable_norm', 'larc_summaries', 'loss_scale' "
     "(did you mean 'learning_rate'?)"),
    ([LIBROSA, "--data_layer_params/num_fft=100"], "command line: --data_layer_params/num_fft is 100, shorter than the window "
     "of 320 samples; increase it to at least that, or omit it"),
    ([LIBROSA, "--data_layer_params/features_mean=[1.0,2.0]"],
     "command line: --data_layer_params/features_mean has 2 values, expected one or num_audio_features = 16"),
    (["--data_layer_params/num_audio_features=500", "--data_layer_params/input_type=spectrogram"],
     "command line: --data_layer_params/num_audio_features is 500, but a spectrogram of 320-sample transforms has at "
     "most 161"),
    (["--data_layer_params/window_stride=1e-5"],
     'CONFIG: base_params["data_layer_params"] has window_size 0.02 s and window_stride 1e-05 s, which are 320 and 0 samples '
     "at 16000 Hz; expected at least one each"),
    (["--train_params/data_layer_params/augmentation={'n_freq_mask': 1, 'width_freq_mask': 20}"],
     "command line: --train_params/data_layer_params/augmentation/width_freq_mask is 20, expected less than "
     "num_audio_features = 16"),
    (["--train_params/data_layer_params/augmentation={'noise_level_min': -90}"],
     "command line: --train_params/data_layer_params/augmentation has noise_level_min but no noise_level_max; give both, in "
     "dB, or neither"),
    (["--encoder_params/normalization=layer_norm"], "command line: --encoder_params/normalization is 'layer_norm', but "
     'residual layers need "batch_norm"; remove "residual" from the layers or set "normalization" to "batch_norm"'),
    (["--lr_policy=piecewise_constant", "--lr_policy_params/boundaries=[1, 2]", "--lr_policy_params/decay_rates=[0.1]"],
     'CONFIG: base_params["lr_policy_params"] has 2 boundaries and 1 decay_rates, expected the same number of both'),
    (["--lr_policy=piecewise_constant", "--lr_policy_params={'learning_rate':0.01,'boundaries':[4,2],'decay_rates':[0.1,0.01]}"],
     "command line: --lr_policy_params/boundaries/1 is 2 and follows 4; expected ascending boundaries, each with its decay rate"),
    (["--larc_params/larc_eta=0.1", "--max_grad_norm=1.0"], "command line: --max_grad_norm and command line: "
     "--larc_params are both given; LARC limits the gradients already, keep one"),
])
def test_keys_that_contradict_each_other(write_config, words, expected):
    assert problems(write_config(), *words) == [expected]


@pytest.mark.parametrize("key, value, expected", [
    ("pad_to", "1000000000", "is 1000000000 (int), expected an integer at most 16384"),
    ("pad_to", "-1" + 30 * "0", "is -1" + 30 * "0" + ", expected an integer at most 16384 that int32 can hold (at most "
     "2147483647)"),
    ("sample_freq", "2000000000", "is 2000000000 (int), expected an integer at least 1 and at most 1000000"),
    ("num_fft", "1000000", "is 1000000 (int), expected an integer at least 1 and at most 16384"),
    ("num_audio_features", "10000", "is 10000 (int), expected an integer at least 1 and at most 8193"),
    ("window_size", "1000", "is 1000 s, which is 16000000 samples at 16000 Hz; expected at most 16384 samples"),
    ("window_size", "1e38", "is 1e+38 s, which is %d samples at 16000 Hz; expected at most 16384 samples" % int(16000 * 1e38)),
    ("window_stride", "1.5", "is 1.5 s, which is 24000 samples at 16000 Hz; expected at most 16384 samples"),
    ("dither", "1e30", "is 1e+30 (float), expected a number at least 0.0 and at most 1000000.0"),
    ("gain", "1e30", "is 1e+30 (float), expected a number above 0.0 and at most 1000000.0"),
    ("length_pool", "1000000000", "is 1000000000 (int), expected an integer at least 0 and at most 100000"),
    ("augmentation/n_time_mask", "1000000000", "is 1000000000 (int), expected an integer at least 0 and at most 1000"),
    ("augmentation/n_freq_mask", "1000000000", "is 1000000000 (int), expected an integer at least 0 and at most 1000"),
    ("augmentation/width_time_mask", "2147483647", "is 2147483647 (int), expected an integer at least 0 and at most 1000000"),
    ("augmentation/noise_level_max", "1e30", "is 1e+30 (float), expected a number at most 100.0"),
    ("augmentation/speed_perturbation_ratio/0", "1000", "is 1000 (int), expected a number at least 0.01 and at most 10.0"),
    ("augmentation/speed_perturbation_ratio/0", "1e-9", "is 1e-09 (float), expected a number at least 0.01 and at most 10.0"),
])
def test_sizes_that_would_exhaust_memory_or_overflow(write_config, key, value, expected):
    path = write_config("""
        base_params["data_layer_params"]["augmentation"] = {"speed_perturbation_ratio": [1.0]}
    """)
    assert problems(path, "--data_layer_params/%s=%s" % (key, value)) == [
        "command line: --data_layer_params/%s %s" % (key, expected)]


@pytest.mark.parametrize("key", ["logdir", "load_model", "checkpoint_dir", "load_checkpoint_dir", "save_checkpoint_dir",
                                 "data_layer_params/vocab_file", "data_layer_params/dataset_files",
                                 "data_layer_params/dataset_files/0"])
def test_a_path_that_is_not_utf8_is_refused(write_config, key):
    path = write_config("""
        base_params["data_layer_params"]["dataset_files"] = ["a.csv"]
    """)
    assert problems(path, "--%s=%s" % (key, os.fsdecode(b"/tmp/x\xff"))) == [
        "command line: --%s is '/tmp/x\\udcff', which is not valid UTF-8 (/tmp/x\\xff), and TensorFlow needs UTF-8 paths; rename "
        "the file or directory, e.g. with: convmv -f latin1 -t utf-8 --notest NAME" % key]


def test_a_path_with_a_surrogate_in_a_config_is_refused(write_config):
    (problem,) = problems(write_config(r"""
        base_params["logdir"] = "runs/\ud800"
    """))
    assert problem.startswith("CONFIG: base_params[\"logdir\"] is 'runs/\\ud800', which is not valid UTF-8 (runs/\\ud800), and ")


@pytest.mark.parametrize("where", ["", "encoder_params/", "decoder_params/"])
@pytest.mark.parametrize("key, name", [("initializer", "glorot_uniform_initializer"), ("regularizer", "l2_regularizer")])
def test_an_initializer_or_regularizer_that_does_not_take_its_params(write_config, where, key, name):
    words = ["--%s%s=%s" % (where, key, name), "--%s%s_params={'unifrm': 1}" % (where, key)]
    (problem,) = problems(write_config(), *words)
    assert problem.startswith("command line: --%s%s_params is {'unifrm': 1}, which " % (where, key))
    assert "does not take: " in problem and "unifrm" in problem.split("does not take: ")[1]


def test_params_without_an_initializer(write_config):
    experiment = load_experiment(write_config(), "train", parse_overrides(["--encoder_params/initializer_params={'seed': 1}"]))
    assert experiment.notes == [
        'command line: --encoder_params/initializer_params has no effect without "initializer"']


def test_the_contradictions_of_all_parts_are_reported_together(write_config):
    found = problems(
        write_config(), LIBROSA, GLOROT, "--data_layer_params/num_fft=100", "--data_layer_params/features_std_dev=[1.0]",
        "--train_params/data_layer_params/augmentation={'noise_level_max': -46}", "--encoder_params/normalization=None",
        "--encoder_params/initializer_params={'unifrm': 1}", "--summaries=['x']")
    assert [problem.split(" ")[2] for problem in found] == [
        "--summaries/0", "--data_layer_params/features_std_dev", "--data_layer_params/num_fft",
        "--train_params/data_layer_params/augmentation", "--encoder_params/initializer_params", "--encoder_params/normalization"]


def test_rules_are_not_checked_for_a_part_with_an_invalid_value(write_config):
    # the identical mistakes of the second mode are not listed again, but still disable its rules
    found = problems(write_config(), "--eval_steps=1", "--data_layer_params/window_size=long",
                     "--encoder_params/convnet_layers/0/stride=x", mode="train_eval")
    assert [problem.split(" ")[2] for problem in found] == [
        "--data_layer_params/window_size", "--encoder_params/convnet_layers/0/stride"]


def test_a_custom_class_can_have_rules(write_config):
    path = write_config("""
        from open_seq2seq.config.parameters import Int, Parameter
        class Own:
            PARAMETERS = (Parameter("low", Int()), Parameter("high", Int(), default=3))
            @staticmethod
            def check_rules(params, path, report):
                if params["low"] > params["high"]:
                    report.problem(path.child("low"), "is above %d" % params["high"])
        base_params.update(encoder=Own, encoder_params={"low": 5})
    """)
    assert problems(path) == ['CONFIG: base_params["encoder_params"]["low"] is above 3']
    assert problems(path, "--encoder_params/low=x") == ["command line: --encoder_params/low is 'x' (str), expected an integer"]
    assert load_experiment(path, "train", parse_overrides(["--encoder_params/low=1"]))


def test_the_check_of_an_initializer_does_not_change_the_graph(write_config, graph):
    load_experiment(write_config("""
        def constant(value):
            return tf.constant_initializer(tf.constant(value).shape.ndims)
        base_params["initializer"], base_params["initializer_params"] = constant, {"value": 1.0}
    """), "train")
    assert not tf.get_default_graph().get_operations()


@pytest.mark.parametrize("words, note", [
    (["--lr_policy_params/warmup_steps=10"],
     "command line: --lr_policy_params/warmup_steps is 10, at or beyond the last step, which is 10: the warm-up never ends"),
    (["--lr_policy_params/begin_decay_at=30"],
     "command line: --lr_policy_params/begin_decay_at is 30, at or beyond the last step, which is 10: the learning rate never "
     "decays"),
    (["--lr_policy=piecewise_constant", "--num_epochs=3",
      "--lr_policy_params={'learning_rate':0.1,'boundaries':[1,3,9],'decay_rates':[0.3,0.2,0.1]}"],
     "command line: --lr_policy_params/boundaries has 3, 9 at or beyond the end of the training, which is epoch 3: the decay "
     "rates of these boundaries are never used"),
    (["--lr_policy_params/warmup_steps=9"], None),
])
def test_parts_of_the_schedule_that_no_step_reaches_are_noted(write_config, words, note):
    notes = load_experiment(write_config(), "train", parse_overrides(words)).notes
    assert [found for found in notes if "lr_policy_params" in found] == ([note] if note else [])
