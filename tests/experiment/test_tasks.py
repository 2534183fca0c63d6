"""The tasks of a config: what is checked before a training starts."""
import pytest

from open_seq2seq.config.repeated_keys import repeated_keys
from open_seq2seq.decoders import FrameRegression, FullyConnectedCTCDecoder, UtteranceClassifier
from open_seq2seq.errors import ConfigError
from open_seq2seq.experiment.loading import load_experiment
from open_seq2seq.losses import CTCLoss

CONFIG = '''
import tensorflow.compat.v1 as tf
from open_seq2seq.models import Speech2Text
from open_seq2seq.encoders import TDNNEncoder
from open_seq2seq.decoders import FullyConnectedCTCDecoder
from open_seq2seq.data import Speech2TextDataLayer
from open_seq2seq.losses import CTCLoss
from open_seq2seq.optimizers.lr_policies import fixed_lr

def block(stride, repeat):
    return dict(type="conv1d", kernel_size=[3], stride=[stride], num_channels=8, repeat=repeat)

base_model = Speech2Text
base_params = dict(
    batch_size_per_gpu=2, max_steps=100, logdir="run", optimizer="Momentum", optimizer_params=dict(momentum=0.9),
    lr_policy=fixed_lr, lr_policy_params=dict(learning_rate=0.1), encoder=TDNNEncoder,
    encoder_params=dict(convnet_layers=[block(2, 1), block(1, 2), block(1, 1)], dropout_keep_prob=1.0, activation_fn=tf.nn.relu),
    decoder=FullyConnectedCTCDecoder, decoder_params=dict(initializer=tf.glorot_normal_initializer), loss=CTCLoss,
    data_layer=Speech2TextDataLayer, data_layer_params=dict(
        dataset_files=["train.csv"], vocab_file="vocab.txt", num_audio_features=16, input_type="logfbank"))
base_params["tasks"] = %s
train_params = {}
eval_params = {}
%s
'''
TWO = '{"letters": {"data": {}}, "speaker": {"data": {"kind": "label", "column": "speaker"}, %s}}'


@pytest.fixture
def load(tmp_path):
    """Loads the config with these tasks, as text, and further lines."""
    def call(tasks, lines="", mode="train"):
        (tmp_path / "config.py").write_text(CONFIG % (tasks, lines))
        return load_experiment(str(tmp_path / "config.py"), mode)
    return call


@pytest.mark.parametrize("tasks, lines, parts", [
    ('{"letters": {}}', "", ["letters", "data", "missing"]),
    ('{"letters": {"data": {}}, "letters": {"data": {}}}', "", ["letters", "two tasks", "line"]),
    ('{"letters": {"data": {}, "weight": 0.0}, "b": {"data": {}, "weight": {"start": 0.0, "end": 0.0}}}', "",
     ["weights of 0", "above 0"]),
    ('{"letters": {"data": {}, "layer": "conv21"}}', "", ["conv21", "conv11, conv22, conv31"]),
    ('{"letters": {"data": {"kind": "transkript"}}}', "", ["kind", "transcript"]),
    ('{"Letters": {"data": {}}}', "", ["Letters", "lower-case"]),
    ('{"letters": {"data": {}, "weigth": 1.0}}', "", ["weigth", "weight"]),
    ('["letters"]', "", ["tasks", "a dict from names"]),
    ('["letters"]', "base_params['best_metric'] = 'letters.wer'", ["tasks", "a dict from names"]),
    ('{"letters": {"data": {}, "weight": {"end": 1.0, "first_step": 9, "last_step": 9}}}', "",
     ["weight", "last_step", "first_step"]),
    (TWO % '"decoder": FullyConnectedCTCDecoder', "", ["speaker", "decoder", "transcript", "label"]),
    (TWO % '"loss": CTCLoss', "", ["speaker", "loss", "transcript", "label"]),
    (TWO % '"decoder_params": {"hiden": [3]}', "", ["speaker", "hiden", "hidden"]),
    (TWO % '"loss": CTCLoss, "loss_params": {"mask": True}', "", ["loss_params", "mask"]),
    (TWO % '"weight": "uncertain"', "", ["weight", "uncertainty"]),
    ('{"speaker": {"data": {"kind": "label"}}}', "", ["column"]),
    ('{"speaker": {"data": {"kind": "label", "column": "speaker"}}}', "", ["speaker", "main task", "main_task"]),
    ('{"letters": {"data": {}}}', 'base_params["main_task"] = "leters"', ["leters", "letters"]),
    ("{}", 'base_params["main_task"] = "letters"', ["main_task", "no tasks"]),
    ('{"letters": {"data": {}}}', 'base_params["best_metric"] = "leters.wer"', ["best_metric", "letters.wer"]),
    (TWO % "", 'base_params["stopping_metric"] = "speaker.wer"', ["stopping_metric", "speaker."]),
    ("{}", 'base_params["best_metric"] = "letters.wer"', ["best_metric", "no evaluation measures"]),
    (TWO % '"adversarial": True', "base_params.update(max_steps=None, num_epochs=3)", ["adversarial", "steps", "num_epochs"]),
    (TWO % '"weight": {"end": 1.0}', "base_params.update(max_steps=None, num_epochs=3)", ["weight", "last_step", "num_epochs"])])
def test_mistakes_are_named_before_anything_is_built(load, tasks, lines, parts):
    with pytest.raises(ConfigError) as caught:
        load(tasks, lines)
    for part in parts:
        assert part in str(caught.value)


def test_a_task_takes_decoder_and_loss_from_the_top_level_or_those_of_its_kind(load):
    tasks = load('{"letters": {"data": {}}, "early": {"data": {}, "layer": "conv11", "decoder_params": {"beam_width": 7}}, '
                 '"speaker": {"data": {"kind": "label", "column": "speaker"}}, "clean": {"data": {"kind": "features"}, '
                 '"decoder": "FrameRegression"}}').params["train"]["tasks"]
    assert [tasks[name]["decoder"] for name in tasks] == [FullyConnectedCTCDecoder] * 2 + [UtteranceClassifier, FrameRegression]
    assert tasks["early"]["loss"] is CTCLoss and tasks["early"]["decoder_params"]["beam_width"] == 7
    assert tasks["early"]["decoder_params"]["initializer"] is not None and tasks["speaker"]["decoder_params"]["hidden"] == []


def test_a_mode_of_one_output_has_the_params_of_one_task(load):
    tasks = ('{"letters": {"data": {}}, "early": {"data": {"vocab_file": "other.txt", "eval_files": "dev.csv"}, '
             '"layer": "conv11"}}')
    main = load(tasks, mode="infer").params["infer"]
    assert main["tasks"] == {} and main["decoder_scope"] == "" and main["data_layer_params"]["vocab_file"] == "vocab.txt"
    assert sorted(load(tasks, mode="train_eval").params["eval"]["tasks"]) == ["early", "letters"]


@pytest.mark.parametrize("data", ['"eval_files": []', '"dataset_files": ["other.csv"]'])
def test_a_metric_of_a_task_without_data_for_the_evaluation_is_named_before_anything_is_built(load, data):
    tasks = '{"letters": {"data": {}}, "early": {"data": {%s}, "layer": "conv11"}}'
    lines = 'base_params["%s"] = "early.wer"'
    with pytest.raises(ConfigError, match=r'best_metric.* is "early.wer", and the task has no data .* tasks\["early"\]'):
        load(tasks % data, lines % "best_metric", mode="train_eval")
    # without an evaluation, or with data
    load(tasks % data, lines % "best_metric", mode="train")
    load(tasks % (data + ', "eval_files": "dev.csv"' if "eval" not in data else ""), lines % "stopping_metric", mode="train_eval")


@pytest.mark.parametrize("source, expected", [
    ('p = {"tasks": {\n"a": 1,\n"b": 2, "a": 3}}', [("a", 3, 2, "tasks")]),
    ('p["tasks"] = {"q": 1, "q": 2}', [("q", 1, 1, "tasks")]),
    ('p = dict(tasks={"z": {"x": 1}, "z": {"x": 1}})', [("z", 1, 1, "tasks")]),
    ('p = {"m": 1, "n": {"m": 1}, 3: 1, **{"m": 2}}', []),
    ('f({"m": 1,\n"m": 2})', [("m", 2, 1, "")])])
def test_keys_that_a_dict_has_twice_are_found(source, expected):
    assert [tuple(found) for found in repeated_keys(source)] == expected
