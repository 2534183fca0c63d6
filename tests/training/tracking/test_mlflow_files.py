"""Names and values within MLflow's limits, and the queue on the disk. Neither needs MLflow."""
import json
import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from open_seq2seq.training.tracking.mlflow_queue import Position, QueueReader, QueueWriter, path_of, segments
from open_seq2seq.training.tracking.mlflow_records import metric_values, parameter_values, short_text, valid_name

NAN, INF = float("nan"), float("inf")


@given(st.lists(st.text(), min_size=1, max_size=4))
def test_every_name_is_one_that_mlflow_accepts(parts):
    name = valid_name(parts)
    assert re.match(r"^[/\w.\- ]+$", name) and len(name.encode("utf-8")) <= 240
    assert os.path.normpath(name) == name and not name.startswith(("/", ".."))


def test_different_names_stay_different():
    names = [["a:b"], ["a_b"], ["a?b"], ["a", "b"], ["x" * 300], ["x" * 301], ["Қ" * 200], ["Қ" * 201], [""], ["."], [".."],
             ["_"]]
    assert len({valid_name(parts) for parts in names}) == len(names)
    assert valid_name(["step", "loss"]) == "step/loss"


@given(st.text(max_size=600), st.sampled_from([250, 5000]))
def test_a_text_is_one_short_line_and_not_empty(text, longest):
    short = short_text(text, longest)
    assert 0 < len(short) <= longest and len(short.splitlines()) == 1


def test_parameters_of_a_config():
    assert parameter_values({"a/0/b": 1, "a/0/c": 1.5, "none": None, "flag": True, "text": "x"}) == {
        "a.0.b": "1", "a.0.c": "1.5", "none": "None", "flag": "True", "text": "x"}


@pytest.mark.parametrize("kind, numbers, expected", [
    ("step", {"loss": 2.0, "epoch": 1, "data_wait_share": None, "gradient_norm": NAN},
     ({"step/loss": 2.0, "step/epoch": 1.0}, {}, {"step/gradient_norm": "nan"})),
    ("evaluation", {"data_set": "dev.csv", "loss": -INF, "word_error_rate": 0.25},
     ({"evaluation/word_error_rate": 0.25}, {"evaluation/data_set": "dev.csv"}, {"evaluation/loss": "-inf"})),
    ("task_evaluation", {"task": "kazakh", "data_set": "kk.csv", "loss": 1.0},
     ({"task_evaluation/kazakh/loss": 1.0}, {"task_evaluation/kazakh/data_set": "kk.csv"}, {})),
    ("subset", {"data_set": "training", "loss": INF}, ({}, {}, {"subset/training/loss": "inf"})),
    ("layers", {"layers": [{"layer": "conv1", "norm": 3.0, "drift": None}, {"layer": "conv2", "norm": 4.0}]},
     ({"layers/conv1/norm": 3.0, "layers/conv2/norm": 4.0}, {}, {})),
    ("step", {"tasks": {"a": {"loss": 1.0}}, "job_losses": [1.5, 2.5], "huge": 10 ** 400},
     ({"step/tasks/a/loss": 1.0, "step/job_losses/0": 1.5, "step/job_losses/1": 2.5}, {}, {"step/huge": "inf"})),
    ("end", {"reason": "the last step"}, ({}, {"end/reason": "the last step"}, {}))])
def test_measurements_of_every_kind(kind, numbers, expected):
    assert metric_values(kind, numbers) == expected


def numbers_in(found):
    return [record["number"] for record, _ in found]


def test_a_queue_survives_both_processes(tmp_path):
    folder = str(tmp_path)
    writer, reader = QueueWriter(folder, 10 ** 6, segment_bytes=200), QueueReader(folder)
    for number in range(20):
        writer.append({"type": "x", "number": number, "value": NAN})
    assert len(segments(folder)) > 3
    found, _, damaged = reader.read(7)
    assert numbers_in(found) == list(range(7)) and not damaged and str(found[0][0]["value"]) == "nan"
    reader.commit(found[-1][1])
    # both processes are killed; the training was writing a line, and another file has been damaged
    with open(path_of(folder, segments(folder)[-1]), "ab") as file:
        file.write(b'{"type": "x", "num')
    with open(path_of(folder, segments(folder)[1]), "ab") as file:
        file.write(b"\xff\n[]\n{}\n")
    QueueWriter(folder, 10 ** 6).append({"type": "x", "number": 20})
    reader = QueueReader(folder)
    found, end, damaged = reader.read(100)
    assert numbers_in(found) == list(range(7, 21)) and damaged == 4
    assert reader.waiting[0] >= 14
    reader.commit(end)
    assert reader.read(100)[0] == [] and reader.waiting == (0, 0) and len(segments(folder)) == 1
    reader.remove_sent()
    # numbers of files that were removed are not used again: the position would be beyond them
    QueueWriter(folder, 10 ** 6).append({"type": "x", "number": 21})
    assert numbers_in(QueueReader(folder).read(100)[0]) == [21]
    (tmp_path / "position.json").write_text("[")
    assert QueueReader(folder).position == Position(0, 0)


def test_what_can_be_left_out_is_where_the_queue_is_full_until_it_is_sent(tmp_path):
    folder = str(tmp_path)
    writer, reader = QueueWriter(folder, 600, segment_bytes=200), QueueReader(folder)
    for number in range(40):
        writer.append({"type": "x", "number": number}, can_be_left_out=True)
    writer.append({"type": "x", "number": -1})
    assert writer.num_left_out and sum(os.path.getsize(path_of(folder, segment)) for segment in segments(folder)) < 700
    found, end, _ = reader.read(100)
    assert numbers_in(found)[-1] == -1 and len(found) == 41 - writer.num_left_out
    reader.commit(end)
    left_out = writer.num_left_out
    writer.append({"type": "x", "number": 99}, can_be_left_out=True)
    assert writer.num_left_out == left_out and numbers_in(reader.read(9)[0]) == [99]


def test_a_line_is_complete_before_the_next_file_begins(tmp_path):
    writer = QueueWriter(str(tmp_path), 10 ** 6)
    writer.append({"type": "x", "text": "қ\u2028"})
    data = open(path_of(str(tmp_path), segments(str(tmp_path))[0]), "rb").read()
    assert data.endswith(b"\n") and json.loads(data.decode())["text"] == "қ\u2028"
