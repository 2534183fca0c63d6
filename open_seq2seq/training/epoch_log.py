"""A log line for each epoch: training loss, evaluation, learning rate, duration."""
import math
import time

from open_seq2seq.log_lines import log_line

INITIAL_STATE = {"epoch_steps": 0, "epoch_loss_sum": 0.0, "epoch_seconds": 0.0, "lowest_wer": 1e9, "lowest_wer_step": 0}
"""What a ``SavedState`` keeps of it, with initial values: the line of a resumed epoch covers both of its parts."""


class EpochLog:
    """Collects the numbers of the current epoch of a training, and reports them at its end.

    Args:
      graph: the ``TrainingGraph``; its ``state`` has :data:`INITIAL_STATE`.
      metrics: the ``Metrics`` of the run.
      clock: function that returns seconds.
    """

    def __init__(self, graph, metrics, clock=time.monotonic):
        self._state, self._graph, self._metrics, self._clock = graph.state, graph, metrics, clock
        self._begin(0.0)
        self._lowest = (INITIAL_STATE["lowest_wer"], 0)

    def _begin(self, seconds):
        self._steps, self._loss_sum, self._since = 0, 0.0, self._clock() - seconds
        self._evaluation = self._learning_rate = None

    def start(self, has_other_data=False):
        """Resumes the epoch of the restored checkpoint.

        Args:
          has_other_data: whether the checkpoint's evaluations were made on other data; their lowest WER is then dropped.
        """
        state = self._state.get()
        self._begin(float(state["epoch_seconds"]))
        self._steps, self._loss_sum = int(state["epoch_steps"]), float(state["epoch_loss_sum"])
        if not has_other_data:
            self._lowest = (float(state["lowest_wer"]), int(state["lowest_wer_step"]))

    @property
    def figures(self):
        """Dict of what ``SavedState`` keeps with a checkpoint."""
        return {"epoch_steps": self._steps, "epoch_loss_sum": self._loss_sum, "epoch_seconds": self._clock() - self._since,
                "lowest_wer": self._lowest[0], "lowest_wer_step": self._lowest[1]}

    def step(self, loss, learning_rate):
        """Counts a step that was made."""
        self._steps, self._loss_sum, self._learning_rate = self._steps + 1, self._loss_sum + loss, float(learning_rate)

    def evaluated(self, step, result):
        """Notes the ``EvaluationResult`` of a step."""
        self._evaluation = (step, result)
        if result.word_error_rate is not None and result.word_error_rate.rate < self._lowest[0]:
            self._lowest = (result.word_error_rate.rate, step)

    def end_if_due(self, step, before=None):
        """Prints the line and writes the metrics of an epoch that ends with this step; called after the step's evaluation.

        Args:
          step: steps made.
          before: steps made at the last call, where that was not one step before.
        """
        before = step - 1 if before is None else before
        if self._graph.epochs_done(step) == self._graph.epochs_done(before) or not self._steps:
            return
        epoch, loss, seconds = self._graph.epochs_done(step), self._loss_sum / self._steps, self._clock() - self._since
        parts, numbers = ["train loss %.4f" % loss], {"epoch": epoch, "train_loss": loss, "learning_rate": self._learning_rate,
                                                      "seconds": seconds}
        if self._evaluation is not None:
            evaluated_at, result = self._evaluation
            where = "" if evaluated_at == step else " (at step %d)" % evaluated_at
            parts.append("dev loss %.4f%s" % (result.loss, where))
            numbers.update(dev_loss=result.loss, evaluated_at=evaluated_at)
            if result.word_error_rate is not None:
                parts.append("dev WER %.4f%s" % (result.word_error_rate.rate, where))
                numbers["dev_word_error_rate"] = result.word_error_rate.rate
        if self._lowest[0] < INITIAL_STATE["lowest_wer"] and math.isfinite(self._lowest[0]):
            parts.append("best WER %.4f at step %d" % self._lowest)
            numbers.update(best_word_error_rate=self._lowest[0], best_step=self._lowest[1])
        parts += ["learning rate %.3g" % self._learning_rate, "%.0f s" % seconds if seconds >= 10 else "%.1f s" % seconds]
        log_line("Epoch %d: %s" % (epoch, ", ".join(parts)))
        self._metrics.write("epoch", step, **numbers)
        self._begin(0.0)
