"""HCCL over Gloo: two real processes, and its errors."""
import json
import os

import pytest
import tensorflow.compat.v1 as tf

from tests.fakes.adapter import part

PROGRAM = """
import json
from hccl.manage import api
NPUBroadcastGlobalVariablesHook = part("estimator.npu.npu_hook", "NPUBroadcastGlobalVariablesHook")
from tests.fakes.adapter import fixed_scale
NPUDistributedOptimizer, NPUOptimizer = part("estimator.npu.npu_optimizer", "NPUDistributedOptimizer", "NPUOptimizer")
own = tf.constant([1.0, 2.0]) * (rank + 1)
fetches = {
    "sum": hccl_ops.allreduce(own, "sum"), "max": hccl_ops.allreduce(tf.constant([rank, -rank]), "max"),
    "min": hccl_ops.allreduce(tf.constant([rank, -rank]), "min"), "prod": hccl_ops.allreduce(own, "prod"),
    "half": hccl_ops.allreduce(tf.cast(own, tf.float16), "sum"),
    "broadcast": hccl_ops.broadcast([own, tf.constant([7 + rank, 2 ** 40], tf.int64)], 1),
    "gather": hccl_ops.allgather(tf.constant([[rank], [rank + 10]]), 2),
    "gradient": tf.gradients(hccl_ops.allreduce(own, "sum") * [1.0, 10.0 * (rank + 1)], own)[0]}
assert fetches["gather"].shape.as_list() == [4, 1] and fetches["sum"].shape.as_list() == [2]
slope, weight = tf.placeholder(tf.float32, []), tf.get_variable("weight", [], initializer=tf.zeros_initializer())
step = tf.train.get_or_create_global_step()
descent = tf.train.GradientDescentOptimizer(1.0)
plain = NPUDistributedOptimizer(descent).minimize(slope * weight, step)
checked = NPUOptimizer(descent, fixed_scale(8.0), is_distributed=True, is_loss_scale=True).minimize(
    slope * weight, step)
trained = tf.get_variable("trained", [], initializer=tf.constant_initializer(5.0 + rank))
average = tf.get_variable("average", [], initializer=tf.constant_initializer(5.0 + rank), trainable=False)
hook = NPUBroadcastGlobalVariablesHook(0, rank)
hook.begin()
errors, steps = [], []
def run_all(session):
    try:
        return session.run(fetches)
    except tf.errors.InternalError as error:
        errors.append(error.message)
with tf.Session(config=config) as session:
    run_all(session)
    session.run(start)
    values = run_all(session)
    ranks = [api.get_rank_id(), api.get_rank_size(), api.get_local_rank_id(), api.get_local_rank_size()]
    session.run(tf.global_variables_initializer())
    for train, slopes in ((plain, (1.0, 3.0)), (checked, (1.0, 3.0)), (checked, (1.0, 1e6)), (checked, (4.0, 0.0))):
        session.run(train, {slope: slopes[rank]})
        steps.append([float(session.run(weight)), int(session.run(step))])
    hook.after_create_session(session, None)
    hooked = [float(value) for value in session.run([trained, average])]
    session.run(stop)
    run_all(session)
values = {name: [v.tolist() for v in value] if isinstance(value, list) else value.tolist() for name, value in values.items()}
print(json.dumps({"values": values, "ranks": ranks, "errors": errors, "steps": steps, "hooked": hooked,
                  "left": sorted(name for name in os.environ if name.startswith("HOROVOD_"))}))
"""


@pytest.mark.slow
def test_collectives_optimizers_and_the_hook_of_two_ranks(run_ranks):
    for rank, (status, out, err) in enumerate(run_ranks(PROGRAM, 2)):
        assert status == 0, err
        found = json.loads(out)
        assert found["values"] == {
            "sum": [3.0, 6.0], "half": [3.0, 6.0], "max": [1, 0], "min": [0, -1], "prod": [2.0, 8.0],
            "broadcast": [[2.0, 4.0], [8, 2 ** 40]], "gather": [[0], [10], [1], [11]], "gradient": [2.0, 30.0]}
        assert found["ranks"] == [rank, 2, rank, 2]
        # before the system is initialized and after it was shut down
        assert len(found["errors"]) == 2 and all("HCCL is not initialized" in message for message in found["errors"])
        # gradients are averaged; the overflow of one rank skips the step on both
        assert found["steps"] == [[-2.0, 1], [-4.0, 2], [-4.0, 2], [-6.0, 3]]
        # the adapter's hook broadcasts trainable variables only, so moving averages keep their values
        assert found["hooked"] == [5.0, 5.0 + rank]
        assert found["left"] == []


@pytest.mark.parametrize("variables,message", [
    ({"RANK_ID": ""}, "EI0004: The ranktable or rank is invalid, RANK_ID '' with 2 devices"),
    ({"RANK_SIZE": "8"}, "EI0004: The ranktable or rank is invalid, RANK_SIZE '8' with 2 devices"),
    ({"RANK_TABLE_FILE": "/nowhere/8p.json"}, "EI0004: The ranktable or rank is invalid, rank table /nowhere/8p.json"),
    # rank 0 does not start
    ({"HCCL_CONNECT_TIMEOUT": "0.2"}, "EI0006: Getting socket times out. rank 1 waited 0.2 s for rank 0")])
def test_ranks_that_contradict_the_rank_table_or_have_no_peer(adapter, fake_adapter, monkeypatch, variables, message):
    npu_ops = part("estimator", "npu_ops")
    for name, value in dict(fake_adapter.environment(1, 2), **variables).items():
        monkeypatch.setenv(name, value)
    before = sorted(os.environ.items())
    with tf.Session() as session, pytest.raises(tf.errors.InternalError) as refused:
        session.run(npu_ops.initialize_system())
    assert message in refused.value.message
    assert sorted(os.environ.items()) == before


@pytest.mark.slow
def test_a_collective_in_a_session_without_hccl_is_an_error(adapter, make_npu_config, monkeypatch, needs_horovod):
    npu_ops = part("estimator", "npu_ops")
    hccl_ops = part("hccl", "hccl_ops")
    monkeypatch.setenv("RANK_SIZE", "2")  # without RANK_TABLE_FILE the adapter builds the operators and leaves HCCL off
    total = hccl_ops.allreduce(tf.ones([2]), "sum")
    with tf.Session(config=make_npu_config()) as session:
        session.run(npu_ops.initialize_system())
        with pytest.raises(tf.errors.InternalError, match="isUseHcom is 0"):
            session.run(total)
    with tf.Session() as session, pytest.raises(tf.errors.InvalidArgumentError, match="support Op 'HcomAllReduce'"):
        session.run(total)


def test_types_reductions_and_groups_that_hccl_does_not_support(adapter):
    hccl_ops = part("hccl", "hccl_ops")
    with pytest.raises(TypeError, match="DataType bool not in list of allowed values"):
        hccl_ops.broadcast([tf.constant([True])], 0)
    with pytest.raises(TypeError, match="DataType int64 not in list"):
        hccl_ops.allreduce(tf.constant([1], tf.int64), "sum")
    with pytest.raises(ValueError, match="mean"):
        hccl_ops.allreduce(tf.ones([2]), "mean")
    with pytest.raises(TypeError, match="Expected list"):
        hccl_ops.broadcast(tf.ones([2]), 0)
    with pytest.raises(ValueError, match="hccl_world_group"):
        hccl_ops.allreduce(tf.ones([2]), "sum", group="mine")
    with pytest.raises(ValueError, match="rank 0"):
        hccl_ops.allgather(tf.constant(1.0), 2)


def test_ranks_are_unknown_before_hccl_is_initialized(adapter):
    from hccl.manage import api
    with pytest.raises(RuntimeError, match="HCCL is not initialized"):
        api.get_rank_id()
