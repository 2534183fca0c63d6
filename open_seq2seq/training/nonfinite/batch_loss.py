"""The loss of a batch as training checks it: one number that is not finite if the numbers of the network are not."""
import tensorflow.compat.v1 as tf

from open_seq2seq.data.tasks import TRANSCRIPT
from open_seq2seq.losses.ctc_loss import required_frames
from open_seq2seq.models.hubert_pretraining import PretrainingOutput


def watched_loss(output, batch):
    """The loss of a model's output, without regularization; NaN where the CTC loss would hide that the network has diverged.

    The CTC loss excludes utterances without a finite loss. That is right for single utterances whose labels do not fit into their
    frames, or whose probability is 0 in float32. But if logits are not finite, or if no utterance of the batch is counted
    although labels fit, the network has diverged, and a loss of 0 with a gradient of 0 would hide it.

    Args:
      output: a ModelOutput with a LossOutput, or a PretrainingOutput, whose loss excludes nothing.
      batch: the Batch that the output was computed from.

    Returns:
      float32 scalar.
    """
    if isinstance(output, PretrainingOutput):
        return output.loss.loss
    if getattr(output, "tasks", ()):
        return _watched_sum(output)
    with tf.name_scope("watched_loss"):
        non_finite = tf.logical_not(tf.reduce_all(tf.is_finite(output.logits)))
        counted, fits = output.loss.counted, labels_fit(output, batch)
        if batch.weights is not None:
            valid = batch.weights > 0.0
            counted, fits = tf.logical_and(counted, valid), tf.logical_and(fits, valid)
        none_counted = tf.logical_and(tf.reduce_any(fits), tf.logical_not(tf.reduce_any(counted)))
        return tf.where(tf.logical_or(non_finite, none_counted), tf.constant(float("nan")), output.loss.loss)


def _watched_sum(output):
    """The loss of several tasks; NaN if one of them has diverged."""
    with tf.name_scope("watched_loss"):
        diverged = []
        for task in output.tasks:
            diverged.append(tf.logical_not(tf.reduce_all(tf.is_finite(task.logits))))
            valid, targets = task.targets.weights > 0.0, task.targets
            fits = valid
            if task.kind == TRANSCRIPT:
                fits = tf.logical_and(valid, tf.cast(task.logit_lengths, tf.int32) >= tf.maximum(
                    required_frames(targets.labels, targets.label_lengths), 1))
            diverged.append(tf.logical_and(tf.reduce_any(fits), tf.logical_not(tf.reduce_any(
                tf.logical_and(task.loss.counted, valid)))))
        return tf.where(tf.reduce_any(tf.stack(diverged)), tf.constant(float("nan")), output.loss.loss)


def labels_fit(output, batch):
    """bool [B]: whether CTC can align each utterance's labels to the frames of a ModelOutput; True for a PretrainingOutput."""
    if isinstance(output, PretrainingOutput):
        return tf.ones_like(output.loss.counted)
    return tf.cast(output.logit_lengths, tf.int32) >= tf.maximum(required_frames(batch.labels, batch.label_lengths), 1)
