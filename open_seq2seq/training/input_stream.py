"""Where in the stream of training batches a run goes on, when it may have been started with other batches.

How long a training step waits for its batch.
"""
import tensorflow.compat.v1 as tf

from open_seq2seq.data.speech2text.dataset import Batch
from open_seq2seq.errors import UsageError
from open_seq2seq.log_lines import log_line


def batches_done(state, batch_utterances, iter_size, step, counts_epochs):
    """Number of batches of this run's size that the checkpoint's training has taken.

    Args:
      state: dict of micro_batches, batch_utterances and iter_size as the checkpoint has them: batches taken, utterances in
        one on all ranks together, batches a step; 0 where the checkpoint does not say.
      batch_utterances, iter_size: the same of this run.
      step: steps made.
      counts_epochs: whether the length of the training is given in epochs.

    Returns:
      An int.

    Raises:
      UsageError: the steps of an epoch are others than before, and the training is to end after a number of epochs: what the
        steps made so far amount to, and where the learning rate stands, would no longer be true.
    """
    # a checkpoint of OpenSeq2Seq does not say how many batches it took
    done = int(state["micro_batches"]) or step * iter_size
    before, now = (int(state["batch_utterances"]), int(state["iter_size"])), (batch_utterances, iter_size)
    if not all(before) or before == now:
        return done
    change = "the checkpoint was trained with %d utterances a batch on all ranks and iter_size %d, this run has %d and %d" % (
        before + now)
    if counts_epochs and before[0] * before[1] != now[0] * now[1]:
        raise UsageError("%s: an epoch has another number of steps, so num_epochs and the learning rate's schedule do not fit "
                         "the %d steps made. Go on with a global batch of %d utterances (batch_size_per_gpu x processes x "
                         "iter_size), or say how many steps there are to be in all: --num_epochs=None --max_steps=N"
                         % (change, step, before[0] * before[1]))
    log_line(change + "; it goes on at the same place in the data")
    return done * before[0] // batch_utterances


def next_batch(iterator, timed):
    """The next batch of an iterator, and how long it was not ready when a step asked for it.

    The wait is inside a ``Session.run``, so the graph looks at the clock itself: before the iterator is asked and when it has
    answered. A batch that lies in the pipeline's buffer answers within microseconds.

    Args:
      iterator: ``tf.data.Iterator``.
      timed: whether to measure. False on devices that compile the step: they have no such operation.

    Returns:
      (Batch, float32 scalar, seconds; None where it is not measured).
    """
    if not timed:
        return Batch(*iterator.get_next()), None
    with tf.name_scope("data_wait"):
        asked = tf.timestamp()
        with tf.control_dependencies([asked]):
            batch = Batch(*iterator.get_next())
        with tf.control_dependencies([batch.features.op]):
            answered = tf.timestamp()
        # the clock may be set back meanwhile
        return batch, tf.cast(tf.maximum(answered - asked, 0.0), tf.float32)
