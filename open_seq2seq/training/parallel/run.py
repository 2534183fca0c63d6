"""The loop of a parallel training: iterations of jobs, averages of their models, evaluations and checkpoints in between."""
import datetime
import os
import time

import numpy as np

from open_seq2seq.checkpoints.graph_variables import graph_variables
from open_seq2seq.errors import DataError
from open_seq2seq.log_lines import log_line
from open_seq2seq.progress import clock_text
from open_seq2seq.training.loop import TrainingRun, agreed_facts
from open_seq2seq.training.parallel.combination import Combination, shares
from open_seq2seq.training.parallel.job import JobRunner
from open_seq2seq.training.parallel.processes import WorkerProcesses
from open_seq2seq.training.parallel.shared_folder import JobInUse, SharedFolder
from open_seq2seq.training.requests import SIGNALS, Request, stop_among

FOLDER = "parallel"
_POLL_SECONDS = 0.02      # between two looks at the results of other processes
_RETRY_SECONDS = 1.0      # between two looks at their claims


def folder_of(params, run_directory):
    """Path of the directory that the processes share."""
    return params["parallel_training"]["folder"] or os.path.join(run_directory.path, FOLDER)


class ParallelTrainingRun(TrainingRun):
    """A training whose steps are iterations of jobs; see :class:`TrainingRun`.

    ``step`` counts the steps of all jobs together, so the same data have been seen after as many steps as without jobs. The
    process that owns the run publishes the model of each iteration, does jobs itself, and waits for those of the workers.
    """

    def start(self, checkpoint):
        """See :meth:`TrainingRun.start`; also starts the workers on this machine."""
        super().start(checkpoint)
        self.schedule, self._reported = self.graph.job.schedule, time.monotonic()
        self._runner = JobRunner(self.params, self.graph, self.session, self.skipped_steps, self.metrics, self.device)
        self._exchange = self._new_exchange()
        if self.schedule.last_step != self.schedule.asked_steps:
            log_line("Note: the iterations end at step %d, not at %d: jobs and archives are whole numbers" % (
                self.schedule.last_step, self.schedule.asked_steps))

    def _new_exchange(self):
        if self.group.size > 1:
            from open_seq2seq.training.parallel.ranks import RankExchange
            return RankExchange(self.group, self.session, self.graph, self.params)
        facts = agreed_facts(self.params, self.graph)
        folder = SharedFolder(folder_of(self.params, self.run_directory))
        return FolderExchange(folder, facts, self.params, self.graph, WorkerProcesses.of(self.params, self.run_directory))

    @property
    def _batch_utterances(self):
        # each job has batches of its own
        return round(self.graph.utterances_per_batch)

    def run(self):
        """See :meth:`TrainingRun.run`."""
        try:
            result = super().run()
            if result.stop not in SIGNALS:
                # a run that a signal has stopped uses the results of its jobs when it is resumed
                self._exchange.end()
            return result
        finally:
            self._exchange.close()

    def one_step(self):
        """One iteration, and everything that is due after it. Returns the mean loss of its jobs."""
        iteration, before = self.schedule.at(self.step), self.step
        values = graph_variables(self.session.graph).read(self.session)
        self._own_jobs = set()
        iteration_done = self._exchange.iterate(self._runner, iteration, values, self._on_batch)
        if iteration_done is None:
            self.stop = stop_among(self.graph.requests.agree(self.session, self.group))
            log_line("Iteration interrupted; its jobs that are done are used on resume")
            return float("nan")
        model, results, weights = iteration_done
        for result in results:
            # with several ranks, those of the others are estimated from the own ones
            if self.group.size == 1 and result.job not in self._own_jobs:
                self.log.elsewhere(result.steps * self.graph.iter_size, result.utterances, result.frames)
        graph_variables(self.session.graph).write(self.session, model)
        self.step, self.micro_batches = iteration.end, iteration.end * self.graph.iter_size
        loss = float(np.dot(weights, [result.loss if weight else 0.0 for result, weight in zip(results, weights)]))
        self._report(iteration, results, weights, loss)
        self._after(before, loss)
        return loss

    def _on_batch(self, job, fetched):
        self.log.batch(fetched)
        self._own_jobs.add(job)
        self._last_fetched = fetched

    def _after(self, before, loss):
        """Evaluation, diagnostics and checkpoint after an iteration; those that fall into it are made at its end."""
        if self.saving.is_due:
            self.graph.requests.ask(Request.SAVE)
        if self.group.is_first and self.stopping.time_is_up:
            self.graph.requests.ask(Request.TIME_IS_UP)
        requests = self.graph.requests.agree(self.session, self.group)
        self.stop = stop_among(requests)
        learning_rate = self._learning_rate
        self.epochs.step(loss, learning_rate)
        fetched = getattr(self, "_last_fetched", None)
        if self.diagnostics is not None and self.stop not in SIGNALS and fetched and "layer_gradient_norms" in fetched:
            self.diagnostics.made(self.session, self.step, fetched)
            if self.diagnostics.is_due(self.step, before):
                self.log.exclude(self.diagnostics.report(self.session, self.step))
        is_last = self.step >= self.graph.last_step or self.stop is Request.TIME_IS_UP
        if self.graph.evaluation is not None and (is_last or _passed(self.graph.eval_steps, before, self.step)):
            self.evaluate()
        self.epochs.end_if_due(self.step, before)
        # in every iteration, as in Kaldi: what is lost by a kill is at most one
        self.save()
        self.saving.report()

    def _report(self, iteration, results, weights, loss):
        now = time.monotonic()
        seconds, self._reported = now - self._reported, now
        job = self.graph.job
        job.set(iteration, iteration.steps - 1)
        self._learning_rate = float(self.session.run(self.graph.optimization.learning_rate, self.graph.feed()))
        utterances, frames = sum(result.utterances for result in results), sum(result.frames for result in results)
        audio = frames * self.params["data_layer_params"].get("window_stride", 0.01)
        steps = iteration.end - iteration.position
        where = "Global step %d:" % self.step
        if not self.params["max_steps"]:
            where = "Epoch %d, global step %d:" % (self.graph.epochs_done(self.step), self.step)
        log_line("%s ***     Train loss: %.4f " % (where, loss))
        log_line("time per step = " + clock_text(seconds / max(steps, 1)), start="")
        log_line("iteration %d of %d: %d job%s of %d steps, learning rate of a job %.3g, losses %s" % (
            iteration.number + 1, self.schedule.iterations, iteration.jobs, "" if iteration.jobs == 1 else "s", iteration.steps,
            self._learning_rate, " ".join("%.4f" % result.loss for result in results)), offset=4)
        left = self.graph.last_step - self.step
        log_line("%.1f utterances/s, %.1f audio seconds/s, %s to go" % (
            utterances / seconds, audio / seconds, datetime.timedelta(seconds=round(seconds * left / max(steps, 1)))), offset=4)
        excluded = [result for result, weight in zip(results, weights) if not weight]
        chooses_best = iteration.is_first and self.params["parallel_training"]["first_iteration"] == "best"
        for result in excluded if not chooses_best else []:
            log_line("job %d is excluded from the average: %s" % (result.job, result.problem or (
                "its loss %.4f is far from the lowest one" % result.loss)), offset=4)
        self.metrics.write("step", self.step, epoch=self.graph.epochs_done(self.step), loss=loss,
                           learning_rate=self._learning_rate,
                           gradient_norm=float(np.mean([result.gradient_norm for result in results])),
                           seconds_per_step=seconds / max(steps, 1), utterances_per_second=utterances / seconds,
                           audio_seconds_per_second=audio / seconds, jobs=iteration.jobs,
                           job_losses=[result.loss for result in results], excluded_jobs=len(excluded))


def _passed(every, before, after):
    """Whether a multiple of ``every`` is above ``before`` and at most ``after``."""
    return after // every > before // every


class FolderExchange:
    """The iterations of one process that owns the training, and of workers, which share a directory.

    Args:
      folder: ``SharedFolder``.
      facts: see ``SharedFolder.publish``.
      params: the checked config of mode "train".
      graph: the ``TrainingGraph``.
      workers: ``WorkerProcesses`` on this machine.
    """

    def __init__(self, folder, facts, params, graph, workers):
        self._folder, self._facts, self._settings, self._graph = folder, facts, params["parallel_training"], graph
        self._workers = workers

    def iterate(self, runner, iteration, values, on_batch):
        """Does an iteration.

        Args:
          runner: ``JobRunner``.
          iteration: the ``Iteration``.
          values: its model.
          on_batch: see ``JobRunner.run``.

        Returns:
          (the next model, list of JobResult, their shares); None if a signal stopped it.

        Raises:
          NonFiniteError: no job has a finite loss.
          DataError, StorageError: the shared directory cannot be used.
        """
        directory = self._folder.publish(iteration, values, self._facts, self._graph.state.get()["learning_rate_factor"])
        self._workers.start()
        results, asked, model = {}, {}, None
        while model is None:
            if self._graph.requests.signal_has_come:
                return None
            if len(results) == iteration.jobs:
                ordered = [results[job] for job in range(iteration.jobs)]
                weights = shares(ordered, iteration.is_first, self._settings)
                model = self._combined(directory, values, results, weights, iteration.end)
            elif not self._collect(directory, iteration, results) and not self._do_one(
                    runner, directory, iteration, values, results, asked, on_batch):
                self._workers.check()
                time.sleep(_POLL_SECONDS)
        return model, [result._replace(values=None) for result in ordered], weights

    def _collect(self, directory, iteration, results):
        """Reads the figures of results that have appeared; returns whether there were any."""
        found = [job for job in range(iteration.jobs) if job not in results and self._folder.has_result(directory, job)]
        for job in found:
            result = self._folder.result(directory, job, with_values=False)
            if result is not None:
                results[job] = result
        return bool(found)

    def _combined(self, directory, values, results, weights, step):
        """The next model; None where a result turns out to be damaged, whose job is then done again.

        The models are read one after the other: those of many jobs need not fit into the memory together.
        """
        combination = Combination(values)
        for job, weight in enumerate(weights):
            result = results[job]
            if result.values is None:
                result = self._folder.result(directory, job)
            if result is None:
                del results[job]
                return None
            if set(result.values) != set(values):
                raise DataError("%s has the result of another network: a worker was started with another config. Stop it"
                                % directory)
            combination.add(result.values, weight, result.statistic_frames)
        return combination.result(step)

    def _do_one(self, runner, directory, iteration, values, results, asked, on_batch):
        """Does a job that no process has claimed; returns whether there was one."""
        for job in range(iteration.jobs):
            # a claim costs several file operations
            if job in results or time.monotonic() - asked.get(job, -_RETRY_SECONDS) < _RETRY_SECONDS:
                continue
            asked[job] = time.monotonic()
            try:
                with self._folder.claimed(directory, job):
                    result = runner.run(iteration, job, values, on_batch)
                    if result is None:
                        return False
                    self._folder.write_result(directory, result)
                    results[job] = result
                    return True
            except JobInUse:
                continue
        return False

    def end(self):
        """Tells the workers that the training has ended."""
        self._folder.end()

    def close(self):
        """Ends the workers on this machine."""
        self._workers.stop()
