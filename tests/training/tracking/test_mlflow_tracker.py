"""A training's side of MLflow with the real sender and MLflow itself: a local folder, servers that are up, down or silent."""
import contextlib
import glob
import json
import os
import subprocess
import sys
import time
import types

import numpy as np
import pytest

from open_seq2seq.errors import UsageError
from open_seq2seq.training.tracking.mlflow_queue import segments
from open_seq2seq.training.tracking.mlflow_sender import CODE
from open_seq2seq.training.tracking.mlflow_tracker import MlflowTracker
from open_seq2seq.training.tracking.tracker import FAILED, FINISHED, STOPPED
from tests.training.tracking.mlflow_tools import free_port, mlflow_python, mlflow_server, silent_server, stored_runs

PARAMETERS = {"max_steps": 9, "dtype": "float32", "empty": "", "lines": "a\nb\u2028c", "long": "x" * 900, "none": None,
              "encoder_params/convnet_layers/0/repeat": 2, "k" * 300: 1, "bad key:": True, "../up": 1, "Қ" * 130: "қ"}


@pytest.fixture
def tracker(tmp_path, monkeypatch):
    """Function (uri, **mlflow_params) that returns a MlflowTracker of the run tmp_path/run."""
    python = mlflow_python()
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(str(tmp_path))

    def make(uri=None, **params):
        return MlflowTracker({"mlflow_params": dict(params, python=python, uri=uri)},
                             types.SimpleNamespace(path="run", checkpoints="run"))
    os.mkdir("run")
    return make


def record(tracker, first, last, **numbers):
    """Records the steps after ``first``, up to ``last``."""
    tracker.start(first, None)
    for step in range(first + 1, last + 1):
        tracker.metrics("step", step, 1.7e9 + step, dict({"loss": np.float32(1.0 / step)}, **numbers))


def losses(run):
    return {step: value for value, _, step in run["metrics"]["step/loss"]}


def test_everything_arrives_in_a_local_folder_and_a_resumed_training_continues_its_run(tracker, tmp_path, capsys):
    (tmp_path / "model.index").write_bytes(b"index")
    (tmp_path / "report" / "sub").mkdir(parents=True)
    (tmp_path / "report" / "sub" / "page.html").write_text("page")
    first = tracker(run_name="first", tags={"corpus": "digits"})
    record(first, 0, 3, learning_rate=float("nan"))
    first.parameters(PARAMETERS)
    first.metrics("evaluation", 3, 1.7e9, {"loss": float("inf"), "word_error_rate": 0.5, "data_set": "dev.csv", "none": None})
    first.metrics("layers", 3, 1.7e9, {"layers": [{"layer": "conv1/a:b", "norm": 2.5}], "job_losses": np.array([1.5, 2.5])})
    first.artifact("model.index", "best_model")
    first.artifact("report", "report")
    first.artifact("does_not_exist", "report")
    first.finish(STOPPED)
    assert "does_not_exist" in capsys.readouterr().out
    run, = stored_runs("mlruns")
    assert (run["status"], run["experiment"], run["tags"]["mlflow.runName"], run["tags"]["corpus"]) == (
        "KILLED", "jasper", "first", "digits")
    assert losses(run) == {step: pytest.approx(1.0 / step) for step in (1, 2, 3)}
    assert run["metrics"]["step/loss"][0][1] == 1700000001000
    assert run["metrics"]["evaluation/word_error_rate"] == [[0.5, 1700000000000, 3]]
    assert run["tags"]["evaluation/data_set"] == "dev.csv"
    # values that are not finite are counted, and no value stands in for them
    assert "step/learning_rate" not in run["metrics"] and "evaluation/loss" not in run["metrics"]
    assert [value for value, _, _ in run["metrics"]["non_finite/step/learning_rate"]] == [1.0, 2.0, 3.0]
    assert run["tags"]["non_finite/evaluation/loss"] == "inf at step 3"
    assert run["metrics"]["layers/job_losses/1"][0][0] == 2.5
    assert [values[0][0] for name, values in run["metrics"].items() if name.startswith("layers/conv1.a_b-")] == [2.5]
    parameters = run["parameters"]
    assert len(parameters) == len(PARAMETERS) and all(len(value) <= 250 for value in parameters.values())
    assert [parameters[name] for name in ("encoder_params.convnet_layers.0.repeat", "none", "empty", "lines")] == [
        "2", "None", "''", "a\\nb\\u2028c"]
    assert parameters["long"].endswith("(900 characters)")
    assert run["artifacts"] == {"best_model/model.index": 5, "report/sub/page.html": 4}

    second = tracker()
    record(second, 3, 5, learning_rate=float("nan"))
    second.parameters(dict(PARAMETERS, max_steps=20, added=1))
    second.finish(FINISHED)
    run, = stored_runs("mlruns")
    assert run["status"] == "FINISHED" and sorted(losses(run)) == [1, 2, 3, 4, 5]
    assert (run["parameters"]["max_steps"], run["tags"]["changed_at_3/max_steps"], run["parameters"]["added"]) == ("9", "20", "1")
    assert run["tags"]["resumed_at"] == "3" and run["metrics"]["non_finite/step/learning_rate"][-1][0] == 5.0
    assert not segments("run/mlflow") and capsys.readouterr().out == ""

    # a training that starts again from its beginning is another run
    third = tracker()
    record(third, 0, 1)
    third.finish(FAILED)
    assert sorted(run["status"] for run in stored_runs("mlruns")) == ["FAILED", "FINISHED"]


_DELETE = "import sys; from mlflow.tracking import MlflowClient; MlflowClient('mlruns').delete_run(sys.argv[1])"


def test_a_deleted_run_is_replaced_by_one_with_the_same_parameters(tracker, monkeypatch, capsys):
    first = tracker()
    record(first, 0, 2)
    first.parameters({"max_steps": 9})
    first.finish(STOPPED)
    deleted, = stored_runs("mlruns")
    subprocess.run([mlflow_python(), "-c", _DELETE, deleted["id"]], check=True)
    second = tracker()
    record(second, 2, 4)
    second.finish(FINISHED)
    run, = stored_runs("mlruns")
    assert run["id"] != deleted["id"] and sorted(losses(run)) == [3, 4] and run["parameters"] == {"max_steps": "9"}
    assert run["status"] == "FINISHED" and deleted["id"] + " was deleted" in capsys.readouterr().out

    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@host")
    with pytest.raises(UsageError) as error:
        tracker()
    assert "MLFLOW_TRACKING_PASSWORD" in str(error.value) and "secret" not in str(error.value)


_KILLED = '''
import os, sys, types
from open_seq2seq.training.tracking.mlflow_tracker import MlflowTracker
tracker = MlflowTracker({"mlflow_params": {"python": sys.argv[1], "uri": "mlruns"}},
                        types.SimpleNamespace(path="run", checkpoints="run"))
tracker.start(0, None)
tracker.metrics("step", 1, 1.7e9, {"loss": 2.0})
print(tracker._process.pid, flush=True)
os.kill(os.getpid(), 9)
'''


def test_what_a_killed_training_has_recorded_is_sent(tracker):
    tracker()  # skips the test without MLflow
    killed = subprocess.run([sys.executable, "-c", _KILLED, mlflow_python()], env=dict(os.environ, PYTHONPATH=CODE),
                            stdout=subprocess.PIPE)
    assert killed.returncode == -9
    while segments("run/mlflow"):
        os.kill(int(killed.stdout), 0)  # raises an error if the process has ended without sending everything
        time.sleep(0.05)
    run, = stored_runs("mlruns")
    assert run["status"] == "KILLED" and losses(run) == {1: 2.0}


@pytest.mark.parametrize("hangs", [True, False])
def test_a_server_that_is_silent_or_down_is_not_waited_for_and_gets_everything_later(tracker, hangs, capsys):
    with silent_server() if hangs else contextlib.nullcontext("http://127.0.0.1:%d" % free_port()) as uri:
        first = tracker(uri, wait_seconds=2.0 if hangs else 30.0)
        record(first, 0, 3)
        first.finish(FINISHED)
    output = capsys.readouterr().out
    assert "5 records" in output and "run/mlflow" in output and "mlflow_sender" in output
    if not hangs:
        assert uri + " does not answer" in output
    assert segments("run/mlflow") and first._process.returncode is not None

    # here the server is replaced by a folder; the command sends what waits
    settings = json.load(open("run/mlflow/settings.json"))
    json.dump(dict(settings, uri="mlruns"), open("run/mlflow/settings.json", "w"))
    command = [sys.executable, "-m", "open_seq2seq.training.tracking.mlflow_sender", "run/mlflow"]
    done = subprocess.run(command, env=dict(os.environ, PYTHONPATH=CODE), stdout=subprocess.PIPE)
    assert done.returncode == 0, done.stdout
    run, = stored_runs("mlruns")
    assert sorted(losses(run)) == [1, 2, 3] and run["status"] == "FINISHED"


def test_a_full_queue_keeps_evaluations(tracker, monkeypatch, capsys):
    monkeypatch.setattr(MlflowTracker, "_start_sender", lambda self: None)
    full = tracker("http://127.0.0.1:%d" % free_port(), queue_megabytes=1)
    full._limit = 3000
    record(full, 0, 100)
    full.metrics("evaluation", 100, 1.7e9, {"loss": 1.0})
    full.finish(FINISHED)
    assert capsys.readouterr().out.count("left out") == 1
    records = [json.loads(line) for path in glob.glob("run/mlflow/queue-*") for line in open(path)]
    steps = [item["step"] for item in records if item.get("kind") == "step"]
    assert 10 < len(steps) < 40 and steps == list(range(1, len(steps) + 1))
    assert [item for item in records if item.get("kind") == "evaluation"]
    assert [item["values"] for item in records if item["type"] == "tags"] == [{"left_out_records": str(100 - len(steps))}]


@pytest.mark.slow
def test_a_real_server_that_comes_late_is_killed_and_comes_back(tracker, tmp_path, capsys):
    port = free_port()
    first = tracker("http://127.0.0.1:%d" % port, tags={"phase": "all"})
    record(first, 0, 3)
    first.parameters(PARAMETERS)
    with mlflow_server(str(tmp_path), port) as uri:
        for step in range(4, 50):
            first.metrics("step", step, 1.7e9 + step, {"loss": float("nan") if step == 10 else 1.0 / step})
        (tmp_path / "model.data").write_bytes(bytes(10 ** 6))
        first.artifact("model.data", "best_model")
        first.finish(STOPPED)
    resumed = tracker(uri)
    record(resumed, 49, 52)  # while the server is down
    resumed.finish(STOPPED)
    assert "not sent" in capsys.readouterr().out
    with mlflow_server(str(tmp_path), port) as uri:
        last = tracker(uri)
        record(last, 52, 55)
        last.finish(FINISHED)
        found = stored_runs(uri)
        assert len(found) == 1, capsys.readouterr().out
        run, = found
        assert sorted(losses(run)) == [step for step in range(1, 56) if step != 10] and run["status"] == "FINISHED"
        assert [run["metrics"]["non_finite/step/loss"][0][index] for index in (0, 2)] == [1.0, 10]
        assert run["tags"]["non_finite/step/loss"] == "nan at step 10" and run["artifacts"] == {"best_model/model.data": 10 ** 6}
        assert len(run["parameters"]) == len(PARAMETERS)
    assert not segments("run/mlflow")
