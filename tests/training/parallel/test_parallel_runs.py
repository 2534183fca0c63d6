"""Short parallel trainings in this process."""
import glob
import os

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.optimizers.parallel_schedule import Iteration
from open_seq2seq.training.parallel import run as parallel_run
from open_seq2seq.training.parallel.combination import JobResult
from open_seq2seq.training.parallel.job import JobRunner
from open_seq2seq.training.parallel.shared_folder import SharedFolder
from open_seq2seq.training.requests import Request
from tests.training.short_runs import make_corpus, train_short

WORDS = ("--max_steps=8", "--parallel_training={'jobs_final': 2, 'jobs_initial': 2, 'archive_steps': 2, 'processes': 1}")


@pytest.fixture
def jobs(tmp_path, monkeypatch):
    """The corpus is in the working directory; list of the (iteration, job) that were trained."""
    monkeypatch.chdir(str(tmp_path))
    make_corpus(tmp_path)
    done, original = [], JobRunner.run

    def recorded(self, iteration, job, values, on_batch=None):
        done.append((iteration.number, job))
        return original(self, iteration, job, values, on_batch)

    monkeypatch.setattr(JobRunner, "run", recorded)
    return done


def variables(logdir, step):
    reader = tf.train.load_checkpoint(os.path.join(logdir, "model.ckpt-%d" % step))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def test_a_layer_is_released_at_the_same_step_of_all_jobs(jobs, monkeypatch):
    changed, original = {}, JobRunner.run

    def observed(self, iteration, job, values, on_batch=None):
        result = original(self, iteration, job, values, on_batch)
        changed[iteration.number, job] = {layer: any(
            not np.array_equal(values[name], result.values[name]) for name in values if name.endswith(layer + "/kernel"))
            for layer in ("conv11", "fully_connected")}
        return result

    monkeypatch.setattr(JobRunner, "run", observed)
    # the steps of all jobs before the two of each job are 0 and 2, then 4 and 6
    train_short(*WORDS, "--unfreeze_at={'conv11': 3}")
    assert changed == {(number, job): {"conv11": number == 1, "fully_connected": True} for number in (0, 1) for job in (0, 1)}


@pytest.mark.parametrize("damaged", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_results_of_an_interrupted_iteration_are_used(jobs, monkeypatch, damaged):
    if damaged:
        words = WORDS + ("--optimizer_params/weight_decay=0.1", "--ema_decay=0.9", "--iter_size=2",
                         "--parallel_training/optimizer_state=reset", "--parallel_training/learning_rate=constant")
    else:
        words = WORDS
    whole = train_short(*words, logdir="whole")
    assert whole.stop is None and jobs == [(0, 0), (0, 1), (1, 0), (1, 1)]

    original = parallel_run.FolderExchange._do_one

    def stopping(self, *arguments):
        found = original(self, *arguments)
        if jobs[-1] == (1, 0):
            self._graph.requests.ask(Request.SIGTERM)
        return found

    del jobs[:]
    with monkeypatch.context() as patched:
        patched.setattr(parallel_run.FolderExchange, "_do_one", stopping)
        stopped = train_short(*words, logdir="parts")
    assert stopped.stop is Request.SIGTERM and jobs == [(0, 0), (0, 1), (1, 0)]
    result, = glob.glob("parts/parallel/iteration-*/job-*/result.npz")
    if damaged:
        with open(result, "r+b") as file:
            file.truncate(os.path.getsize(result) // 2)
    del jobs[:]
    resumed = train_short(*words, logdir="parts", resume=True)
    assert resumed.stop is None and jobs == ([(1, 0), (1, 1)] if damaged else [(1, 1)])
    expected, found = variables("whole", 8), variables("parts", 8)
    assert int(found["global_step"]) == 8 and not glob.glob("parts/parallel/iteration-*")
    for name, value in expected.items():
        if name.startswith("training_state/") and "seconds" in name:
            continue
        np.testing.assert_array_equal(found[name], value, name)


def test_results_of_another_config_are_not_used(tmp_path):
    folder, iteration, values = SharedFolder(str(tmp_path)), Iteration(1, 2, 4, 2, 8, 4, False), {"w": np.zeros([2])}

    def has_result(*facts):
        return folder.has_result(folder.publish(iteration, values, *facts), 0)

    before = {"config lr_policy_params/learning_rate": "0.1"}
    folder.write_result(folder.publish(iteration, values, before),
                        JobResult(0, values, 1.0, 0.1, 10.0, 2, 4, 100, 1.0, 0.5, ""))
    assert has_result(before) and not has_result({"config lr_policy_params/learning_rate": "0.2"}) and not has_result(before, 0.5)
