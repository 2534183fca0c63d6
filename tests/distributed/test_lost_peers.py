"""A process whose main thread waits inside TensorFlow for a peer that is dead ends all the same."""
import pytest

PRELUDE = '''
import os, signal, sys, threading
import numpy as np
import tensorflow.compat.v1 as tf
from open_seq2seq.distributed import open_group
from open_seq2seq.distributed.lost_peers import translate_errors
from open_seq2seq.errors import PeerLostError
group = open_group("cpu")
'''

# what a tensor lost on its way amounts to: a run that never returns
STUCK = PRELUDE + '''
print("begun")
total, = group.sum([tf.ones([4])])
with tf.control_dependencies([total]):
    forever = tf.numpy_function(lambda: np.float32(threading.Event().wait() or 0), [], tf.float32)
with tf.Session() as session:
    group.start(session)
    if group.rank == 1:
        session.run(total)
        os.kill(os.getpid(), signal.SIGKILL)
    session.run(forever)
'''

# dies while a tensor of 64 MB is on its way, or just before or after
IN_TRANSFER = PRELUDE + '''
total, = group.sum([tf.ones([2 ** 24])])
begun = threading.Event()
def die():
    begun.wait()
    os.kill(os.getpid(), signal.SIGKILL)
with tf.Session() as session:
    group.start(session)
    session.run(total.op)
    if group.rank == VICTIM:
        threading.Thread(target=die, daemon=True).start()
    try:
        with translate_errors(group):
            while True:
                begun.set()
                session.run(total.op)
    except PeerLostError as error:
        sys.exit("PeerLostError: %s" % error)
'''

FINISHING = PRELUDE + '''
total, = group.sum([tf.ones([4])])
with tf.Session() as session:
    group.start(session)
    session.run(total)
    if group.rank == 0:
        # the others have nothing left to do, while this one saves
        session.run(tf.reduce_sum(tf.matmul(tf.ones([1500, 1500]), tf.ones([1500, 1500]))))
    group.finish(session)
print("finished")
'''


@pytest.mark.slow
def test_a_run_that_never_returns_is_ended_when_a_peer_dies(run_ranks):
    stuck, killed = run_ranks(STUCK, timeout=120, expect_success=False)
    assert (stuck.status, killed.status) == (4, -9)
    assert stuck.out == "begun\n"
    assert stuck.err.splitlines()[-1].startswith(
        "PeerLostError: rank 0 of 2: another rank died or does not answer (Horovod said: ")


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_a_rank_killed_in_the_middle_of_a_transfer(run_ranks, victim):
    outcomes = run_ranks(IN_TRANSFER.replace("VICTIM", str(victim)), timeout=120, expect_success=False)
    assert outcomes[victim].status == -9
    left = outcomes[1 - victim]
    # 1: translate_errors; 4: the watch
    assert left.status in (1, 4) and "PeerLostError: " in left.err and "another rank died" in left.err


@pytest.mark.slow
def test_ranks_that_finish_at_different_times_all_finish(run_ranks):
    assert [outcome.out for outcome in run_ranks(FINISHING, size=3)] == ["finished\n"] * 3
