"""Speech to text: an encoder, a decoder and a loss under the variable scope "ForwardPass"."""
import collections
import contextlib

import tensorflow.compat.v1 as tf

from open_seq2seq.encoders.interface import ALONE, connected
from open_seq2seq.errors import ConfigError
from open_seq2seq.models import task_params
from open_seq2seq.models.base_params import BASE_PARAMETERS
from open_seq2seq.models.multi_task import TaskHeads, summed
from open_seq2seq.models.parts import accepted, with_defaults_of

ModelOutput = collections.namedtuple("ModelOutput", "logits logit_lengths best_path loss encoder_output tasks")
ModelOutput.__new__.__defaults__ = ((),)
ModelOutput.__doc__ = """The output of a model.

logits: float32 [B, T', V + 1], the blank last.
logit_lengths: int32 [B], valid lengths in frames.
best_path: int32 [B, T'], the most probable output of every frame; decoding/greedy.py makes transcripts of it.
loss: LossOutput, None in infer mode.
encoder_output: EncoderOutput.
tasks: tuple of TaskOutput (models/multi_task.py), one for each task of the config. The other fields are then those of the main
  task, and the loss is a MultiTaskLoss.
"""

SCOPE = "ForwardPass"


class Speech2Text:
    """A CTC model.

    Args:
      params: checked dict of :attr:`PARAMETERS`, including checked encoder_params, decoder_params and loss_params.
      mode: "train", "eval" or "infer".
      vocabulary_size: number of labels V without the blank; with tasks a dict from their names to the sizes of their outputs,
        see ``models.multi_task.output_sizes``.
      execution: an :class:`~open_seq2seq.encoders.interface.Execution`.

    A custom encoder receives ``positions`` (in its call), a custom loss ``host_scope`` and ``data_params`` (in its constructor)
    and ``weights`` (in its call) if they have parameters of these names.

    Raises:
      ConfigError: train or eval without a loss, or params that a part does not accept.
    """

    PARAMETERS = BASE_PARAMETERS

    def __init__(self, params, mode, vocabulary_size, execution=ALONE):
        encoder_params = with_defaults_of(params, params["encoder_params"])
        self._encoder = params["encoder"](encoder_params, mode, execution=execution)
        self._loss = self._tasks = None
        if params.get("tasks"):
            self._tasks = TaskHeads(params, mode, vocabulary_size, execution)
            return
        decoder_params = with_defaults_of(params, params["decoder_params"])
        self._decoder, self._decoder_scope = params["decoder"](decoder_params, vocabulary_size, mode), params.get("decoder_scope")
        if mode != "infer":
            if params["loss"] is None:
                raise ConfigError('base_params["loss"] is missing: mode %s needs a loss, e.g. CTCLoss' % mode)
            self._loss = params["loss"](params["loss_params"], **accepted(
                params["loss"], host_scope=execution.host_scope, data_params=params["data_layer_params"]))

    def __call__(self, batch):
        """Builds the forward pass. A second call in the same graph shares the variables.

        Args:
          batch: Batch (data/speech2text/dataset.py); mode infer uses only features and feature_lengths.

        Returns:
          ModelOutput.

        Raises:
          IncompatibleShapeError, IncompatibleDtypeError: a tensor has an unsupported shape or dtype.
        """
        # reference variables, not resources, for the Ascend adapter and the checkpoints of OpenSeq2Seq
        with tf.variable_scope(SCOPE, reuse=tf.AUTO_REUSE, use_resource=False):
            # a batch of the caller's own type may have no positions
            positions = getattr(batch, "positions", None)
            encoder_output = connected(self._encoder, batch.features, batch.feature_lengths, **(
                {} if positions is None else accepted(self._encoder, positions=positions)))
            if self._tasks is not None:
                return self._multi_task_output(encoder_output, batch)
            with tf.variable_scope(self._decoder_scope) if self._decoder_scope else contextlib.nullcontext():
                decoder_output = self._decoder(encoder_output)
            loss = None
            if self._loss is not None:
                # a batch of the caller's own type may have no weights
                weights = getattr(batch, "weights", None)
                loss = self._loss(decoder_output.logits, decoder_output.logit_lengths, batch.labels, batch.label_lengths,
                                  **({} if weights is None else accepted(self._loss, weights=weights)))
            best_path = tf.argmax(decoder_output.logits, 2, output_type=tf.int32, name="best_path")
        return ModelOutput(decoder_output.logits, decoder_output.logit_lengths, best_path, loss, encoder_output)

    def _multi_task_output(self, encoder_output, batch):
        main, tasks = self._tasks(encoder_output, batch)
        return ModelOutput(main.logits, main.logit_lengths, main.prediction, summed(main, tasks), encoder_output, tuple(tasks))

    @staticmethod
    def check_rules(params, mode, path, report):
        """Reports what is wrong with the tasks of checked params."""
        task_params.check_rules(params, mode, path, report)
