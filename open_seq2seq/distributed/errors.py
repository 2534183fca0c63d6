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
        sign = None if group.size == 1 else find_sign(error)
        if sign is None:
            raise
        raise PeerLostError("another rank died or does not answer (%s said: %s), so this one stops. The cause is in the other "
                            "rank's log. The last checkpoint is whole: start again with --continue_learning to go on from it"
                            % (group.name, sign)) from error


def find_sign(error):
    """The line of an error's message that tells of a lost peer, shortened; None where there is none."""
    for line in str(error).splitlines():
        for sign in SIGNS:
            place = line.find(sign)
            if place >= 0:
                return line[place:place + 120].split(". ")[0]
    return None
