"""Ends a process that waits for a dead peer and would wait for ever.

Where a peer dies while a tensor is on its way, Horovod 0.28 gives up, but forgets the operations it was performing: the
``Session.run`` that waits for them never returns. (Where it dies at any other time, the run fails with an error.) So a thread
waits for an operation that only this rank ever asks for. It cannot be performed, and returns when Horovod gives up.
"""
import atexit
import os
import sys
import threading

import tensorflow.compat.v1 as tf

from open_seq2seq.distributed.errors import lost_peer_message
from open_seq2seq.errors import PeerLostError

GRACE_SECONDS = 3
"""How long the main thread has to end by itself, with the error that its next collective operation raises."""


class PeerWatch:
    """Watches from :meth:`start` to :meth:`stop`.

    Args:
      horovod: the module ``horovod.tensorflow``, initialised.
      group: the ``HorovodGroup``.
    """

    def __init__(self, horovod, group):
        self._horovod, self._group = horovod, group
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="peer watch", daemon=True)

    def start(self):
        """To be called when the session for the network is open: the first session decides on TensorFlow's threads."""
        # runs before Horovod's own, which ends all operations
        atexit.register(self.stop)
        self._thread.start()

    def stop(self):
        """Whatever happens to the peers from now on does not matter to this process."""
        self._ended.set()

    def _watch(self):
        with tf.Graph().as_default():
            never = self._horovod.allreduce(tf.zeros([1]), op=self._horovod.Sum,
                                            name="peer_watch_of_rank_%d" % self._group.rank)
            config = tf.ConfigProto(device_count={"GPU": 0}, use_per_session_threads=True, inter_op_parallelism_threads=1)
            session = tf.Session(config=config)
        try:
            session.run(never)
            reason = "performed an operation of one rank only"
        except tf.errors.OpError as error:
            reason = error.message
        if self._ended.wait(GRACE_SECONDS):
            return
        sys.stdout.flush()
        sys.stderr.write("%s: rank %d of %d: %s\n" % (
            PeerLostError.__name__, self._group.rank, self._group.size, lost_peer_message(self._group, reason)))
        sys.stderr.flush()
        # the main thread may be inside TensorFlow, where no exception reaches it
        os._exit(PeerLostError.exit_status)
