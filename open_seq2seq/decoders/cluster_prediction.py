"""The output layer of pre-training: how similar encoder frames are to the embeddings of clusters (HuBERT, arXiv:2106.07447)."""
import collections

import numpy as np
import tensorflow.compat.v1 as tf

from open_seq2seq.config.parameters import Bool, Float, Int, Parameter
from open_seq2seq.decoders.linear import linear
from open_seq2seq.encoders.shapes import check_tensor, dimensions
from open_seq2seq.encoders.variables import VARIABLE_PARAMETERS, make_initializer, make_regularizer

ClusterOutput = collections.namedtuple("ClusterOutput", "logits duplicates logit_lengths")
ClusterOutput.__doc__ = """The output of :class:`ClusterPredictionDecoder`.

logits: list of float32 [B, T', classes], one for each label set.
duplicates: list of float32 [classes, classes], 1 for two different classes whose embeddings are identical.
logit_lengths: int32 [B], valid lengths in frames."""

_SMALLEST = 1e-16  # squared norm, as in torch.cosine_similarity


class ClusterPredictionDecoder:
    """Projects encoder outputs and compares them with a trained embedding for each class.

    ``logits = cosine(outputs * kernel + bias, embedding) / logit_temp``. With several label sets and ``untie_final_proj`` every
    set has its own projection; otherwise all share one.

    Args:
      params: checked dict of :attr:`PARAMETERS`.
      num_classes: tuple of the numbers of classes of the label sets.
      mode: "train", "eval" or "infer"; the layer is the same in all modes.
      name: variable scope.

    Raises:
      ConfigError: an initializer or regularizer that does not take its params.
    """

    PARAMETERS = (
        Parameter("final_dim", Int(minimum=1, maximum=65536), default=256,
                  doc="size of the projection and of the label embeddings"),
        Parameter("untie_final_proj", Bool(), default=False, doc="a separate projection for each label set"),
        Parameter("logit_temp", Float(above=0.0), default=0.1, doc="temperature by which the cosines are divided"),
    ) + VARIABLE_PARAMETERS

    def __init__(self, params, num_classes, mode, name="cluster_prediction"):
        if not num_classes or min(num_classes) < 2:
            raise ValueError("num_classes is %r, expected at least 2 for each label set" % (num_classes,))
        if mode not in ("train", "eval", "infer"):
            raise ValueError("mode is %r, expected one of train, eval, infer" % (mode,))
        self._params, self._num_classes, self._name = params, tuple(num_classes), name
        self._initializer, self._regularizer = make_initializer(params), make_regularizer(params)

    def __call__(self, encoder_output):
        """Connects the decoder to an encoder.

        Args:
          encoder_output: EncoderOutput(outputs float32 or float16 [B, T', C] with known C, output_lengths int32 or int64 [B]).

        Returns:
          ClusterOutput.

        Raises:
          IncompatibleShapeError, IncompatibleDtypeError: an input is not as described.
        """
        outputs, lengths = encoder_output.outputs, encoder_output.output_lengths
        check_tensor(outputs, "ClusterPredictionDecoder: outputs", 3, (tf.float32, tf.float16), known_last_dimension=True)
        check_tensor(lengths, "ClusterPredictionDecoder: output_lengths", 1, (tf.int32, tf.int64))
        size, sets = self._params["final_dim"], len(self._num_classes)
        projections = sets if self._params["untie_final_proj"] else 1
        with tf.variable_scope(self._name, initializer=self._initializer, use_resource=False):
            with tf.variable_scope("projection"):
                projected = linear(outputs, size * projections, self._regularizer)
            with tf.variable_scope("label_embeddings"):
                embeddings = tf.get_variable("embeddings", [sum(self._num_classes), size],
                                             initializer=tf.random_uniform_initializer(0.0, 1.0))
            logits, duplicates, first = [], [], 0
            for number, classes in enumerate(self._num_classes):
                own = embeddings if sets == 1 else embeddings[first:first + classes]
                begin = size * number if projections > 1 else 0
                part = projected if projections == 1 else projected[:, begin:begin + size]
                # one product with the logits, instead of a division of the projection and one by the temperature
                scale = 1.0 / (self._params["logit_temp"] * _norms(part))
                cosines = tf.matmul(part, own / _norms(own), transpose_b=True) * scale
                logits.append(tf.reshape(cosines, dimensions(outputs)[:2] + [classes]))
                duplicates.append(_duplicates(own, size, classes))
                first += classes
        return ClusterOutput(logits, duplicates, lengths)


def _norms(vectors):
    """The Euclidean norms of the rows of a matrix, [rows, 1]."""
    return tf.sqrt(tf.maximum(tf.reduce_sum(tf.square(vectors), 1, keepdims=True), _SMALLEST))


def _duplicates(embeddings, size, classes):
    """float32 [classes, classes]: 1 where two different embeddings are identical.

    fairseq excludes the copies of the true class's embedding from the softmax. Two sums with random weights are compared instead
    of all values of each pair: identical embeddings have identical sums, and two different ones practically never.
    """
    weights = np.random.RandomState(0).uniform(0.5, 1.5, [2, size]).astype(np.float32)
    same = tf.ones([classes, classes])
    for row in weights:
        sums = tf.stop_gradient(tf.reduce_sum(embeddings * row, 1))
        same *= tf.cast(tf.equal(sums[:, tf.newaxis], sums[tf.newaxis, :]), tf.float32)
    return same * (1.0 - np.eye(classes, dtype=np.float32))
