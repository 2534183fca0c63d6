"""How long ago the evaluation metric last improved: early stopping and the plateau are both decided by it.

The rule is Coqui STT's: an evaluation is an improvement if its value is below the best so far by at least ``es_min_delta``; the
best is the lowest value seen. So a loss that falls by less than that each time does not count as improving. An epoch is
``steps_per_epoch`` steps, as for ``num_epochs`` and the learning-rate policies. With one evaluation per epoch, epochs without
improvement are evaluations without improvement.
"""
import math
import zlib

import numpy as np

from open_seq2seq.distributed.agreement import fingerprint
from open_seq2seq.evaluation.all_tasks import measured
from open_seq2seq.log_lines import log_line
from open_seq2seq.models.task_params import main_task, task_metrics

METRICS = ("loss", "wer")
# Coqui STT's for the loss; of a WER, which is a fraction, any improvement counts
MIN_DELTA = {"loss": 0.05, "wer": 0.0}
# larger than any value, and finite: a checkpoint keeps it
NO_BEST = 1e9


def metrics_of(params):
    """The metrics that can decide: :data:`METRICS`, and those of the tasks of checked params, e.g. "kyrgyz.wer"."""
    return METRICS + tuple(task_metrics(params))


def no_best(params):
    """What a ``SavedState`` keeps of the best value of each metric, with initial values."""
    return {"best_" + metric: NO_BEST for metric in metrics_of(params)}


def measured_values(params, result):
    """Dict from metrics to values as the state keeps them, rounded to float32: a repeated evaluation is not better than before.

    Args:
      params: checked params of the training.
      result: ``EvaluationResult`` or ``PretrainingResult``.
    """
    values = measured(result, main_task(params) if params.get("tasks") else None)
    return {name: float(np.float32(value)) for name, value in values.items()}


class MetricTracker:
    """The best value of the metric and the step that it was reached at; the same on every rank.

    Args:
      params: the checked config of mode "train"; used are stopping_metric and es_min_delta.
      steps_per_epoch: steps of one epoch.
      data_layer: of the evaluation data, or None. Values measured on other data are not compared.

    Attributes:
      metric: "loss", "wer", or e.g. "kyrgyz.wer" of a task.
      best: the lowest value so far; :data:`NO_BEST` before the first evaluation.
      best_step: the step that it was reached at.
      has_other_data: whether the checkpoint's values were measured on other data than this training's.
    """

    initial_state = {"stopping_metric": 0, "stopping_min_delta": 0.0, "stopping_data": 0, "stopping_epoch_steps": 0,
                     "stopping_best": NO_BEST, "stopping_best_step": 0, "improved_step": 0, "evaluated_step": 0}

    def __init__(self, params, steps_per_epoch, data_layer=None):
        self.metric = params["stopping_metric"]
        self._params, self._metrics = params, metrics_of(params)
        standard = MIN_DELTA.get(self.metric.split(".")[-1], 0.0)
        self.min_delta = standard if params["es_min_delta"] is None else params["es_min_delta"]
        self._counts = params["early_stop"] or params["reduce_lr_on_plateau"]
        self._steps_per_epoch = steps_per_epoch
        self._data = 0
        if data_layer is not None:
            self._data = zlib.crc32(fingerprint([[utterance.transcript, utterance.duration]
                                                 for utterance in data_layer.utterances]).encode())
        self.best, self.best_step, self.has_other_data = NO_BEST, 0, False
        self._improved_step = self._evaluated_step = 0

    @property
    def _rule(self):
        return {"stopping_metric": self._metrics.index(self.metric), "stopping_min_delta": float(np.float32(self.min_delta)),
                "stopping_data": self._data}

    def start(self, state, step):
        """Restores the values of the checkpoint.

        Args:
          state: the ``SavedState``, which has been restored.
          step: steps made.
        """
        values = state.get()
        self.best, self.best_step = float(values["stopping_best"]), int(values["stopping_best_step"])
        self._improved_step, self._evaluated_step = int(values["improved_step"]), int(values["evaluated_step"])
        if not self._data:
            # a part of the training without evaluations; the values stay for the next part that has them
            return
        self.has_other_data = bool(self._evaluated_step) and values["stopping_data"] != self._data
        if self._evaluated_step and any(values[name] != value for name, value in self._rule.items()):
            if self._counts:
                log_line("Epochs without improvement are counted from step %d again: the checkpoint's training used "
                         "stopping_metric %s and es_min_delta %g, this one uses %s and %g%s" % (
                             step, self._named(values["stopping_metric"]), values["stopping_min_delta"], self.metric,
                             self.min_delta, " on other data" if self.has_other_data else ""))
            self.best, self.best_step = NO_BEST, 0
            self._improved_step = self._evaluated_step = step
        elif self._evaluated_step and values["stopping_epoch_steps"] != self._steps_per_epoch:
            # another batch size or other training data: the same number of epochs, in steps of this run
            before = int(values["stopping_epoch_steps"])
            self._improved_step, self._evaluated_step = (
                step - (step - earlier) * self._steps_per_epoch // before for earlier in (self._improved_step,
                                                                                          self._evaluated_step))
        self._keep(state)

    def evaluated(self, state, step, result):
        """Notes an evaluation. Every rank calls it with the same result.

        Args:
          state: see :meth:`start`.
          step: steps made.
          result: ``EvaluationResult``.
        """
        # rounded as the checkpoint keeps it: a resumed run decides as an uninterrupted one
        value = measured_values(self._params, result)[self.metric]
        self._evaluated_step = step
        if math.isfinite(value) and value < self.best:
            if self.best == NO_BEST or value <= self.best - self.min_delta:
                self._improved_step = step
            self.best, self.best_step = value, step
        self._keep(state)

    def _keep(self, state):
        state.set(stopping_epoch_steps=self._steps_per_epoch, stopping_best=self.best,
                  stopping_best_step=self.best_step, improved_step=self._improved_step, evaluated_step=self._evaluated_step,
                  **self._rule)

    @property
    def epochs_without_improvement(self):
        """Epochs from the last improvement to the last evaluation."""
        return (self._evaluated_step - self._improved_step) / self._steps_per_epoch

    def is_without_improvement_for(self, epochs):
        """Whether ``epochs_without_improvement`` is at least ``epochs``, an int; compared exactly."""
        return self._evaluated_step - self._improved_step >= epochs * self._steps_per_epoch

    def periods_without_improvement(self, epochs):
        """How many periods of ``epochs`` epochs have passed without improvement."""
        return (self._evaluated_step - self._improved_step) // (epochs * self._steps_per_epoch)

    def __str__(self):
        if self.best == NO_BEST:
            return "there is no finite %s yet" % self._name
        return "the best %s is %.4f, of step %d" % (self._name, self.best, self.best_step)

    def _named(self, number):
        """The metric with this number in a checkpoint, whose training may have had other tasks."""
        return self._metrics[int(number)] if int(number) < len(self._metrics) else "of another task"

    @property
    def _name(self):
        return "validation %s" % {"wer": "WER"}.get(self.metric, self.metric)
