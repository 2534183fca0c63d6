"""Connectionist temporal classification (Graves et al. 2006)."""
import collections

import tensorflow.compat.v1 as tf

from open_seq2seq.config.parameters import Bool, Parameter
from open_seq2seq.encoders.tensor_checks import check_tensor

LossOutput = collections.namedtuple("LossOutput", "loss per_utterance counted")
LossOutput.__doc__ = """loss: float32 [], mean of per_utterance; per_utterance: float32 [B]; counted: bool [B]."""


def required_frames(labels, label_lengths):
    """The fewest frames into which CTC can align the labels: one a label, and a blank between equal neighbours.

    Args:
      labels: integer tensor [B, L], padded.
      label_lengths: integer tensor [B].

    Returns:
      int32 [B].
    """
    within = tf.sequence_mask(label_lengths, tf.shape(labels)[1])
    repeats = tf.logical_and(tf.equal(labels[:, 1:], labels[:, :-1]), within[:, 1:])
    return tf.cast(label_lengths, tf.int32) + tf.reduce_sum(tf.cast(repeats, tf.int32), 1)


class CTCLoss:
    """Minus the log probability of the labels, averaged over the batch.

    An utterance without a finite loss (fewer frames than :func:`required_frames`, or logits that are not finite) is not
    counted: it adds 0 to the sum, which is still divided by the batch size, and its logits get a gradient of 0. An empty
    transcript is legal: its loss is that of blanks only.

    Args:
      params: checked dict of :attr:`PARAMETERS`.
    """

    PARAMETERS = (
        Parameter("mask_nan", Bool(), default=True,
                  doc="True: utterances without a finite loss count as 0; False: they make the loss infinite or NaN"),
    )

    def __init__(self, params):
        self._mask_nan = params["mask_nan"]

    def __call__(self, logits, logit_lengths, labels, label_lengths):
        """Connects the loss to logits and labels.

        Args:
          logits: float32 or float16 [B, T', V + 1], the blank last.
          logit_lengths: int32 or int64 [B], true lengths in frames.
          labels: int32 or int64 [B, L], padded.
          label_lengths: int32 or int64 [B].

        Returns:
          LossOutput; ``counted`` says which utterances contributed.

        Raises:
          IncompatibleShapeError, IncompatibleDtypeError: an input is not as described.
        """
        integers = (tf.int32, tf.int64)
        check_tensor(logits, "CTCLoss: logits", 3, (tf.float32, tf.float16), known_last_dimension=True)
        check_tensor(logit_lengths, "CTCLoss: logit_lengths", 1, integers)
        check_tensor(labels, "CTCLoss: labels", 2, integers)
        check_tensor(label_lengths, "CTCLoss: label_lengths", 1, integers)
        with tf.name_scope("ctc_loss"):
            logits = tf.cast(logits, tf.float32)
            logit_lengths = tf.cast(logit_lengths, tf.int32)
            within = tf.sequence_mask(logit_lengths, tf.shape(logits)[1])
            broken = tf.logical_and(within, tf.logical_not(tf.reduce_all(tf.is_finite(logits), 2)))
            finite = tf.logical_not(tf.reduce_any(broken, 1))
            feasible = logit_lengths >= tf.maximum(required_frames(labels, label_lengths), 1)
            usable = tf.logical_and(finite, feasible)
            losses = self._losses(logits, logit_lengths, labels, label_lengths, within, usable)
            counted = tf.logical_and(usable, tf.is_finite(losses))
            if self._mask_nan:
                losses = tf.where(counted, losses, tf.zeros_like(losses))
            else:
                infinite = tf.fill(tf.shape(losses), float("inf"))
                losses = tf.where(finite, tf.where(feasible, losses, infinite), infinite * 0.0)
            return LossOutput(tf.reduce_mean(losses), losses, counted)

    @staticmethod
    def _losses(logits, logit_lengths, labels, label_lengths, within, usable):
        """float32 [B], the losses of the usable utterances; something finite, without gradient, for the others."""
        frames = tf.logical_and(within, usable[:, tf.newaxis])
        # tf.where twice, here and on the result: a NaN that enters the op makes a NaN gradient even where the result is
        # not used, for 0 * NaN is NaN.
        safe_logits = tf.where(tf.tile(frames[:, :, tf.newaxis], [1, 1, logits.shape.as_list()[-1]]),
                               logits, tf.zeros_like(logits))
        # The op refuses an empty label, and prints a line about one that does not fit. Such rows get the label [0].
        empty = tf.equal(label_lengths, 0)
        regular = tf.logical_and(usable, tf.logical_not(empty))
        regular_lengths = tf.where(regular, tf.cast(label_lengths, tf.int32), tf.ones_like(logit_lengths))
        padded_labels = tf.pad(tf.cast(labels, tf.int32), [[0, 0], [0, 1]])
        padded_labels = padded_labels * tf.cast(regular, tf.int32)[:, tf.newaxis]
        label_mask = tf.sequence_mask(regular_lengths, tf.shape(padded_labels)[1])
        indices = tf.where(label_mask)
        sparse_labels = tf.SparseTensor(
            indices, tf.gather_nd(padded_labels, indices), tf.shape(padded_labels, out_type=tf.int64))
        regular_losses = tf.nn.ctc_loss(
            sparse_labels, tf.transpose(safe_logits, [1, 0, 2]), tf.maximum(logit_lengths, 1),
            ignore_longer_outputs_than_inputs=True)
        log_blank = safe_logits[:, :, -1] - tf.reduce_logsumexp(safe_logits, 2)
        blank_losses = -tf.reduce_sum(tf.where(frames, log_blank, tf.zeros_like(log_blank)), 1)
        return tf.where(empty, blank_losses, regular_losses)
