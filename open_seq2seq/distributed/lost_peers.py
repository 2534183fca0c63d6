"""What happens when another process of the run dies: its errors are recognized, and a process that waits for it ends.

``heartbeats.py`` finds a process that does not die but stops running. Usually an operation fails with one of many messages of
Horovod, Gloo or HCCL; :func:`translate_errors` turns them into a ``PeerLostError``. Where a peer dies during a transfer, Horovod
0.28 shuts down but forgets the operations in progress, and the ``Session.run`` that waits for them never returns.
:class:`PeerWatch` ends the process then: its thread waits for an operation that only this rank requests. The operation is never
performed and returns when Horovod shuts down.
"""
import atexit
import contextlib
import os
import sys
import threading

import tensorflow.compat.v1 as tf

from open_seq2seq.errors import JasperError, PeerLostError

# parts of the messages of Horovod, Gloo and HCCL about an unreachable peer
SIGNS = (
    "Horovod has been shut down",
    "HorovodInternalError",
    "Connection closed by peer",
    "Connection reset by peer",
    "Timed out waiting",
    # CANN's codes: EI0002 the others did not begin the same operation in time, EI0006 they could not be connected
    "EI0002", "EI0006", "notify wait timeout", "HCCL timeout")

GRACE_SECONDS = 3
"""How long the main thread may take to end by itself, with the error of its next collective operation."""


@contextlib.contextmanager
def translate_errors(group):
    """Context in which an error that another rank's death causes is raised as PeerLostError.

    Args:
      group: a ``ProcessGroup``; a single process has no peers, and its errors are not changed.

    Raises:
      PeerLostError: with advice where to find the cause.
    """
    try:
        yield
    except (tf.errors.OpError, RuntimeError) as error:
        if group.size == 1 or not is_caused_by_lost_peer(str(error)):
            raise
        raise PeerLostError(lost_peer_message(group, str(error))) from error


@contextlib.contextmanager
def errors_name_rank(group):
    """Context in which the message of an error names the rank it comes from, once; see also :func:`translate_errors`.

    Args:
      group: a ``ProcessGroup``.

    Raises:
      JasperError: of the type that was raised inside; unchanged for a single process.
    """
    try:
        with translate_errors(group):
            yield
    except JasperError as error:
        if group.size == 1:
            raise
        raise type(error)(group.name_rank(str(error)))


def is_caused_by_lost_peer(text):
    """Whether an error's message is one of those that a lost peer causes."""
    return any(sign in text for sign in SIGNS)


def lost_peer_message(group, text):
    """The message for the user: names the ranks that do not run, or quotes the decisive part of ``text``.

    Args:
      group: a ``ProcessGroup``.
      text: an error of Horovod, Gloo or HCCL.
    """
    explanation = group.silent_ranks()
    if explanation:
        return explanation
    quoted = text.splitlines()[0] if text else ""
    for sign in SIGNS:
        if sign in text:
            line = next(line for line in text.splitlines() if sign in line)
            quoted = line[line.index(sign):]
            break
    return ("another rank died or does not answer (%s reported: %s), so this rank stops. The cause is in the other rank's log. "
            "A training resumes from its last checkpoint, which is intact, with --continue_learning" % (
                group.name, quoted[:120].split(". ")[0]))


def end_process(rank, size, message):
    """Prints a PeerLostError and exits: the main thread may be inside TensorFlow, where no exception reaches it."""
    sys.stdout.flush()
    sys.stderr.write("%s: rank %d of %d: %s\n" % (PeerLostError.__name__, rank, size, message))
    sys.stderr.flush()
    os._exit(PeerLostError.exit_status)


class PeerWatch:
    """Ends this process when Horovod shuts down between :meth:`start` and :meth:`stop` and the main thread does not end.

    Args:
      horovod: the module ``horovod.tensorflow``, initialized.
      group: the ``HorovodGroup``.
    """

    def __init__(self, horovod, group):
        self._horovod, self._group = horovod, group
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="peer watch", daemon=True)

    def start(self):
        """Call it when the session of the network is open: the first session decides on TensorFlow's threads."""
        atexit.register(self._end)
        self._thread.start()

    def _end(self):
        """At the end of the process: the thread must not return from TensorFlow 2 when Python has ended, which would abort it."""
        self.stop()
        self._horovod.shutdown()  # as Horovod's own exit handler does; it ends all operations
        self._thread.join(GRACE_SECONDS)

    def stop(self):
        """From now on this process does not depend on its peers."""
        self._stopped.set()

    def _watch(self):
        with tf.Graph().as_default():
            never = self._horovod.allreduce(tf.zeros([1]), op=self._horovod.Sum,
                                            name="peer_watch_of_rank_%d" % self._group.rank)
            config = tf.ConfigProto(device_count={"GPU": 0}, use_per_session_threads=True, inter_op_parallelism_threads=1)
            session = tf.Session(config=config)
        try:
            session.run(never)
            reason = "performed an operation that only one rank requested"
        except tf.errors.OpError as error:
            reason = error.message
        if self._stopped.wait(GRACE_SECONDS):
            return
        end_process(self._group.rank, self._group.size, lost_peer_message(self._group, reason))
