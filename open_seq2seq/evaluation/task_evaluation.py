"""Evaluation of a task whose targets are not transcripts: a class for each utterance, or features; summed over all ranks."""
import collections
import time

import tensorflow.compat.v1 as tf

from open_seq2seq.data.tasks import LABEL
from open_seq2seq.distributed.exchange import Exchange
from open_seq2seq.errors import DataError
from open_seq2seq.experiment.assembly import execution_of
from open_seq2seq.log_lines import log_line
from open_seq2seq.models.multi_task import output_sizes
from open_seq2seq.progress import ProgressBar

_COUNTS = ("loss", "weight", "correct", "utterances", "unscored", "audio_seconds", "interrupted")

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

_ShapeGraph = collections.namedtuple("_ShapeGraph", "iterator batch fetches")


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
        self._shape_graphs, self._initializers = [], []
        apart = params["encoder"].depends_on_padding(params["encoder_params"], params["data_layer_params"]["pad_to"])
        for bucket in range(len(data_layer.buckets)) if data_layer.buckets is not None else [None]:
            # if an utterance's last frames see the padding, only equally long utterances may share a batch
            dataset = data_layer.evaluation_dataset(bucket=bucket) if bucket is not None else (
                data_layer.evaluation_dataset(same_length_batches=apart))
            iterator = tf.data.Iterator.from_structure(tf.data.get_output_types(dataset), tf.data.get_output_shapes(dataset))
            batch = iterator.get_next()
            self._shape_graphs.append(_ShapeGraph(iterator, batch, self._fetches(model, batch)))
            self._initializers.append(iterator.make_initializer(dataset))
        self._exchange = Exchange(group, _COUNTS)

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
        return [shape_graph.fetches for shape_graph in self._shape_graphs]

    def runs(self):
        """List of (name, list of what is fetched), one for each shape of batches."""
        return [("evaluation of task %s%s" % (self.name, "" if self.data_layer.buckets is None else ", %s frames" % (
            shape_graph.batch.features.shape.as_list()[1],)), list(shape_graph.fetches.values()))
            for shape_graph in self._shape_graphs]

    def run(self, session, verbose=False, is_interrupted=lambda: False):
        """Evaluates the model in ``session`` on all utterances; see ``evaluation.scoring.run_evaluation``.

        Returns:
          TaskResult, in mode "infer" without loss and accuracy; None on all ranks if one of them was interrupted.

        Raises:
          DataError: an utterance was evaluated twice or not at all, or too many files have become unreadable since the start.
        """
        layer, started = self.data_layer, time.monotonic()
        counts, outputs, seen, done = dict.fromkeys(_COUNTS, 0.0), [], set(), 0
        total = layer.batches_per_epoch
        session.run(self._initializers)
        with ProgressBar(total, description="evaluation") as bar:
            for shape_graph in self._shape_graphs:
                while not counts["interrupted"]:
                    try:
                        values = session.run(shape_graph.fetches)
                    except tf.errors.OutOfRangeError:
                        break
                    self._add(values, counts, outputs, seen)
                    done += 1
                    bar.update(done)
                    if verbose and done % max(1, total // 10) == 0:
                        log_line("Processed %d/%d batches" % (done, total))
                    counts["interrupted"] = int(is_interrupted())
        layer.raise_if_too_many_rejected()
        counts.update(utterances=len(seen), unscored=len(layer.run_time_rejections),
                      audio_seconds=sum(layer.utterances[index].duration for index in seen))
        sums = self._exchange.sum(session, counts)
        if sums["interrupted"]:
            return None
        layer.raise_if_too_many_rejected(elsewhere=int(sums["unscored"]) - len(layer.run_time_rejections))
        if sums["utterances"] + sums["unscored"] != len(layer.utterances):
            raise DataError("only %d of %d utterances were evaluated, and %d could not be read; the data layer lost the others. "
                            "Please report this as a bug" % (sums["utterances"], len(layer.utterances), sums["unscored"]))
        weight = sums["weight"]
        return TaskResult(self.name, self.kind, sums["loss"] / weight if weight else float("nan"),
                          (sums["correct"] / weight if weight else float("nan")) if self.kind == LABEL else None,
                          int(weight if self._has_targets else sums["utterances"]), int(sums["unscored"]),
                          sums["audio_seconds"], time.monotonic() - started, sorted(outputs))

    def _add(self, values, counts, outputs, seen):
        """Adds a batch to this rank's figures."""
        for row, index in enumerate(values["indices"].tolist()):
            if index < 0:
                continue
            if index in seen:
                raise DataError("utterance %s occurred twice in one evaluation. Please report this as a bug"
                                % self.data_layer.utterances[index].id)
            seen.add(index)
            has_target = self._has_targets and values["weights"][row] > 0.0
            if has_target:
                counts["weight"] += 1.0
                counts["loss"] += float(values["losses"][row])
            if self.kind == LABEL:
                expected = int(values["expected"][row]) if has_target else None
                predicted = int(values["predicted"][row])
                counts["correct"] += float(expected == predicted)
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
