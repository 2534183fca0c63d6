"""Scoring a data set: every utterance exactly once, whatever the batch size."""
import collections
import time

import tensorflow.compat.v1 as tf

from open_seq2seq.decoders.greedy import collapse
from open_seq2seq.encoders import Execution
from open_seq2seq.errors import DataError
from open_seq2seq.evaluation.error_rates import transcript_errors
from open_seq2seq.log_lines import log_line
from open_seq2seq.training.progress import ProgressBar

EvaluationResult = collections.namedtuple(
    "EvaluationResult", "loss word_error_rate character_error_rate sentence_error_rate utterances transcripts uncounted "
                        "unscored audio_seconds seconds")


class EvaluationGraph:
    """A data layer and a model in evaluation (or inference) mode, joined in the current graph.

    Args:
      base_model: the model class.
      params: the checked config of the mode.
      mode: "eval" or "infer".
      data_layer: a ``Speech2TextDataLayer`` of that mode.

    The variables are shared with a training model if one was built in the same graph before.
    """

    def __init__(self, base_model, params, mode, data_layer):
        self.data_layer, self.mode = data_layer, mode
        # where padding is seen by an utterance's last frames, only equally long utterances may share a batch
        apart = params["encoder"].depends_on_padding(params["encoder_params"], params["data_layer_params"]["pad_to"])
        self._iterator = tf.data.make_initializable_iterator(data_layer.evaluation_dataset(same_length_batches=apart))
        self._batch = self._iterator.get_next()
        model = base_model(params, mode, data_layer.vocabulary.size, execution=Execution(fast_gradients=False))
        output = model(self._batch)
        self._fetches = {"indices": self._batch.utterance_indices, "best_path": output.best_path,
                         "lengths": output.logit_lengths}
        if mode == "eval":
            self._fetches.update(losses=output.loss.per_utterance, counted=output.loss.counted)
        self.logits = output.logits

    def batches(self, session, extra_fetches=None):
        """Runs through the data once.

        Args:
          session: a session whose variables are set.
          extra_fetches: further tensors to fetch, by name.

        Yields:
          A dict of arrays per batch: indices [B], transcripts (list of str), lengths [B]; in eval mode losses [B] and
          counted [B]; and what was asked for.
        """
        session.run(self._iterator.initializer)
        fetches = dict(self._fetches, **(extra_fetches or {}))
        while True:
            try:
                values = session.run(fetches)
            except tf.errors.OutOfRangeError:
                return
            values["transcripts"] = [self.data_layer.vocabulary.decode(labels) for labels in
                                     collapse(values["best_path"], values["lengths"], self.data_layer.vocabulary.size)]
            yield values


def run_evaluation(session, graph, verbose=False):
    """Evaluates the model in ``session`` on all utterances of ``graph``'s data layer.

    Args:
      session: a session whose variables are set.
      graph: an :class:`EvaluationGraph` of mode "eval".
      verbose: print ``Processed k/n batches`` now and then.

    Returns:
      EvaluationResult: loss is the mean over the utterances whose CTC loss is finite; the rates are
      :class:`~open_seq2seq.evaluation.error_rates.ErrorRate`; ``uncounted`` lists the utterances left out of the loss,
      ``unscored`` those whose files turned bad since the start (at most max_rejected_fraction of all).

    Raises:
      DataError: an utterance was scored twice or not at all.
    """
    layer, started = graph.data_layer, time.monotonic()
    transcripts, losses, uncounted = {}, [], []
    total, every = layer.batches_per_epoch, max(1, layer.batches_per_epoch // 10)
    with ProgressBar(total, description="evaluation") as bar:
        for done, values in enumerate(graph.batches(session), 1):
            for index, transcript, loss, counted in zip(values["indices"], values["transcripts"], values["losses"],
                                                        values["counted"]):
                _once(transcripts, layer.utterances[index], index)
                transcripts[index] = transcript
                if counted:
                    losses.append(float(loss))
                else:
                    uncounted.append(layer.utterances[index])
            bar.update(done)
            if verbose and done % every == 0:
                log_line("Processed %d/%d batches" % (done, total))
    layer.raise_if_too_many_rejected()
    if len(transcripts) + len(layer.run_time_rejections) != len(layer.utterances):
        raise DataError("%d of %d utterances were scored; the rest were lost on the way" % (
            len(transcripts), len(layer.utterances)))
    indices = sorted(transcripts)
    utterances = [layer.utterances[index] for index in indices]
    errors = transcript_errors([utterance.transcript for utterance in utterances], [transcripts[index] for index in indices])
    return EvaluationResult(sum(losses) / len(losses) if losses else float("nan"), errors.word_error_rate,
                            errors.character_error_rate, errors.sentence_error_rate, utterances,
                            [transcripts[index] for index in indices], uncounted,
                            list(layer.run_time_rejections), sum(utterance.duration for utterance in utterances),
                            time.monotonic() - started)


def _once(seen, utterance, index):
    if index in seen:
        raise DataError("utterance %s came twice in one evaluation; its score would count double" % utterance.id)


def log_evaluation(result):
    """Prints an evaluation's figures in OpenSeq2Seq's form, and what else a reader of them should know."""
    log_line("Validation loss: %.4f " % result.loss, offset=4)
    log_line("Validation WER:  %.4f" % result.word_error_rate.rate, offset=4)
    log_line("Validation CER:  %.4f" % result.character_error_rate.rate, offset=4)
    log_line("%d utterances, %d words, %.1f s of audio in %.1f s; %.1f %% of the sentences without an error" % (
        len(result.utterances), result.word_error_rate.length, result.audio_seconds, result.seconds,
        100 * (1 - result.sentence_error_rate.rate)), offset=4)
    if result.unscored:
        log_line("%d utterances could not be read and are not in these figures: %s" % (
            len(result.unscored), ", ".join(utterance.id for utterance in result.unscored[:5])), offset=4)
    if result.uncounted:
        log_line("%d utterances have no finite CTC loss and are left out of the mean loss (not of the WER): %s" % (
            len(result.uncounted), ", ".join(utterance.id for utterance in result.uncounted[:5])), offset=4)
