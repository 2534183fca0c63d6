"""The interface of the processes that train together, and its implementation for a single process.

TensorFlow is imported where it is needed, because the launcher uses this package without it.
"""
import contextlib
import re


class ProcessGroup:
    """The processes that train together, one for each device.

    The methods that take tensors build operations in the current graph. Every rank has to build the same operations in the same
    order and to run them the same number of times; otherwise all ranks wait forever.

    Attributes:
      name: "single", "Horovod" or "HCCL".
      rank: int, this process's number from 0.
      size: int, number of processes.
      local_rank: int, this process's number among those on this machine.
      local_size: int, number of processes on this machine.
    """

    name = None
    rank, size, local_rank, local_size = 0, 1, 0, 1

    @property
    def is_first(self):
        """Whether this process writes checkpoints, summaries and the log."""
        return self.rank == 0

    def sum(self, tensors):
        """Sums over all ranks of a list of float32 tensors, through which gradients flow."""
        raise NotImplementedError

    def average(self, tensors):
        """Means over all ranks of a list of float32 or float16 tensors, without gradients."""
        raise NotImplementedError

    def sum_in_step(self, tensors):
        """:meth:`sum` as a part of every training step; the operations of a graph run together, in the order they are built."""
        return self.sum(tensors)

    def average_in_step(self, tensors):
        """:meth:`average` as a part of every training step, see :meth:`sum_in_step`."""
        return self.average(tensors)

    def average_gradients(self, tensors):
        """:meth:`average` of the gradients of a training step, after all its :meth:`sum_in_step`."""
        return self.average(tensors)

    @contextlib.contextmanager
    def alternative(self):
        """Context manager for operations of which a session runs only these, or none: a kind of step, or steps of another shape.

        They are ordered after what was built before it, and nothing that is built after it waits for them.
        """
        yield

    def gather(self, tensor):
        """int32 [size, K]: the ``tensor`` int32 [K] of every rank."""
        raise NotImplementedError

    def broadcast(self, variables):
        """Operation that sets a list of variables to rank 0's values."""
        raise NotImplementedError

    def start(self, session):
        """Prepares the devices of ``session`` for collective operations; before anything else runs in it."""

    def finish(self, session):
        """Ends what :meth:`start` began, after everything else has run."""

    def silent_ranks(self):
        """After an error: a message that names the ranks whose processes do not run, "" if none are known."""
        return ""

    def name_rank(self, message):
        """An error message of this process that begins with its rank, "rank 1 of 2", once."""
        if re.match(r"rank %d of %d\b" % (self.rank, self.size), message):
            return message
        return "rank %d of %d: %s" % (self.rank, self.size, re.sub(r"\Arank %d: " % self.rank, "", message))


class Single(ProcessGroup):
    """A single process."""

    name = "single"

    def sum(self, tensors):
        return list(tensors)

    def average(self, tensors):
        return list(tensors)

    def gather(self, tensor):
        import tensorflow.compat.v1 as tf
        return tf.expand_dims(tensor, 0)

    def broadcast(self, variables):
        import tensorflow.compat.v1 as tf
        return tf.no_op()
