"""How long a training step waits for its batch."""
import tensorflow.compat.v1 as tf

from open_seq2seq.data.speech2text.dataset import Batch


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
