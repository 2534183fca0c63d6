"""The death of another rank: its errors are recognized, and a process that waits for it inside TensorFlow ends, too."""
import types

import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.distributed.group import ProcessGroup, Single
from open_seq2seq.distributed.lost_peers import errors_name_rank, translate_errors
from open_seq2seq.errors import DeviceError, PeerLostError, StorageError

PAIR = types.SimpleNamespace(name="Horovod", rank=1, size=2, silent_ranks=lambda: "")

PRELUDE = '''
import os, signal, sys, threading
import numpy as np
import tensorflow.compat.v1 as tf
tf.disable_v2_behavior()
from open_seq2seq.distributed import open_group
from open_seq2seq.distributed.lost_peers import translate_errors
from open_seq2seq.errors import PeerLostError
group = open_group("cpu")
'''

# the effect of a tensor that is lost during a transfer: a run that never returns
STUCK = PRELUDE + '''
print("started")
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

# dies during the transfer of a tensor of 64 MB, or just before or after
IN_TRANSFER = PRELUDE + '''
total, = group.sum([tf.ones([2 ** 24])])
transferring = threading.Event()
def die():
    transferring.wait()
    os.kill(os.getpid(), signal.SIGKILL)
with tf.Session() as session:
    group.start(session)
    session.run(total.op)
    if group.rank == VICTIM:
        threading.Thread(target=die, daemon=True).start()
    try:
        with translate_errors(group):
            while True:
                transferring.set()
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
        # the others have finished while this one still saves
        session.run(tf.reduce_sum(tf.matmul(tf.ones([1500, 1500]), tf.ones([1500, 1500]))))
    group.finish(session)
print("finished")
'''

# all ranks find the same mistake
REFUSED = PRELUDE + '''
total, = group.sum([tf.ones([4])])
with tf.Session() as session:
    group.start(session)
    session.run(total)
    sys.exit(2)
'''

# rank 1 ends in the middle of training
DYING = PRELUDE + '''
weight = tf.Variable(tf.ones([1000]))
update = weight.assign(group.average([weight])[0])
with tf.Session() as session:
    group.start(session)
    session.run(tf.global_variables_initializer())
    try:
        with translate_errors(group):
            for step in range(1000000):
                if (group.rank, step) == (1, 20):
                    END
                session.run(update)
    except PeerLostError as error:
        print("step %d: %s" % (step, error))
        sys.exit(error.exit_status)
'''


@pytest.mark.parametrize("text, sign", [
    ("Horovod has been shut down. This was caused by an exception on one of the ranks", "Horovod has been shut down"),
    ("[gloo/transport/tcp/pair.cc:598] Connection closed by peer [127.0.0.1]:61590", r"Connection closed by peer \[127.0.0.1\]"),
    ("[gloo/transport/tcp/unbound_buffer.cc:81] Timed out waiting 30000ms for recv operation to complete", "Timed out waiting 3"),
    ("GeOp3_0GEOP::::DoRunAsync Failed\nEI0002: The wait execution of the Notify register times out", "EI0002: The wait")])
def test_errors_of_horovod_gloo_and_hccl_about_a_lost_peer_are_recognized(text, sign):
    with pytest.raises(PeerLostError, match="another rank died or does not answer.*%s.*--continue_learning" % sign) as caught:
        with translate_errors(PAIR):
            raise tf.errors.UnknownError(None, None, text)
    assert isinstance(caught.value, DeviceError) and caught.value.exit_status == 4
    assert isinstance(caught.value.__cause__, tf.errors.UnknownError)


@pytest.mark.parametrize("group, error", [
    (PAIR, tf.errors.InvalidArgumentError(None, None, "Incompatible shapes: [2] vs. [3]")),
    (PAIR, tf.errors.ResourceExhaustedError(None, None, "OOM when allocating")),
    (PAIR, ValueError("Horovod has been shut down")),
    (Single(), tf.errors.UnknownError(None, None, "Horovod has been shut down"))])
def test_other_errors_are_not_changed(group, error):
    with pytest.raises(type(error)) as caught:
        with translate_errors(group):
            raise error
    assert caught.value is error


class Pair(ProcessGroup):
    rank, size = 1, 2


@pytest.mark.parametrize("message, named", [
    ("the disk is full", "rank 1 of 2: the disk is full"), ("rank 1 of 2: no GPU", "rank 1 of 2: no GPU"),
    ("rank 1: no GPU", "rank 1 of 2: no GPU"), ("rank 1 of 2 cannot read", "rank 1 of 2 cannot read"),
    ("rank 0 of 2 cannot read its data", "rank 1 of 2: rank 0 of 2 cannot read its data"),
    ("rank 10: no GPU", "rank 1 of 2: rank 10: no GPU")])
def test_an_error_names_its_rank_once(message, named):
    with pytest.raises(StorageError) as caught:
        with errors_name_rank(Pair()):
            raise StorageError(message)
    assert str(caught.value) == named
    with pytest.raises(StorageError) as caught:
        with errors_name_rank(Single()):
            raise StorageError(message)
    assert str(caught.value) == message


@pytest.mark.slow
@pytest.mark.parametrize("end, status", [("os.kill(os.getpid(), signal.SIGKILL)", -9), ("sys.exit(0)", 0)])
def test_the_others_detect_a_rank_that_ends_early(run_ranks, end, status):
    # without detection the loop of the other ranks would run for hours
    outcomes = run_ranks(DYING.replace("END", end), size=3, timeout=120, expect_success=False)
    assert outcomes[1].status == status
    for outcome in (outcomes[0], outcomes[2]):
        assert outcome.status == 4, outcome.err
        assert outcome.out.startswith("step 20: another rank died or does not answer (Horovod reported: "), outcome.out


@pytest.mark.slow
def test_a_run_that_never_returns_ends_when_a_peer_dies(run_ranks):
    stuck, killed = run_ranks(STUCK, timeout=120, expect_success=False)
    assert (stuck.status, killed.status) == (4, -9)
    assert stuck.out == "started\n"
    assert stuck.err.splitlines()[-1].startswith(
        "PeerLostError: rank 0 of 2: another rank died or does not answer (Horovod reported: ")


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


@pytest.mark.slow
def test_ranks_that_end_with_an_error_keep_their_exit_status(run_ranks):
    # on TensorFlow 2.6.5 the thread of PeerWatch could abort the process when Python had ended
    for _ in range(3):
        outcomes = run_ranks(REFUSED, expect_success=False)
        assert [outcome.status for outcome in outcomes] == [2, 2]
