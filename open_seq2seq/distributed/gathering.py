"""Gathers numbers of all ranks through one operation, however many they are and whoever asks.

A device that compiles graphs compiles one for every set of fetches, and each message of another length would be another one. So
all messages are sent in blocks of one size.
"""
import numpy as np
import tensorflow.compat.v1 as tf

BLOCK = 1024
"""Numbers in a block, 4 KB."""

_COLLECTION = "gathering_of_ranks"
# an absolute name: Horovod matches the operations of the ranks by their names, and a rank that failed has another graph
_SCOPE = "gathering_of_ranks/"


def gather_numbers(group, session, numbers):
    """int32 [size, K]: the ``numbers`` of every rank, an int32 array [K]. All ranks have to call it together, with the same K.

    Args:
      group: a ``ProcessGroup``; a single process has its own numbers without running the session.
      session: a session, in which nothing need be initialized; the first call adds operations to its graph.
      numbers: see above.
    """
    numbers = np.asarray(numbers, np.int32)
    if group.size == 1:
        return numbers[np.newaxis]
    own, gathered = _operations(group, session.graph)
    padded = np.zeros([-(-len(numbers) // BLOCK), BLOCK], np.int32)
    padded.flat[:len(numbers)] = numbers
    blocks = [np.ascontiguousarray(session.run(gathered, {own: block})) for block in padded]
    return np.ascontiguousarray(np.concatenate(blocks + [np.zeros([group.size, 0], np.int32)], 1)[:, :len(numbers)])


def gather_bytes(group, session, data):
    """Every rank's ``data``, of any length: list of bytes in the order of the ranks. All ranks have to call it together.

    Args:
      group, session: see :func:`gather_numbers`.
      data: bytes.
    """
    sizes = gather_numbers(group, session, [len(data)])[:, 0]
    padded = data.ljust(4 * -(-int(sizes.max()) // 4), b"\0")
    gathered = gather_numbers(group, session, np.frombuffer(padded, np.int32))
    return [row.tobytes()[:size] for row, size in zip(gathered, sizes)]


def _operations(group, graph):
    """(placeholder int32 [BLOCK], int32 [size, BLOCK]) of a graph."""
    known = graph.get_collection_ref(_COLLECTION)
    if not known:
        with graph.as_default(), tf.control_dependencies(None), tf.name_scope(_SCOPE):
            own = tf.placeholder(tf.int32, [BLOCK], "own")
            known.append((own, group.gather(own)))
    return known[0]
