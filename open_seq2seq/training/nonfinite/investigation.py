"""The cause of a non-finite step: which batch and which layer; and the batch is kept for ``--mode=replay``."""
import collections

import numpy as np
import tensorflow.compat.v1 as tf

from open_seq2seq.checkpoints.graph_variables import graph_variables
from open_seq2seq.checkpoints.restore import MODEL_SCOPE
from open_seq2seq.devices.npu_option_checks import computes_in_float16
from open_seq2seq.errors import JasperError
from open_seq2seq.log_lines import log_line
from open_seq2seq.models.multi_task import output_sizes
from open_seq2seq.training.nonfinite.bad_batches import BadBatches, computing_config, recreated_batch
from open_seq2seq.training.nonfinite.layer_search import describe_first, examine

# If only a gradient is not finite, any batch of the step may be the cause, and a network is built for each.
MOST_EXAMINED = 4

SeenBatch = collections.namedtuple("SeenBatch", "number values")
SeenBatch.__doc__ = "number: of a batch in the stream of training batches. values: dict of what was fetched with it."


class Investigation:
    """Names, examines and keeps the batches of non-finite steps. Every rank calls it, but the ranks do not communicate here.

    Args:
      params: the checked config of mode "train".
      graph: the ``TrainingGraph``.
      device: a ``Device``.
      group: a ``ProcessGroup``.
      folder: where batches are kept; None: no batch is kept.

    Attributes:
      first: the ``First`` that this rank found in the last step that was examined, or None.
      file: path of the batch of that step that this rank kept, or None.
    """

    def __init__(self, params, graph, device, group, folder):
        self._base_model, self._params, self._layer, self._group = graph.base_model, params, graph.data_layer, group
        self._device, self._half_precision = device.name, _computes_in_half(device, params)
        checkpoint_bytes = sum(variable.shape.num_elements() * variable.dtype.size for variable in tf.global_variables())
        self._kept = BadBatches(folder, group, checkpoint_bytes) if folder is not None and params["bad_batches"] else None
        self.first = self.file = None

    def examine_step(self, session, step, seen_batches, loss, loss_scale):
        """Examines a step that was skipped.

        Args:
          session: the session of the training; its variables are read.
          step: its number.
          seen_batches: list of SeenBatch, this rank's batches of the step.
          loss: the mean loss of all ranks.
          loss_scale: float.
        """
        self.first = self.file = None
        weights = {name: value for name, value in graph_variables(session.graph).read(session).items()
                   if name.startswith(MODEL_SCOPE)}
        if self._kept is not None:
            # one rank of each machine writes the weights, whichever rank has the batch
            _trying(lambda: self._kept.save_weights(step, weights))
        non_finite = [seen for seen in seen_batches if not np.isfinite(seen.values["batch_loss"])]
        suspects = non_finite[:1]
        if np.isfinite(loss):
            # a gradient that is summed over batches and ranks does not show whose it was
            suspects = seen_batches[:MOST_EXAMINED]
        for seen in suspects:
            found = _trying(lambda seen=seen: self._examined(seen, weights, loss_scale))
            if found is None:
                continue
            batch, examination = found
            # of the ranks that find nothing only the first reports it
            if non_finite or examination.first is not None or (self._group.is_first and seen is suspects[-1]):
                self.first = examination.first
                self._report(seen, examination)
                _trying(lambda seen=seen, batch=batch: self._keep(step, seen, batch, loss_scale))
                return

    def _examined(self, seen, weights, loss_scale):
        """(Batch of arrays, Examination)."""
        batch = recreated_batch(self._layer, seen.number)
        if not np.array_equal(batch.utterance_indices, seen.values["indices"]):
            log_line("Note: files have become unreadable since the start, and batch %d has changed" % seen.number, offset=4,
                     from_every_rank=True)
        return batch, examine(self._base_model, self._params, output_sizes(self._layer), batch, weights, loss_scale)

    def _report(self, seen, examination):
        log_line("Batch %d%s: loss %.6g, gradient norm %.4g; %s" % (
            seen.number, " of rank %d" % self._group.rank if self._group.size > 1 else "", seen.values["batch_loss"],
            examination.gradient_norm, describe_first(examination.first)), offset=4, from_every_rank=True)
        for utterance in utterances_of(self._layer, seen):
            log_line("%s: %.2f s, %d characters" % (utterance.id, utterance.duration, len(utterance.transcript)), offset=8,
                     from_every_rank=True)

    def _keep(self, step, seen, batch, loss_scale):
        if self._kept is None:
            return
        rows = [self._layer.utterances_of_row(index) if index >= 0 else [] for index in batch.utterance_indices]
        self.file = self._kept.save(batch, {
            "step": step, "batch": seen.number, "rank": self._group.rank, "ranks": self._group.size,
            "loss": float(seen.values["batch_loss"]), "loss_scale": loss_scale, "device": self._device,
            "half_precision": self._half_precision, "config": computing_config(self._params),
            "vocabulary_size": output_sizes(self._layer),
            "utterances": [{"id": " + ".join(utterance.id for utterance in row),
                            "duration": float(sum(utterance.duration for utterance in row)),
                            "transcript": " ".join(utterance.transcript for utterance in row)} for row in rows]})
        log_line("Kept as %s, for --mode=replay" % self.file, offset=4, from_every_rank=True)


def utterances_of(data_layer, seen):
    """List of the utterances of a SeenBatch, in the order of its rows."""
    return [utterance for index in seen.values["indices"] if index >= 0 for utterance in data_layer.utterances_of_row(index)]


def _computes_in_half(device, params):
    if device.name == "npu":
        return computes_in_float16(params["npu_params"])
    return device.compute_dtype(params["dtype"]) == tf.float16


def _trying(action):
    """What ``action`` returns. If it fails, the reason is printed and None is returned: the training does not end for it."""
    try:
        return action()
    except (JasperError, OSError, MemoryError, tf.errors.OpError) as error:
        reason = getattr(error, "message", None) or str(error) or type(error).__name__
        log_line("Note: a bad batch cannot be examined or kept: %s" % reason.split("\n")[0], offset=4, from_every_rank=True)
        return None
