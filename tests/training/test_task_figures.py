"""The figures of several tasks: means of losses, the metrics that decide, and what the report shows of them."""
import numpy as np
import pytest

from open_seq2seq.data.tasks import LABEL
from open_seq2seq.evaluation.error_rates import ErrorRate
from open_seq2seq.evaluation.scoring import EvaluationResult
from open_seq2seq.evaluation.task_evaluation import TaskResult
from open_seq2seq.training.metric_tracker import NO_BEST, MetricTracker, measured_values, no_best
from open_seq2seq.training.metrics import Metrics, read_metrics
from open_seq2seq.training.report.curves import panels
from open_seq2seq.training.report.summary import summary
from open_seq2seq.training.task_figures import TaskFigures

PARAMS = {"tasks": {"kyrgyz": {"data": {"kind": "transcript"}}, "speaker": {"data": {"kind": LABEL}}}, "main_task": None,
          "early_stop": True, "reduce_lr_on_plateau": False, "es_min_delta": None}


def result(wer, accuracy):
    rate = ErrorRate(wer, 100)
    main = EvaluationResult(5.0, rate, rate, rate, 0.1, 10, 0, 0, 9.0, 1.0, [], [], [])
    return main._replace(tasks=(("speaker", TaskResult("speaker", LABEL, 0.7, accuracy, 10, 0, 9.0, 1.0, [])),))


class State(dict):
    def get(self):
        return self

    def set(self, **values):
        self.update(values)


def test_losses_are_means_over_the_utterances_of_each_task():
    figures = TaskFigures(["a", "b", "c"])
    assert figures.figures() == {}
    figures.add(np.array([[6.0, 2.0, 1.0], [1.0, 1.0, 0.5], [0.0, 0.0, 1.0]], np.float32))
    figures.add(np.array([[3.0, 1.0, 1.0], [0.0, 0.0, 0.25], [0.0, 0.0, 1.0]], np.float32))
    found = figures.figures()
    assert found["a"] == {"loss": 3.0, "utterances": 3, "weight": 1.0} and found["b"]["weight"] == 0.25
    assert found["c"]["utterances"] == 0 and np.isnan(found["c"]["loss"])
    assert figures.line() == "Losses of the tasks: a 3.0000, b 1.0000 (weight 0.25), c -"
    figures.restart()
    assert figures.figures() == {}


@pytest.mark.parametrize("metric, improves", [("kyrgyz.wer", [True, False]), ("speaker.accuracy", [True, True]),
                                              ("loss", [True, False])])
def test_a_metric_of_a_task_decides_and_a_higher_accuracy_is_better(metric, improves):
    assert no_best(PARAMS) == dict.fromkeys(
        ["best_" + name for name in ("loss", "wer", "kyrgyz.loss", "kyrgyz.wer", "speaker.loss", "speaker.accuracy")], NO_BEST)
    tracker, state = MetricTracker(dict(PARAMS, stopping_metric=metric), 10), State(MetricTracker.initial_state)
    found = []
    for step, (wer, accuracy) in enumerate(((30, 0.5), (30, 0.75)), 1):
        tracker.evaluated(state, step, result(wer, accuracy))
        found.append(tracker.best_step == step)
    assert found == improves
    assert measured_values(PARAMS, result(30, 0.75)) == {
        "loss": 5.0, "wer": pytest.approx(0.3), "kyrgyz.loss": 5.0, "kyrgyz.wer": pytest.approx(0.3),
        "speaker.loss": pytest.approx(0.7), "speaker.accuracy": 0.25}


def test_the_report_has_curves_of_each_task(tmp_path):
    metrics = Metrics(str(tmp_path / "metrics.jsonl"))
    for step in (10, 20):
        metrics.write("step", step, loss=1.0, tasks={"kyrgyz": {"loss": 9.0, "weight": 1.0}, "speaker": {
            "loss": float("nan"), "weight": step / 10.0}})
        metrics.write("evaluation", step, data_set="dev.csv", loss=2.0, word_error_rate=0.5)
        for task, accuracy in (("speaker", step / 100.0), ("accent", None)):
            metrics.write("task_evaluation", step, task=task, data_set="dev.csv", loss=1.0, accuracy=accuracy)
    entries = read_metrics(str(tmp_path / "metrics.jsonl"))
    drawn = {panel.name: panel.curves for panel in panels(entries)}
    assert [(curve.label, curve.values) for curve in drawn["task_losses"]] == [("kyrgyz", [9.0, 9.0])]
    assert [(curve.label, curve.values) for curve in drawn["task_weights"]] == [("speaker", [1.0, 2.0])]
    assert [(curve.label, curve.values) for curve in drawn["accuracy"]] == [("speaker, dev.csv", [10.0, 20.0])]
    assert [curve.label for curve in drawn["loss"]] == ["training batches", "dev.csv", "speaker, dev.csv", "accent, dev.csv"]
    assert ("task speaker, dev.csv: accuracy", "20.00 % at step 20, best 20.00 % at step 20") in summary(entries)
