"""Evaluation of a pre-training model: the loss and the figures of masked prediction on a data set, summed over all ranks.

The masks of an evaluation are the same every time, so its losses can be compared.
"""
import collections
import time

from open_seq2seq.evaluation.pretraining_figures import PretrainingFigures, figures_line
from open_seq2seq.evaluation.utterance_pass import UtterancePass
from open_seq2seq.experiment.assembly import execution_of
from open_seq2seq.log_lines import log_line

_NUMBERS = ("objective", "objective_frames")

PretrainingResult = collections.namedtuple(
    "PretrainingResult", "loss figures collapse num_utterances num_unscored audio_seconds seconds")
PretrainingResult.__doc__ = """Figures of a whole data set, over all ranks.

loss: mean of the objective per counted frame, in nats. figures: see ``PretrainingFigures.figures``. collapse: see
``PretrainingFigures.collapse``. num_utterances: number of evaluated utterances. num_unscored: utterances whose files have become
unreadable since the start. audio_seconds: of the evaluated utterances. seconds: duration of the evaluation.
"""
PretrainingResult.word_error_rate = None  # an EvaluationResult has one

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
        self._figures = PretrainingFigures(data_layer.vocabulary)

        def fetches_of(batch):
            loss = model(batch).loss
            return {"indices": batch.utterance_indices, "losses": loss.per_utterance, "sums": loss.sums,
                    "predicted": loss.predicted, "expected": loss.expected}

        self._pass = UtterancePass(params, data_layer, group, fetches_of, _NUMBERS + tuple(sorted(self._figures.numbers())))
        self.graph = self

    @property
    def fetches_of_buckets(self):
        """See the class."""
        return self._pass.fetches_of_buckets

    def runs(self):
        """List of (name, list of what is fetched), one for each shape of batches."""
        return self._pass.runs("evaluation")

    def run(self, session, verbose=False, is_interrupted=lambda: False):
        """Evaluates the model in ``session`` on all utterances; see ``evaluation.scoring.run_evaluation``.

        Returns:
          PretrainingResult; None on all ranks if one of them was interrupted.

        Raises:
          DataError: an utterance was evaluated twice or not at all, or too many files have become unreadable since the start.
        """
        figures, started, numbers = self._figures, time.monotonic(), dict.fromkeys(_NUMBERS, 0.0)
        figures.restart()
        weights = self.params["loss_params"]

        def add(values):
            figures.add(values["sums"], values["predicted"], values["expected"])
            numbers["objective"] += float(values["losses"][values["indices"] >= 0].sum(dtype="float64"))
            numbers["objective_frames"] += float(values["sums"][0, 0] * bool(weights["pred_masked_weight"])
                                                 + values["sums"][0, 1] * bool(weights["pred_nomask_weight"]))

        sums = self._pass.sums(session, add, lambda: dict(figures.numbers(), **numbers), verbose, is_interrupted)
        if sums is None:
            return None
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
