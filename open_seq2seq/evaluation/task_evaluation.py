"""Evaluation of a task whose targets are not transcripts: a class for each utterance, or features; summed over all ranks."""
import collections
import time

import tensorflow.compat.v1 as tf

from open_seq2seq.data.tasks import LABEL
from open_seq2seq.evaluation.utterance_pass import UtterancePass
from open_seq2seq.experiment.assembly import execution_of
from open_seq2seq.log_lines import log_line
from open_seq2seq.models.multi_task import output_sizes

_NUMBERS = ("loss", "weight", "correct")

TaskResult = collections.namedtuple(
    "TaskResult", "name kind loss accuracy num_utterances num_unscored audio_seconds seconds outputs")
TaskResult.__doc__ = """Figures of a whole data set, over all ranks, and this rank's share of it.

name, kind: of the task. loss: mean over the utterances with a target. accuracy: share of these whose class is predicted; None of
kind "features". num_utterances: utterances with a target. num_unscored: utterances whose files have become unreadable since the
start. audio_seconds: of all evaluated utterances. seconds: duration of the evaluation. outputs: list of this rank's
:class:`ClassOutput`, in the order of the utterances.
"""
TaskResult.word_error_rate = None  # an EvaluationResult has one

ClassOutput = collections.namedtuple("ClassOutput", "index predicted probability expected")
ClassOutput.__doc__ = """index: of the utterance in the data layer. predicted: the most probable class, an int. probability: its
probability, a float. expected: int, None without a target."""


class TaskEvaluation:
    """The model of one task in evaluation or inference mode, and the data that run through it.

    The variables are shared with a training model if one was built in the same graph before.

    Args:
      base_model: the model class.
      params: the checked config of the mode, reduced to the task (``models.task_params.config_of_task``).
      mode: "eval" or "infer".
      data_layer: a ``Speech2TextDataLayer`` of that mode with the task.
      device: a ``Device``.
      group: a ``ProcessGroup``.

    Attributes:
      params, data_layer: as given. name, kind: of the task. graph: this object, which has ``fetches_of_buckets``: a dict of
        tensors for each shape.
    """

    def __init__(self, base_model, params, mode, data_layer, device, group):
        self.params, self.data_layer, self.graph = params, data_layer, self
        (self.name, task), = params["tasks"].items()
        self.kind, self._has_targets = task["data"]["kind"], mode == "eval"
        model = base_model(params, mode, output_sizes(data_layer), execution=execution_of(params, mode, device, group))
        self._pass = UtterancePass(params, data_layer, group, lambda batch: self._fetches(model, batch), _NUMBERS)

    def _fetches(self, model, batch):
        output, = model(batch).tasks
        fetches = {"indices": batch.utterance_indices}
        if self.kind == LABEL:
            fetches.update(predicted=output.prediction, probabilities=tf.reduce_max(tf.nn.softmax(output.logits), 1))
        if self._has_targets:
            fetches.update(losses=output.loss.per_utterance, weights=output.targets.weights)
            if self.kind == LABEL:
                fetches["expected"] = output.targets.labels
        return fetches

    @property
    def fetches_of_buckets(self):
        """See the class."""
        return self._pass.fetches_of_buckets

    def runs(self):
        """List of (name, list of what is fetched), one for each shape of batches."""
        return self._pass.runs("evaluation of task %s" % self.name)

    def run(self, session, verbose=False, is_interrupted=lambda: False):
        """Evaluates the model in ``session`` on all utterances; see ``evaluation.scoring.run_evaluation``.

        Returns:
          TaskResult, in mode "infer" without loss and accuracy; None on all ranks if one of them was interrupted.

        Raises:
          DataError: an utterance was evaluated twice or not at all, or too many files have become unreadable since the start.
        """
        started, numbers, outputs = time.monotonic(), dict.fromkeys(_NUMBERS, 0.0), []
        sums = self._pass.sums(session, lambda values: self._add(values, numbers, outputs), lambda: numbers, verbose,
                               is_interrupted)
        if sums is None:
            return None
        weight = sums["weight"]
        return TaskResult(self.name, self.kind, sums["loss"] / weight if weight else float("nan"),
                          (sums["correct"] / weight if weight else float("nan")) if self.kind == LABEL else None,
                          int(weight if self._has_targets else sums["utterances"]), int(sums["unscored"]),
                          sums["audio_seconds"], time.monotonic() - started, sorted(outputs))

    def _add(self, values, numbers, outputs):
        """Adds a batch to this rank's figures."""
        for row, index in enumerate(values["indices"].tolist()):
            if index < 0:
                continue
            has_target = self._has_targets and values["weights"][row] > 0.0
            if has_target:
                numbers["weight"] += 1.0
                numbers["loss"] += float(values["losses"][row])
            if self.kind == LABEL:
                expected = int(values["expected"][row]) if has_target else None
                predicted = int(values["predicted"][row])
                numbers["correct"] += float(expected == predicted)
                outputs.append(ClassOutput(index, predicted, float(values["probabilities"][row]), expected))


def log_task(result, name):
    """Prints the figures of a TaskResult; ``name`` begins the lines."""
    log_line("%s loss: %.4f " % (name, result.loss), offset=4)
    if result.accuracy is not None:
        log_line("%s accuracy:  %.4f" % (name, result.accuracy), offset=4)
    log_line("%d utterances in %.1f s" % (result.num_utterances, result.seconds), offset=4)
    if result.num_unscored:
        log_line("%d utterances could not be read and are not in these figures; they are listed on stderr" % result.num_unscored,
                 offset=4)
