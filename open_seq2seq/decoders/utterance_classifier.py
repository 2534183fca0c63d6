"""A class for each utterance, e.g. the speaker: statistics pooling over the frames and linear layers (x-vectors, Snyder 2018)."""
import tensorflow.compat.v1 as tf

from open_seq2seq.config.parameters import Int, List, Parameter
from open_seq2seq.data.tasks import LABEL
from open_seq2seq.decoders.fully_connected import DecoderOutput
from open_seq2seq.decoders.linear import linear
from open_seq2seq.encoders.shapes import check_tensor, dimension
from open_seq2seq.encoders.variables import VARIABLE_PARAMETERS, make_initializer, make_regularizer

_SMALLEST_VARIANCE = 1e-5


class UtteranceClassifier:
    """Mean and standard deviation of each channel over the valid frames, hidden layers with ReLU, and a linear layer.

    Args:
      params: checked dict of :attr:`PARAMETERS`.
      num_classes: int, at least 2.
      mode: "train", "eval" or "infer"; the layers are the same in all modes.
      name: variable scope.

    Raises:
      ConfigError: an initializer or regularizer that does not take its params.
    """

    TARGETS = LABEL  # the kind of a task's data (data/tasks.py)
    PARAMETERS = (
        Parameter("hidden", List(Int(minimum=1, maximum=65536)), default=[], doc="sizes of the hidden layers; []: none"),
    ) + VARIABLE_PARAMETERS

    def __init__(self, params, num_classes, mode, name="utterance_classifier"):
        if num_classes < 2:
            raise ValueError("num_classes is %d, expected at least 2" % num_classes)
        self._sizes, self._name = list(params["hidden"]) + [num_classes], name
        self._initializer, self._regularizer = make_initializer(params), make_regularizer(params)

    def __call__(self, encoder_output):
        """Connects the classifier to an encoder.

        Args:
          encoder_output: EncoderOutput(outputs float32 or float16 [B, T', C] with known C, output_lengths int32 or int64 [B]).

        Returns:
          DecoderOutput(logits float32 [B, num_classes], logit_lengths [B]: the lengths in frames).

        Raises:
          IncompatibleShapeError, IncompatibleDtypeError: an input is not as described.
        """
        outputs, lengths = encoder_output.outputs, encoder_output.output_lengths
        check_tensor(outputs, "UtteranceClassifier: outputs", 3, (tf.float32, tf.float16), known_last_dimension=True)
        check_tensor(lengths, "UtteranceClassifier: output_lengths", 1, (tf.int32, tf.int64))
        with tf.variable_scope(self._name, initializer=self._initializer, use_resource=False):
            activations = pooled_statistics(outputs, lengths)
            for number, size in enumerate(self._sizes):
                with tf.variable_scope("fully_connected" if number == len(self._sizes) - 1 else "hidden_%d" % (number + 1)):
                    activations = linear(activations, size, self._regularizer)
                    if number < len(self._sizes) - 1:
                        activations = tf.nn.relu(activations)
        return DecoderOutput(activations, lengths)


def pooled_statistics(outputs, lengths):
    """float32 [B, 2 C]: mean and standard deviation of outputs [B, T', C] over the valid frames."""
    with tf.name_scope("pooled_statistics"):
        outputs = tf.cast(outputs, tf.float32)
        valid = tf.cast(tf.sequence_mask(lengths, dimension(outputs, 1)), tf.float32)[:, :, tf.newaxis]
        # the gradient of a division has operations of unknown shape, which an NPU would compile for every step
        share = tf.reciprocal(tf.maximum(tf.reduce_sum(valid, 1), 1.0))
        mean = tf.reduce_sum(outputs * valid, 1) * share
        centered = (outputs - mean[:, tf.newaxis, :]) * valid
        variance = tf.reduce_sum(tf.square(centered), 1) * share
        return tf.concat([mean, tf.sqrt(variance + _SMALLEST_VARIANCE)], 1)
