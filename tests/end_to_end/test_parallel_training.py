"""A parallel training of real processes, some of which are killed."""
import glob
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from tests.paths import REPOSITORY
from tests.training.short_runs import make_corpus

pytestmark = pytest.mark.slow
ITERATIONS, STEPS = 6, 40
PARALLEL = {"jobs_initial": 2, "jobs_final": 2, "archive_steps": STEPS}


def command(mode, logdir, *words, **settings):
    return [sys.executable, os.path.join(REPOSITORY, "run.py"), "--config_file=config.py", "--mode=" + mode, "--logdir=" + logdir,
            "--device=cpu", "--max_steps=%d" % (2 * STEPS * ITERATIONS),
            "--parallel_training=%r" % dict(PARALLEL, **settings)] + list(words)


def start(words, folder, cores, log):
    with open(os.path.join(folder, log), "ab") as file:
        return subprocess.Popen(words, cwd=folder, stdout=file, stderr=file, env=dict(os.environ, JASPER_CORES=str(cores)))


def wait_for(condition, what, process):
    until = time.time() + 120
    while not condition():
        assert time.time() < until and process.poll() is None, what
        time.sleep(0.02)


def text(folder, log):
    with open(os.path.join(folder, log)) as file:
        return file.read()


def variables(folder, logdir):
    reader = tf.train.load_checkpoint(os.path.join(folder, logdir, "model.ckpt-%d" % (2 * STEPS * ITERATIONS)))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()
            if not name.startswith("training_state/")}


def owned_jobs(folder, process):
    """Jobs that a process is doing now."""
    claims = glob.glob(os.path.join(folder, "killed", "parallel", "iteration-*", "job-*", "run_owner.json"))
    found = []
    for path in claims:
        try:
            with open(path) as file:
                owner = json.load(file)["process"]
        except (OSError, ValueError):
            continue
        if owner == process and not os.path.isfile(os.path.join(os.path.dirname(path), "result.npz")):
            found.append(path)
    return found


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """Folder of the corpus, with a run "reference" of one process."""
    folder = str(tmp_path_factory.mktemp("parallel"))
    make_corpus(folder)
    assert start(command("train", "reference", processes=1), folder, 1, "reference.log").wait(200) == 0
    return folder


def test_killed_processes_lose_nothing(reference):
    folder = reference
    # a worker as on another machine, which waits for the training
    worker = start(command("train_worker", "killed"), folder, 1, "worker.log")
    wait_for(lambda: "Waiting for jobs" in text(folder, "worker.log"), "the worker does not wait", worker)
    words = command("train", "killed", processes=1)
    training = start(words, folder, 1, "killed.log")
    checkpoints = lambda: glob.glob(os.path.join(folder, "killed", "model.ckpt-*.index"))  # noqa: E731
    try:
        wait_for(lambda: owned_jobs(folder, worker.pid), "the worker does no job", training)
        worker.kill()
        assert worker.wait() == -signal.SIGKILL
        done = len(checkpoints())
        wait_for(lambda: len(checkpoints()) > done, "no iteration without the worker", training)
        wait_for(lambda: owned_jobs(folder, training.pid), "the training does no job", training)
    finally:
        worker.kill()
        training.kill()
        training.wait()
    assert "taken over from" in text(folder, "killed.log")
    refused = start(command("train_worker", "killed", "--lr_policy_params/learning_rate=0.5"), folder, 1, "refused.log")
    assert refused.wait(100) == 2
    message = text(folder, "refused.log")
    assert "learning_rate" in message and "0.5" in message and "0.02" in message and "config" in message
    words = command("train", "killed", processes=2)
    resumed = start(words + ["--continue_learning"], folder, 2, "resumed.log")
    assert resumed.wait(200) == 0
    assert os.path.isfile(os.path.join(folder, "killed", "worker_1.log"))
    expected, found = variables(folder, "reference"), variables(folder, "killed")
    assert set(expected) == set(found)
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, name)
    assert not glob.glob(os.path.join(folder, "killed", "parallel", "iteration-*"))


def test_ranks_do_the_same_jobs(reference, needs_horovod):
    words = command("train", "ranks", "--metrics_steps=1")
    launcher = ["-m", "open_seq2seq.launch", "--device", "cpu", "--processes", "2", "--", sys.executable]
    done = subprocess.run(words[:1] + launcher + words[1:], cwd=reference, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          env=dict(os.environ, JASPER_CORES="1", PYTHONPATH=REPOSITORY))
    assert done.returncode == 0, done.stdout.decode()[-3000:]
    figures = {}
    for logdir in ("reference", "ranks"):
        with open(os.path.join(reference, logdir, "metrics.jsonl")) as file:
            lines = [json.loads(line) for line in file]
        figures[logdir] = [(line["step"], line["loss"], line["learning_rate"]) for line in lines if line["kind"] == "step"]
        assert {len(line["job_losses"]) for line in lines if line["kind"] == "step"} == {2}
    assert len(figures["ranks"]) == ITERATIONS
    # sums in float32, and other threads
    np.testing.assert_allclose(figures["ranks"], figures["reference"], rtol=1e-2)
