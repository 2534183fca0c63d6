"""A single process, and the group that a process's environment variables select."""
import os

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.distributed import Single, open_group
from open_seq2seq.errors import DeviceError

EIGHT = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "scripts", "8p.json")
LAUNCHED = {"HOROVOD_RANK": "1", "HOROVOD_SIZE": "2", "HOROVOD_LOCAL_RANK": "1", "HOROVOD_LOCAL_SIZE": "2",
            "HOROVOD_CROSS_RANK": "0", "HOROVOD_CROSS_SIZE": "1", "HOROVOD_GLOO_RENDEZVOUS_ADDR": "127.0.0.1",
            "HOROVOD_GLOO_RENDEZVOUS_PORT": "1"}


def test_a_single_process_keeps_its_values(graph):
    group = Single()
    assert (group.rank, group.size, group.local_rank, group.local_size, group.is_first) == (0, 1, 0, 1, True)
    weight = tf.Variable(3.0)
    total, = group.sum([weight * 2])
    mean, half = group.average([weight, tf.cast(weight, tf.float16)])
    slope, = tf.gradients(total, weight)
    with tf.Session() as session:
        group.start(session)
        session.run(tf.global_variables_initializer())
        session.run(group.broadcast([weight]))
        assert session.run([total, mean, half, slope]) == [6.0, 3.0, 3.0, 2.0]
        np.testing.assert_array_equal(session.run(group.gather(tf.constant([4, 5]))), [[4, 5]])
        group.finish(session)


@pytest.mark.parametrize("device, environ", [
    ("cpu", {}), ("gpu", {}), ("npu", {}), ("cpu", {"HOROVOD_SIZE": "1", "HOROVOD_RANK": "0"}), ("cpu", {"RANK_SIZE": "1"}),
    ("npu", {"RANK_SIZE": "1", "RANK_ID": "0"}), ("cpu", {"SLURM_NTASKS": "8"}), ("npu", {"RANK_SIZE": ""}),
    ("cpu", {"WORLD_SIZE": "\u00b2"})])
def test_variables_that_name_no_other_processes_give_a_single_process(device, environ):
    assert isinstance(open_group(device, environ), Single)


@pytest.mark.parametrize("device, environ, message", [
    ("cpu", {"OMPI_COMM_WORLD_SIZE": "2"}, "OMPI_COMM_WORLD_SIZE=2: this is one of 2 processes.*HOROVOD_RANK, HOROVOD_SIZE "
                                           "and the address.*run_8p.sh --device cpu"),
    ("gpu", {"SLURM_STEP_NUM_TASKS": "4"}, "SLURM_STEP_NUM_TASKS=4.*slurm_train.sh"),
    ("cpu", {"RANK_SIZE": "8", "RANK_ID": "0", "RANK_TABLE_FILE": "8p.json"}, "RANK_SIZE=8.*--device cpu"),
    ("npu", {"HOROVOD_SIZE": "2", "HOROVOD_RANK": "0"}, "HOROVOD_SIZE=2.*RANK_SIZE, RANK_ID and RANK_TABLE_FILE"),
    ("npu", {"RANK_SIZE": "many", "RANK_ID": "3"}, 'rank 3: RANK_SIZE is "many", expected the number of processes'),
    ("npu", {"RANK_SIZE": "0"}, 'RANK_SIZE is "0"'), ("npu", {"RANK_SIZE": "\u00b2"}, 'RANK_SIZE is "\u00b2", expected'),
    ("npu", {"RANK_SIZE": "9" * 400}, 'RANK_SIZE is "9{40}", expected the number'),
    ("npu", {"RANK_SIZE": "4", "RANK_ID": "0", "RANK_TABLE_FILE": EIGHT}, "rank 0: .*RANK_SIZE is 4, but the table has 8 ranks"),
    ("npu", {"RANK_SIZE": "8", "RANK_ID": "8", "RANK_TABLE_FILE": EIGHT}, "RANK_ID is 8, but the table's ranks are 0 to 7"),
    ("npu", {"RANK_SIZE": "8", "RANK_ID": "0", "DEVICE_ID": "5", "RANK_TABLE_FILE": EIGHT},
     r"DEVICE_ID is 5, but server_list\[0\].device\[0\] gives rank 0 device 0"),
    ("npu", {"RANK_SIZE": "2", "RANK_ID": "1"}, "rank 1 of 2: RANK_TABLE_FILE is not set"),
    ("npu", {"RANK_SIZE": "2"}, r"rank \? of 2: RANK_TABLE_FILE and RANK_ID are not set"),
    ("npu", {"RANK_SIZE": "2", "RANK_ID": "1", "RANK_TABLE_FILE": "/nowhere/2p.json"}, "/nowhere/2p.json"),
    ("npu", {"RANK_SIZE": "1", "RANK_ID": "1", "RANK_TABLE_FILE": EIGHT}, "rank 1: RANK_SIZE is 1, but the rank table .* has 8"),
    ("npu", {"RANK_TABLE_FILE": EIGHT}, r"rank \?: RANK_SIZE is not set, but the rank table .*8p.json has 8 ranks"),
    ("cpu", {"HOROVOD_RANK": "1"}, r"rank 1 of \?.*HOROVOD_SIZE is not set.*HOROVOD_GLOO_RENDEZVOUS_ADDR is not set.*launch"),
    ("cpu", dict(LAUNCHED, HOROVOD_RANK="2"), "rank 2 of 2.*HOROVOD_RANK is 2, expected less than HOROVOD_SIZE=2"),
    ("cpu", dict(LAUNCHED, HOROVOD_LOCAL_SIZE="two"), 'HOROVOD_LOCAL_SIZE is "two", expected a whole number'),
    ("cpu", dict(LAUNCHED, HOROVOD_RANK="\u00b2"), 'HOROVOD_RANK is "\u00b2", expected a whole number'),
    ("cpu", dict(LAUNCHED, HOROVOD_GLOO_RENDEZVOUS_PORT="70000"), "PORT is 70000, expected the number of a port, at most 65535")])
def test_a_process_that_cannot_find_the_others_is_an_error(device, environ, message):
    with pytest.raises(DeviceError, match="(?s)" + message):
        open_group(device, environ)


def test_without_horovod_the_message_says_how_to_build_it(monkeypatch):
    import sys
    monkeypatch.setitem(sys.modules, "horovod", None)
    with pytest.raises(DeviceError, match="rank 1 of 2.*need Horovod.*setup.sh --distributed"):
        open_group("cpu", LAUNCHED)
