"""A trained model gives the same transcripts as checkpoint, frozen graph, folded graph, ONNX, bins and SavedModel."""
import csv
import re
import subprocess
import sys
from unittest import mock

import numpy as np
import pytest

from open_seq2seq.encoders.fast_convolutions import LEAST_GAIN
from open_seq2seq.errors import DataError
from open_seq2seq.export import load_model
from open_seq2seq.export.description import read_description
from open_seq2seq.export.export_folder import export_model
from open_seq2seq.export.freeze.frozen_graph import ExportOptions
from open_seq2seq.export.freeze.model_from_run import trained_model_from_run
from open_seq2seq.export.runtime.scoring import References, log_score, transcribe_references

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("needs_onnx")]

FRAMES = 400  # the longest utterance has 3.9 s
DYNAMIC = {"unfolded": ExportOptions(None, None, folded=False), "folded": ExportOptions(None, None),
           "fast": ExportOptions(None, None, fast_convolutions=True)}
MODELS = {name: (name, "jasper_infer_float32.pb") for name in DYNAMIC}
MODELS.update(static=("static", "jasper_infer_float32.pb"), onnx=("static", "jasper_infer_float32.onnx"))


def predicted(path):
    with open(str(path), newline="") as file:
        return dict(list(csv.reader(file))[1:])


def rate_of(output):
    return re.findall(r"^\*\*\*     Validation WER:  (\d\.\d{4})$", output, re.MULTILINE)[-1]


@pytest.fixture(scope="module")
def evaluated(trained_digits, command, tmp_path_factory):
    """(word error rate as printed, dict from wav_filename to transcript) of the checkpoint, by run.py."""
    output = str(tmp_path_factory.mktemp("evaluated") / "out.csv")
    inferred = command(trained_digits.folder, "run.py", "--config_file=config.py", "--mode=infer", "--device=cpu",
                       "--enable_logs", "--infer_output_file=" + output)
    assert inferred.status == 0, inferred.err
    return rate_of(trained_digits.output), predicted(output)


@pytest.fixture(scope="module")
def exported(trained_digits, command, tmp_path_factory):
    """Function from a name of MODELS to the path of that export."""
    root, trained = tmp_path_factory.mktemp("exported"), trained_model_from_run(str(trained_digits.run))
    for name, options in DYNAMIC.items():
        # the fast one also where a network of this size gains nothing
        with mock.patch("open_seq2seq.encoders.fast_convolutions.LEAST_GAIN", 0.0 if name == "fast" else LEAST_GAIN):
            export_model(trained, options, str(root / name))
    done = command(trained_digits.folder, "run.py", "--config_file=config.py", "--mode=export", "--enable_logs",
                   "--export_dir=%s" % (root / "static"), "--frames=%d" % FRAMES, "--batch_size=2",
                   "--format=pb,saved_model,onnx")
    assert done.status == 0, done.err
    return lambda name: str(root.joinpath(*MODELS[name]))


def transcribed(model, folder):
    """(word error rate as printed, dict from wav_filename to transcript)"""
    references = References([str(folder / "dev.csv")])
    transcripts = transcribe_references(model, references)
    rate = log_score(references, transcripts).word_error_rate.rate
    return "%.4f" % rate, {references.rows[name].wav_filename: text for name, text in transcripts.items()}


def test_the_model_transcribes_most_words(evaluated):
    rate, transcripts = evaluated
    # some words are wrong, so that different models give different transcripts
    assert 0.0 < float(rate) < 0.5 and len(transcripts) == 40 and len(set(transcripts.values())) > 30


def test_the_checkpoint_gives_the_transcripts_of_its_run(trained_digits, evaluated):
    with load_model(str(trained_digits.run)) as model:
        assert transcribed(model, trained_digits.folder) == evaluated


@pytest.mark.parametrize("name", list(MODELS))
def test_every_format_gives_the_same_transcripts(trained_digits, evaluated, exported, name):
    with load_model(exported(name)) as model:
        assert transcribed(model, trained_digits.folder) == evaluated
        assert (model.description.folded, model.description.convolutions) == (
            name != "unfolded", "fast" if name == "fast" else "plain")
        if name in ("static", "onnx"):
            assert model.description.batch_size == 2
            # the export contains the word error rate that run.py measured
            assert "%.4f" % model.description.wer.value == evaluated[0] and model.description.wer.data_set == "dev.csv"


def test_fast_convolutions_are_another_graph(exported):
    # otherwise the comparison would be of equal graphs
    sizes = []
    for name in ("folded", "fast"):
        with open(exported(name), "rb") as file:
            sizes.append(len(file.read()))
    assert sizes[1] > 1.3 * sizes[0]


def test_the_logits_of_all_are_equal(trained_digits, exported):
    features, lengths = np.random.RandomState(3).normal(size=[2, FRAMES, 32]).astype(np.float32), np.array([FRAMES, 177])
    with load_model(str(trained_digits.run)) as model:
        expected, logit_lengths = model.logits(features, lengths)
    assert logit_lengths.tolist() == [200, 89] and np.abs(expected).max() > 5
    for name in MODELS:
        with load_model(exported(name)) as model:
            logits = model.logits(features, lengths)[0]
            for row, length in enumerate(logit_lengths):
                np.testing.assert_allclose(logits[row, :length], expected[row, :length], atol=1e-4, err_msg=name)


@pytest.mark.parametrize("name,dtype", [("static", "float32"), ("static", "float16"), ("fast", "float32"), ("onnx", "float32")])
def test_bins_give_the_same_transcripts(trained_digits, evaluated, exported, run_here, tmp_path, name, dtype):
    done = run_here(tmp_path, "scripts/offline_inference.py", "--model_path", exported(name), "--data_dir",
                    trained_digits.folder, "--manifest", "dev.csv", "--output_dir", ".", "--pre_process=True", "--batchSize=2",
                    "--device=cpu", "--dtype", dtype)
    assert done.status == 0, done.err
    if dtype == "float16":
        assert abs(float(rate_of(done.out)) - float(evaluated[0])) < 0.05
    else:
        assert rate_of(done.out) == evaluated[0]
        assert predicted(tmp_path / "jasper" / "transcripts.csv") == evaluated[1]


def test_the_error_rate_of_the_quantized_model_is_in_its_json(trained_digits, evaluated, exported, command):
    path = exported("onnx")
    done = command(trained_digits.folder, "scripts/quantize_onnx.py", path, "--data_dir", ".", "--manifest", "dev.csv")
    assert done.status == 0, done.err
    exact, quantized = re.search(r"WER (\d\.\d{4}) in float32, (\d\.\d{4}) in int8", done.out).groups()
    int8 = path[:-len(".onnx")] + ".int8.onnx"
    wer = read_description(int8).wer
    assert exact == evaluated[0] and "%.4f" % wer.value == quantized and wer.data_set == "dev.csv"
    assert abs(float(quantized) - float(exact)) < 0.1
    with load_model(int8) as model, load_model(path) as float_model:
        features = np.random.RandomState(4).normal(size=[1, FRAMES, 32]).astype(np.float32)
        difference = model.logits(features, np.array([FRAMES]))[0] - float_model.logits(features, np.array([FRAMES]))[0]
        assert 1e-3 < np.abs(difference).max() < 5


def test_tensorflow_serving_finds_the_signature(exported):
    folder = exported("static").rpartition("/")[0]
    command_line = [sys.executable, "-m", "tensorflow.python.tools.saved_model_cli", "show", "--dir", folder + "/saved_model/1",
                    "--tag_set", "serve", "--signature_def", "serving_default"]
    shown = subprocess.run(command_line, capture_output=True, text=True, timeout=300)
    assert shown.returncode == 0, shown.stderr
    text = " ".join(shown.stdout.split())
    for part in ("inputs['input'] tensor_info: dtype: DT_FLOAT shape: (2, 1, 400, 32) name: input:0",
                 "inputs['input_reshape'] tensor_info: dtype: DT_FLOAT shape: (2, 200) name: input_reshape:0",
                 "outputs['logits'] tensor_info: dtype: DT_FLOAT shape: (2, 200, 29) "
                 "name: ForwardPass/fully_connected_ctc_decoder/logits:0",
                 "Method name is: tensorflow/serving/predict"):
        assert part in text, shown.stdout


def test_speech_longer_than_a_static_model_accepts_is_refused(exported):
    with load_model(exported("static")) as model, pytest.raises(DataError, match="501 feature frames .5.0 s., and .* for 400"):
        model.logits_of_audio([np.zeros(80000, np.float32)])
