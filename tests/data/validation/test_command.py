"""The commands: exit status, messages, files; and the page in a real browser."""
import os
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from open_seq2seq import modes
from open_seq2seq.data.validation.checks import CHECKS, made_checks
from open_seq2seq.data.validation.command import run_validation
from open_seq2seq.errors import DataError
from tests.data.validation.conftest import RATE, speech
from tests.paths import REPOSITORY

SCRIPT = os.path.join(REPOSITORY, "scripts", "validate_data.py")
VOCABULARY = os.path.join(REPOSITORY, "open_seq2seq", "test_utils", "toy_speech_data", "vocab.txt")


def run(folder, *words):
    done = subprocess.run([sys.executable, SCRIPT] + list(words), cwd=str(folder), capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def test_exit_status_of_the_script(corpus, tmp_path):
    clean, bad = corpus("clean").fill(3), corpus("bad").fill(3, seed=50)
    bad.add("silent.flac", np.zeros(RATE))
    status, output, _ = run(tmp_path, clean.write(), "--against", bad.write(), "--vocab", VOCABULARY, "--headers")
    # the error is in the data of the evaluation
    assert status == 3 and "silent audio" in output and "bad.csv:5" in output.replace("\n", "")
    status, output, error = run(tmp_path, clean.write(), "--vocab", VOCABULARY, "--output", "out")
    assert status == 0 and "0 errors and 0 warnings in 3 rows" in output and not error
    assert sorted(os.listdir(str(tmp_path / "out"))) == ["fixed.csv", "validation.html", "validation.json"]
    status, _, error = run(tmp_path, clean.write(), "--against", clean.write(), "--output", "out")
    assert status == 3 and "3 errors were found" in error and not os.path.exists(str(tmp_path / "out" / "fixed.csv"))
    status, _, error = run(tmp_path, "--vocab", VOCABULARY)
    assert status == 2 and "CSV" in error


def test_mode_checks_the_sets_of_a_config(corpus, write_config, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(str(tmp_path))
    monkeypatch.setenv("COLUMNS", "1000")  # long names of temporary folders would be divided between the lines of a table
    train, dev = corpus("train").fill(3), corpus("dev").fill(3, seed=50)
    # 56 frames of 10 ms with the padding of the features, of which the network of the config makes 28
    train.add("fits.flac", speech(0.5, 90), "abcdefghijklmnopqrstuvwx'")
    too_long = train.add("too long.flac", speech(0.5, 91), "abcdefghijklmnopqrstuvwx'abbcd")
    train.add("digit.flac", speech(2, 92), "bal 5")
    config = write_config("""
train_params["data_layer_params"]["dataset_files"] = [%r]
eval_params["data_layer_params"]["dataset_files"] = [%r]
infer_params["data_layer_params"]["dataset_files"] = [%r]
""" % (train.write(), dev.write(), dev.write()))
    assert modes.main(["--config_file=" + config, "--mode=validate_data", "--headers", "--output=out"]) == 3
    captured = capsys.readouterr()
    printed = "".join(captured.out.split())
    assert "manifestsofinferarethoseofeval" in printed and "train.csv:%d:" % too_long in printed and "2 errors" in captured.err
    with open(str(tmp_path / "out" / "validation.json")) as file:
        lines = "".join(file.read().split())
    assert "are28framesaftertheencoder,but30labelswith1repeatsneed31" in lines and "'5'(DIGITFIVE)" in lines
    with open(str(tmp_path / "out" / "fixed-train.csv")) as file:
        names = file.read()
    assert "fits.flac" in names and "too long" not in names and "digit" not in names
    assert modes.main(["--config_file=" + config, "--mode=validate_data", "--output=out",
                       "--train_params/data_layer_params/dataset_files=%s" % dev.write()]) == 3
    assert "audio also in" in capsys.readouterr().out
    assert modes.main(["--config_file=" + config, "--mode=eval", "--headers"]) == 2


@pytest.fixture
def page(corpus, data_set, tmp_path):
    """The page of a validation of a corpus with hostile names and texts."""
    train = corpus("train").fill(30)
    hostile = "</script><img src=x onerror=alert(1)><b>\"'&amp;"
    train.add("<img src=x onerror=alert(1)>\u202e.flac", np.clip(8 * speech(2, 70), -0.99, 0.99), hostile,
              speaker=hostile)
    train.add("long" * 40 + ".flac", speech(2, 71), "x" * 900)
    train.add("stereo.wav", np.stack([speech(2, 72), speech(2, 73)], 1), "bal\u200b bel\u2028bil")
    # more rows with one check than the page shows
    for number in range(45):
        soundfile.write(str(train.folder / ("low%d.wav" % number)), speech(1, 80 + number, 8000), 8000)
        train.add("low%d.wav" % number, transcript="bal bel")
    with pytest.raises(DataError):
        run_validation([data_set([train])], [], str(tmp_path / "out"), ["train"])
    return str(tmp_path / "out" / "validation.html")


@pytest.mark.slow
def test_page_in_a_browser(page, browser):
    tab = browser()
    for width in (400, 1600):
        tab.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width == 400)
        tab.open("file://" + page)
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert tab.problems() == []
    assert [address for address in tab.requested_addresses() if not address.startswith(("file://" + page, "data:"))] == []
    # names and transcripts are text
    assert tab.evaluate("document.images.length") == 0 and tab.evaluate("document.scripts.length") == 0
    body = tab.evaluate("document.body.textContent")
    assert "</script><img src=x onerror=alert(1)><b>\"'&amp;" in body and "\\u202e" in body and "\u202e" not in body
    assert tab.evaluate("document.querySelectorAll('svg').length") == 4
    assert tab.evaluate("document.querySelectorAll('#low_rate tbody tr').length") == 40
    assert "5 more are in validation.json" in body
    tab.evaluate("document.querySelector('#clipped_audio audio').play()")
    tab.wait_for("document.querySelector('#clipped_audio audio').currentTime > 0.2")
    assert abs(tab.evaluate("document.querySelector('#clipped_audio audio').duration") - 2) < 0.1


def test_documentation_lists_all_checks():
    with open(os.path.join(REPOSITORY, "docs", "validation.md"), encoding="utf-8") as file:
        section = file.read().split("## Checks")[1].split("\n## ")[0]
    documented = [line.split("|")[1:4] for line in section.splitlines() if line.startswith("| `")]
    listed = [(name.strip().strip("`"), severity.strip(), depth.strip()) for name, severity, depth in documented]
    headers = {check.name for check in made_checks(False)}
    assert listed == [(check.name, check.severity, "headers" if check.name in headers else "full") for check in CHECKS.values()]
