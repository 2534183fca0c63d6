"""From a trained model: checkpoint, frozen graph, folded graph, ONNX, bins and SavedModel hear the same words."""
import csv
import re
import subprocess
import sys

import numpy as np
import pytest

from open_seq2seq.export import load_model
from open_seq2seq.export.description import read_description
from open_seq2seq.export.references import References, log_score
from open_seq2seq.export.scoring import transcribe_references

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("needs_onnx")]

EXPORTS = {"unfolded": ("--frames=dynamic", "--no_fold"), "dynamic": ("--frames=dynamic",),
           "static": ("--frames=160", "--batch_size=2", "--format=pb,saved_model,onnx")}


def predicted(path):
    with open(str(path), newline="") as file:
        return dict(list(csv.reader(file))[1:])


def rate_of(output):
    return re.search(r"^\*\*\*     Validation WER:  (\d\.\d{4})$", output, re.MULTILINE).group(1)


@pytest.fixture(scope="module")
def evaluated(trained_run, command, tmp_path_factory):
    """(word error rate as printed, dict from wav_filename to transcript) of the checkpoint, by run.py."""
    output = str(tmp_path_factory.mktemp("evaluated") / "out.csv")
    scored = command(trained_run, "run.py", "--config_file=config.py", "--mode=eval", "--device=cpu")
    inferred = command(trained_run, "run.py", "--config_file=config.py", "--mode=infer", "--device=cpu",
                       "--infer_output_file=" + output)
    assert scored.status == 0 and inferred.status == 0, scored.err + inferred.err
    return rate_of(scored.out), predicted(output)


@pytest.fixture(scope="module")
def exported(trained_run, evaluated, command, tmp_path_factory):
    """Dict from name to folder of what ``run.py --mode=export`` writes."""
    folders = {}
    for name, words in EXPORTS.items():
        folders[name] = tmp_path_factory.mktemp(name)
        done = command(trained_run, "run.py", "--config_file=config.py", "--mode=export", "--export_dir=%s" % folders[name],
                       *words)
        assert done.status == 0, done.err
    return folders


def heard(model, trained_run):
    """(word error rate as printed, dict from wav_filename to transcript)"""
    references = References([str(trained_run / "dev.csv")])
    transcripts = transcribe_references(model, references)
    rate = log_score(references, transcripts).word_error_rate.rate
    return "%.4f" % rate, {references.rows[name].wav_filename: text for name, text in transcripts.items()}


def test_the_model_has_learnt_what_is_compared(evaluated):
    rate, transcripts = evaluated
    assert float(rate) < 0.6 and len(transcripts) == 13 and len(set(transcripts.values())) > 6


def test_the_checkpoint_gives_the_same_transcripts_outside_of_its_run(trained_run, evaluated):
    with load_model(str(trained_run / "run")) as model:
        assert heard(model, trained_run) == evaluated


@pytest.mark.parametrize("name,file", [
    ("unfolded", "jasper_infer_float32.pb"), ("dynamic", "jasper_infer_float32.pb"), ("static", "jasper_infer_float32.pb"),
    ("static", "jasper_infer_float32.onnx")])
def test_every_format_gives_the_same_transcripts(trained_run, evaluated, exported, name, file):
    path = str(exported[name] / file)
    with load_model(path) as model:
        assert heard(model, trained_run) == evaluated
        assert model.description.folded == (name != "unfolded")
        assert "%.4f" % model.description.wer.value == evaluated[0]


def test_the_logits_of_all_are_equal(trained_run, exported):
    features, lengths = np.random.RandomState(3).normal(size=[2, 160, 16]).astype(np.float32), np.array([160, 77])
    paths = [str(trained_run / "run")] + [str(exported[name] / "jasper_infer_float32.pb") for name in EXPORTS]
    expected = None
    for path in paths + [str(exported["static"] / "jasper_infer_float32.onnx")]:
        with load_model(path) as model:
            logits, logit_lengths = model.logits(features, lengths)
        assert logit_lengths.tolist() == [80, 39]
        logits = [row[:length] for row, length in zip(logits, logit_lengths)]
        expected = expected or logits
        for row, wanted in zip(logits, expected):
            assert np.abs(wanted).max() > 1
            np.testing.assert_allclose(row, wanted, atol=1e-4)


@pytest.mark.parametrize("name,extension,dtype", [
    ("static", "pb", "float32"), ("static", "pb", "float16"), ("dynamic", "pb", "float32"), ("static", "onnx", "float32")])
def test_bins_give_the_same_transcripts(trained_run, evaluated, exported, command, tmp_path, name, extension, dtype):
    model = exported[name] / ("jasper_infer_float32." + extension)
    done = command(tmp_path, "scripts/offline_inference.py", "--model_path", model, "--data_dir", trained_run, "--manifest",
                   "dev.csv", "--output_dir", tmp_path, "--pre_process=True", "--batchSize=2", "--device=cpu", "--dtype", dtype)
    assert done.status == 0, done.err
    if dtype == "float16":
        assert abs(float(rate_of(done.out)) - float(evaluated[0])) < 0.1
    else:
        assert rate_of(done.out) == evaluated[0]
        assert predicted(tmp_path / "jasper" / "transcripts.csv") == evaluated[1]


def test_the_quantized_models_error_rate_stands_beside_it(trained_run, evaluated, exported, command):
    path = exported["static"] / "jasper_infer_float32.onnx"
    done = command(trained_run, "scripts/quantize_onnx.py", path, "--data_dir", trained_run, "--manifest", "dev.csv")
    assert done.status == 0, done.err
    exact, quantized = re.search(r"WER (\d\.\d{4}) in float32, (\d\.\d{4}) in int8", done.out).groups()
    wer = read_description(str(exported["static"] / "jasper_infer_float32.int8.onnx")).wer
    assert exact == evaluated[0] and "%.4f" % wer.value == quantized and wer.data_set == "dev.csv"
    assert abs(float(quantized) - float(exact)) < 0.2


def test_tensorflow_serving_finds_the_signature(exported):
    command_line = [sys.executable, "-m", "tensorflow.python.tools.saved_model_cli", "show", "--dir",
                    str(exported["static"] / "saved_model" / "1"), "--tag_set", "serve", "--signature_def", "serving_default"]
    shown = subprocess.run(command_line, capture_output=True, text=True, timeout=300)
    assert shown.returncode == 0, shown.stderr
    text = " ".join(shown.stdout.split())
    for part in ("inputs['input'] tensor_info: dtype: DT_FLOAT shape: (2, 1, 160, 16) name: input:0",
                 "inputs['input_reshape'] tensor_info: dtype: DT_FLOAT shape: (2, 80) name: input_reshape:0",
                 "outputs['logits'] tensor_info: dtype: DT_FLOAT shape: (2, 80, 29) "
                 "name: ForwardPass/fully_connected_ctc_decoder/logits:0",
                 "Method name is: tensorflow/serving/predict"):
        assert part in text, shown.stdout
