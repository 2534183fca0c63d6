"""Loss, word error rate and gradient of a network on a fixed set of utterances, as functions of its weights."""
import collections

import numpy as np
import tensorflow.compat.v1 as tf

from open_seq2seq.data.speech2text.dataset import Batch
from open_seq2seq.decoding.greedy import GreedyDecoder
from open_seq2seq.devices.session import open_session
from open_seq2seq.distributed.group import Single
from open_seq2seq.encoders.convolution import GRADIENT_NAME
from open_seq2seq.errors import CheckpointError, DataError
from open_seq2seq.evaluation.error_rates import transcript_errors
from open_seq2seq.experiment.assembly import build_data_layer, execution_of

Score = collections.namedtuple("Score", "loss word_error_rate")
Score.__doc__ = """loss: mean over the utterances with a finite CTC loss, NaN if there is none. word_error_rate: a float."""

FixedBatches = collections.namedtuple("FixedBatches", "batches transcripts vocabulary")
FixedBatches.__doc__ = """Utterances with their features.

batches: list of Batch of arrays. transcripts: list of str, the references; a batch's utterance_indices point into it.
vocabulary: Vocabulary.
"""


def fixed_batches(params, num_utterances, device):
    """Draws utterances of the evaluation data, always the same ones, and computes their features once.

    Args:
      params: the checked config of mode "eval".
      num_utterances: number of utterances; if the data have fewer, all of them.
      device: a ``Device``.

    Returns:
      FixedBatches.

    Raises:
      DataError: the data cannot be read.
    """
    apart = params["encoder"].depends_on_padding(params["encoder_params"], params["data_layer_params"]["pad_to"])
    layer = build_data_layer(params, "eval", device, Single()).subset(num_utterances, params["random_seed"])
    with tf.Graph().as_default():
        batches = list(_computed(layer.evaluation_dataset(same_length_batches=apart), device))
    if layer.run_time_rejections:
        raise DataError("%d of the evaluation utterances have become unreadable since the start, the first is %s"
                        % (len(layer.run_time_rejections), layer.run_time_rejections[0].id))
    return FixedBatches(batches, [utterance.transcript for utterance in layer.utterances], layer.vocabulary)


def _computed(dataset, device):
    """Yields the batches of a dataset as arrays."""
    iterator = tf.data.make_initializable_iterator(dataset)
    following = iterator.get_next()
    with tf.Session(config=device.session_config()) as session:
        session.run(iterator.initializer)
        while True:
            try:
                yield Batch(*session.run(following))
            except tf.errors.OutOfRangeError:
                return


def assignment(variables):
    """A function (session, dict name -> array) that sets variables; its operations are built in the current graph.

    The function raises CheckpointError if the values are those of another network.
    """
    placeholders = [tf.placeholder(variable.dtype.base_dtype, variable.shape) for variable in variables]
    operations = [tf.assign(variable, placeholder).op for variable, placeholder in zip(variables, placeholders)]

    def assign(session, values):
        for variable, placeholder, operation in zip(variables, placeholders, operations):
            name = variable.op.name
            shape = list(np.shape(values[name])) if name in values else None
            if shape != variable.shape.as_list():
                raise CheckpointError(
                    "the checkpoints are of another architecture than the config: %s is %s in the config, %s in the checkpoints. "
                    "Use the config that they were trained with" % (
                        name, variable.shape.as_list(), "missing" if shape is None else shape))
            # one by one: no second copy of the network in memory
            session.run(operation, {placeholder: values[name]})
    return assign


class Objective:
    """The network in evaluation mode on fixed utterances, as a function of its variables.

    Args:
      base_model: the model class.
      params: the checked config of mode "eval".
      data: FixedBatches.
      device: a ``Device`` without static shapes.

    It is a context manager that closes its session.
    """

    def __init__(self, base_model, params, data, device):
        self._data, self._epsilon = data, params["encoder_params"].get("bn_epsilon", 0.0)
        self._decoder = GreedyDecoder(data.vocabulary)
        self._graph = tf.Graph()
        with self._graph.as_default():
            # a batch that a test builds may have no weights
            self._batch = Batch(*[None if array is None else tf.placeholder(array.dtype, self._shape(name, array))
                                  for name, array in data.batches[0]._asdict().items()])
            model = base_model(params, "eval", data.vocabulary.size, execution=execution_of(params, "eval", device, Single()))
            with self._graph.gradient_override_map({"Conv2D": GRADIENT_NAME}):
                output = model(self._batch)
            counted = output.loss.counted
            loss = tf.reduce_sum(tf.where(counted, output.loss.per_utterance, tf.zeros_like(output.loss.per_utterance)))
            self._score = (loss, tf.reduce_sum(tf.cast(counted, tf.int32)), output.best_path, output.logit_lengths)
            self._variables = {variable.op.name: variable for variable in tf.global_variables()}
            self._loss, self._gradients = loss, None
            self._assign = assignment(tf.global_variables())
            self._session = open_session(device)

    @staticmethod
    def _shape(name, array):
        # the network has to know the number of audio features
        return [None] * (array.ndim - 1) + [array.shape[-1] if name == "features" else None] if array.ndim else []

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._session.close()
        return False

    def score(self, values):
        """:class:`Score` of the network with these variables."""
        self._assign(self._session, values)
        total, count, hypotheses = 0.0, 0, [""] * len(self._data.transcripts)
        for batch in self._data.batches:
            loss, counted, best_path, lengths = self._session.run(self._score, self._feeds(batch))
            total, count = total + float(loss), count + int(counted)
            for index, transcript in zip(batch.utterance_indices, self._decoder.decode_best_path(best_path, lengths)):
                hypotheses[index] = transcript
        return Score(total / count if count else float("nan"),
                     transcript_errors(self._data.transcripts, hypotheses).word_error_rate.rate)

    def loss_and_gradient(self, values):
        """The loss of :meth:`score`, and its gradient by every variable, batch norm's moving statistics included.

        Args:
          values: dict name -> float32 array.

        Returns:
          (a float, dict name -> float64 array).
        """
        self._assign(self._session, values)
        if self._gradients is None:
            self._gradients = self._build_gradients()
        sums = {name: np.zeros(self._variables[name].shape.as_list(), np.float64) for name in self._gradients}
        total, count = 0.0, 0
        for batch in self._data.batches:
            loss, counted, gradients = self._session.run([self._loss, self._score[1], self._gradients], self._feeds(batch))
            total, count = total + float(loss), count + int(counted)
            for name, gradient in gradients.items():
                sums[name] += gradient
        count = max(count, 1)
        gradients = {name: gradient / count for name, gradient in sums.items()}
        gradients.update(self._gradients_by_statistics(values, gradients))
        return total / count, gradients

    def _build_gradients(self):
        with self._graph.as_default():
            trained = tf.trainable_variables()
            gradients = tf.gradients(self._loss, trained)
        return {variable.op.name: gradient for variable, gradient in zip(trained, gradients) if gradient is not None}

    def _gradients_by_statistics(self, values, gradients):
        """The gradients by the moving statistics, which FusedBatchNorm does not give, from those by beta and gamma.

        With y = gamma * (x - mean) / sqrt(variance + epsilon) + beta: dL/dbeta is the sum of dL/dy, dL/dgamma that of
        dL/dy * (x - mean) / sqrt(variance + epsilon).
        """
        found = {}
        for name in self._variables:
            if not name.endswith("/moving_variance"):
                continue
            scope = name[:-len("moving_variance")]
            gamma = values[scope + "gamma"].astype(np.float64)
            variance = values[name].astype(np.float64) + self._epsilon
            found[scope + "moving_mean"] = -gamma / np.sqrt(variance) * gradients[scope + "beta"]
            found[name] = -0.5 * gamma / variance * gradients[scope + "gamma"]
        return found

    def _feeds(self, batch):
        return {tensor: array for tensor, array in zip(self._batch, batch) if tensor is not None}
