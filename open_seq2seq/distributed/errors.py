"""What TensorFlow says when another process of the run is gone, said in our words."""
import contextlib

import tensorflow.compat.v1 as tf

from open_seq2seq.errors import PeerLostError

# what Horovod, Gloo and HCCL write when they cannot reach a peer any more
SIGNS = (
    "Horovod has been shut down",
    "HorovodInternalError",
    "Connection closed by peer",
    "Connection reset by peer",
    # CANN's codes: EI0002 the others did not begin the same operation in time, EI0006 they could not be connected
    "EI0002", "EI0006", "notify wait timeout", "HCCL timeout")


@contextlib.contextmanager
def translate_errors(group):
    """Context in which a session's error that comes of another rank's end is raised as PeerLostError.

    Args:
      group: a ``ProcessGroup``; a process by itself has no peers, and its errors stay what they are.

    Raises:
      PeerLostError: says where the cause is to be found; ``modes.py`` puts this rank's number before it.
    """
    try:
        yield
    except (tf.errors.OpError, RuntimeError) as error:
        if group.size == 1 or not tells_of_lost_peer(str(error)):
            raise
        raise PeerLostError(lost_peer_message(group, str(error))) from error


def tells_of_lost_peer(text):
    """Whether an error's message is one of those that a lost peer causes."""
    return any(sign in text for sign in SIGNS)


def lost_peer_message(group, text):
    """What a user is told, with the words of Horovod, Gloo or HCCL that matter in ``text``."""
    said = text.splitlines()[0] if text else ""
    for sign in SIGNS:
        if sign in text:
            line = next(line for line in text.splitlines() if sign in line)
            said = line[line.index(sign):]
            break
    return ("another rank died or does not answer (%s said: %s), so this one stops. The cause is in the other rank's log. The "
            "last checkpoint is whole: start again with --continue_learning to go on from it" % (
                group.name, said[:120].split(". ")[0]))
