"""The loss of a batch as a training watches it: one number that is not finite where the network's numbers are not."""
import tensorflow.compat.v1 as tf

from open_seq2seq.losses.ctc_loss import required_frames


def watched_loss(output, batch):
    """The loss of a model's output, without regularization; NaN where CTC would leave out what went wrong.

    CTC leaves out utterances without a finite loss, as if they had not been there: right for single ones whose labels do not
    fit into their frames, or whose probability is 0 in float32. But where logits are not finite, or no utterance of the batch
    is left although labels fit, the network has gone astray, and a loss of 0 and a gradient of 0 would hide it.

    Args:
      output: a ModelOutput with a LossOutput.
      batch: the Batch that it was made of.

    Returns:
      float32 scalar.
    """
    with tf.name_scope("watched_loss"):
        astray = tf.logical_not(tf.reduce_all(tf.is_finite(output.logits)))
        counted, fits = output.loss.counted, labels_fit(output, batch)
        if batch.weights is not None:
            real = batch.weights > 0.0
            counted, fits = tf.logical_and(counted, real), tf.logical_and(fits, real)
        nothing_left = tf.logical_and(tf.reduce_any(fits), tf.logical_not(tf.reduce_any(counted)))
        return tf.where(tf.logical_or(astray, nothing_left), tf.constant(float("nan")), output.loss.loss)


def labels_fit(output, batch):
    """bool [B]: whether CTC can align each utterance's labels to the frames of a ModelOutput."""
    return tf.cast(output.logit_lengths, tf.int32) >= tf.maximum(required_frames(batch.labels, batch.label_lengths), 1)
