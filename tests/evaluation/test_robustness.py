"""``--mode=robustness``: intervals, files, the picture, and a real run of a small trained network."""
import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
import types

import numpy as np
import pytest
from PIL import Image

from open_seq2seq import modes
from open_seq2seq.data.effects import preparations
from open_seq2seq.data.effects.preparations import PREPARATIONS, preparation_named
from open_seq2seq.errors import DataError, UsageError
from open_seq2seq.evaluation import robustness
from open_seq2seq.evaluation.error_rates import transcript_errors
from open_seq2seq.evaluation.robustness_results import alternative_text, draw_rates, read_robustness
from open_seq2seq.experiment.command_line import parse_command_line
from tests.paths import REPOSITORY

SUMMARY = {"checkpoint": "model.ckpt-300", "step": 300, "data_set": "dev.csv", "mean_wer": 0.2, "worst": "room", "preparations": [
    {"preparation": "unchanged", "description": "as is", "wer": 0.1, "low": 0.05, "high": 0.2, "words": 40, "utterances": 10},
    {"preparation": "room", "description": "a room", "wer": 0.3, "low": 0.2, "high": 0.5, "words": 40, "utterances": 10}]}


def test_the_interval_is_that_of_independent_utterances():
    """Of 400 utterances of 5 words, each with 1 error with probability 0.2: the deviation of the WER is 0.2 * 0.8 / 400."""
    edits = (np.random.RandomState(1).random_sample(400) < 0.2).astype(int)
    words = np.full(400, 5)
    low, high = robustness.bootstrap_interval(edits, words)
    rate = edits.sum() / words.sum()
    deviation = np.sqrt(edits.mean() * (1 - edits.mean()) / 400) / 5
    assert low == pytest.approx(rate - 1.96 * deviation, abs=0.15 * deviation)
    assert high == pytest.approx(rate + 1.96 * deviation, abs=0.25 * deviation)
    assert robustness.bootstrap_interval(edits, words) == (low, high)
    assert robustness.bootstrap_interval(np.array([0, 0]), np.array([3, 0])) == (0.0, 0.0)


def test_a_measurement_counts_the_errors_of_an_evaluation():
    references, hypotheses = ["one two", "three", "four five six"], ["one", "three", "four nine six six"]
    result = types.SimpleNamespace(utterances=[types.SimpleNamespace(transcript=text) for text in references],
                                   transcripts=hypotheses,
                                   word_error_rate=transcript_errors(references, hypotheses).word_error_rate)
    found = robustness.measurement_of(preparation_named("room"), result)
    assert (found.preparation, found.wer, found.words, found.utterances) == ("room", 0.5, 6, 3)
    assert found.low == 0.0 and 0.5 < found.high <= 2 / 3
    summary = robustness.summary_of("/run/model.ckpt-7", "dev.csv", "Greedy decoding",
                                    [found._replace(preparation="quiet", wer=0.1), found])
    assert summary["worst"] == "room" and summary["mean_wer"] == pytest.approx(0.3) and summary["step"] == 7


def test_the_picture_has_a_bar_for_each_and_marks_the_worst():
    image = np.asarray(Image.open(io.BytesIO(draw_rates(SUMMARY, "png"))).convert("RGB")).astype(int)

    def longest_row(color):
        return int((np.abs(image - color).sum(axis=2) < 12).sum(axis=1).max())
    blue, orange = longest_row([0x00, 0x72, 0xB2]), longest_row([0xD5, 0x5E, 0x00])
    assert image.shape[1] == 1050 and orange == pytest.approx(3 * blue, rel=0.1)
    assert draw_rates(SUMMARY, "svg") == draw_rates(SUMMARY, "svg") and b"<svg" in draw_rates(SUMMARY, "svg")
    assert "mean 20.00 %" in alternative_text(SUMMARY) and "room 30.0 %" in alternative_text(SUMMARY)


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"preparations": []}', b"\xff\xfe", json.dumps(
    dict(SUMMARY, preparations=[dict(SUMMARY["preparations"][0], wer="high")])).encode()])
def test_damaged_results_are_reported(tmp_path, content):
    path = tmp_path / "robustness.json"
    assert read_robustness(str(path)) is None
    path.write_bytes(content)
    with pytest.raises(DataError, match="robustness.json is damaged .*--mode=robustness"):
        read_robustness(str(path))
    path.write_text(json.dumps(SUMMARY))
    assert read_robustness(str(path)) == SUMMARY


@pytest.mark.parametrize("flags,words", [
    (["--mode=robustness", "--preparations=unchanged,telefone"], ["telefone", "did you mean telephone?", "8_khz"]),
    (["--mode=robustness", "--preparations=room,room"], ["each name once"]),
    (["--mode=robustness", "--preparations="], ["unknown", "unchanged"]),
    (["--mode=eval", "--preparations=room"], ["--mode=robustness", "--mode=eval"])])
def test_preparations_on_the_command_line(flags, words):
    with pytest.raises(UsageError) as raised:
        parse_command_line(["--config_file=c.py"] + flags)
    assert all(word in str(raised.value) for word in ["--preparations"] + words)
    arguments, _ = parse_command_line(["--config_file=c.py", "--mode=robustness", "--preparations=room, unchanged"])
    assert arguments.preparations == ["room", "unchanged"]


@pytest.mark.parametrize("device,group,words", [
    ({"static_shapes": True, "name": "npu"}, {"size": 1}, ["device npu", "--device=cpu"]),
    ({"static_shapes": False, "name": "cpu"}, {"size": 8}, ["one of 8", "without the launcher"])])
def test_devices_and_launchers_that_are_refused(device, group, words):
    with pytest.raises(UsageError) as raised:
        robustness.measure_robustness(None, None, None, None, types.SimpleNamespace(**device), types.SimpleNamespace(**group))
    assert all(word in str(raised.value) for word in words)


def test_a_missing_codec_skips_its_preparation_unless_it_was_asked_for(monkeypatch, capsys):
    monkeypatch.setattr(robustness, "missing_file_codecs", lambda: ("mp3", "opus"))
    names = [preparation.name for preparation in robustness._chosen(None)]
    assert len(names) == len(PREPARATIONS) - 2 and not {"mp3", "opus"} & set(names)
    assert "mp3" in capsys.readouterr().out
    with pytest.raises(DataError, match="mp3 needs the codec mp3, which this libsndfile lacks"):
        robustness._chosen(["room", "mp3"])


def repeated(waveform, sample_rate, random):
    """Everything is said four times: three times as many insertions as there are words."""
    return np.tile(waveform, 4)


@contextlib.contextmanager
def printed_lines():
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        lines = []
        yield lines
    lines.extend(text.getvalue().splitlines())


@pytest.mark.slow
def test_a_run_writes_what_it_prints_and_names_the_worst_preparation(trained_digits, tmp_path, monkeypatch):
    shutil.copytree(str(trained_digits.run), str(tmp_path / "run"))
    monkeypatch.chdir(str(trained_digits.folder))
    chosen = [preparation_named(name) for name in ("unchanged", "ends_cut", "leading_silence", "slow", "telephone")]
    chosen.insert(2, PREPARATIONS[0]._replace(name="repeated", description="said four times", change=repeated,
                                              longest=lambda samples, rate: 4 * samples))
    monkeypatch.setattr(robustness, "PREPARATIONS", chosen)
    flags = ["--config_file=config.py", "--mode=robustness", "--device=cpu", "--enable_logs", "--logdir=%s" % (tmp_path / "run")]
    with printed_lines() as lines:
        assert modes.run(flags) == 0
    logs = tmp_path / "run" / "logs"
    summary = json.loads((logs / "robustness.json").read_text())
    assert summary["worst"] == "repeated" and summary["checkpoint"] == "model.ckpt-300" and summary["data_set"] == "dev.csv"
    assert [entry["preparation"] for entry in summary["preparations"]] == [preparation.name for preparation in chosen]
    for entry in summary["preparations"]:
        fields, = [line.split() for line in lines if line.split()[1:2] == [entry["preparation"]]]
        numbers = [float(fields[place]) for place in (2, 4, 6)]
        np.testing.assert_allclose(numbers, [100 * entry[key] for key in ("wer", "low", "high")], atol=0.006)
        assert entry["low"] <= entry["wer"] <= entry["high"] and entry["utterances"] == 40
    assert any("worst %.2f %% (repeated)" % (100 * summary["preparations"][2]["wer"]) in line for line in lines)
    # the first is what --mode=eval measures
    assert "%.4f" % summary["preparations"][0]["wer"] == trained_digits.output.split("Validation WER:")[-1].split()[0]
    image = Image.open(str(logs / "report" / "robustness.png"))
    assert image.size[0] == 1050 and image.size[1] > 350
    # the training's report shows it, too
    assert 'figure id="robustness"' in (logs / "report" / "index.html").read_text(encoding="utf-8")
    monkeypatch.setattr(robustness, "PREPARATIONS", preparations.PREPARATIONS)
    before = (logs / "robustness.json").read_bytes()
    assert modes.run(flags + ["--preparations=unchanged"]) == 0
    selected = json.loads((logs / "robustness_selected.json").read_text())
    assert selected["preparations"] == summary["preparations"][:1] and (logs / "robustness.json").read_bytes() == before


def test_the_benchmark_compares_two_runs(tmp_path):
    """benchmarks/robustness.py on the results of two runs."""
    better = json.loads(json.dumps(SUMMARY))
    better["preparations"][1].update(wer=0.1, low=0.05, high=0.15)
    better["preparations"][0].update(wer=0.0)
    for name, summary in (("a", better), ("b", SUMMARY)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "robustness.json").write_text(json.dumps(summary))
    command = [sys.executable, os.path.join(REPOSITORY, "benchmarks", "robustness.py"), "--config_file=none.py", "--measured"]
    done = subprocess.run(command + ["--logdir=a", "--other=b"], cwd=str(tmp_path), stdout=subprocess.PIPE, text=True)
    assert done.returncode == 0
    table = {line.split()[0]: line for line in done.stdout.splitlines()[2:-1]}
    assert table["room"].split()[1:] == ["10.00", "%", "5.00", "to", "15.00", "30.00", "%", "0.33", "+"]
    assert table["unchanged"].endswith("0.00") and table["mean"].split()[1:] == ["5.00", "%", "20.00", "%", "0.25"]
    rows = json.loads(done.stdout.splitlines()[-1])["rows"]
    assert rows[1]["ratio"] == pytest.approx(1 / 3) and rows[1]["better"] and not rows[0]["better"]
    assert subprocess.run(command + ["--logdir=c"], cwd=str(tmp_path), stderr=subprocess.PIPE).returncode == 1
