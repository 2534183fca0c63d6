"""A training that is recorded in a local folder, stopped, and resumed."""
import glob
import os

import pytest

from open_seq2seq.training.metrics import read_metrics
from open_seq2seq.training.tracking.mlflow_queue import segments
from open_seq2seq.training.tracking.mlflow_records import metric_values
from tests.training.short_runs import make_corpus, train_short
from tests.training.tracking.mlflow_tools import mlflow_python, stored_runs


@pytest.mark.slow
def test_a_training_and_its_resume_are_one_run_with_everything_that_metrics_jsonl_has(tmp_path, monkeypatch):
    python = mlflow_python()
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    make_corpus(tmp_path)
    monkeypatch.chdir(str(tmp_path))
    words = ["--tracking=['tensorboard', 'mlflow']", "--mlflow_params/python=" + python, "--metrics_steps=1",
             "--save_summaries_steps=2", "--diagnostics_utterances=4", "--diagnostics_steps=4",
             "--mlflow_params/wait_seconds=120.0"]
    train_short(*words, mode="train_eval", stop_after=4)
    train_short(*words, mode="train_eval", resume=True)
    run, = stored_runs("mlruns")
    assert run["status"] == "FINISHED" and run["tags"]["resumed_at"] == "4" and run["tags"]["mlflow.runName"] == "run"
    entries = read_metrics("run/metrics.jsonl")
    assert {"start", "step", "evaluation", "epoch", "subset", "layers", "end"} <= {entry["kind"] for entry in entries}
    for entry in entries:
        numbers = {name: value for name, value in entry.items() if name not in ("kind", "step", "time")}
        for name, value in metric_values(entry["kind"], numbers)[0].items():
            assert [value, round(1000 * entry["time"]), entry["step"]] in [
                [stored, pytest.approx(time, abs=1), step] for stored, time, step in run["metrics"][name]], name
    # the config has been sent for both parts
    assert sum(name.startswith("config/resolved_config_") for name in run["artifacts"]) in (1, 2)
    assert "report/index.html" in run["artifacts"]
    best, = glob.glob("run/best_dev-*.index")
    assert run["artifacts"]["best_model/" + os.path.basename(best)] == os.path.getsize(best)
    assert run["parameters"]["encoder_params.convnet_layers.1.repeat"] == "2"
    assert not any(name.startswith(("tracking", "mlflow_params")) for name in run["parameters"])
    assert glob.glob("run/events.out.tfevents.*") and not segments("run/mlflow")
