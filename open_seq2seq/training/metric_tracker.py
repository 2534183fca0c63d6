"""How long ago the model last got better on the evaluation data: what early stopping and the plateau both go by.

The rule is Coqui STT's: an evaluation is an improvement if its figure is below the best one so far by at least ``es_min_delta``,
while the best one is the lowest ever seen. So a loss that creeps down by less than that at a time does not count as improving.
An epoch is ``steps_per_epoch`` steps, as for ``num_epochs`` and the learning rate's policies; where the model is evaluated once
an epoch, epochs without improvement are evaluations without improvement.
"""
import math
import zlib

import numpy as np

from open_seq2seq.distributed.agreement import fingerprint
from open_seq2seq.log_lines import log_line

METRICS = ("loss", "wer")
# Coqui STT's for the loss; a WER is a fraction, of which any improvement counts
MIN_DELTA = {"loss": 0.05, "wer": 0.0}
# larger than any figure, and finite, so that it passes through a checkpoint
NO_BEST = 1e9


class MetricTracker:
    """The best figure so far and when it was reached, on all ranks alike.

    Args:
      params: the checked config of mode "train"; used are stopping_metric and es_min_delta.
      steps_per_epoch: steps of one epoch.
      data_layer: what the evaluations are made on, or None: figures of other data are not compared.

    Attributes:
      metric: "loss" or "wer".
      best: the lowest figure so far, :data:`NO_BEST` before there is one.
      best_step: the step that it was reached at.
      has_other_data: whether what the checkpoint says was measured on other data than this training's.
    """

    initial_state = {"stopping_metric": 0, "stopping_min_delta": 0.0, "stopping_data": 0, "stopping_epoch_steps": 0,
                     "stopping_best": NO_BEST, "stopping_best_step": 0, "improved_step": 0, "evaluated_step": 0}

    def __init__(self, params, steps_per_epoch, data_layer=None):
        self.metric = params["stopping_metric"]
        self.min_delta = MIN_DELTA[self.metric] if params["es_min_delta"] is None else params["es_min_delta"]
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
        return {"stopping_metric": METRICS.index(self.metric), "stopping_min_delta": float(np.float32(self.min_delta)),
                "stopping_data": self._data}

    def start(self, state, session, step):
        """Takes over where the checkpoint's training stood.

        Args:
          state: the ``SavedState``.
          session: the session, in which it has been restored.
          step: steps made.
        """
        values = state.get(session)
        self.best, self.best_step = float(values["stopping_best"]), int(values["stopping_best_step"])
        self._improved_step, self._evaluated_step = int(values["improved_step"]), int(values["evaluated_step"])
        if not self._data:
            # a part of the training without evaluations; what is known stays for the next one with them
            return
        self.has_other_data = bool(self._evaluated_step) and values["stopping_data"] != self._data
        if self._evaluated_step and any(values[name] != value for name, value in self._rule.items()):
            if self._counts:
                log_line("Epochs without improvement count anew from step %d: the checkpoint's training went by the %s and "
                         "es_min_delta %g, this one goes by the %s and %g%s" % (
                             step, METRICS[int(values["stopping_metric"])], values["stopping_min_delta"], self.metric,
                             self.min_delta, " on other data" if self.has_other_data else ""))
            self.best, self.best_step = NO_BEST, 0
            self._improved_step = self._evaluated_step = step
        elif self._evaluated_step and values["stopping_epoch_steps"] != self._steps_per_epoch:
            # another batch size or other data: as many epochs as before, in steps of now
            before = int(values["stopping_epoch_steps"])
            self._improved_step, self._evaluated_step = (
                step - (step - earlier) * self._steps_per_epoch // before for earlier in (self._improved_step,
                                                                                          self._evaluated_step))
        self._keep(state, session)

    def evaluated(self, state, session, step, result):
        """Takes an evaluation into account; on every rank, whose results are the same.

        Args:
          state, session: as of :meth:`start`.
          step: steps made.
          result: ``EvaluationResult``.
        """
        # rounded as the checkpoint keeps it, so that a resumed run decides as one that was not interrupted
        figure = float(np.float32(result.loss if self.metric == "loss" else result.word_error_rate.rate))
        self._evaluated_step = step
        if math.isfinite(figure) and figure < self.best:
            if self.best == NO_BEST or figure <= self.best - self.min_delta:
                self._improved_step = step
            self.best, self.best_step = figure, step
        self._keep(state, session)

    def _keep(self, state, session):
        state.set(session, stopping_epoch_steps=self._steps_per_epoch, stopping_best=self.best,
                  stopping_best_step=self.best_step, improved_step=self._improved_step, evaluated_step=self._evaluated_step,
                  **self._rule)

    @property
    def epochs_without_improvement(self):
        """Epochs from the last improvement to the last evaluation."""
        return (self._evaluated_step - self._improved_step) / self._steps_per_epoch

    def is_without_improvement_for(self, epochs):
        """Whether ``epochs_without_improvement`` is at least so many; an int, compared exactly."""
        return self._evaluated_step - self._improved_step >= epochs * self._steps_per_epoch

    def periods_without_improvement(self, epochs):
        """How many times so many epochs have passed without improvement."""
        return (self._evaluated_step - self._improved_step) // (epochs * self._steps_per_epoch)

    def __str__(self):
        if self.best == NO_BEST:
            return "there is no finite %s yet" % self._name
        return "the best %s is %.4f, of step %d" % (self._name, self.best, self.best_step)

    @property
    def _name(self):
        return "validation %s" % {"loss": "loss", "wer": "WER"}[self.metric]
