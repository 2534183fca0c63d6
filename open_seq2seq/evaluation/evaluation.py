"""Scoring a data set: every utterance exactly once, whatever the batch size."""
import collections
import copy
import time

import numpy as np
import tensorflow.compat.v1 as tf

from open_seq2seq.data.speech2text.dataset import Batch
from open_seq2seq.decoding.greedy import collapse
from open_seq2seq.distributed.exchange import Exchange
from open_seq2seq.encoders.shapes import dimension
from open_seq2seq.errors import DataError
from open_seq2seq.evaluation.error_rates import ErrorRate, transcript_errors
from open_seq2seq.experiment.assembly import execution_of
from open_seq2seq.log_lines import log_line
from open_seq2seq.progress import ProgressBar

RATES = ("word_error_rate", "character_error_rate", "sentence_error_rate")
SUMMED = ("loss", "counted", "uncounted", "utterances", "unscored", "audio_seconds", "entropy", "frames", "abandoned") + tuple(
    rate + part for rate in RATES for part in ("_edits", "_length"))

EvaluationResult = collections.namedtuple(
    "EvaluationResult", ("loss",) + RATES + ("frame_entropy", "num_utterances", "num_uncounted", "num_unscored", "audio_seconds",
                                             "seconds", "utterances", "transcripts", "uncounted"))
EvaluationResult.__doc__ = """Figures of a whole data set, over all ranks, and this rank's share of it.

loss: mean over the utterances whose CTC loss is finite. The rates are ``error_rates.ErrorRate``. frame_entropy: of the
distribution over labels and blank, mean over all true frames, in nats: near 0 for a model that is sure of itself, right or
wrong. num_utterances: that were scored. num_uncounted: of these, how many have no finite loss. num_unscored: whose files turned
bad since the start (at most max_rejected_fraction of all). audio_seconds: of what was scored. seconds: that it took.
utterances, transcripts: lists, of this rank's share. uncounted: list of this rank's utterances that are left out of the loss.
"""


# iterator: of the data; initializer: operation that sets it to the beginning; fetches: by name; logits
_ShapeGraph = collections.namedtuple("_ShapeGraph", "iterator initializer fetches logits")


class EvaluationGraph:
    """A data layer and a model in evaluation (or inference) mode, joined in the current graph.

    Args:
      base_model: the model class.
      params: the checked config of the mode.
      mode: "eval" or "infer".
      data_layer: a ``Speech2TextDataLayer`` of that mode.
      device: a ``Device``.
      group: a ``ProcessGroup``; the data layer's batches are this rank's share.
      observer: as of ``Execution``; for :meth:`batches`.

    The variables are shared with a training model if one was built in the same graph before.
    """

    def __init__(self, base_model, params, mode, data_layer, device, group, observer=None):
        self.params, self.data_layer, self.mode, self.group = params, data_layer, mode, group
        execution = execution_of(params, mode, device, group)._replace(observer=observer)
        self._model = base_model(params, mode, data_layer.vocabulary.size, execution=execution)
        self._shape_graphs = [self._shape_graph(dataset) for dataset in self._datasets()]
        self.exchange = Exchange(group, SUMMED) if mode == "eval" else None

    def on(self, data_layer):
        """This graph with other data: the same operations, on which only one of the two can be run at a time.

        Args:
          data_layer: a data layer of the same mode, features and vocabulary, without static shapes, as this one's must be.
        """
        other = copy.copy(self)
        other.data_layer = data_layer
        other._shape_graphs = [shape_step._replace(initializer=shape_step.iterator.make_initializer(dataset))
                         for shape_step, dataset in zip(self._shape_graphs, other._datasets())]
        return other

    def _datasets(self):
        """One for each shape of batches."""
        params, layer = self.params, self.data_layer
        if layer.buckets is not None:
            return [layer.evaluation_dataset(bucket=number) for number in range(len(layer.buckets))]
        # where padding is seen by an utterance's last frames, only equally long utterances may share a batch
        apart = params["encoder"].depends_on_padding(params["encoder_params"], params["data_layer_params"]["pad_to"])
        return [layer.evaluation_dataset(same_length_batches=apart)]

    def _shape_graph(self, dataset):
        """The operations for batches of one shape."""
        iterator = tf.data.Iterator.from_structure(tf.data.get_output_types(dataset), tf.data.get_output_shapes(dataset))
        batch = Batch(*iterator.get_next())
        output = self._model(batch)
        fetches = {"indices": batch.utterance_indices, "best_path": output.best_path, "lengths": output.logit_lengths}
        if self.mode == "eval":
            fetches.update(losses=output.loss.per_utterance, counted=output.loss.counted,
                           entropies=frame_entropies(output.logits, output.logit_lengths))
        return _ShapeGraph(iterator, iterator.make_initializer(dataset), fetches, output.logits)

    @property
    def fetches_of_buckets(self):
        """What a run fetches of a batch, by name; one dict for each shape of batches."""
        return [shape_step.fetches for shape_step in self._shape_graphs]

    def runs(self):
        """List of (name, list of what is fetched), one for each shape of batches."""
        return [("evaluation", list(fetches.values())) for fetches in self.fetches_of_buckets]

    def batches(self, session, with_logits=False, observations=None):
        """Runs through the data once.

        Args:
          session: a session whose variables are set.
          with_logits: fetch the logits, too.
          observations: list of what else to fetch, one (tensors in whatever structure) for each shape of batches; None: nothing.

        Yields:
          A dict of arrays per batch: indices [B], transcripts (list of str), lengths [B]; in eval mode losses [B] and
          counted [B] and entropies [B] (nats, summed over the frames); logits [B, T', V + 1] if asked for. Rows that only fill up
          a batch are left out. observed: the values of the observations, if any.
        """
        session.run([shape_step.initializer for shape_step in self._shape_graphs])
        for number, shape_step in enumerate(self._shape_graphs):
            wanted = dict(shape_step.fetches, logits=shape_step.logits) if with_logits else shape_step.fetches
            observed = observations[number] if observations is not None else ()
            while True:
                try:
                    values, observed_values = session.run((wanted, observed))
                except tf.errors.OutOfRangeError:
                    break
                real = values["indices"] >= 0
                values = {name: value[real] for name, value in values.items()}
                values["observed"] = observed_values
                values["transcripts"] = [self.data_layer.vocabulary.decode(labels) for labels in
                                         collapse(values["best_path"], values["lengths"], self.data_layer.vocabulary.size)]
                yield values


def frame_entropies(logits, lengths):
    """Entropies of the distributions over the outputs, summed over an utterance's frames.

    Args:
      logits: float32 [B, T', V + 1].
      lengths: int32 [B], true lengths in frames.

    Returns:
      float32 [B], nats.
    """
    with tf.name_scope("frame_entropies"):
        log_probabilities = tf.nn.log_softmax(logits)
        entropies = -tf.reduce_sum(tf.exp(log_probabilities) * log_probabilities, 2)
        within = tf.sequence_mask(lengths, dimension(logits, 1))
        return tf.reduce_sum(tf.where(within, entropies, tf.zeros_like(entropies)), 1)


def run_evaluation(session, graph, verbose=False, observations=None, observe=None, is_abandoned=lambda: False):
    """Evaluates the model in ``session`` on all utterances of ``graph``'s data layer.

    Every rank scores its share; all of them return the sums over all ranks. The ranks have to call this together.

    Args:
      session: a session whose variables are set.
      graph: an :class:`EvaluationGraph` of mode "eval".
      verbose: print ``Processed k/n batches`` now and then.
      observations, observe: what else to fetch, as of :meth:`EvaluationGraph.batches`, and a function to call with each batch's
        values of it; or None.
      is_abandoned: function, asked after every batch, whether this rank has to leave off.

    Returns:
      EvaluationResult; None on all ranks if one of them left off.

    Raises:
      DataError: an utterance was scored twice or not at all, or too many files turned bad since the start.
    """
    layer, started = graph.data_layer, time.monotonic()
    transcripts, losses, uncounted, entropy, frames = {}, [], [], 0.0, 0
    total, every, abandoned = layer.batches_per_epoch, max(1, layer.batches_per_epoch // 10), False
    with ProgressBar(total, description="evaluation") as bar:
        for done, values in enumerate(graph.batches(session, observations=observations), 1):
            if observe is not None:
                observe(values["observed"])
            # one utterance whose logits are not finite would leave no figure of the others
            finite = np.isfinite(values["entropies"])
            entropy += float(values["entropies"][finite].sum(dtype="float64"))
            frames += int(values["lengths"][finite].sum())
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
            abandoned = is_abandoned()
            if abandoned:
                break
    layer.raise_if_too_many_rejected()
    indices = sorted(transcripts)
    utterances = [layer.utterances[index] for index in indices]
    hypotheses = [transcripts[index] for index in indices]
    sums = graph.exchange.sum(session, dict(_summands(layer, utterances, hypotheses, losses, uncounted),
                                            entropy=entropy, frames=frames, abandoned=int(abandoned)))
    if sums["abandoned"]:
        return None
    layer.raise_if_too_many_rejected(elsewhere=int(sums["unscored"]) - len(layer.run_time_rejections))
    if sums["utterances"] + sums["unscored"] != len(layer.utterances):
        raise DataError("%d of %d utterances were scored; the rest were lost on the way" % (
            sums["utterances"], len(layer.utterances)))
    return EvaluationResult(sums["loss"] / sums["counted"] if sums["counted"] else float("nan"),
                            *[ErrorRate(int(sums[rate + "_edits"]), int(sums[rate + "_length"])) for rate in RATES],
                            sums["entropy"] / sums["frames"] if sums["frames"] else float("nan"),
                            int(sums["utterances"]), int(sums["uncounted"]), int(sums["unscored"]), sums["audio_seconds"],
                            time.monotonic() - started, utterances, hypotheses, uncounted)


def _summands(layer, utterances, hypotheses, losses, uncounted):
    """What this rank adds to the figures of an evaluation that come from the utterances: dict with keys of ``SUMMED``."""
    errors = transcript_errors([utterance.transcript for utterance in utterances], hypotheses)
    summands = {"loss": sum(losses), "counted": len(losses), "uncounted": len(uncounted), "utterances": len(utterances),
                "unscored": len(layer.run_time_rejections),
                "audio_seconds": sum(utterance.duration for utterance in utterances)}
    for rate in RATES:
        summands[rate + "_edits"], summands[rate + "_length"] = getattr(errors, rate).edits, getattr(errors, rate).length
    return summands


def _once(seen, utterance, index):
    if index in seen:
        raise DataError("utterance %s came twice in one evaluation; its score would count double" % utterance.id)


def log_evaluation(result, name="Validation"):
    """Prints an evaluation's figures in OpenSeq2Seq's form, and what else a reader of them should know."""
    log_line("%s loss: %.4f " % (name, result.loss), offset=4)
    log_line("%s WER:  %.4f" % (name, result.word_error_rate.rate), offset=4)
    log_line("%s CER:  %.4f" % (name, result.character_error_rate.rate), offset=4)
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
    """A sentence on the utterances that the mean loss is without; None where there are none."""
    if not result.num_uncounted:
        return None
    return "%d utterances have no finite CTC loss and are left out of the mean loss (not of the WER): %s" % (
        result.num_uncounted, ", ".join(utterance.id for utterance in result.uncounted[:5]))
