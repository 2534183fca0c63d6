"""--mode=tune_lm on a model that was trained for 300 steps, with a language model of its training transcripts."""
import contextlib
import importlib.util
import io
import json
import os
import shutil

import numpy as np
import pytest

from open_seq2seq import modes
from tests.paths import REPOSITORY

pytest.importorskip("kenlm")
pytest.importorskip("optuna")


@pytest.fixture(scope="module")
def digits(trained_digits, tmp_path_factory):
    """(folder of the corpus, logdir with a copy of the trained model, path of the language model)."""
    place = tmp_path_factory.mktemp("tune_lm")
    shutil.copytree(str(trained_digits.run), str(place / "run"))
    specification = importlib.util.spec_from_file_location("build_lm", os.path.join(REPOSITORY, "scripts", "build_lm.py"))
    build_lm = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(build_lm)
    vocabulary, transcripts = (str(trained_digits.folder / name) for name in ("vocab.txt", "train.csv"))
    assert build_lm.main(["--vocab_file", vocabulary, "--manifest", transcripts, "--output", str(place / "lm.arpa")]) == 0
    return trained_digits.folder, str(place / "run"), str(place / "lm.arpa")


@pytest.fixture
def run(digits, monkeypatch):
    """Function (flags) -> (exit status, stdout, stderr) of run.py on the digits."""
    folder, logdir, _ = digits
    monkeypatch.chdir(str(folder))

    def call(*flags):
        output, errors = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            status = modes.main(["--config_file=config.py", "--device=cpu", "--enable_logs", "--logdir=" + logdir] + list(flags))
        return status, output.getvalue(), errors.getvalue()
    return call


@pytest.mark.slow
def test_word_errors_fall_by_a_third_and_eval_repeats_the_result(digits, run):
    _, logdir, language_model = digits
    status, output, _ = run("--mode=tune_lm", "--lm_path=" + language_model, "--trials=6")
    assert status == 0 and "Trial 6/6" in output
    folder = os.path.join(logdir, "report", "tune_lm")
    with open(os.path.join(folder, "tune_lm.json"), encoding="utf-8") as file:
        summary = json.load(file)
    assert 0.02 < summary["greedy_wer"] and summary["wer"] < 2 / 3 * summary["greedy_wer"]
    with open(os.path.join(folder, "trials.csv"), encoding="utf-8") as file:
        rows = np.genfromtxt(file, delimiter=",", names=True)
    assert len(rows) == 6 and rows["wer"].min() == pytest.approx(summary["wer"], abs=1e-6)
    assert sorted(name.split("-")[0] for name in os.listdir(folder)) == [
        "logits", "trials", "trials.csv", "tune_lm.json", "tune_lm.png"]

    # the same command has nothing left to do but to compare; more trials need no network
    status, again, _ = run("--mode=tune_lm", "--lm_path=" + language_model, "--trials=7")
    assert status == 0 and "6 finished trials" in again and "Restored" not in again and "Trial 7/7" in again
    assert "Trial 6/7" not in again

    # what is printed for the command line gives the same word error rate
    flags = output.split("For a command line: ")[1].splitlines()[0].split()
    status, evaluated, errors = run("--mode=eval", *flags)
    assert status == 0, errors
    assert "Validation WER:  %.4f" % summary["wer"] in evaluated


@pytest.mark.slow
@pytest.mark.parametrize("flags, status, told", [
    ([], 2, ["--lm_path", "build_lm.py"]),
    (["--lm_path=missing.arpa"], 3, ["missing.arpa"]),
    (["--lm_path=train.csv"], 3, ["train.csv"]),
    (["--lm_path=LM", "--alpha=high"], 2, ["alpha", "high"]),
    (["--lm_path=LM", "--alpha_range=2,1"], 2, ["--alpha_range", "2,1"]),
    (["--lm_path=LM", "--alpha_range=-1,1"], 2, ["--alpha_range", "-1"]),
    (["--lm_path=LM", "--trials=0"], 2, ["--trials", "0"]),
    (["--mode=eval", "--trials=5"], 2, ["--trials", "tune_lm"]),
])
def test_bad_input_is_refused_before_the_network_runs(digits, run, flags, status, told):
    given = [flag.replace("LM", digits[2]) if flag == "--lm_path=LM" else flag for flag in flags]
    found, output, errors = run(*([] if "--mode=eval" in given else ["--mode=tune_lm"]), *given)
    assert found == status and all(text in errors for text in told), errors
    assert "Greedy decoding" not in output and "Restored" not in output
