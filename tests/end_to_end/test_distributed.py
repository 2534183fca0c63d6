"""Real runs of several processes, started by the launcher: the same numbers as one process, and all of them end together."""
import json
import os
import re
import subprocess
import sys
import types

import pytest

from open_seq2seq.checkpoints.files import latest_checkpoint
from open_seq2seq.checkpoints.restore import open_checkpoint
from tests.end_to_end.test_multi_task import TASKS, add_speakers
from tests.paths import REPOSITORY
from tests.training.tracking.mlflow_tools import mlflow_python, stored_runs

pytestmark = pytest.mark.slow

# the same global batch for any number of processes, batch norm over all of it, dropout that depends only on the data
TOGETHER = ("--sync_batch_norm=True", "--print_loss_steps=1", "--print_samples_steps=None", "--max_steps=8", "--eval_steps=4",
            "--data_layer_params/dither=0.0", "--encoder_params/dropout_keep_prob=0.8")

KILLED_RANK = """
import os, signal, threading, time

def watch():
    while not os.path.exists("run/model.ckpt-3.index"):
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGKILL)

if "HOROVOD_RANK" in os.environ and os.environ["HOROVOD_RANK"] == os.environ.get("VICTIM"):
    threading.Thread(target=watch, daemon=True).start()
"""


@pytest.fixture
def launch(corpus, needs_horovod):
    """Runs the launcher with ``run.py`` in the corpus folder: status, output and the text of every rank's log."""
    def call(processes, *words, mode="train_eval", rank_words=None, **environment):
        command = [sys.executable, os.path.join(REPOSITORY, "run.py"), "--config_file=config.py", "--mode=" + mode,
                   "--device=cpu"] + list(words)
        if rank_words is not None:
            script = 'exec "$@" $(test "$HOROVOD_RANK" = %d && echo %s)' % rank_words
            command = ["bash", "-c", script, "rank"] + command
        # the launcher appends to the logs of the previous launch
        for path in corpus.glob("log_*.txt"):
            path.unlink()
        process = subprocess.run(
            [sys.executable, "-m", "open_seq2seq.launch", "--device", "cpu", "--processes", str(processes),
             "--log", "log_{rank}.txt", "--"] + command, cwd=str(corpus), capture_output=True, text=True, timeout=300,
            env=dict(os.environ, PYTHONPATH=os.pathsep.join([str(corpus), REPOSITORY]), **environment))
        logs = [(corpus / ("log_%d.txt" % rank)).read_text() for rank in range(processes)]
        return types.SimpleNamespace(status=process.returncode, out=process.stdout, err=process.stderr, logs=logs)
    return call


def _losses(output):
    return [float(loss) for loss in re.findall(r"Train loss: (\S+)", output)]


def _figures(output, name):
    return [float(figure) for figure in re.findall(r"Validation %s: +(\S+)" % name, output)]


@pytest.mark.parametrize("many, rows, iter_size, frames", [(4, 8, 1, 0), (2, 4, 2, 0), (2, 8, 1, 864)])
def test_one_and_several_ranks_have_the_same_losses_and_the_same_evaluation(launch, corpus, many, rows, iter_size, frames):
    runs = {}
    for ranks in (1, many):
        # batches of 6 or 8 utterances
        words = ("--train_params/data_layer_params/num_buckets=3", "--train_params/data_layer_params/sortagrad=True",
                 "--train_params/data_layer_params/batch_frames=%d" % (frames // ranks)) if frames else ()
        run = launch(ranks, "--batch_size_per_gpu=%d" % (rows // ranks), "--iter_size=%d" % iter_size, "--logdir=run%d" % ranks,
                     *(TOGETHER + words))
        assert run.status == 0, run.err + run.logs[-1]
        runs[ranks] = run.logs[0]
        # the other ranks print little, and no losses
        assert all(len(log.splitlines()) < 12 and not _losses(log) for log in run.logs[1:])
    losses = _losses(runs[1])
    assert len(losses) == 8 and losses[-1] < losses[0]
    # four decimals are printed
    assert _losses(runs[many]) == pytest.approx(losses, rel=1e-4, abs=1e-4)
    assert _figures(runs[many], "loss") == pytest.approx(_figures(runs[1], "loss"), rel=1e-4, abs=1e-4)
    assert "5 utterances, " in runs[many]


def test_one_and_two_ranks_have_the_same_losses_of_several_tasks(launch, corpus):
    add_speakers(corpus)
    with open(str(corpus / "config.py"), "a") as file:
        file.write(TASKS)
    logs = []
    for ranks in (1, 2):
        run = launch(ranks, "--batch_size_per_gpu=%d" % (8 // ranks), "--logdir=run%d" % ranks, *(TOGETHER + ("--max_steps=4",)))
        assert run.status == 0, run.err + run.logs[-1]
        logs.append(run.logs[0])
    losses = _losses(logs[0])
    assert len(losses) == 4 and _losses(logs[1]) == pytest.approx(losses, rel=1e-4, abs=1e-4)
    names, figures = zip(*[zip(*re.findall(r"Task (\w+ \w+): +(\S+)", log)) for log in logs])
    assert {"early WER", "speaker accuracy", "clean loss"} <= set(names[0])
    assert [float(value) for value in figures[1]] == pytest.approx([float(value) for value in figures[0]], rel=1e-4, abs=1e-4)


def test_the_evaluation_of_a_checkpoint_does_not_depend_on_the_number_of_ranks(launch, corpus):
    assert launch(1, "--logdir=run", "--batch_size_per_gpu=4", mode="train").status == 0
    figures, reports, recordings = [], [], []
    for ranks in (1, 3):
        run = launch(ranks, "--logdir=run", "--eval_batch_size_per_gpu=2", mode="eval")
        assert run.status == 0, run.err + run.logs[-1]
        report = json.loads((corpus / "run" / "report" / "eval.json").read_text(encoding="utf-8"))
        losses = [utterance.pop("loss") for utterance in report["utterances"]]
        reports.append([[utterance.pop("entropy") for utterance in report["utterances"]], losses, report["utterances"]])
        figures.append([_figures(run.logs[0], name) for name in ("loss", "WER", "CER")])
        assert "5 utterances, " in run.logs[0]
        page = (corpus / "run" / "report" / "eval.html").read_text(encoding="utf-8")
        recordings.append([json.loads(text) for text in re.findall('id="recording-[0-4]">(.*?)</script>', page)])
    assert len(figures[0][0]) == 1
    # the page has the audio and features of all utterances, and posteriors of those that the first rank evaluated
    assert [[sum(key in recording for recording in part) for key in ("audio", "features", "posteriors")]
            for part in recordings] == [[5, 5, 5], [5, 5, 2]]
    assert figures[0] == figures[1]
    # the first rank has the utterances of all
    assert len(reports[0][2]) == 5 and reports[0][2] == reports[1][2]
    for one, several in zip(reports[0][:2], reports[1][:2]):
        assert several == pytest.approx(one, rel=1e-4)


def test_only_the_first_rank_writes_and_a_second_run_resumes(launch, corpus):
    words = ("--logdir=run", "--enable_logs", "--batch_size_per_gpu=4", "--save_summaries_steps=2")
    first = launch(2, *words)
    assert first.status == 0, first.err + first.logs[1]
    logdir = corpus / "run"
    assert len(list(logdir.glob("stdout_*.log"))) == len(list(logdir.glob("resolved_config_*.json"))) == 1
    assert len(list((logdir / "logs").glob("events.out.tfevents.*"))) == 1
    assert sorted(path.name for path in (logdir / "logs").glob("model.ckpt-*.index")) == [
        "model.ckpt-3.index", "model.ckpt-6.index"]
    second = launch(2, "--continue_learning", "--max_steps=9", *words)
    assert second.status == 0, second.err + second.logs[1]
    assert "model.ckpt-6" in second.logs[0] and (logdir / "logs" / "model.ckpt-9.index").exists()
    # one process with half the global batch: the same position in the data, but other epochs
    half = launch(1, "--continue_learning", "--max_steps=10", *words)
    assert half.status == 0 and "the run resumes at the same position in the data" in half.logs[0]
    refused = launch(2, "--continue_learning", "--max_steps=None", "--num_epochs=9", *words)
    assert refused.status == 2 and "num_epochs and the learning-rate schedule do not" in refused.err + refused.logs[0]


def test_several_ranks_are_one_run_of_mlflow(launch, corpus):
    words = ("--logdir=run", "--batch_size_per_gpu=4", "--metrics_steps=1", "--tracking=['mlflow']", "--mlflow_params/uri=mlruns",
             "--mlflow_params/python=" + mlflow_python(), "--mlflow_params/wait_seconds=120.0")
    trained = launch(2, *words)
    assert trained.status == 0, trained.err + trained.logs[1]
    run, = stored_runs(str(corpus / "mlruns"))
    assert run["status"] == "FINISHED" and run["metrics"]["start/processes"][0][0] == 2.0
    assert sorted(step for _, _, step in run["metrics"]["step/loss"]) == [1, 2, 3, 4, 5, 6]


def test_ranks_that_differ_are_an_error_that_names_them(launch, corpus):
    run = launch(2, "--logdir=run", mode="train", rank_words=(
        1, "--optimizer_params/beta1=0.5 --max_steps=7 --train_params/data_layer_params/max_duration=0.7"))
    assert run.status == 4
    for difference in ("rank 1", "optimizer_params/beta1: 0.95 on rank 0; 0.5 on rank 1", "last step: 6 on rank 0; 7 on rank 1",
                       "utterances: 16 on rank 0"):
        assert difference in run.err
    assert not (corpus / "run" / "model.ckpt-6.index").exists()


def test_a_rank_without_its_data_is_named(launch, corpus):
    elsewhere = "--train_params/data_layer_params/dataset_files=elsewhere.csv"
    run = launch(2, "--logdir=run", mode="train", rank_words=(1, elsewhere))
    assert run.status == 4
    for log in run.logs:
        assert "rank 1 of 2 cannot read its data, but other ranks can: " in log and "elsewhere.csv" in log
    everywhere = launch(2, "--logdir=run", elsewhere, mode="train")
    assert everywhere.status == 3 and all("elsewhere.csv" in log and "others can" not in log for log in everywhere.logs)


def test_inference_with_several_ranks_is_an_error(launch, corpus):
    run = launch(2, "--logdir=run", mode="infer")
    assert run.status == 2 and "one process" in run.err + run.out


@pytest.mark.parametrize("victim", ["0", "1"])
def test_a_rank_that_is_killed_ends_the_run_and_loses_no_checkpoint(launch, corpus, victim):
    # the rank kills itself when the first checkpoint exists, so the test does not depend on time
    (corpus / "sitecustomize.py").write_text(KILLED_RANK)
    run = launch(2, "--logdir=run", "--max_steps=100000", "--save_checkpoint_steps=3", "--num_checkpoints=100000", mode="train",
                 VICTIM=victim)
    assert run.status == 4
    assert "rank %s of 2" % victim in run.err and "SIGKILL" in run.err
    steps = [int(path.name[len("model.ckpt-"):-len(".index")]) for path in (corpus / "run").glob("model.ckpt-*.index")]
    newest = latest_checkpoint(str(corpus / "run"))
    assert newest.endswith("model.ckpt-%d" % max(steps))
    reader = open_checkpoint(newest)
    for name in reader.get_variable_to_shape_map():
        assert reader.get_tensor(name) is not None
