"""The whole mode, from the command line to the exit status, on configs that would and would not run on an NPU."""
import json
import os
import types

import numpy as np
import pytest
import soundfile

from open_seq2seq.graph_analysis.npu_operators import built_in_operator_list
from tests.paths import REPOSITORY

MINI = os.path.join(REPOSITORY, "configs", "speech2text", "jasper_mini_digits.py")
JASPER = os.path.join(REPOSITORY, "configs", "speech2text", "jasper5x3_LibriSpeech_nvgrad_masks_1p.py")
RATE = 16000

CONFIG = '''
import tensorflow as tf
from open_seq2seq.models import Speech2Text
from open_seq2seq.encoders import TDNNEncoder
from open_seq2seq.encoders.interface import EncoderOutput
from open_seq2seq.decoders import FullyConnectedCTCDecoder
from open_seq2seq.data import Speech2TextDataLayer
from open_seq2seq.losses import CTCLoss
from open_seq2seq.optimizers.lr_policies import poly_decay
from open_seq2seq.optimizers.novograd import NovoGrad

def layer(channels, **others):
    return dict(type="conv1d", repeat=1, kernel_size=[5], stride=[1], num_channels=channels, padding="SAME", dilation=[1],
                dropout_keep_prob=0.9, **others)

class Strange(TDNNEncoder):
    """The usual network with an operation after it."""
    def __call__(self, features, feature_lengths):
        output = super().__call__(features, feature_lengths)
        with tf.variable_scope("strange"):
            kernel = tf.get_variable("kernel", [16, 16])
            outputs = tf.tensordot(output.outputs, kernel, 1)
            outputs.set_shape(output.outputs.shape)
            outputs = self.change(outputs)
        return EncoderOutput(outputs, output.output_lengths)

class Python(Strange):
    def change(self, outputs):
        same = tf.py_func(lambda value: value, [outputs], tf.float32)
        same.set_shape(outputs.shape)
        return same + 0.0 * outputs

class Double(Strange):
    def change(self, outputs):
        return tf.cast(tf.tanh(tf.cast(outputs, tf.float64)), tf.float32)

class Ragged(Strange):
    def change(self, outputs):
        kept = tf.boolean_mask(outputs, outputs[:, 0, 0] > -1e9)
        kept.set_shape([None, outputs.shape[1], 16])
        return tf.concat([kept, outputs], 0)[:outputs.shape[0]]

base_model = Speech2Text
base_params = {
    "batch_size_per_gpu": 4, "max_steps": 6, "logdir": "run", "optimizer": NovoGrad, "loss_scaling": 1.0,
    "lr_policy": poly_decay, "lr_policy_params": {"learning_rate": 0.02},
    "encoder": %(encoder)s,
    "encoder_params": {"convnet_layers": [layer(16), layer(16, residual=True)], "dropout_keep_prob": 0.9,
                       "activation_fn": tf.nn.relu, "normalization": "batch_norm", "use_conv_mask": True},
    "decoder": FullyConnectedCTCDecoder, "loss": CTCLoss,
    "data_layer": Speech2TextDataLayer,
    "data_layer_params": {"num_audio_features": 16, "input_type": "logfbank", "backend": "librosa", "pad_to": 16,
                          "vocab_file": "open_seq2seq/test_utils/toy_speech_data/vocab.txt"},
}
train_params = {"data_layer_params": {"dataset_files": ["train.csv"]}}
eval_params = {"data_layer_params": {"dataset_files": ["dev.csv"]}}
'''


@pytest.fixture
def check(tmp_path, monkeypatch, capsys):
    """Runs ``run.py --mode=npu_check`` in this process: exit status, stdout, stderr."""
    monkeypatch.chdir(str(tmp_path))
    monkeypatch.syspath_prepend(REPOSITORY)
    monkeypatch.delenv("ASCEND_OPP_PATH", raising=False)
    # no test depends on the data in this clone, or in the user's data root
    monkeypatch.setenv("JASPER_DATA", str(tmp_path / "no_corpus"))
    import run

    def call(*words, encoder="TDNNEncoder", config=None):
        if config is None:
            config = "config.py"
            (tmp_path / config).write_text(CONFIG % {"encoder": encoder})
        capsys.readouterr()
        status = run.main(["--config_file=" + config, "--mode=npu_check"] + list(words))
        output = capsys.readouterr()
        return types.SimpleNamespace(status=status, out=output.out, err=output.err)
    return call


def errors(result):
    return [finding for finding in json.loads(result.out)["findings"] if finding["level"] == "error"]


@pytest.mark.slow
def test_a_valid_config_passes_without_data_given_the_lengths(check):
    # a training's own command line
    result = check("--json", "--npu_params/bucket_frames=[96, 160]", "--export_dir=exported", "--npu_params/session_device_id=9")
    assert result.status == 0, result.err
    assert "Note: --export_dir has no effect" in result.err
    assert "session_device_id does not choose the device" in result.err.replace('"', "").replace("'", "").replace("]", "")
    report = json.loads(result.out)
    assert report["passed"] and report["unknown_shapes"] == 0 and errors(result) == []
    assert report["compiled_shapes"] == {"train": 2, "eval": 2}
    assert [graph["name"] for graph in report["graphs"]] == [
        "train, 96 frames", "train, 160 frames", "eval, 96 frames", "eval, 160 frames"]
    assert {"dtype": "float32", "shape": "(4, 160, 16)"} in report["graphs"][1]["inputs"]
    assert "bucket_frames" in report["shapes_from"] and report["padding_share"] is None
    for graph in report["graphs"]:
        assert len(graph["parts"]) == 1 and graph["memory"]["total"] > graph["memory"]["weights"] > 0
    # five taps of 16 x 16, twice, a residual branch, gammas and betas, the output layer
    assert report["graphs"][0]["memory"]["weights"] == 4 * (2 * 5 * 16 * 16 + 16 * 16 + 3 * 2 * 16 + 16 * 29 + 29)


def test_the_tables_name_the_list_the_shapes_and_the_time(check):
    result = check("--npu_params/bucket_frames=[96]", "--iter_size=2", "--npu_params/mix_compile_mode=True")
    assert result.status == 0, result.err
    for words in ("train, 96 frames", "eval, 96 frames", "*** Operator list: the built-in list", "692 operators",
                  "Compiled shapes: train 1, eval 1; unknown shapes: 0", "Memory of the largest graph",
                  # the loss splits the accumulation, the update, the evaluation and the checks of the device
                  "iter_size 2 (train, train_eval, resume)", "mix_compile_mode 3 (train_eval, resume)"):
        assert words in result.out


def test_missing_data_and_lengths_are_an_error(check):
    result = check()
    assert result.status == 3
    assert "train.csv does not exist" in result.err and "--npu_params/bucket_frames" in result.err


def write_corpus(folder):
    """Utterances of 0.4 to 2.3 s of noise."""
    noise = np.random.RandomState(0)
    for name, count in (("train", 12), ("dev", 4)):
        rows = ["wav_filename,wav_filesize,transcript"]
        for number in range(count):
            path = "%s%d.wav" % (name, number)
            soundfile.write(str(folder / path), noise.uniform(-0.5, 0.5, int(RATE * (0.4 + 0.17 * number))), RATE)
            rows.append("%s,%d,one two" % (path, os.path.getsize(str(folder / path))))
        (folder / (name + ".csv")).write_text("\n".join(rows) + "\n")


@pytest.mark.slow
def test_with_data_the_lengths_come_from_the_manifests(check, tmp_path):
    write_corpus(tmp_path)
    result = check("--json")
    assert result.status == 0, result.err
    report = json.loads(result.out)
    assert report["shapes_from"] == "lengths from the manifests"
    assert 1 <= report["compiled_shapes"]["train"] <= 4 and 1 <= report["compiled_shapes"]["eval"] <= 4
    assert report["unknown_shapes"] == 0
    # 12 utterances of 40 to 227 frames, steps of 17, in batches of 4
    assert 0.0 < report["padding_share"] < 0.4


@pytest.mark.slow
@pytest.mark.parametrize("encoder, kind, operator", [
    ("Python", "splits the graph", "PyFunc"), ("Double", "float64", "Cast"), ("Ragged", "unknown shape", "Where")])
def test_an_unsupported_encoder_is_named_with_its_layer(check, encoder, kind, operator):
    result = check("--json", "--npu_params/bucket_frames=[96]", encoder=encoder)
    assert result.status == 4
    assert not json.loads(result.out)["passed"]
    causes = [finding for finding in errors(result) if finding["kind"] == kind]
    assert ("strange", operator) in {(finding["layer"], finding["type"]) for finding in causes}
    # layers after it may be named as well, but no layer before it
    assert {finding["layer"] for finding in causes} <= {"strange", "ctc_loss"}
    assert causes[0]["graphs"] == ["train, 96 frames", "eval, 96 frames"] and causes[0]["fix"] != ""
    assert set(causes[0]) == {"level", "kind", "layer", "operation", "type", "count", "message", "fix", "graphs"}
    assert "%s in strange" % kind in result.err and result.err.count("Traceback") == 0


@pytest.mark.slow
def test_an_operator_that_the_installed_list_lacks_is_an_error(check, tmp_path, monkeypatch):
    path = tmp_path / "opp" / "framework" / "built-in" / "tensorflow" / "npu_supported_ops.json"
    os.makedirs(str(path.parent))
    path.write_text(json.dumps({name: {"isGray": False} for name in built_in_operator_list().supported - {"FusedBatchNormV3"}}))
    monkeypatch.setenv("ASCEND_OPP_PATH", str(tmp_path / "opp"))
    result = check("--json", "--npu_params/bucket_frames=[96]")
    assert result.status == 4
    assert json.loads(result.out)["operator_list"] == str(path)
    assert {finding["layer"] for finding in errors(result) if finding["type"] == "FusedBatchNormV3"} == {
        "conv11", "conv21", "conv21/res"}


@pytest.mark.slow
def test_loss_scaling_needs_the_status_operators_of_the_installed_list(check, tmp_path, monkeypatch):
    path = tmp_path / "opp" / "framework" / "built-in" / "tensorflow" / "npu_supported_ops.json"
    os.makedirs(str(path.parent))
    operators = {name: {"isGray": False} for name in built_in_operator_list().supported}
    path.write_text(json.dumps(operators))
    monkeypatch.setenv("ASCEND_OPP_PATH", str(tmp_path / "opp"))
    words = ("--json", "--npu_params/bucket_frames=[96]", "--loss_scaling=Backoff")
    result = check(*words)
    assert result.status == 4 and [finding["kind"] for finding in errors(result)] == ["loss scaling"]
    path.write_text(json.dumps(dict(operators, NpuGetFloatStatusV2={}, NpuClearFloatStatusV2={})))
    assert check(*words).status == 0
    # the check raises the same errors as a run
    refused = check(*words[:-1], "--loss_scaling=LogMax")
    assert refused.status == 2 and '"loss_scaling" is "LogMax"' in refused.err


@pytest.mark.slow
def test_a_network_too_large_for_the_device_names_the_layer(check):
    result = check("--json", "--npu_params/bucket_frames=[96]", "--npu_memory=0.0001")
    assert result.status == 4
    # 29 outputs are more than the 16 channels of the other layers
    assert [(finding["kind"], finding["layer"]) for finding in errors(result)] == [
        ("memory", "ctc_loss"), ("memory", "variables")]


@pytest.mark.slow
def test_a_loss_on_the_host_splits_the_graph(check):
    result = check("--json", "--npu_params/bucket_frames=[96]", "--npu_params/ctc_on_host=True")
    assert result.status == 0, result.err
    report = json.loads(result.out)
    splits = [finding for finding in report["findings"] if finding["kind"] == "splits the graph"]
    assert {(finding["layer"], finding["level"]) for finding in splits} == {("ctc_loss", "warning")}
    assert len(report["graphs"][0]["parts"]) >= 2


@pytest.mark.slow
def test_accumulation_is_a_separate_graph_and_printing_samples_is_not(check):
    result = check("--json", "--npu_params/bucket_frames=[96]", "--iter_size=2", "--print_samples_steps=5",
                   "--save_summaries_steps=5")
    report = json.loads(result.out)
    assert result.status == 0, result.err
    assert [graph["name"] for graph in report["graphs"]] == [
        "train, 96 frames", "train, 96 frames, accumulate", "eval, 96 frames"]
    assert report["compilations"] == 6 and report["compiled_shapes"] == {"train": 1, "eval": 1}


def test_more_than_four_lengths_are_an_error(check):
    result = check("--npu_params/bucket_frames=[96, 112, 128, 144, 160]")
    assert result.status == 2 and "bucket_frames" in result.err


def test_the_memory_of_the_device_is_a_positive_number(check):
    for size in ("0", "nan", "-3", "much"):
        result = check("--npu_memory=" + size)
        assert result.status == 2 and "npu_memory" in result.err


@pytest.mark.slow
@pytest.mark.parametrize("config, buckets", [(MINI, "[160, 320, 480]"), (JASPER, "[400, 1680]")])
def test_the_configs_of_the_repository_pass_without_data(check, monkeypatch, config, buckets):
    monkeypatch.chdir(REPOSITORY)  # their vocabularies are relative to it
    result = check("--json", "--npu_params/bucket_frames=" + buckets, config=config)
    assert result.status == 0, result.err
    report = json.loads(result.out)
    count = buckets.count(",") + 1
    assert "no_corpus" in report["shapes_from"]
    assert report["unknown_shapes"] == 0 and report["compiled_shapes"] == {"train": count, "eval": count}
    assert errors(result) == []


@pytest.mark.slow
@pytest.mark.parametrize("words", [
    ("--iter_size=2", "--loss_scaling=Backoff", "--max_grad_norm=1.0", "--ema_decay=0.99", "--save_summaries_steps=2",
     "--summaries=['learning_rate', 'gradient_norm', 'variables', 'larc_summaries', 'loss_scale']"),
    ("--larc_params={'larc_eta': 0.001}", "--max_param_change=0.75", "--max_total_param_change=2.0",
     "--optimizer=Momentum", "--optimizer_params={'momentum': 0.9}")])
def test_copied_updates_are_those_that_would_be_built(check, monkeypatch, words):
    from open_seq2seq.npu_check import check as module
    from open_seq2seq.optimizers import Optimization
    words += ("--json", "--npu_params/bucket_frames=[96, 160]")
    copied = check(*words)
    assert copied.out, copied.err
    monkeypatch.setattr(module, "CopyingOptimization", Optimization)
    built = check(*words)
    reports = [json.loads(result.out) for result in (copied, built)]
    for report in reports:
        del report["seconds"]
    assert reports[0] == reports[1] and copied.status == built.status
