"""The measurements of a run: what is written, and what is read after crashes, resumed runs and damage."""
import json
import os

import numpy as np
import pytest

from open_seq2seq.errors import DataError
from open_seq2seq.evaluation.error_rates import ErrorRate
from open_seq2seq.evaluation.scoring import EvaluationResult
from open_seq2seq.training.metrics import Metrics, evaluation_numbers, read_metrics
from open_seq2seq.training.report.curves import panels
from open_seq2seq.training.report.summary import summary


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "metrics.jsonl")


def _values(path, kind, name):
    return [(entry["step"], entry[name]) for entry in read_metrics(path) if entry["kind"] == kind]


def test_a_line_for_each_measurement(path):
    metrics = Metrics(path)
    metrics.write("step", 10, loss=np.float32(0.5), utterances=np.int64(3))
    metrics.write("layers", 10, layers=[{"layer": "conv11", "change": np.float32(0.25)}], norms=np.array([1.0, 2.0]))
    with open(path) as file:
        lines = [json.loads(line) for line in file]
    assert [sorted(line) for line in lines] == [["kind", "loss", "step", "time", "utterances"],
                                                ["kind", "layers", "norms", "step", "time"]]
    assert (lines[0]["loss"], lines[0]["utterances"], lines[0]["step"]) == (0.5, 3, 10)
    assert (lines[1]["layers"], lines[1]["norms"]) == ([{"layer": "conv11", "change": 0.25}], [1.0, 2.0])
    assert lines[0]["time"] == pytest.approx(os.path.getmtime(path), abs=60)


def test_numbers_that_are_not_finite_are_null(path):
    Metrics(path).write("step", 1, loss=float("nan"), gradient_norm=np.float32("inf"), rows=[{"a": float("-inf")}])
    with open(path) as file:
        line = json.loads(file.read(), parse_constant=pytest.fail)
    assert (line["loss"], line["gradient_norm"], line["rows"]) == (None, None, [{"a": None}])


def test_a_rank_that_does_not_write(tmp_path):
    Metrics(None).write("step", 1, loss=1.0)
    assert os.listdir(str(tmp_path)) == []


@pytest.mark.parametrize("rest", ['{"kind": "step", "step": 2, "lo', '{"kind": "step", "step": 2, "loss": "\xff'])
def test_a_line_cut_short_loses_no_other(path, rest):
    Metrics(path).write("step", 1, loss=1.0)
    with open(path, "ab") as file:
        file.write(rest.encode("latin-1"))
    resumed = Metrics(path)
    resumed.write("step", 2, loss=2.0)
    resumed.write("step", 3, loss=3.0)
    assert _values(path, "step", "loss") == [(1, 1.0), (2, 2.0), (3, 3.0)]


def _line(**values):
    return json.dumps(dict({"kind": "step", "step": 2}, **values))


@pytest.mark.parametrize("damage, reason", [
    ("null", "not a JSON object"), ("[]", "not a JSON object"), ("\0\0\0\0", "not a JSON object"), ("3", "not a JSON object"),
    ('{"kind": "step"}', "step is not a count"), (_line(step="2"), "step is not a count"),
    (_line(step=True), "step is not a count"),
    (_line(step=-1), "step is not a count"), (_line(step=10 ** 400), "step is not a count"),
    (_line(kind=1), "kind is not a text"), ("[" * 100000, "nested too deeply"), ('{"a":' * 100000, "nested too deeply"),
    (_line(loss=float("nan")), "NaN is not a number of JSON"), (_line(loss=float("-inf")), "-Infinity is not a number of JSON"),
    (_line(loss=1e308), "loss is not a number of float32"),
    (_line(loss="1e999").replace('"1e999"', "1e999"), "loss is not a number"),
    (_line(learning_rate=10 ** 400), "learning_rate is not a number"), (_line(loss="0.5"), "loss is not a number"),
    (_line(loss=[]), "loss is not a number"), (_line(loss=True), "loss is not a number"),
    (_line(kind="start", steps_per_epoch="12"), "steps_per_epoch is not a count"),
    (_line(kind="start", run=3), "run is not a text"),
    (_line(kind="end", reason=7), "reason is not a text"), (_line(kind="evaluation", data_set=5), "data_set is not a text"),
    (_line(time=1e300), "time is not a number of seconds"), (_line(time="noon"), "time is not a number of seconds"),
    (_line(time=-5), "time is not a number of seconds"), (_line(kind="layers", layers={}), "layers is not a list of objects"),
    (_line(kind="layers", layers=[{"layer": 4}]), "layers is not a list of objects"),
    (_line(kind="layers", layers=[{"layer": "conv11", "mean_drift": "0.1"}]), "mean_drift is not a number"),
    (_line(kind="evaluation", data_set="a\ud800"), r"a text contains \ud800, which is not a character"),
    (_line(kind="evaluation", data_set="a\ud800").replace(r"\ud800", r"\uD800"), r"a text contains \ud800"),
    (_line(kind="start", run="\udcff"), r"a text contains \udcff"),
    (_line(kind="end", reason="\udfff\ud83d"), r"a text contains \udfff"),
    (_line(kind="layers", layers=[{"layer": "conv\udc80"}]), r"a text contains \udc80"),
    (_line(**{"a\ud800": 1}), "a text contains"),
    (_line(others=[{"a": ["b\ud800"]}]), "a text contains"), (_line(others={"a": {"b\ud800": 1}}), "a text contains")])
def test_a_damaged_line_is_skipped_with_a_note_and_the_report_is_drawn(path, damage, reason, capsys):
    metrics = Metrics(path)
    metrics.write("step", 1, loss=1.0)
    with open(path, "a") as file:
        file.write(damage + "\n")
    metrics.write("step", 2, loss=2.0)
    assert _values(path, "step", "loss") == [(1, 1.0), (2, 2.0)]
    assert "*** Note: 1 damaged line was skipped: line 2 of %s: %s" % (path, reason) in capsys.readouterr().out
    with open(path, "a") as file:
        file.write(damage + "\n")
    assert len(summary(read_metrics(path))) > 1 and len(panels(read_metrics(path))) == 1
    assert "*** Note: 2 damaged lines were skipped, the first: line 2 of %s: %s" % (path, reason) in capsys.readouterr().out


def test_names_that_are_not_utf8_are_written_with_escapes(path, capsys):
    Metrics(path).write("start", 0, run="caf\udce9", data_sets=["\udcff.csv"], rates={"\udcff.csv": 0.5})
    Metrics(path).write("evaluation", 1, data_set="caf\u00e9 \U0001f600.csv")
    start, evaluation = read_metrics(path)
    assert (start["run"], start["data_sets"], start["rates"]) == (r"caf\xe9", [r"\xff.csv"], {r"\xff.csv": 0.5})
    assert evaluation["data_set"] == "caf\u00e9 \U0001f600.csv" and capsys.readouterr().out == ""


def test_empty_lines_are_no_damage(path, capsys):
    Metrics(path).write("step", 1, loss=1.0)
    with open(path, "a") as file:
        file.write("\n  \n")
    assert _values(path, "step", "loss") == [(1, 1.0)] and capsys.readouterr().out == ""


def test_everything_that_a_run_writes_is_read(path, capsys):
    """NumPy's types, as a step fetches them, and numbers that are not finite."""
    metrics = Metrics(path)
    metrics.write("step", 1, loss=np.float32("nan"), loss_scale=np.float32(2.0 ** 127), epoch=0,
                  limited_layer_changes=np.array([1, 2]).sum(), limited_total_changes=np.int64(1), data_wait_share=None)
    metrics.write("skipped", 1, reason="the loss is not finite", bad=np.bool_(True), utterances=["a.csv:2"], skipped_steps=1,
                  loss=float("nan"), loss_scale=1.0)
    assert [entry["kind"] for entry in read_metrics(path)] == ["step", "skipped"] and capsys.readouterr().out == ""


def test_the_names_that_version_0_1_gave_to_a_test(path):
    with open(path, "w") as file:
        file.write('{"kind": "test", "step": 3, "loss": 2.0, "wer": 0.25, "cer": 0.125}\n')
    entry, = read_metrics(path)
    assert (entry["word_error_rate"], entry["character_error_rate"]) == (0.25, 0.125) and "wer" not in entry


def test_evaluations_diagnostics_and_the_test_use_the_same_names():
    result = EvaluationResult(
        loss=1.5, word_error_rate=ErrorRate(1, 4), character_error_rate=ErrorRate(1, 8), sentence_error_rate=ErrorRate(1, 2),
        frame_entropy=0.5, num_utterances=2, num_uncounted=1, num_unscored=0, audio_seconds=3.0, seconds=0.25, utterances=[],
        transcripts=[], uncounted=[])
    assert evaluation_numbers(result) == {
        "loss": 1.5, "word_error_rate": 0.25, "character_error_rate": 0.125, "sentence_error_rate": 0.5, "frame_entropy": 0.5,
        "utterances": 2, "without_finite_loss": 1, "seconds": 0.25}


def test_steps_that_were_made_again_count_once(path):
    first = Metrics(path)
    first.write("start", 0)
    for step in (1, 2, 3, 4, 5):
        first.write("step", step, loss=float(step))
    resumed = Metrics(path)
    resumed.write("start", 3)
    resumed.write("step", 4, loss=40.0)
    # the first run's step 5 is not what these weights have seen
    assert _values(path, "step", "loss") == [(1, 1.0), (2, 2.0), (3, 3.0), (4, 40.0)]
    assert [entry["step"] for entry in read_metrics(path) if entry["kind"] == "start"] == [0, 3]


def test_a_fresh_start_in_the_same_directory_drops_the_earlier_run(path):
    metrics = Metrics(path)
    for loss in (1.0, 2.0):
        metrics.write("start", 0)
        metrics.write("step", 1, loss=loss)
        metrics.write("evaluation", 1, loss=loss)
    assert _values(path, "step", "loss") == [(1, 2.0)] and _values(path, "evaluation", "loss") == [(1, 2.0)]


def test_evaluations_of_one_step_on_two_data_sets(path):
    metrics = Metrics(path)
    for data_set, wer in (("dev.csv", 0.3), ("test.csv", 0.4), ("dev.csv", 0.2)):
        metrics.write("evaluation", 5, data_set=data_set, wer=wer)
    assert [(entry["data_set"], entry["wer"]) for entry in read_metrics(path)] == [("test.csv", 0.4), ("dev.csv", 0.2)]


def test_no_file(path):
    with pytest.raises(DataError, match="metrics.jsonl: No such file"):
        read_metrics(path)


def test_a_training_continues_where_metrics_cannot_be_written(tmp_path, capsys):
    path = str(tmp_path / "gone" / "metrics.jsonl")
    metrics = Metrics(path)
    metrics.write("step", 1, loss=1.0)
    metrics.write("step", 2, loss=2.0)
    os.mkdir(str(tmp_path / "gone"))
    metrics.write("step", 3, loss=3.0)
    assert capsys.readouterr().out.count("cannot be written") == 1
    assert _values(path, "step", "loss") == [(3, 3.0)]


def test_a_full_disk(capsys):
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here")
    Metrics("/dev/full").write("step", 1, loss=1.0)
    assert "Metrics cannot be written to /dev/full: No space left on device" in capsys.readouterr().out
