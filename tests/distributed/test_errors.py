"""Errors that come of another rank's end."""
import types

import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.distributed.lost_peers import translate_errors
from open_seq2seq.distributed.group import Single
from open_seq2seq.errors import DeviceError, PeerLostError

PAIR = types.SimpleNamespace(name="Horovod", rank=1, size=2)

# rank 1 dies as the operating system kills a process, in the middle of training
DYING = '''
import os, signal, sys
import tensorflow.compat.v1 as tf
from open_seq2seq.distributed import open_group
from open_seq2seq.distributed.lost_peers import translate_errors
from open_seq2seq.errors import PeerLostError
group = open_group("cpu")
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
    ("GeOp3_0GEOP::::DoRunAsync Failed\nEI0002: The wait execution of the Notify register times out", "EI0002: The wait")])
def test_a_lost_peer_is_told_from_what_horovod_gloo_and_hccl_say(text, sign):
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
def test_other_errors_stay_what_they_are(group, error):
    with pytest.raises(type(error)) as caught:
        with translate_errors(group):
            raise error
    assert caught.value is error


@pytest.mark.slow
@pytest.mark.parametrize("end, status", [("os.kill(os.getpid(), signal.SIGKILL)", -9), ("os._exit(3)", 3), ("sys.exit(0)", 0)])
def test_a_rank_that_ends_early_is_noticed_by_the_others(run_ranks, end, status):
    # generous, but the loop of the rank that is left would run for hours
    outcomes = run_ranks(DYING.replace("END", end), size=3, timeout=120, expect_success=False)
    assert outcomes[1].status == status
    for outcome in (outcomes[0], outcomes[2]):
        assert outcome.status == 4, outcome.err
        assert outcome.out.startswith("step 20: another rank died or does not answer (Horovod said: "), outcome.out
