"""The beam search in real commands: a weak model gets better with a language model; wrong input."""
import os
import re
import shutil
import subprocess
import sys

import pytest

from tests.decoding.language_models import needs_packages
from tests.paths import REPOSITORY

needs_packages("kenlm", "pygtrie")


def run(folder, *words):
    done = subprocess.run([sys.executable] + list(words), cwd=str(folder), capture_output=True, text=True, timeout=600)
    return done.returncode, done.stdout + done.stderr


def run_py(folder, *flags):
    return run(folder, os.path.join(REPOSITORY, "run.py"), "--config_file=config.py", "--device=cpu", *flags)


def language_model(folder, output):
    command = os.path.join(REPOSITORY, "scripts", "build_lm.py")
    status, printed = run(folder, command, "--config_file=config.py", "--output", output)
    assert status == 0, printed
    return output


def wer(folder, *flags):
    status, printed = run_py(folder, "--mode=eval", *flags)
    assert status == 0, printed
    return float(re.search(r"Validation WER: +([\d.]+)", printed).group(1))


@pytest.fixture(scope="module")
def weak_digits(trained_digits, tmp_path_factory):
    """A copy of the digits model, which is trained for 300 steps only; evaluations write into its folder."""
    folder = tmp_path_factory.mktemp("weak") / "digits"
    shutil.copytree(str(trained_digits.folder), str(folder))
    return folder


@pytest.mark.slow
def test_a_language_model_helps_a_weak_model(weak_digits):
    lm = language_model(weak_digits, "lm.arpa")
    greedy = wer(weak_digits)
    assert greedy > 0.03
    assert wer(weak_digits, "--lm_path=" + lm) <= greedy * 2 / 3
    # the keys of OpenSeq2Seq do the same
    status, printed = run_py(weak_digits, "--mode=infer", "--infer_output_file=out.csv",
                             "--decoder_params/use_language_model=True", "--decoder_params/lm_path=" + lm)
    assert status == 0 and "Beam search: width 64" in printed
    words = set((weak_digits / "out.csv").read_text().replace(",", " ").split()) - {"wav_filename", "predicted_transcript"}
    assert {word for word in words if not word.endswith(".wav")} <= {
        "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"}


@pytest.mark.slow
@pytest.mark.parametrize("flags, status, parts", [
    (["--lm_path=train.csv"], 3, ["train.csv", "\\data\\", "build_lm.py"]),
    (["--decoder=beam", "--hot_words=Grüße:3"], 2, ["Grüße", "not in the vocabulary"]),
])
def test_wrong_input_is_named(weak_digits, flags, status, parts):
    found, printed = run_py(weak_digits, "--mode=eval", *flags)
    assert found == status and "Traceback" not in printed, printed
    assert all(part in printed for part in parts), printed


NAN_FEATURES = """
import tensorflow as tf
class NanDataLayer(Speech2TextDataLayer):
    def _features_of(self, waveform, seed):
        features = super()._features_of(waveform, seed)
        return features * tf.where(tf.size(waveform) > 40000, float("nan"), 1.0)

base_params["data_layer"] = NanDataLayer
base_params["data_layer_params"]["feature_engine"] = "graph"  # _features_of adds operations
"""


@pytest.mark.slow
@pytest.mark.parametrize("flags", [["--mode=eval"], ["--mode=eval", "--decoder=beam"], ["--mode=infer"]])
def test_non_finite_logits_end_a_run(weak_digits, flags):
    (weak_digits / "nan.py").write_text((weak_digits / "config.py").read_text() + NAN_FEATURES)
    status, printed = run(weak_digits, os.path.join(REPOSITORY, "run.py"), "--config_file=nan.py", "--device=cpu",
                          "--infer_output_file=nan.csv", *flags)
    assert status == 3 and "Traceback" not in printed and "Warning: invalid value" not in printed, printed
    assert re.search(r"logits of utterance dev.csv:\d+ are NaN or infinite", printed), printed
    assert "Validation WER" not in printed and not (weak_digits / "nan.csv").exists()
