"""The stream of training batches: where a resumed run continues in it, and how long a step waits for its batch."""
import tensorflow.compat.v1 as tf

from open_seq2seq.data.speech2text.frame_targets import as_batch
from open_seq2seq.errors import UsageError
from open_seq2seq.log_lines import log_line


def batches_done(state, batch_utterances, iter_size, step, counts_epochs):
    """Number of batches, in this run's size, that the training of the checkpoint has taken.

    Args:
      state: dict of micro_batches, batch_utterances and iter_size of the checkpoint: batches taken, utterances in a batch of all
        ranks together, batches in a step; 0 where the checkpoint does not say.
      batch_utterances, iter_size: the same of this run.
      step: steps made.
      counts_epochs: whether the length of the training is given in epochs.

    Returns:
      An int.

    Raises:
      UsageError: the number of steps in an epoch has changed, and the training ends after a number of epochs. Then neither the
        end of the training nor the learning-rate schedule would fit the steps made so far.
    """
    # a checkpoint of OpenSeq2Seq does not say how many batches it took
    done = int(state["micro_batches"]) or step * iter_size
    before, now = (int(state["batch_utterances"]), int(state["iter_size"])), (batch_utterances, iter_size)
    if not all(before) or before == now:
        return done
    change = "the checkpoint was trained with %d utterances a batch on all ranks and iter_size %d, this run has %d and %d" % (
        before + now)
    if counts_epochs and before[0] * before[1] != now[0] * now[1]:
        raise UsageError("%s: the number of steps in an epoch has changed, so num_epochs and the learning-rate schedule do not "
                         "fit the %d steps made. Resume with a global batch of %d utterances (batch_size_per_gpu x processes x "
                         "iter_size), or set the total number of steps: --num_epochs=None --max_steps=N"
                         % (change, step, before[0] * before[1]))
    log_line(change + "; the run resumes at the same position in the data")
    return done * before[0] // batch_utterances


def note_on_long_steps(batches_per_epoch, iter_size):
    """A sentence where one step takes more batches than an epoch has, or None.

    Args:
      batches_per_epoch: int, batches of one pass through the data.
      iter_size: int, batches in a step.
    """
    if iter_size <= batches_per_epoch:
        return None
    return ("one step takes %.1f epochs of the data (iter_size %d, %d batch%s in an epoch). Each step counts as one epoch: for "
            "num_epochs, the learning rate and the log. Lower iter_size or batch_size_per_gpu for steps within an epoch" % (
                iter_size / batches_per_epoch, iter_size, batches_per_epoch, "" if batches_per_epoch == 1 else "es"))


def next_batch(iterator, timed):
    """The next batch of an iterator, and how long a step waited for it.

    The wait is inside a ``Session.run``, so the graph reads the clock itself: before it asks the iterator and after the answer. A
    batch that is in the pipeline's buffer takes microseconds.

    Args:
      iterator: ``tf.data.Iterator``.
      timed: whether to measure. False on devices that compile the step, which have no clock operation.

    Returns:
      (Batch or PretrainingBatch, float32 scalar with the seconds; None where it is not measured).
    """
    if not timed:
        return as_batch(iterator.get_next()), None
    with tf.name_scope("data_wait"):
        asked = tf.timestamp()
        with tf.control_dependencies([asked]):
            batch = as_batch(iterator.get_next())
        with tf.control_dependencies([batch.features.op]):
            answered = tf.timestamp()
        # the clock may be set back in between
        return batch, tf.cast(tf.maximum(answered - asked, 0.0), tf.float32)
