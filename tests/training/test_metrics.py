"""The measurements of a run: what is written, and what a reader makes of it after kills and resumed runs."""
import json
import os

import numpy as np
import pytest

from open_seq2seq.errors import DataError
from open_seq2seq.training.metrics import Metrics, read_metrics


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


def test_what_is_not_finite_is_null(path):
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


@pytest.mark.parametrize("damage", ["\n", "null", "[]", "3", '{"kind": "step"}', '{"kind": "step", "step": "2"}',
                                    '{"kind": 1, "step": 2}', '{"kind": "step", "step": true}', "\0\0\0\0"])
def test_damaged_lines_are_passed_over(path, damage):
    metrics = Metrics(path)
    metrics.write("step", 1, loss=1.0)
    with open(path, "a") as file:
        file.write(damage + "\n")
    metrics.write("step", 2, loss=2.0)
    assert _values(path, "step", "loss") == [(1, 1.0), (2, 2.0)]


def test_what_was_done_again_counts_once(path):
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


def test_a_fresh_start_in_the_same_directory_begins_anew(path):
    metrics = Metrics(path)
    for loss in (1.0, 2.0):
        metrics.write("start", 0)
        metrics.write("step", 1, loss=loss)
        metrics.write("evaluation", 1, loss=loss)
    assert _values(path, "step", "loss") == [(1, 2.0)] and _values(path, "evaluation", "loss") == [(1, 2.0)]


def test_data_sets_of_one_step_stand_beside_each_other(path):
    metrics = Metrics(path)
    for data_set, wer in (("dev.csv", 0.3), ("test.csv", 0.4), ("dev.csv", 0.2)):
        metrics.write("evaluation", 5, data_set=data_set, wer=wer)
    assert [(entry["data_set"], entry["wer"]) for entry in read_metrics(path)] == [("test.csv", 0.4), ("dev.csv", 0.2)]


def test_no_file(path):
    with pytest.raises(DataError, match="metrics.jsonl: No such file"):
        read_metrics(path)


def test_a_training_outlives_its_metrics(tmp_path, capsys):
    path = str(tmp_path / "gone" / "metrics.jsonl")
    metrics = Metrics(path)
    metrics.write("step", 1, loss=1.0)
    metrics.write("step", 2, loss=2.0)
    os.mkdir(str(tmp_path / "gone"))
    metrics.write("step", 3, loss=3.0)
    assert capsys.readouterr().out.count("cannot be written") == 1
    assert _values(path, "step", "loss") == [(3, 3.0)]


def test_a_full_disk_leaves_whole_lines_only(capsys):
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here")
    Metrics("/dev/full").write("step", 1, loss=1.0)
    assert "Metrics cannot be written to /dev/full: No space left on device" in capsys.readouterr().out
