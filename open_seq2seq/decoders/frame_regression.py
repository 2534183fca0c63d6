"""Features from encoder outputs, e.g. those of the clean audio of a noisy utterance: one linear layer for each frame."""
import tensorflow.compat.v1 as tf

from open_seq2seq.data.tasks import FEATURES
from open_seq2seq.decoders.fully_connected import DecoderOutput
from open_seq2seq.decoders.linear import linear
from open_seq2seq.encoders.shapes import check_tensor, dimensions
from open_seq2seq.encoders.variables import VARIABLE_PARAMETERS, make_initializer, make_regularizer


class FrameRegression:
    """A linear layer that predicts the ``stride`` frames of features that an encoder frame stands for.

    Args:
      params: checked dict of :attr:`PARAMETERS`.
      num_features: int F, values of a frame of features.
      mode: "train", "eval" or "infer"; the layer is the same in all modes.
      name: variable scope.
      geometry: has ``stride``, the feature frames of an encoder frame, and ``offset``, those before the first one, see
        ``data/speech2text/frame_targets.py``.

    Raises:
      ConfigError: an initializer or regularizer that does not take its params.
    """

    TARGETS = FEATURES  # the kind of a task's data (data/tasks.py)
    PARAMETERS = VARIABLE_PARAMETERS

    def __init__(self, params, num_features, mode, name="frame_regression", geometry=None):
        self._stride, self._offset = (1, 0) if geometry is None else (geometry.stride, geometry.offset)
        self._size, self._name = num_features, name
        self._initializer, self._regularizer = make_initializer(params), make_regularizer(params)

    def __call__(self, encoder_output):
        """Connects the layer to an encoder.

        Args:
          encoder_output: EncoderOutput(outputs float32 or float16 [B, T', C] with known C, output_lengths int32 or int64 [B]).

        Returns:
          DecoderOutput(logits float32 [B, offset + T' * stride, F], the predicted features; the first prediction is repeated for
          the frames of the offset. logit_lengths [B], valid lengths in frames of features, rounded up to whole encoder frames).

        Raises:
          IncompatibleShapeError, IncompatibleDtypeError: an input is not as described.
        """
        outputs, lengths = encoder_output.outputs, encoder_output.output_lengths
        check_tensor(outputs, "FrameRegression: outputs", 3, (tf.float32, tf.float16), known_last_dimension=True)
        check_tensor(lengths, "FrameRegression: output_lengths", 1, (tf.int32, tf.int64))
        rows, frames = dimensions(outputs)[:2]
        with tf.variable_scope(self._name, initializer=self._initializer, use_resource=False), \
                tf.variable_scope("fully_connected"):
            features = linear(outputs, self._stride * self._size, self._regularizer)
            features = tf.reshape(features, [rows, frames * self._stride, self._size])
            if self._offset:
                features = tf.concat([tf.tile(features[:, :1], [1, self._offset, 1]), features], 1)
        return DecoderOutput(features, lengths * self._stride + self._offset)
