"""The decoder of a CTC model: one fully connected layer from encoder outputs to logits."""
import collections

import tensorflow.compat.v1 as tf

from open_seq2seq.config.parameters import Any, Bool, Parameter
from open_seq2seq.data.tasks import TRANSCRIPT
from open_seq2seq.decoders.linear import linear
from open_seq2seq.decoding import options as decoding_options
from open_seq2seq.encoders.shapes import check_tensor, dimensions
from open_seq2seq.encoders.variables import VARIABLE_PARAMETERS, make_initializer, make_regularizer

DecoderOutput = collections.namedtuple("DecoderOutput", "logits logit_lengths")
DecoderOutput.__doc__ = """logits: float32 [B, T', V + 1], blank last; logit_lengths: int32 [B], valid lengths in frames."""

_VOCABULARY = "the vocabulary file of the data layer determines it"


class FullyConnectedCTCDecoder:
    """One linear layer per frame: ``logits = outputs * kernel + bias``.

    Args:
      params: checked dict of :attr:`PARAMETERS`.
      vocabulary_size: number of labels V without the blank.
      mode: "train", "eval" or "infer"; the layer is the same in all modes.
      name: variable scope.

    Raises:
      ConfigError: an initializer or regularizer that does not take its params.
    """

    # how its logits are decoded is a part of its params, as in OpenSeq2Seq; the layer itself does not read it
    TARGETS = TRANSCRIPT  # the kind of a task's data (data/tasks.py)
    PARAMETERS = decoding_options.PARAMETERS + (
        Parameter("infer_logits_to_pickle", Bool(), default=False, doc="write logits instead of transcripts in infer mode"),
    ) + tuple(Parameter(name, Any(), ignored=_VOCABULARY) for name in (
        "tgt_vocab_size", "logits_to_outputs_func",
    )) + VARIABLE_PARAMETERS

    check_rules = staticmethod(decoding_options.check_rules)

    def __init__(self, params, vocabulary_size, mode, name="fully_connected_ctc_decoder"):
        if vocabulary_size < 1:
            raise ValueError("vocabulary_size is %d, expected at least 1" % vocabulary_size)
        if mode not in ("train", "eval", "infer"):
            raise ValueError("mode is %r, expected one of train, eval, infer" % (mode,))
        self._num_outputs = vocabulary_size + 1
        self._name = name
        self._initializer = make_initializer(params)
        self._regularizer = make_regularizer(params)

    def __call__(self, encoder_output):
        """Connects the decoder to an encoder.

        Args:
          encoder_output: EncoderOutput(outputs float32 or float16 [B, T', C] with known C, output_lengths int32 or int64 [B]).

        Returns:
          DecoderOutput(logits float32 [B, T', V + 1], logit_lengths [B]).

        Raises:
          IncompatibleShapeError, IncompatibleDtypeError: an input is not as described.
        """
        outputs, lengths = encoder_output.outputs, encoder_output.output_lengths
        check_tensor(outputs, "FullyConnectedCTCDecoder: outputs", 3, (tf.float32, tf.float16), known_last_dimension=True)
        check_tensor(lengths, "FullyConnectedCTCDecoder: output_lengths", 1, (tf.int32, tf.int64))
        with tf.variable_scope(self._name, initializer=self._initializer, use_resource=False), \
                tf.variable_scope("fully_connected"):
            logits = linear(outputs, self._num_outputs, self._regularizer)
            logits = tf.reshape(logits, dimensions(outputs)[:2] + [self._num_outputs], name="logits")
        return DecoderOutput(logits, lengths)
