"""What is reported after a step: lines in their exact form, metrics, and which of them are due. The clock is the test's."""
import re
import types

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq import log_lines
from open_seq2seq.evaluation.error_rates import ErrorRate
from open_seq2seq.evaluation.scoring import EvaluationResult
from open_seq2seq.progress import Throughput
from open_seq2seq.training import step_log
from open_seq2seq.training.metrics import Metrics, read_metrics
from open_seq2seq.training.step_log import StepLog, is_due
from open_seq2seq.training.tracking.tensorboard_tracker import TensorBoardTracker
from open_seq2seq.training.tracking.tracker import FINISHED

PARAMS = {"data_layer_params": {"window_stride": 0.01}, "max_steps": None, "print_loss_steps": 2, "print_samples_steps": None,
          "save_summaries_steps": None, "metrics_steps": 2, "print_bench_info_steps": None, "bench_start": 2,
          "summaries": [], "batch_size_per_gpu": 32}


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


class DataLayer:
    """Six utterances; 3 and 4 are packed into one row, whose index is that of the first."""

    manifests = ["data/dev.csv"]
    utterances = [types.SimpleNamespace(id="train.csv:%d" % (index + 2), duration=0.5, labels=[1] * (index + 1))
                  for index in range(6)]

    def utterances_of_row(self, index):
        return self.utterances[3:5] if index == 3 else [self.utterances[index]]


def batch(weights=(1, 1), counted=(True, True), indices=(0, 1), loss=2.0, wait=None):
    values = {"weights": np.array(weights, np.float32), "counted": np.array(counted), "indices": np.array(indices),
              "frames": np.array([200, 100])[:len(weights)], "batch_loss": np.float32(loss)}
    return values if wait is None else dict(values, data_wait=np.float32(wait))


def step_values(**others):
    return dict({"learning_rate": np.float32(0.5), "loss_scale": np.float32(8.0), "gradient_norm": np.float32(3.0)}, **others)


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Function (options) that returns a StepLog of three steps an epoch, and its clock."""
    def make(iter_size=1, first_step=0, ranks=1, static_shapes=False, trackers=None, **params):
        clock = Clock()
        monkeypatch.setattr(step_log, "Throughput", lambda frame_seconds: Throughput(frame_seconds, clock))
        graph = types.SimpleNamespace(iter_size=iter_size, steps_per_epoch=3, last_step=102, utterances_per_batch=32,
                                      data_layer=DataLayer(), epochs_done=lambda step: step // 3,
                                      evaluation=types.SimpleNamespace(data_layer=DataLayer()))
        log = StepLog(dict(PARAMS, **params), graph, types.SimpleNamespace(static_shapes=static_shapes),
                      types.SimpleNamespace(size=ranks), first_step, trackers,
                      Metrics(str(tmp_path / "metrics.jsonl"), trackers))
        log.restart()
        return log, clock
    return make


def make_step(log, clock, step, seconds=1.0, iter_size=1, loss=2.0, **others):
    for _ in range(iter_size):
        clock.now += seconds
        log.batch(batch())
    log.step(step, loss, step_values(**others))


def test_the_lines_of_a_step(make, capsys):
    log, clock = make()
    for step in (1, 2, 3, 4):
        make_step(log, clock, step, seconds=1.5)
    assert capsys.readouterr().out.splitlines() == [
        "*** Epoch 0, global step 1: ***     Train loss: 2.0000 ",
        "time per step = 0:00:1.500",
        "***     1.3 utterances/s, 2.0 audio seconds/s, 0:02:32 to go",
        "*** Epoch 0, global step 2: ***     Train loss: 2.0000 ",
        "time per step = 0:00:1.500",
        "***     1.3 utterances/s, 2.0 audio seconds/s, 0:02:30 to go",
        "*** Epoch 1, global step 4: ***     Train loss: 2.0000 ",
        "time per step = 0:00:1.500",
        "***     1.3 utterances/s, 2.0 audio seconds/s, 0:02:27 to go"]


def test_times_are_those_of_an_update_of_iter_size_batches(make, tmp_path, capsys):
    log, clock = make(iter_size=4)
    for step in range(1, 7):
        make_step(log, clock, step, seconds=0.5, iter_size=4)
    log.finish(6)
    printed = capsys.readouterr().out
    # of a batch it would be 0.5 seconds and 48 seconds to go
    assert re.findall("time per step = (.*)", printed) == ["0:00:2.000"] * 4
    assert re.findall("audio seconds/s, (.*) to go", printed) == ["0:03:22", "0:03:20", "0:03:16", "0:03:12"]
    assert "*** Avg time per step: 2.000s\n*** Avg objects per second: 600.000\n" in printed
    steps = [entry for entry in read_metrics(str(tmp_path / "metrics.jsonl")) if entry["kind"] == "step"]
    assert [entry["seconds_per_step"] for entry in steps] == [2.0] * 4
    assert [entry["utterances_per_second"] for entry in steps] == [4.0] * 4


def test_the_lines_of_the_modelzoo_port_come_from_every_rank_and_exclude_evaluations(make, capsys, monkeypatch):
    monkeypatch.setattr(log_lines, "_log_format", "modelzoo")
    monkeypatch.setattr(log_lines, "_reporting", False)
    log, clock = make(iter_size=2, first_step=10, print_loss_steps=1)
    for step, seconds, loss in ((11, 15.0, 300.0), (12, 0.5, 2.0)):
        make_step(log, clock, step, seconds, iter_size=2, loss=loss)
        clock.now += 1000.0
        log.exclude(1000.0)
    # two updates of 64 utterances in 31 seconds
    assert capsys.readouterr().out == ("*** global_step:     10, loss: 300.000, mean_loss: 300.000,  FPS:     2.1\n"
                                       "*** global_step:     11, loss:  2.000, mean_loss: 151.000,  FPS:     4.1\n")


def test_max_steps_prints_no_epochs_and_a_tiny_negative_loss_is_zero(make, capsys):
    log, clock = make(max_steps=102)
    make_step(log, clock, 1, loss=-1e-5)
    assert capsys.readouterr().out.startswith("*** Global step 1: ***     Train loss: 0.0000 \n")


@pytest.mark.parametrize("every, due", [(None, []), (1, [1, 2, 3, 4, 5, 6]), (3, [1, 3, 6]), (100, [1])])
def test_the_first_step_and_every_multiple_is_due(every, due):
    assert [step for step in range(1, 7) if is_due(every, step)] == due


def test_what_is_fetched(make):
    options = {"print_samples_steps": 3, "save_summaries_steps": 2, "summaries": ["learning_rate", "variables"]}
    log, _ = make(**options)
    # histograms of all variables only where they are due
    assert [log.wants(step) for step in (1, 2, 3, 4, 5)] == [
        (True, True), (True, True), (True, False), (True, True), (True, False)]
    # for another set of fetches TensorFlow would prepare another executor
    log, _ = make(**dict(options, summaries=["learning_rate"]))
    assert [log.wants(step) for step in (1, 2, 5)] == [(True, True)] * 3
    log, _ = make(static_shapes=True, **options)
    assert [log.wants(step) for step in (1, 2, 5)] == [(True, True)] * 3
    log, _ = make(static_shapes=True, save_summaries_steps=2)
    assert log.wants(5) == (False, True)


def test_padding_rows_do_not_count_and_other_ranks_do(make, tmp_path):
    log, clock = make(ranks=4)
    clock.now += 2.0
    log.batch(batch(weights=(1.5, 0.0), indices=(0, -1)))
    log.step(1, 2.0, step_values())
    entry, = read_metrics(str(tmp_path / "metrics.jsonl"))
    assert (entry["utterances_per_second"], entry["audio_seconds_per_second"]) == (2.0, 4.0)


def test_the_metrics_of_a_step(make, tmp_path):
    log, clock = make()
    for step in (1, 2, 3):
        clock.now += 1.0
        log.batch(batch(wait=0.25))
        log.step(step, 2.5, step_values(limited_changes=np.array([1, 2, 4])))
    first, second = read_metrics(str(tmp_path / "metrics.jsonl"))
    del first["time"]
    assert first == {"kind": "step", "step": 1, "epoch": 0, "loss": 2.5, "learning_rate": 0.5, "loss_scale": 8.0,
                     "gradient_norm": 3.0, "seconds_per_step": 1.0, "utterances_per_second": 2.0, "audio_seconds_per_second": 3.0,
                     "data_wait_share": 0.25, "limited_layer_changes": 3, "limited_total_changes": 4}
    assert (second["step"], second["data_wait_share"]) == (2, 0.25)


def test_an_evaluation_is_written_and_excluded_from_the_speeds(make, tmp_path):
    tracker = TensorBoardTracker(str(tmp_path))
    tracker.start(0, tf.Graph())
    log, clock = make(trackers=tracker)
    make_step(log, clock, 1)
    clock.now += 60.0
    rates = ErrorRate(1, 4), ErrorRate(1, 8), ErrorRate(1, 2)
    log.evaluated(1, EvaluationResult(1.5, *rates, 0.5, 2, 1, 0, 3.0, 60.0, [], [], []))
    make_step(log, clock, 2)
    tracker.finish(FINISHED)
    entries = {(entry["kind"], entry["step"]): entry for entry in read_metrics(str(tmp_path / "metrics.jsonl"))}
    assert entries["step", 2]["seconds_per_step"] == 1.0
    evaluation = entries["evaluation", 1]
    assert (evaluation["data_set"], evaluation["loss"], evaluation["word_error_rate"], evaluation["frame_entropy"],
            evaluation["utterances"]) == ("dev.csv", 1.5, 0.25, 0.5, 2)
    path, = tmp_path.glob("events.out.tfevents.*")
    values = {value.tag: (event.step, value.simple_value) for event in tf.train.summary_iterator(str(path))
              for value in event.summary.value}
    assert values == {"eval_loss": (1, 1.5), "eval_WER": (1, 0.25)}


def test_utterances_without_a_finite_loss_are_named_once_with_all_that_are_packed_with_them(make, capsys):
    log, _ = make()
    for _ in range(2):
        log.batch(batch(counted=(False, False), indices=(0, 3)))
    assert capsys.readouterr().out.splitlines() == [
        "*** Utterance train.csv:2 has no finite CTC loss (0.50 s, 1 labels) and adds nothing to the gradient",
        "*** Utterances train.csv:5 + train.csv:6 have no finite CTC loss (1.00 s, 9 labels) and add nothing to the gradient"]
    # padding rows, and a network whose numbers are not finite, are not the fault of an utterance
    log.batch(batch(weights=(1, 0), counted=(True, False), indices=(1, -1)))
    log.batch(batch(counted=(False, False), indices=(1, 2), loss=float("nan")))
    assert capsys.readouterr().out == ""


def test_the_figures_of_the_progress_bar(make):
    log, clock = make(print_loss_steps=3)
    clock.now += 2.0
    log.batch(batch(wait=1.0))
    # the first epoch has the steps 1 to 3
    assert [log.figures(step, 2.0)[0] for step in (1, 3, 4)] == ["epoch 1", "epoch 1", "epoch 2"]
    figures = log.figures(1, 2.5)
    assert figures[1:4] == ["loss 2.500", "2 audio s/s", "50 % waiting for data"] and figures[5] == "1.0 utterances/s"
    log.step(3, 2.5, step_values())  # its lines restart the measurement
    assert log.figures(3, 2.25)[1:4] == ["loss 2.250", "2 audio s/s", "50 % waiting for data"]


def test_the_speed_of_the_run_begins_after_bench_start(make, capsys):
    log, clock = make(first_step=10, print_loss_steps=None)
    for step, seconds in ((11, 50.0), (12, 50.0), (13, 1.0), (14, 1.0)):
        make_step(log, clock, step, seconds)
    log.finish(14)
    assert capsys.readouterr().out.splitlines() == [
        "*** Finished training", "*** Avg time per step: 1.000s", "*** Avg objects per second: 300.000"]
    log, clock = make(first_step=10)
    make_step(log, clock, 12)
    capsys.readouterr()
    log.finish(12)
    assert capsys.readouterr().out == "*** Finished training\n*** Not enough steps for benchmarking\n"
