"""The operations of a model in evaluation or inference mode, and the data sets that run through them."""
import collections
import concurrent.futures

import numpy as np
import tensorflow.compat.v1 as tf

from open_seq2seq.data.speech2text.dataset import Batch
from open_seq2seq.decoding.decoder import NonFiniteLogits
from open_seq2seq.decoding.greedy import GreedyDecoder
from open_seq2seq.distributed.exchange import Exchange
from open_seq2seq.encoders.shapes import dimension
from open_seq2seq.errors import DeviceError
from open_seq2seq.evaluation.pretraining_evaluation import PretrainingEvaluation
from open_seq2seq.evaluation.scoring import SUMMED
from open_seq2seq.evaluation.task_evaluation import TaskEvaluation
from open_seq2seq.experiment.assembly import execution_of
from open_seq2seq.graph_analysis.step_memory import advised_batch

# what an inference fetches of a batch; an evaluation fetches more
INFERENCE_FETCHES = ("indices", "best_path", "lengths", "entropies")

MOST_WAITING = 8  # batches whose search has not ended; the decoder bounds the number of utterances, too

# iterator: of the data, not initialized. batch: Batch of tensors. fetches: dict of tensors. logits: float32 [B, T', V + 1]
_ShapeGraph = collections.namedtuple("_ShapeGraph", "iterator batch fetches logits")


def build_evaluation(base_model, params, mode, data_layer, device, group, observer=None, decoder=None):
    """Builds the :class:`EvaluationGraph` of a model in the current graph, and the :class:`Evaluation` of ``data_layer`` with it.

    Arguments: see :class:`EvaluationGraph` and :class:`Evaluation`. A pre-training model has a ``PretrainingEvaluation``, a task
    without transcripts a ``TaskEvaluation``.
    """
    if params.get("tasks"):
        return TaskEvaluation(base_model, params, mode, data_layer, device, group)
    if getattr(base_model, "is_pretraining", False):
        return PretrainingEvaluation(base_model, params, data_layer, device, group)
    return Evaluation(EvaluationGraph(base_model, params, mode, data_layer, device, group, observer), data_layer, decoder)


class EvaluationGraph:
    """The operations of a model in evaluation or inference mode, for batches of each shape.

    The variables are shared with a training model if one was built in the same graph before.

    Args:
      base_model: the model class.
      params: the checked config of the mode.
      mode: "eval" or "infer".
      data_layer: a ``Speech2TextDataLayer`` of that mode, whose batches define the shapes.
      device: a ``Device``.
      group: a ``ProcessGroup``.
      observer: see ``Execution``.

    Attributes:
      params, mode, device: as given.
      shape_graphs: list with an iterator, the fetches by name, and the logits, for each shape of batches.
      exchange: the ``Exchange`` that sums the scores over the ranks; None in mode "infer".
    """

    def __init__(self, base_model, params, mode, data_layer, device, group, observer=None):
        self.params, self.mode, self.device = params, mode, device
        execution = execution_of(params, mode, device, group)._replace(observer=observer)
        model = base_model(params, mode, data_layer.vocabulary.size, execution=execution)
        self.shape_graphs = [self._shape_graph(model, dataset) for dataset in self.datasets(data_layer)]
        self.exchange = Exchange(group, SUMMED) if mode == "eval" else None

    def datasets(self, data_layer):
        """The ``tf.data.Dataset`` of a data layer for each shape of batches."""
        if data_layer.buckets is not None:
            return [data_layer.evaluation_dataset(bucket=number) for number in range(len(data_layer.buckets))]
        # if an utterance's last frames see the padding, only equally long utterances may share a batch
        params = self.params
        apart = params["encoder"].depends_on_padding(params["encoder_params"], params["data_layer_params"]["pad_to"])
        return [data_layer.evaluation_dataset(same_length_batches=apart)]

    def _shape_graph(self, model, dataset):
        """The operations for batches of one shape."""
        iterator = tf.data.Iterator.from_structure(tf.data.get_output_types(dataset), tf.data.get_output_shapes(dataset))
        batch = Batch(*iterator.get_next())
        output = model(batch)
        # the best path of logits that are NaN is a path like any other; their entropy is NaN
        fetches = dict(zip(INFERENCE_FETCHES, (batch.utterance_indices, output.best_path, output.logit_lengths,
                                               frame_entropies(output.logits, output.logit_lengths))))
        if self.mode == "eval":
            fetches.update(losses=output.loss.per_utterance, counted=output.loss.counted)
        return _ShapeGraph(iterator, batch, fetches, output.logits)

    @property
    def fetches_of_buckets(self):
        """What a run fetches of a batch: a dict of tensors for each shape of batches."""
        return [shape_graph.fetches for shape_graph in self.shape_graphs]


class Evaluation:
    """The utterances of a data layer, evaluated (or transcribed) with the operations of a graph.

    Several evaluations may share a graph, e.g. of the dev set and of a subset of it; one of them can run at a time.

    Args:
      graph: an :class:`EvaluationGraph`.
      data_layer: a data layer of the same mode, features, vocabulary and batch shapes as the graph was built for; its batches are
        this rank's share.
      decoder: a ``decoding.decoder.Decoder``, which stays open; None: decodes greedily, and non-finite logits are not an error,
        because a training handles them itself.

    Attributes:
      graph, data_layer: as given. params: the graph's. decoder: as given, or the greedy one.
    """

    def __init__(self, graph, data_layer, decoder=None):
        self.graph, self.data_layer, self.params = graph, data_layer, graph.params
        self.decoder, self._refuses_non_finite = decoder or GreedyDecoder(data_layer.vocabulary), decoder is not None
        self._initializers = [shape_graph.iterator.make_initializer(dataset)
                              for shape_graph, dataset in zip(graph.shape_graphs, graph.datasets(data_layer))]

    def runs(self):
        """List of (name, list of what is fetched), one for each shape of batches."""
        return [(self._name(shape_graph), list(self._fetches(shape_graph, False).values()))
                for shape_graph in self.graph.shape_graphs]

    def _fetches(self, shape_graph, with_logits):
        """Dict of the tensors that a run fetches of a batch."""
        if with_logits or self.decoder.needs_logits:
            return dict(shape_graph.fetches, logits=shape_graph.logits)
        return shape_graph.fetches

    def _name(self, shape_graph):
        frames = shape_graph.batch.features.shape.as_list()[1]
        name = "evaluation" if self.graph.mode == "eval" else "inference"
        return name if frames is None else "%s, %d frames" % (name, frames)

    def _out_of_memory(self, shape_graph, reported):
        """The DeviceError with the batch size that would fit."""
        key = "batch_size_per_gpu" if self.params["eval_batch_size_per_gpu"] is None else "eval_batch_size_per_gpu"
        advice = advised_batch(self.graph.device, list(shape_graph.fetches.values()), shape_graph.batch,
                               self.params["npu_params"], len(self.graph.shape_graphs), "eval_batch_size_per_gpu")
        return DeviceError("out of memory in %s with a batch of %d utterances (%s): %s. %s" % (
            self._name(shape_graph), self.data_layer.batch_size, key, reported, advice or "Lower eval_batch_size_per_gpu"))

    def batches(self, session, with_logits=False, observations=None, with_characters=False):
        """Runs through the data once. A beam search runs next to the network: a batch is yielded some batches later.

        Args:
          session: a session whose variables are set.
          with_logits: fetch the logits, too.
          observations: list of what else to fetch, one (tensors in any structure) for each shape of batches; None: nothing.
          with_characters: find the frames of the transcripts' characters.

        Yields:
          A dict of arrays per batch, without padding rows: indices [B], transcripts (list of str), lengths [B], entropies [B]
          (nats, summed over the frames); in eval mode losses [B] and counted [B]; logits [B, T', V + 1] if ``with_logits``;
          scores [B] of the transcripts if the decoder searches; hypotheses, a list of B ``Hypothesis``, if ``with_characters``.
          observed: the values of the observations, if any.

        Raises:
          NonFiniteLogits: logits are NaN or infinite, and a decoder was given or characters are sought; the message names the
            utterance.
        """
        waiting = collections.deque()
        for values in self._network_batches(session, with_logits or with_characters, observations):
            waiting.append((values, self._transcripts(values, with_characters)))
            if not with_logits:
                values.pop("logits", None)
            while waiting and (waiting[0][1].done() or len(waiting) > MOST_WAITING):
                yield self._transcribed(*waiting.popleft(), with_characters=with_characters)
        while waiting:
            yield self._transcribed(*waiting.popleft(), with_characters=with_characters)

    def _transcripts(self, values, with_characters):
        """Future of the Hypotheses or, in greedy decoding without characters, the transcripts of a batch."""
        if self._refuses_non_finite and not np.isfinite(values["entropies"]).all():
            row = int(np.flatnonzero(~np.isfinite(values["entropies"]))[0])
            raise NonFiniteLogits(row, None, self._named(values, row))
        if not self.decoder.needs_logits and not with_characters:
            future = concurrent.futures.Future()
            future.set_result(self.decoder.decode_best_path(values["best_path"], values["lengths"]))
            return future
        try:
            return self.decoder.submit(values["logits"], values["lengths"], with_characters)
        except NonFiniteLogits as error:
            raise NonFiniteLogits(error.row, error.frame, self._named(values, error.row))

    def _named(self, values, row):
        return "utterance %s" % self.data_layer.utterances[values["indices"][row]].id

    def _transcribed(self, values, future, with_characters):
        """``values`` with transcripts, with scores of a beam search, and with hypotheses if they have characters."""
        found = future.result()
        if self.decoder.needs_logits:
            values["scores"] = np.array([hypothesis.score for hypothesis in found])
        if with_characters:
            values["hypotheses"] = found
        if self.decoder.needs_logits or with_characters:
            found = [hypothesis.text for hypothesis in found]
        values["transcripts"] = found
        return values

    def _network_batches(self, session, with_logits, observations):
        """Yields what the network computes of each batch; see :meth:`batches`."""
        session.run(self._initializers)
        for number, shape_graph in enumerate(self.graph.shape_graphs):
            wanted = self._fetches(shape_graph, with_logits)
            observed = observations[number] if observations is not None else ()
            while True:
                try:
                    values, observed_values = session.run((wanted, observed))
                except tf.errors.OutOfRangeError:
                    break
                except DeviceError as error:
                    if error.out_of_memory is None:
                        raise
                    raise self._out_of_memory(shape_graph, error.out_of_memory)
                is_utterance = values["indices"] >= 0
                values = {name: value[is_utterance] for name, value in values.items()}
                values["observed"] = observed_values
                yield values


def frame_entropies(logits, lengths):
    """Entropies of the distributions over the outputs, summed over an utterance's frames.

    Args:
      logits: float32 [B, T', V + 1].
      lengths: int32 [B], valid frames.

    Returns:
      float32 [B], nats.
    """
    with tf.name_scope("frame_entropies"):
        log_probabilities = tf.nn.log_softmax(logits)
        entropies = -tf.reduce_sum(tf.exp(log_probabilities) * log_probabilities, 2)
        within = tf.sequence_mask(lengths, dimension(logits, 1))
        return tf.reduce_sum(tf.where(within, entropies, tf.zeros_like(entropies)), 1)
