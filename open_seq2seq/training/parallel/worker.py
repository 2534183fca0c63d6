"""``--mode=train_worker``: a process that does jobs of a parallel training which runs elsewhere."""
import contextlib
import os
import time

import tensorflow.compat.v1 as tf

from open_seq2seq.devices.session import open_session
from open_seq2seq.distributed.group import Single
from open_seq2seq.errors import DataError, UsageError
from open_seq2seq.log_lines import log_line
from open_seq2seq.training.graph import TrainingGraph
from open_seq2seq.training.loop import agreed_facts
from open_seq2seq.training.metrics import Metrics
from open_seq2seq.training.nonfinite.skipped_steps import SkippedSteps
from open_seq2seq.training.parallel.job import JobRunner
from open_seq2seq.training.parallel.run import folder_of
from open_seq2seq.training.parallel.shared_folder import ENDED, JobInUse, SharedFolder

_POLL_SECONDS = 0.05
_RETRY_SECONDS = 1.0
WAIT_SECONDS = 600.0


def work(experiment, run_directory, device, wait_seconds=WAIT_SECONDS):
    """Does jobs until the training ends.

    Args:
      experiment: an ``Experiment`` with the params of mode "train".
      run_directory: the ``RunDirectory`` of the training.
      device: a ``Device``.
      wait_seconds: how long to wait for a training that has not begun, or has not begun another iteration.

    Returns:
      Number of jobs done.

    Raises:
      UsageError: the config has no ``parallel_training``, or is not that of the training.
      DataError: no training has used the directory within the time.
    """
    params = experiment.params["train"]
    if params["parallel_training"] is None:
        raise UsageError('%s: base_params["parallel_training"] is missing; --mode=train_worker does jobs of a training '
                         "that has it" % experiment.path)
    folder = SharedFolder(folder_of(params, run_directory))
    with tf.Graph().as_default():
        # a worker does not evaluate
        own = dict(params, diagnostics_utterances=0)
        graph = TrainingGraph(experiment.base_model, own, None, device, Single(), None)
        facts = agreed_facts(params, graph)
        with contextlib.closing(open_session(device, params["use_xla_jit"])) as session:
            device.start_session(session, tf.get_default_graph(), graph.initialize)
            skipped_steps = SkippedSteps(own, graph, device, Single(), run_directory.checkpoints, False)
            runner = JobRunner(own, graph, session, skipped_steps, Metrics(None), device)
            return _Worker(folder, facts, graph, runner, wait_seconds).work()


class _Worker:
    def __init__(self, folder, facts, graph, runner, wait_seconds):
        self._folder, self._facts, self._graph = folder, facts, graph
        self._runner, self._wait_seconds = runner, wait_seconds
        self._directory = self._values = None
        self._asked = {}

    def work(self):
        """Does jobs; returns their number when the training has ended."""
        done, active, seen = 0, time.monotonic(), None
        log_line("Waiting for jobs in %s" % self._folder.path)
        while True:
            current = self._folder.current()
            if current is not None and current["state"] == ENDED and seen is not None:
                log_line("The training has ended; jobs done: %d" % done)
                return done
            running = current is not None and current["state"] != ENDED
            if running and current["directory"] != seen:
                seen, active = current["directory"], time.monotonic()
                self._require_same(current["facts"])
            if running and self._do_one(current):
                done, active = done + 1, time.monotonic()
                continue
            if time.monotonic() - active > self._wait_seconds:
                raise DataError("%s: no job for %.0f s. Start the training with --mode=train or --mode=train_eval; if it "
                                "has been stopped, resume it with --continue_learning" % (self._folder.path, self._wait_seconds))
            time.sleep(_POLL_SECONDS)

    def _require_same(self, facts):
        different = sorted(name for name in set(facts) | set(self._facts) if facts.get(name) != self._facts.get(name))
        if different:
            raise UsageError("this worker is not of the training in %s: %s. Start it with the training's config and overrides" % (
                self._folder.path, "; ".join("%s is %s, and %s there" % (
                    name, self._facts.get(name, "missing"), facts.get(name, "missing")) for name in different[:5])))

    def _do_one(self, current):
        """Does a job of the current iteration that no process has claimed; returns whether there was one."""
        directory, iteration = current["directory"], current["iteration"]
        if directory != self._directory:
            self._directory, self._values, self._asked = directory, None, {}
            self._graph.state.set(learning_rate_factor=current["learning_rate_factor"])
        # each process begins at another job, so that fewer of them ask for the same
        for offset in range(iteration.jobs):
            job = iteration.jobs - 1 - offset
            if time.monotonic() - self._asked.get(job, -_RETRY_SECONDS) < _RETRY_SECONDS:
                continue
            self._asked[job] = time.monotonic()
            if self._folder.has_result(directory, job):
                continue
            try:
                with self._folder.claimed(directory, job):
                    if self._values is None:
                        self._values = self._folder.model(directory)
                    result = self._runner.run(iteration, job, self._values)
                    if result is None:
                        return False
                    self._folder.write_result(directory, result)
                    log_line("Iteration %d, job %d: loss %.4f, %d utterances, %.1f s%s" % (
                        iteration.number + 1, job, result.loss, result.utterances, result.seconds,
                        "; " + result.problem if result.problem else ""))
                    return True
            except JobInUse:
                continue
            except DataError:
                # the iteration is over, and its model has been removed
                if os.path.isdir(directory):
                    raise
                return False
        return False
