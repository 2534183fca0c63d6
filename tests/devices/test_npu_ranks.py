"""Two ranks of the fake adapter, two real processes: gradients averaged and overflows seen by all, through HCCL's operators."""
import json
import subprocess
import sys

import pytest

RANK = """
import json, sys
import tensorflow.compat.v1 as tf
from open_seq2seq.devices import select_device
from open_seq2seq.distributed import open_group

params = json.loads(sys.argv[1])
gradients = json.loads(sys.argv[2])
group = open_group("npu")
device = select_device("npu", params=params, group=group)
gradient = tf.placeholder(tf.float32, [])
weight = tf.get_variable("weight", [], initializer=tf.constant_initializer(group.rank + 1.0), use_resource=False)
step = tf.train.get_or_create_global_step()
adapter = device.wrap_optimizer(tf.train.GradientDescentOptimizer(1.0), params, group)
pairs = adapter.optimizer.compute_gradients(weight * gradient, var_list=[weight])
update = adapter.optimizer.apply_gradients(pairs, global_step=step)
broadcast = group.broadcast(tf.global_variables())
session = tf.Session(config=device.session_config())
group.start(session)
session.run(tf.global_variables_initializer())
session.run(broadcast)
device.check_session(session, tf.get_default_graph())
made = []
for by_rank in gradients:
    session.run(update, {gradient: by_rank[group.rank]})
    made.append([float(value) for value in session.run([weight, step, adapter.loss_scale])])
group.finish(session)
session.close()
print("RESULT " + json.dumps({"rank": group.rank, "made": made}))
"""


def run_two(npu_server, params, gradients):
    """What each rank has after each step: list by rank of lists of [weight, steps made, loss scale]."""
    processes = [subprocess.Popen([sys.executable, "-c", RANK, json.dumps(params), json.dumps(gradients)],
                                  env=npu_server.environment(rank=rank, size=2, TF_CPP_MIN_LOG_LEVEL="2"),
                                  cwd=npu_server.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
                 for rank in range(2)]
    try:
        outputs = [process.communicate(timeout=180) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    made = []
    for rank, (process, (out, err)) in enumerate(zip(processes, outputs)):
        assert process.returncode == 0, (rank, err[-3000:])
        [line] = [line for line in out.splitlines() if line.startswith("RESULT ")]
        assert json.loads(line[7:])["rank"] == rank
        made.append(json.loads(line[7:])["made"])
    return made


@pytest.mark.slow
def test_gradients_are_averaged_and_an_overflow_of_one_rank_skips_the_step_of_both(needs_horovod, npu_server):
    params = {"loss_scaling": "Backoff", "loss_scaling_params": {"scale_max": 1024.0}}
    made = run_two(npu_server, params, [[0.25, 0.75], [0.25, 1000.0], [0.125, 0.125]])
    # rank 0's weight of 1 is everybody's; the mean gradient is 0.5, then a skipped step, then 0.125
    assert made[0] == made[1] == [[0.5, 1.0, 1024.0], [0.5, 1.0, 512.0], [0.375, 2.0, 512.0]]


@pytest.mark.slow
def test_without_loss_scaling_gradients_are_averaged(needs_horovod, npu_server):
    params = {"npu_params": {"precision_mode": "force_fp32"}}
    made = run_two(npu_server, params, [[0.25, 0.75], [-1.0, 0.5]])
    assert made[0] == made[1] == [[0.5, 1.0, 1.0], [0.75, 2.0, 1.0]]
