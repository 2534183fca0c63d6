"""Evaluation of a pre-training model: the loss and the figures of masked prediction on a data set, summed over all ranks.

The masks of an evaluation are the same every time, so its losses can be compared.
"""
import collections
import time

import tensorflow.compat.v1 as tf

from open_seq2seq.distributed.exchange import Exchange
from open_seq2seq.errors import DataError
from open_seq2seq.evaluation.pretraining_figures import PretrainingFigures, figures_line
from open_seq2seq.experiment.assembly import execution_of
from open_seq2seq.log_lines import log_line
from open_seq2seq.progress import ProgressBar

_COUNTS = ("utterances", "unscored", "audio_seconds", "interrupted", "objective", "objective_frames")

PretrainingResult = collections.namedtuple(
    "PretrainingResult", "loss figures collapse num_utterances num_unscored audio_seconds seconds")
PretrainingResult.__doc__ = """Figures of a whole data set, over all ranks.

loss: mean of the objective per counted frame, in nats. figures: see ``PretrainingFigures.figures``. collapse: see
``PretrainingFigures.collapse``. num_utterances: number of evaluated utterances. num_unscored: utterances whose files have become
unreadable since the start. audio_seconds: of the evaluated utterances. seconds: duration of the evaluation.
"""
PretrainingResult.word_error_rate = None  # an EvaluationResult has one

_ShapeGraph = collections.namedtuple("_ShapeGraph", "iterator batch fetches")


class PretrainingEvaluation:
    """A pre-training model in evaluation mode, and the data that run through it.

    The variables are shared with a training model if one was built in the same graph before.

    Args:
      base_model: the model class.
      params: the checked config of mode "eval".
      data_layer: a ``PretrainingDataLayer`` of mode "eval".
      device: a ``Device``.
      group: a ``ProcessGroup``.

    Attributes:
      params, data_layer: as given. graph: this object, which has ``fetches_of_buckets``: a dict of tensors for each shape.
    """

    def __init__(self, base_model, params, data_layer, device, group):
        self.params, self.data_layer = params, data_layer
        model = base_model(params, "eval", data_layer.vocabulary.size, execution=execution_of(params, "eval", device, group))
        self._shape_graphs, self._initializers = [], []
        for bucket in range(len(data_layer.buckets)) if data_layer.buckets is not None else [None]:
            dataset = data_layer.evaluation_dataset(bucket=bucket)
            iterator = tf.data.Iterator.from_structure(tf.data.get_output_types(dataset), tf.data.get_output_shapes(dataset))
            batch = iterator.get_next()
            loss = model(batch).loss
            self._shape_graphs.append(_ShapeGraph(iterator, batch, {
                "indices": batch.utterance_indices, "losses": loss.per_utterance, "sums": loss.sums, "predicted": loss.predicted,
                "expected": loss.expected}))
            self._initializers.append(iterator.make_initializer(dataset))
        self._figures = PretrainingFigures(data_layer.vocabulary)
        self._exchange = Exchange(group, list(_COUNTS) + sorted(self._figures.numbers()))
        self.graph = self

    @property
    def fetches_of_buckets(self):
        """See the class."""
        return [shape_graph.fetches for shape_graph in self._shape_graphs]

    def runs(self):
        """List of (name, list of what is fetched), one for each shape of batches."""
        return [("evaluation" if self.data_layer.buckets is None else "evaluation, %s frames" % (
            shape_graph.batch.features.shape.as_list()[1]), list(shape_graph.fetches.values()))
            for shape_graph in self._shape_graphs]

    def run(self, session, verbose=False, is_interrupted=lambda: False):
        """Evaluates the model in ``session`` on all utterances; see ``evaluation.scoring.run_evaluation``.

        Returns:
          PretrainingResult; None on all ranks if one of them was interrupted.

        Raises:
          DataError: an utterance was evaluated twice or not at all, or too many files have become unreadable since the start.
        """
        layer, figures, started = self.data_layer, self._figures, time.monotonic()
        figures.restart()
        weights = self.params["loss_params"]
        counts, seen, done = dict.fromkeys(_COUNTS, 0.0), set(), 0
        total = layer.batches_per_epoch
        session.run(self._initializers)
        with ProgressBar(total, description="evaluation") as bar:
            for shape_graph in self._shape_graphs:
                while not counts["interrupted"]:
                    try:
                        values = session.run(shape_graph.fetches)
                    except tf.errors.OutOfRangeError:
                        break
                    figures.add(values["sums"], values["predicted"], values["expected"])
                    valid = values["indices"] >= 0
                    counts["objective"] += float(values["losses"][valid].sum(dtype="float64"))
                    counts["objective_frames"] += float(values["sums"][0, 0] * bool(weights["pred_masked_weight"])
                                                        + values["sums"][0, 1] * bool(weights["pred_nomask_weight"]))
                    for index in values["indices"][valid].tolist():
                        if index in seen:
                            raise DataError("utterance %s occurred twice in one evaluation. Please report this as a bug"
                                            % layer.utterances[index].id)
                        seen.add(index)
                    done += 1
                    bar.update(done)
                    if verbose and done % max(1, total // 10) == 0:
                        log_line("Processed %d/%d batches" % (done, total))
                    counts["interrupted"] = int(is_interrupted())
        layer.raise_if_too_many_rejected()
        counts.update(utterances=len(seen), unscored=len(layer.run_time_rejections),
                      audio_seconds=sum(layer.utterances[index].duration for index in seen))
        sums = self._exchange.sum(session, dict(figures.numbers(), **counts))
        if sums["interrupted"]:
            return None
        layer.raise_if_too_many_rejected(elsewhere=int(sums["unscored"]) - len(layer.run_time_rejections))
        if sums["utterances"] + sums["unscored"] != len(layer.utterances):
            raise DataError("only %d of %d utterances were evaluated, and %d could not be read; the data layer lost the others. "
                            "Please report this as a bug" % (sums["utterances"], len(layer.utterances), sums["unscored"]))
        figures.set_numbers(sums)
        loss = sums["objective"] / sums["objective_frames"] if sums["objective_frames"] else float("nan")
        return PretrainingResult(loss, figures.figures(), figures.collapse(), int(sums["utterances"]), int(sums["unscored"]),
                                 sums["audio_seconds"], time.monotonic() - started)


def log_pretraining(result, name="Validation"):
    """Prints the figures of a PretrainingResult."""
    log_line("%s loss: %.4f " % (name, result.loss), offset=4)
    log_line("%s: %s" % (name, figures_line(result.figures)), offset=4)
    log_line("%d utterances, %.1f s of audio in %.1f s" % (result.num_utterances, result.audio_seconds, result.seconds), offset=4)
    if result.num_unscored:
        log_line("%d utterances could not be read and are not in these figures; they are listed on stderr" % result.num_unscored,
                 offset=4)
    if result.collapse is not None:
        log_line(result.collapse, offset=4)
