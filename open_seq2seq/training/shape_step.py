"""The operations of a training step for batches of one shape, and what a session fetches with them."""
import collections

from open_seq2seq.losses.masked_prediction import MaskedPredictionOutput
from open_seq2seq.models.multi_task import MultiTaskLoss


class ShapeStep(collections.namedtuple(
        "ShapeStep", "batch loss batch_loss mean_loss train accumulate update sample_fetches summary requests data_wait "
                     "backstitch")):
    """The operations of a training step for batches of one shape.

    batch: Batch. loss: LossOutput of this rank's batch. batch_loss: float32 scalar, its ``watched_loss``.
    train: TrainOperations. accumulate: operation for each of the ``iter_size - 1`` batches before ``update``, or None. update:
    operation. mean_loss: float32 scalar, of all ranks' and all batches' batch_loss; fetched together with ``update``.
    sample_fetches: dict of what ``TrainingGraph.sample`` needs. summary: a serialized ``tf.Summary``; its tags begin with the
    name of its name scope. requests: dict of what ``Requests.take`` needs. data_wait: float32 scalar, seconds that the step
    waited for its batch, or None. backstitch: the ShapeStep for the steps that are backstitches, where only some are; None where
    all steps are alike.
    """

    __slots__ = ()

    def accumulate_fetches(self):
        """What a session runs with each batch before the last of a step: dict of counted, indices, frames, weights and
        batch_loss."""
        return dict(self._of_batch(), accumulate=self.accumulate)

    def update_fetches(self, samples=False, summary=False):
        """What a session runs with the last batch of a step.

        Args:
          samples: whether to fetch what ``TrainingGraph.sample`` needs.
          summary: whether to fetch the summary.

        Returns:
          Dict with the keys of :meth:`accumulate_fetches`, loss, finite, what the metrics of a step show, and the options.
        """
        train = self.train
        fetches = dict(self._of_batch(), loss=self.mean_loss, update=self.update, finite=train.gradients_finite,
                       learning_rate=train.learning_rate, loss_scale=train.loss_scale, next_loss_scale=train.next_loss_scale,
                       skipped_steps=train.num_skipped, gradient_norm=train.gradient_norm,
                       layer_gradient_norms=train.layer_gradient_norms)
        if train.limited_changes is not None:
            fetches["limited_changes"] = train.limited_changes
        fetches.update(self.requests)
        if samples:
            fetches.update(self.sample_fetches)
        if summary:
            fetches["summary"] = self.summary
        return fetches

    def _of_batch(self):
        fetches = {"counted": self.loss.counted, "indices": self.batch.utterance_indices, "frames": self.batch.feature_lengths,
                   "weights": self.batch.weights, "batch_loss": self.batch_loss}
        if isinstance(self.loss, MaskedPredictionOutput):
            fetches.update(sums=self.loss.sums, predicted=self.loss.predicted, expected=self.loss.expected)
        if isinstance(self.loss, MultiTaskLoss):
            fetches["task_sums"] = self.loss.task_sums
        return fetches if self.data_wait is None else dict(fetches, data_wait=self.data_wait)
