"""Scoring a data set: every utterance exactly once, whatever the batch size; summed over all ranks."""
import collections
import time

import numpy as np

from open_seq2seq.errors import DataError
from open_seq2seq.evaluation.error_rates import ErrorRate, transcript_errors
from open_seq2seq.evaluation.pretraining_evaluation import PretrainingEvaluation, PretrainingResult, log_pretraining
from open_seq2seq.evaluation.task_evaluation import TaskEvaluation, TaskResult, log_task
from open_seq2seq.log_lines import has_modelzoo_format, log_line
from open_seq2seq.progress import ProgressBar

RATES = ("word_error_rate", "character_error_rate", "sentence_error_rate")
SUMMED = ("loss", "counted", "uncounted", "utterances", "unscored", "audio_seconds", "entropy", "frames", "interrupted") + tuple(
    rate + part for rate in RATES for part in ("_edits", "_length"))
"""What the ranks sum."""

EvaluationResult = collections.namedtuple(
    "EvaluationResult", ("loss",) + RATES + ("frame_entropy", "num_utterances", "num_uncounted", "num_unscored", "audio_seconds",
                                             "seconds", "utterances", "transcripts", "uncounted", "outputs", "tasks"),
    defaults=[(), ()])
EvaluationResult.__doc__ = """Figures of a whole data set, over all ranks, and this rank's share of it.

loss: mean over the utterances with a finite CTC loss. The rates are ``error_rates.ErrorRate``. frame_entropy: of the distribution
over labels and blank, mean over all valid frames, in nats: near 0 for a model that is confident, right or wrong. num_utterances:
number of scored utterances. num_uncounted: how many of these have no finite loss. num_unscored: utterances whose files have
become unreadable since the start (at most max_rejected_fraction of all). audio_seconds: of the scored utterances. seconds:
duration of the evaluation. utterances, transcripts: lists, this rank's share. uncounted: list of this rank's utterances without
a finite loss. outputs: list of this rank's :class:`UtteranceOutput`, in the order of the utterances. tasks: tuple of pairs of the
name and the result of each other task that was evaluated, see ``evaluation/all_tasks.py``.
"""

UtteranceOutput = collections.namedtuple("UtteranceOutput", "index transcript loss entropy")
UtteranceOutput.__doc__ = """What a model made of an utterance.

index: of the utterance in the data layer. transcript: str. loss: CTC loss, a float, or None if it is not finite. entropy: of the
distribution over labels and blank, mean over the frames, in nats; None if it is not finite."""


def run_evaluation(session, evaluation, verbose=False, observations=None, observe=None, is_interrupted=lambda: False,
                   collect=None):
    """Evaluates the model in ``session`` on all utterances of ``evaluation``'s data layer.

    Every rank scores its share; all of them return the sums over all ranks. The ranks have to call this together.

    Args:
      session: a session whose variables are set.
      evaluation: an ``Evaluation`` of mode "eval"; a ``PretrainingEvaluation`` or ``TaskEvaluation`` has other results.
      verbose: print ``Processed k/n batches`` at intervals.
      observations, observe: what else to fetch, see ``Evaluation.batches``, and a function to call with each batch's values of
        it; or None.
      is_interrupted: function, called after every batch, that says whether this rank has to stop.
      collect: function that is called with the dict of each batch, with the logits, see ``Evaluation.batches``; or None.

    Returns:
      EvaluationResult; None on all ranks if one of them was interrupted.

    Raises:
      DataError: an utterance was scored twice or not at all, or too many files have become unreadable since the start.
    """
    if isinstance(evaluation, (PretrainingEvaluation, TaskEvaluation)):
        return evaluation.run(session, verbose, is_interrupted)
    layer, started = evaluation.data_layer, time.monotonic()
    scores, interrupted = _Scores(layer), False
    total, every = layer.batches_per_epoch, max(1, layer.batches_per_epoch // 10)
    with ProgressBar(total, description="evaluation") as bar:
        batches = evaluation.batches(session, with_logits=collect is not None, observations=observations)
        for done, values in enumerate(batches, 1):
            if collect is not None:
                collect(values)
            if observe is not None:
                observe(values["observed"])
            scores.add(values)
            bar.update(done)
            if verbose and done % every == 0:
                log_line("Processed %d/%d batches" % (done, total))
            interrupted = is_interrupted()
            if interrupted:
                break
    layer.raise_if_too_many_rejected()
    sums = evaluation.graph.exchange.sum(session, dict(scores.summands(), interrupted=int(interrupted)))
    if sums["interrupted"]:
        return None
    layer.raise_if_too_many_rejected(elsewhere=int(sums["unscored"]) - len(layer.run_time_rejections))
    if sums["utterances"] + sums["unscored"] != len(layer.utterances):
        raise DataError("only %d of %d utterances were scored, and %d could not be read; the data layer lost the others. Please "
                        "report this as a bug" % (sums["utterances"], len(layer.utterances), sums["unscored"]))
    return scores.result(sums, time.monotonic() - started)


class _Scores:
    """What this rank has scored of an evaluation."""

    def __init__(self, layer):
        self._layer, self._outputs, self._losses, self._uncounted = layer, {}, [], []
        self._entropy, self._frames = 0.0, 0

    def add(self, values):
        """Takes the values of a batch into account, see ``Evaluation.batches``."""
        # an utterance with non-finite logits does not make the mean over the others non-finite
        finite = np.isfinite(values["entropies"])
        self._entropy += float(values["entropies"][finite].sum(dtype="float64"))
        self._frames += int(values["lengths"][finite].sum())
        entropies = values["entropies"] / np.maximum(values["lengths"], 1)
        rows = zip(values["indices"].tolist(), values["transcripts"], values["losses"].tolist(), values["counted"],
                   entropies.tolist(), finite)
        for index, transcript, loss, counted, entropy, is_finite in rows:
            utterance = self._layer.utterances[index]
            if index in self._outputs:
                raise DataError("utterance %s occurred twice in one evaluation; it would be scored twice. Please report this "
                                "as a bug" % utterance.id)
            self._outputs[index] = UtteranceOutput(index, transcript, loss if counted else None, entropy if is_finite else None)
            if counted:
                self._losses.append(loss)
            else:
                self._uncounted.append(utterance)

    @property
    def _scored(self):
        """(utterances, transcripts), in the order of the manifests."""
        indices = sorted(self._outputs)
        return [self._layer.utterances[index] for index in indices], [self._outputs[index].transcript for index in indices]

    def summands(self):
        """This rank's numbers that are summed over the ranks."""
        utterances, transcripts = self._scored
        errors = transcript_errors([utterance.transcript for utterance in utterances], transcripts)
        summands = {"loss": sum(self._losses), "counted": len(self._losses), "uncounted": len(self._uncounted),
                    "utterances": len(utterances), "unscored": len(self._layer.run_time_rejections),
                    "audio_seconds": sum(utterance.duration for utterance in utterances),
                    "entropy": self._entropy, "frames": self._frames}
        for rate in RATES:
            summands[rate + "_edits"], summands[rate + "_length"] = getattr(errors, rate).edits, getattr(errors, rate).length
        return summands

    def result(self, sums, seconds):
        """The :class:`EvaluationResult` from the sums over the ranks."""
        utterances, transcripts = self._scored
        return EvaluationResult(
            sums["loss"] / sums["counted"] if sums["counted"] else float("nan"),
            *[ErrorRate(int(sums[rate + "_edits"]), int(sums[rate + "_length"])) for rate in RATES],
            sums["entropy"] / sums["frames"] if sums["frames"] else float("nan"),
            int(sums["utterances"]), int(sums["uncounted"]), int(sums["unscored"]), sums["audio_seconds"], seconds, utterances,
            transcripts, self._uncounted, [self._outputs[index] for index in sorted(self._outputs)])


def log_evaluation(result, name="Validation"):
    """Prints an evaluation's figures in OpenSeq2Seq's form, with notes on utterances that are not in all of them.

    In the ModelZoo port's format only the line of the WER has the word "Validation": its scripts take every line with this word
    for a word error rate.
    """
    if isinstance(result, PretrainingResult):
        log_pretraining(result, name)
        return
    if isinstance(result, TaskResult):
        log_task(result, name)
        return
    wer = "%s WER:  %.4f" % (name, result.word_error_rate.rate)
    if has_modelzoo_format():
        lines = [wer, "CER:  %.4f, loss: %.4f" % (result.character_error_rate.rate, result.loss)]
    else:
        lines = ["%s loss: %.4f " % (name, result.loss), wer, "%s CER:  %.4f" % (name, result.character_error_rate.rate)]
    for line in lines:
        log_line(line, offset=4)
    log_line("%d utterances, %d words, %.1f s of audio in %.1f s; %.1f %% of the sentences without an error" % (
        result.num_utterances, result.word_error_rate.length, result.audio_seconds, result.seconds,
        100 * (1 - result.sentence_error_rate.rate)), offset=4)
    if result.num_unscored:
        log_line("%d utterances could not be read and are not in these figures; they are listed on stderr"
                 % result.num_unscored, offset=4)
    note = note_on_uncounted(result)
    if note is not None:
        log_line(note, offset=4)


def note_on_uncounted(result):
    """A sentence on the utterances that are excluded from the mean loss; None if there are none."""
    if not result.num_uncounted:
        return None
    return "%d utterances have no finite CTC loss and are excluded from the mean loss (not from the WER): %s" % (
        result.num_uncounted, ", ".join(utterance.id for utterance in result.uncounted[:5]))
