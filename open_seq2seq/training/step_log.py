"""What a training run reports after its steps: log lines, summaries for TensorBoard, metrics, speeds."""
import datetime

import numpy as np

from open_seq2seq.evaluation.error_rates import word_error_rate
from open_seq2seq.evaluation.pretraining_figures import PretrainingFigures, figures_line
from open_seq2seq.evaluation.record import data_set_name
from open_seq2seq.log_lines import has_modelzoo_format, log_line
from open_seq2seq.progress import Throughput, clock_text, resident_bytes
from open_seq2seq.training.metrics import evaluation_numbers
from open_seq2seq.training.task_figures import TaskFigures

# steps after which predictions of few clusters are a collapse; an untrained model predicts the most frequent ones
PATIENCE = 300
_SCALAR_SUMMARIES = frozenset(["learning_rate", "global_gradient_norm", "loss_scale"])


def is_due(every, step):
    """Whether something is due at the first step and at every multiple of ``every``, as OpenSeq2Seq's hooks are; None: never."""
    return every is not None and (step == 1 or step % every == 0)


def is_fetched_always(params, device, parameter):
    """Whether every step fetches what is due at some steps only.

    TensorFlow prepares an executor for each set of fetches, and a device with static shapes compiles a graph: for a large network
    both take as long as several steps. So there is one set, except where the summaries have a number or more for each variable.

    Args:
      params: the checked config of mode "train".
      device: a ``Device``.
      parameter: "print_samples_steps" or "save_summaries_steps".
    """
    if params[parameter] is None:
        return False
    return device.static_shapes or parameter == "print_samples_steps" or _SCALAR_SUMMARIES.issuperset(params["summaries"])


class StepLog:
    """Log lines, summaries and metrics of a training run.

    Args:
      params: the checked config of mode "train".
      graph: the ``TrainingGraph``.
      device: a ``Device``.
      group: a ``ProcessGroup``.
      first_step: steps that were made before this process.
      trackers: a ``Tracker`` that receives the graph's summaries.
      metrics: the ``Metrics`` of the run.
    """

    def __init__(self, params, graph, device, group, first_step, trackers, metrics):
        self._params, self._graph, self._group = params, graph, group
        self._fetched_always = [parameter for parameter in ("print_samples_steps", "save_summaries_steps")
                                if is_fetched_always(params, device, parameter)]
        self._first_step, self._trackers, self._metrics = first_step, trackers, metrics
        frame_seconds = params["data_layer_params"]["window_stride"]
        # since the last lines, since the last metrics, of the whole run, and of the run with its first steps
        self._recent, self._measured, self._whole, self._since_start = (Throughput(frame_seconds) for _ in range(4))
        self._reported_uncounted, self._speeds = set(), []
        self._loss_sum, self._num_losses = 0.0, 0
        # of pre-training: since the last lines and since the last metrics
        self._recent_figures = self._measured_figures = None
        self._has_collapsed = False
        # with tasks: since the last lines and since the last metrics
        self._recent_tasks, self._measured_tasks = (
            TaskFigures(params["tasks"]) if params.get("tasks") else None for _ in range(2))

    def wants(self, step):
        """(samples, summary): what ``ShapeStep.update_fetches`` is to fetch at a step."""
        return tuple(self._fetched(parameter, step) for parameter in ("print_samples_steps", "save_summaries_steps"))

    def _fetched(self, parameter, step):
        return parameter in self._fetched_always or is_due(self._params[parameter], step)

    def restart(self):
        """Begins to measure the speed."""
        for throughput in (self._recent, self._measured, self._since_start):
            throughput.restart()

    def batch(self, values):
        """Counts a batch, and names utterances without a finite CTC loss.

        Args:
          values: what was fetched with the batch, see ``ShapeStep.accumulate_fetches``.
        """
        if "sums" in values:
            if self._recent_figures is None:
                classes = self._graph.data_layer.vocabulary
                self._recent_figures, self._measured_figures = PretrainingFigures(classes), PretrainingFigures(classes)
            for figures in (self._recent_figures, self._measured_figures):
                figures.add(values["sums"], values["predicted"], values["expected"])
        if self._recent_tasks is not None:
            for figures in (self._recent_tasks, self._measured_tasks):
                figures.add(values["task_sums"])
        valid = values["weights"] > 0
        for throughput in (self._recent, self._measured, self._whole, self._since_start):
            # the batches of the other ranks are about as large as this one
            throughput.add(int(valid.sum()) * self._group.size, int(values["frames"][valid].sum()) * self._group.size,
                           values.get("data_wait"))
        # where the logits themselves are not finite, no utterance is the cause
        uncounted = valid & ~values["counted"] if np.isfinite(values["batch_loss"]) else []
        for index in values["indices"][uncounted]:
            if index not in self._reported_uncounted:
                self._reported_uncounted.add(index)
                self._report_uncounted(self._graph.data_layer.utterances_of_row(index))

    def elsewhere(self, batches, utterances, frames):
        """Counts batches of other processes, which this one does not wait for in each step."""
        for _ in range(batches):
            for throughput in (self._recent, self._measured, self._whole, self._since_start):
                throughput.add(utterances / batches, frames / batches, None)

    @staticmethod
    def _report_uncounted(utterances):
        """Names the utterances of one row of a batch, which are several where utterances are packed."""
        log_line("Utterance%s %s ha%s no finite CTC loss (%.2f s, %d labels) and add%s nothing to the gradient" % (
            "s" if len(utterances) > 1 else "", " + ".join(utterance.id for utterance in utterances),
            "ve" if len(utterances) > 1 else "s", sum(utterance.duration for utterance in utterances),
            sum(len(utterance.labels) for utterance in utterances), "" if len(utterances) > 1 else "s"), from_every_rank=True)

    def _seconds_per_step(self, throughput):
        """Seconds that an update takes: ``iter_size`` batches."""
        return throughput.seconds_per_batch * self._graph.iter_size

    def figures(self, step, loss):
        """What the progress bar shows after ``step`` steps, the most important first: list of str."""
        speed = self._recent
        if speed.batches:  # otherwise the measurement has just restarted, and the last figures stay
            self._speeds = ["%.0f audio s/s" % speed.audio_seconds_per_second]
            if speed.wait_share is not None:
                self._speeds.append("%.0f %% waiting for data" % (100 * speed.wait_share))
            self._speeds += ["%.1f GB" % (resident_bytes() / 1e9), "%.1f utterances/s" % speed.utterances_per_second]
        # counted from 1, as in the line at the end of an epoch
        return ["epoch %d" % -(-step // self._graph.steps_per_epoch), "loss %.3f" % loss] + self._speeds

    def step(self, step, loss, values):
        """Prints the lines and writes the summaries and metrics that are due after a step.

        Args:
          step: steps made.
          loss: float, of all ranks and all batches of the step.
          values: what was fetched with the step's last batch, see ``ShapeStep.update_fetches``.
        """
        if has_modelzoo_format():
            self._print_modelzoo_step(step, loss)
        elif is_due(self._params["print_loss_steps"], step):
            self._print_loss(step, loss)
        if "best_path" in values and is_due(self._params["print_samples_steps"], step):
            self._print_sample(self._graph.sample(values))
        if is_due(self._params["print_bench_info_steps"], step):
            log_line("Avg objects per second: %.3f" % self._whole.frames_per_second)
        if "summary" in values and is_due(self._params["save_summaries_steps"], step):
            self._trackers.add_summary(self._graph.without_shape_scope(values["summary"]), step)
        if is_due(self._params["metrics_steps"], step):
            self._write_metrics(step, loss, values)
        if is_due(self._params["print_loss_steps"], step):
            self._recent.restart()
        if step - self._first_step == self._params["bench_start"]:
            self._whole.restart()

    @staticmethod
    def _print_sample(sample):
        if sample is None:
            log_line("Sample: none, the batch has no utterance of the main task", offset=4)
            return
        target, prediction = sample
        log_line("Sample WER: %.4f" % word_error_rate(target, prediction), offset=4)
        log_line("Sample target:     " + target, offset=4)
        log_line("Sample prediction: " + prediction, offset=4)

    def _print_loss(self, step, loss):
        where = "Global step %d:" % step
        if not self._params["max_steps"]:
            where = "Epoch %d, global step %d:" % (self._graph.epochs_done(step), step)
        seconds = self._seconds_per_step(self._recent)
        log_line("%s ***     Train loss: %.4f " % (where, 0.0 if -1e-4 < loss < 0.0 else loss))
        log_line("time per step = " + clock_text(seconds), start="")
        if self._recent_figures is not None:
            self._print_figures(step)
        if self._recent_tasks is not None:
            log_line(self._recent_tasks.line(), offset=4)
            self._recent_tasks.restart()
        log_line("%.1f utterances/s, %.1f audio seconds/s, %s to go" % (
            self._recent.utterances_per_second, self._recent.audio_seconds_per_second,
            datetime.timedelta(seconds=round(seconds * (self._graph.last_step - step)))), offset=4)

    def _print_figures(self, step):
        """Prints the figures of pre-training since the last line, of this rank's batches, and a collapse once."""
        log_line(figures_line(self._recent_figures.figures()), offset=4)
        collapse = self._recent_figures.collapse() if step >= PATIENCE else None
        if collapse is not None and not self._has_collapsed:
            log_line(collapse, offset=4)
        self._has_collapsed = collapse is not None
        self._recent_figures.restart()

    def _print_modelzoo_step(self, step, loss):
        """Prints the ModelZoo port's line, which has every step and is in the log of every rank.

        As there, steps count from 0, the mean loss and FPS (utterances per second of one rank) are averages since the start of
        the process, and FPS includes the time in which the graph is compiled. Evaluations are excluded.
        """
        self._loss_sum, self._num_losses = self._loss_sum + loss, self._num_losses + 1
        utterances = self._graph.utterances_per_batch * self._graph.iter_size
        fps = utterances / self._seconds_per_step(self._since_start)
        log_line("global_step: %6i, loss: %6.3f, mean_loss: %6.3f,  FPS: %7.1f" % (
            step - 1, loss, self._loss_sum / self._num_losses, fps), from_every_rank=True)

    def _write_metrics(self, step, loss, values):
        """Writes the metrics of a step; the speeds are averages since the metrics before."""
        speed, others = self._measured, {}
        if self._measured_figures is not None:
            others.update(self._measured_figures.figures())
            self._measured_figures.restart()
        if "limited_changes" in values:
            # both since the beginning of the training
            others = {"limited_layer_changes": values["limited_changes"][:-1].sum(),
                      "limited_total_changes": values["limited_changes"][-1]}
        if self._measured_tasks is not None:
            others["tasks"] = self._measured_tasks.figures()
            self._measured_tasks.restart()
        self._metrics.write("step", step, epoch=self._graph.epochs_done(step), loss=loss, learning_rate=values["learning_rate"],
                            loss_scale=values["loss_scale"], gradient_norm=values["gradient_norm"],
                            seconds_per_step=self._seconds_per_step(speed),
                            utterances_per_second=speed.utterances_per_second,
                            audio_seconds_per_second=speed.audio_seconds_per_second, data_wait_share=speed.wait_share, **others)
        speed.restart()

    def evaluated(self, step, result):
        """Writes the metrics of an ``EvaluationResult``, and excludes its time from the speeds."""
        self._metrics.write("evaluation", step, data_set=data_set_name(self._graph.evaluation.data_layer),
                            **evaluation_numbers(result))
        for task, of_task in getattr(result, "tasks", ()):
            layer = self._graph.task_evaluations[task].data_layer
            self._metrics.write("task_evaluation", step, task=task, data_set=data_set_name(layer), **evaluation_numbers(of_task))
        self.exclude(result.seconds)

    def exclude(self, seconds):
        """Excludes the seconds that something other than a training step has just taken from the speeds."""
        self._recent.restart()
        for throughput in (self._measured, self._whole, self._since_start):
            throughput.exclude(seconds)

    def finish(self, step):
        """Prints the speed of the whole run, after step ``step``."""
        log_line("Finished training")
        if step - self._first_step > self._params["bench_start"]:
            log_line("Avg time per step: %.3fs" % self._seconds_per_step(self._whole))
            log_line("Avg objects per second: %.3f" % self._whole.frames_per_second)
        else:
            log_line("Not enough steps for benchmarking")
