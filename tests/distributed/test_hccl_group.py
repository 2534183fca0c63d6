"""HCCL's operators in real processes with the fake adapter, whose transport is Gloo; see tests/fakes/README.md."""
import json
import re

import pytest

PRELUDE = '''
import json, sys
import numpy as np
import tensorflow.compat.v1 as tf
from open_seq2seq.distributed import open_group
from open_seq2seq.distributed.agreement import check_agreement
from open_seq2seq.distributed.exchange import Exchange
from open_seq2seq.errors import DeviceError
config = tf.ConfigProto()
config.graph_options.rewrite_options.custom_optimizers.add().name = "NpuOptimizer"
try:
    group = open_group("npu")
except DeviceError as error:
    sys.exit(str(error))
'''

COLLECTIVES = PRELUDE + '''
mine = group.rank + 1.0
vector, scalar = tf.constant([1.0, 2.0]) * mine, tf.constant(3.0) * mine
sums = group.sum([vector, scalar])
slopes = tf.gradients(mine * sums[0][0] + mine * sums[1] * sums[0][1], [vector, scalar])
means = group.average([vector, tf.constant([60000.0], tf.float16), scalar])
gathered = group.gather(tf.constant([group.rank, 7]))
kinds = (tf.float32, tf.float16, tf.int32, tf.int64, tf.uint8)
variables = [tf.Variable(tf.cast(tf.fill([3], group.rank + 1), kind)) for kind in kinds] + [tf.Variable(group.rank == 0)]
weight = tf.get_variable("weight", initializer=mine)
step = tf.train.get_or_create_global_step()
update = tf.train.MomentumOptimizer(0.1, 0.9).minimize(weight * mine, step)
average = tf.train.ExponentialMovingAverage(0.5)
update = tf.group(update, average.apply([weight]))
broadcast = group.broadcast(tf.global_variables())
exchange = Exchange(group, ["loss", "count"])
results = {"place": [group.rank, group.size, group.local_rank, group.local_size, group.is_first, group.name]}
results["shapes"] = [tensor.shape.as_list() for tensor in sums + slopes + means + [gathered]]
with tf.Session(config=config) as session:
    group.start(session)
    check_agreement(group, session, {"TensorFlow": tf.__version__})
    for name, tensors in (("sums", sums), ("slopes", slopes), ("means", means), ("gathered", [gathered])):
        results[name] = [value.tolist() for value in session.run(tensors)]
    results["exchanged"] = exchange.sum(session, {"loss": 0.1 * mine, "count": 2 ** 40 + group.rank})
    session.run(tf.global_variables_initializer())
    for _ in range(group.rank + 1):
        session.run(update)
    session.run(broadcast)
    results["variables"] = {variable.op.name: np.array(session.run(variable)).tolist() for variable in tf.global_variables()}
    try:
        check_agreement(group, session, {"device": "npu", "last step": str(group.rank)})
    except DeviceError as error:
        results["difference"] = str(error)
    group.finish(session)
print(json.dumps(results))
'''

STARTING = PRELUDE + '''
with tf.Session(config=config) as session:
    try:
        group.start(session)
    except DeviceError as error:
        sys.exit(str(error))
'''


@pytest.fixture
def run_npu_ranks(needs_horovod, npu_server, run_in_processes):
    """Runs a snippet on ranks of a pretended NPU server; ``variables`` go into the environment of each."""
    def call(snippet, size=2, started=None, **variables):
        return run_in_processes(snippet, [npu_server.environment(rank, size, TF_CPP_MIN_LOG_LEVEL="2", **variables)
                                          for rank in (range(size) if started is None else started)])
    return call


@pytest.mark.slow
def test_collectives_and_the_broadcast_of_every_variable(run_npu_ranks):
    outcomes = run_npu_ranks(COLLECTIVES)
    assert [outcome.status for outcome in outcomes] == [0, 0], outcomes
    results = [json.loads(outcome.out.splitlines()[-1]) for outcome in outcomes]
    for rank, result in enumerate(results):
        assert result["place"] == [rank, 2, rank, 2, rank == 0, "HCCL"]
        assert result["sums"] == [[3.0, 6.0], 9.0]
        # the gradient of a sum over ranks is the sum over ranks of the gradients: 3 = 1 + 2 for the weights of the losses
        assert result["slopes"] == [[3.0, 3.0 * 9.0], 3.0 * 6.0]
        # twice 60,000 is beyond float16
        assert result["means"] == [[1.5, 3.0], [60000.0], 4.5]
        assert result["gathered"] == [[[0, 7], [1, 7]]]
        assert result["shapes"] == [[2], [], [2], [], [2], [1], [], [2, 2]]
        assert result["exchanged"] == {"loss": 0.1 + 0.2, "count": 2 ** 41 + 1}
        assert "\n  last step: 0 on rank 0; 1 on rank 1\n" in result["difference"]
    # moving averages, slots and the step counter, too: the adapter's own hook leaves them out
    variables = results[0]["variables"]
    assert results[1]["variables"] == variables
    assert variables["global_step"] == 1 and variables["weight"] == pytest.approx(0.9)
    assert variables["weight/Momentum"] == 1.0 and "weight/ExponentialMovingAverage" in variables
    assert variables["Variable_5"] is True
    assert all(variables[name] == [1, 1, 1] for name in ("Variable", "Variable_1", "Variable_2", "Variable_3", "Variable_4"))


@pytest.mark.slow
def test_a_rank_that_does_not_start_ends_in_hccls_timeout(run_npu_ranks):
    outcome, = run_npu_ranks(STARTING, started=[1], HCCL_CONNECT_TIMEOUT="1")
    assert outcome.status == 1
    assert re.search(r"rank 1 of 2: HCCL could not connect the devices of .*2.json \(HCCL_CONNECT_TIMEOUT is 1 s\): EI0006",
                     outcome.err), outcome.err
