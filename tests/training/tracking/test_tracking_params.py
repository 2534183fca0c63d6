"""The keys ``tracking`` and ``mlflow_params``, and the trackers that they open."""
import os
import types

import pytest

from open_seq2seq.config.parameters import NamePath, Report, check_parameters
from open_seq2seq.errors import StorageError, UsageError
from open_seq2seq.models import tracking_params
from open_seq2seq.training.tracking.mlflow_tracker import find_python
from open_seq2seq.training.tracking.opening import opened_trackers
from open_seq2seq.training.tracking.tracker import FAILED, FINISHED, Tracker, Trackers


def checked(**values):
    report = Report()
    found = check_parameters(tracking_params.TRACKING, values, NamePath("base_params"), report)
    tracking_params.check_rules(found, NamePath("base_params"), report)
    return found, [str(problem) for problem in report.problems], [str(note) for note in report.notes]


@pytest.mark.parametrize("values, words", [
    ({"tracking": ["mlfow"]}, ["tracking", "mlfow", "mlflow"]),
    ({"tracking": "mlflow"}, ["tracking", "a list"]),
    ({"mlflow_params": {"uri": "https://me:secret@host/x"}}, ["uri", "MLFLOW_TRACKING_PASSWORD"]),
    ({"mlflow_params": {"uri": ""}}, ["uri", "empty"]),
    ({"mlflow_params": {"uri": "htp://host:5000"}}, ["uri", "htp://host", "did you mean http://"]),
    ({"mlflow_params": {"uri": "localhost:5000"}}, ["uri", "localhost:5000", "lacks http://", "./localhost:5000"]),
    ({"mlflow_params": {"uri": "~nobody_of_this_name/x"}}, ["uri", "no such user"]),
    ({"mlflow_params": {"adress": "x"}}, ["adress", "unknown"]),
    ({"mlflow_params": {"wait_seconds": -1.0}}, ["wait_seconds", "at least 0"])])
def test_a_mistake_is_reported(values, words):
    _, problems, _ = checked(**values)
    text, = problems
    assert all(word in text for word in words) and "secret" not in text


@pytest.mark.parametrize("uri", ["mlruns", "./localhost:5000", "C:/runs", "http://localhost:5000", "HTTPS://host/mlflow", "file:///x",
                                 "sqlite:///runs.db", "mysql+pymysql://host/db", "databricks", "databricks://profile",
                                 "arn:aws:sagemaker:us-east-1:1:mlflow-tracking-server/x", "uc:catalog"])
def test_addresses_that_are_accepted(uri):
    assert not checked(tracking=["mlflow"], mlflow_params={"uri": uri})[1]


def test_defaults_and_what_has_no_effect(tmp_path):
    found, problems, notes = checked()
    assert found == {"tracking": ["tensorboard"], "mlflow_params": {}} and not problems and not notes
    assert checked(tracking=[])[1:] == ([], [])
    _, _, (note,) = checked(mlflow_params={"uri": "mlruns"})
    assert "mlflow_params" in note and "no effect" in note
    report, values = Report(), {"tracking": ["mlflow"], "mlflow_params": {}, "save_summaries_steps": 5}
    tracking_params.check_rules(values, NamePath("base_params"), report)
    assert values["save_summaries_steps"] is None and "no effect" in str(report.notes[0])


@pytest.mark.parametrize("python", ["/nonexistent/python", "/bin/false"])
def test_a_python_without_mlflow_is_an_error_before_training(python):
    with pytest.raises(UsageError) as error:
        find_python({"mlflow_params": {"python": python}})
    assert python in str(error.value) and "scripts/setup.sh --tracking" in str(error.value)


def test_other_ranks_and_benchmarks_track_nothing(tmp_path):
    directory = types.SimpleNamespace(path=str(tmp_path), checkpoints=str(tmp_path))
    with opened_trackers({"tracking": ["tensorboard", "mlflow"], "save_summaries_steps": 1}, directory, writes=False) as trackers:
        trackers.start(0, None)
        trackers.metrics("step", 1, 0.0, {"loss": 1.0})
        trackers.finish(FINISHED)
    assert os.listdir(str(tmp_path)) == []


class Noted(Tracker):
    def __init__(self, error=None):
        self.calls, self.error = [], error

    def metrics(self, kind, step, seconds, numbers):
        self.calls.append((kind, step))
        if self.error is not None:
            raise self.error

    def finish(self, status):
        self.calls.append(status)


@pytest.mark.parametrize("error", [StorageError("cannot write x"), OSError(28, "No space left on device")])
def test_a_tracker_that_fails_is_left_alone_and_the_others_go_on(error, capsys):
    broken, sound = Noted(error), Noted()
    trackers = Trackers([broken, sound])
    for step in (1, 2):
        trackers.metrics("step", step, 0.0, {})
    trackers.finish(FAILED)
    trackers.finish(FINISHED)
    assert broken.calls == [("step", 1)] and sound.calls == [("step", 1), ("step", 2), FAILED]
    output = capsys.readouterr().out
    assert output.count("\n") == 1 and str(error) in output and "The training continues" in output
