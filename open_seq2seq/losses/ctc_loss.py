"""Connectionist temporal classification (Graves et al. 2006)."""
import collections
import contextlib

import numpy as np
import tensorflow.compat.v1 as tf

from open_seq2seq.config.parameters import Bool, Parameter
from open_seq2seq.data.tasks import TRANSCRIPT
from open_seq2seq.encoders.shapes import check_tensor, dimension

LossOutput = collections.namedtuple("LossOutput", "loss per_utterance counted")
LossOutput.__doc__ = """The output of a loss.

loss: float32 scalar, mean of weight * per_utterance.
per_utterance: float32 [B], without the weights.
counted: bool [B], whether an utterance has a finite loss.
"""

IMPOSSIBLE = -1e4  # a logit whose probability is 0 in float32 and float16, and which float16 can represent


def required_frames(labels, label_lengths):
    """The smallest number of frames to which CTC can align the labels: one per label, and a blank between equal neighbors.

    Args:
      labels: integer tensor [B, L], padded.
      label_lengths: integer tensor [B], valid lengths.

    Returns:
      int32 [B], numbers of frames.
    """
    within = tf.sequence_mask(label_lengths, dimension(labels, 1))
    repeats = tf.logical_and(tf.equal(labels[:, 1:], labels[:, :-1]), within[:, 1:])
    return tf.cast(label_lengths, tf.int32) + tf.reduce_sum(tf.cast(repeats, tf.int32), 1)


class CTCLoss:
    """The negative log probability of the labels, averaged over the batch.

    An utterance without a finite loss (fewer frames than :func:`required_frames`, or non-finite logits) is not counted: it adds
    0 to the sum, which is still divided by the batch size, and the gradient of its logits is 0. An empty transcript is valid:
    its loss is that of blanks only.

    With inputs of static shape every operation has a static shape.

    Args:
      params: checked dict of :attr:`PARAMETERS`.
      host_scope: for devices that cannot run ``tf.nn.ctc_loss``: function without arguments that returns a context manager, in
        which that operation is built. None: it is built like all other operations.
    """

    TARGETS = TRANSCRIPT  # the kind of a task's data (data/tasks.py)
    PARAMETERS = (
        Parameter("mask_nan", Bool(), default=True,
                  doc="True: utterances without a finite loss count as 0; False: they make the loss infinite or NaN"),
    )

    def __init__(self, params, host_scope=None):
        self._mask_nan = params["mask_nan"]
        self._host_scope = host_scope or contextlib.suppress

    def __call__(self, logits, logit_lengths, labels, label_lengths, weights=None):
        """Connects the loss to logits and labels.

        Args:
          logits: float32 or float16 [B, T', V + 1], the blank last.
          logit_lengths: int32 or int64 [B], valid lengths in frames.
          labels: int32 or int64 [B, L], padded.
          label_lengths: int32 or int64 [B].
          weights: float32 [B], factors of the utterances' losses in the mean, which is still divided by B; a factor of 0 removes
            even an infinite loss. None: all are 1.

        Returns:
          LossOutput.

        Raises:
          IncompatibleShapeError, IncompatibleDtypeError: an input is not as described.
        """
        integers = (tf.int32, tf.int64)
        check_tensor(logits, "CTCLoss: logits", 3, (tf.float32, tf.float16), known_last_dimension=True)
        check_tensor(logit_lengths, "CTCLoss: logit_lengths", 1, integers)
        check_tensor(labels, "CTCLoss: labels", 2, integers)
        check_tensor(label_lengths, "CTCLoss: label_lengths", 1, integers)
        if weights is not None:
            check_tensor(weights, "CTCLoss: weights", 1, (tf.float32,))
        with tf.name_scope("ctc_loss"):
            logits = tf.cast(logits, tf.float32)
            logit_lengths, label_lengths = tf.cast(logit_lengths, tf.int32), tf.cast(label_lengths, tf.int32)
            within = tf.sequence_mask(logit_lengths, dimension(logits, 1))
            broken = tf.logical_and(within, tf.logical_not(tf.reduce_all(tf.is_finite(logits), 2)))
            finite = tf.logical_not(tf.reduce_any(broken, 1))
            feasible = logit_lengths >= tf.maximum(required_frames(labels, label_lengths), 1)
            usable = tf.logical_and(finite, feasible)
            losses = self._losses(logits, logit_lengths, tf.cast(labels, tf.int32), label_lengths, within, usable)
            counted = tf.logical_and(usable, tf.is_finite(losses))
            if self._mask_nan:
                losses = tf.where(counted, losses, tf.zeros_like(losses))
            else:
                infinite = tf.zeros_like(losses) + float("inf")
                losses = tf.where(finite, tf.where(feasible, losses, infinite), infinite * 0.0)
            return LossOutput(weighted_mean(losses, weights), losses, counted)

    def _losses(self, logits, logit_lengths, labels, label_lengths, within, usable):
        """float32 [B], the losses of the usable utterances; a finite number without gradient for the others."""
        frames = tf.logical_and(within, usable[:, tf.newaxis])
        # tf.where twice, here and on the result: a NaN input of the op makes its gradient NaN even if the result is not used,
        # because 0 * NaN is NaN.
        safe_logits = tf.where(tf.tile(frames[:, :, tf.newaxis], [1, 1, logits.shape.as_list()[-1]]),
                               logits, tf.zeros_like(logits))
        # The op fails for empty labels and prints a line about labels that do not fit. Such rows get the label [0].
        empty = tf.equal(label_lengths, 0)
        regular = tf.logical_and(usable, tf.logical_not(empty))
        regular_lengths = tf.where(regular, label_lengths, tf.ones_like(label_lengths))
        static = None not in logits.shape.as_list() + labels.shape.as_list()
        if not static or labels.shape.as_list()[1] == 0:
            labels = tf.pad(labels, [[0, 0], [0, 1]])
        labels *= tf.cast(regular, tf.int32)[:, tf.newaxis]
        if static:
            regular_losses = self._static_losses(safe_logits, logit_lengths, labels, regular_lengths, usable)
        else:
            regular_losses = self._dynamic_losses(safe_logits, logit_lengths, labels, regular_lengths)
        log_blank = tf.nn.log_softmax(safe_logits)[:, :, -1]
        blank_losses = -tf.reduce_sum(tf.where(frames, log_blank, tf.zeros_like(log_blank)), 1)
        return tf.where(empty, blank_losses, regular_losses)

    def _dynamic_losses(self, logits, logit_lengths, labels, label_lengths):
        with self._host_scope():
            indices = tf.where(tf.sequence_mask(label_lengths, tf.shape(labels)[1]))
            sparse_labels = tf.SparseTensor(indices, tf.gather_nd(labels, indices), tf.shape(labels, out_type=tf.int64))
            return _ctc_loss(sparse_labels, logits, tf.maximum(logit_lengths, 1))

    def _static_losses(self, logits, logit_lengths, labels, label_lengths, usable):
        """The same losses without an operation whose output's shape depends on values.

        The labels are passed with their padding, which is set to the blank: the op ignores blanks at the end of a label. But it
        counts them when it skips labels that are longer than the logits. So rows are extended to the length of the labels by
        frames in which the blank has probability 1; these change neither the loss nor the gradient.
        """
        batch_size, num_frames, outputs = logits.shape.as_list()
        num_labels = labels.shape.as_list()[1]
        lengthened = max(num_frames, num_labels)
        beyond = tf.logical_and(tf.logical_not(tf.sequence_mask(logit_lengths, lengthened)), usable[:, tf.newaxis])
        only_blank = np.float32([IMPOSSIBLE] * (outputs - 1) + [0.0])
        logits = (tf.pad(logits, [[0, 0], [0, lengthened - num_frames], [0, 0]])
                  + tf.cast(beyond, tf.float32)[:, :, tf.newaxis] * only_blank)
        with self._host_scope():
            blanks = tf.fill([batch_size, num_labels], outputs - 1)
            values = tf.where(tf.sequence_mask(label_lengths, num_labels), labels, blanks)
            places = np.stack(np.indices([batch_size, num_labels]), 2).reshape(-1, 2)
            sparse_labels = tf.SparseTensor(tf.constant(places, tf.int64), tf.reshape(values, [batch_size * num_labels]),
                                            tf.constant([batch_size, num_labels], tf.int64))
            return _ctc_loss(sparse_labels, logits, tf.maximum(logit_lengths, num_labels))


def _ctc_loss(sparse_labels, logits, logit_lengths):
    return tf.nn.ctc_loss(sparse_labels, tf.transpose(logits, [1, 0, 2]), logit_lengths,
                          ignore_longer_outputs_than_inputs=True)


def weighted_mean(losses, weights):
    """float32 scalar, mean of weight * loss; a weight of 0 removes even an infinite loss. ``weights``: float32 [B]; None: 1."""
    if weights is None:
        return tf.reduce_mean(losses)
    weighted = tf.where(tf.equal(weights, 0.0), tf.zeros_like(losses), losses * weights)
    return tf.reduce_mean(weighted)
