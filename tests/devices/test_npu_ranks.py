"""Two real processes with the fake adapter: gradients are averaged and all ranks see an overflow, through HCCL's operators."""
import json
import subprocess
import sys

import pytest

RANK = """
import json, sys
import tensorflow.compat.v1 as tf
from open_seq2seq.devices import select_device
from open_seq2seq.distributed import open_group

group = open_group("npu")
runs = json.loads(sys.argv[1])
results = []
for number, (params, gradients) in enumerate(runs):
    with tf.Graph().as_default() as graph:
        device = select_device("npu", params=params, group=group)
        gradient = tf.placeholder(tf.float32, [])
        weight = tf.get_variable("weight", [], initializer=tf.constant_initializer(group.rank + 1.0), use_resource=False)
        step = tf.train.get_or_create_global_step()
        adapter = device.wrap_optimizer(tf.train.GradientDescentOptimizer(1.0), params, group)
        pairs = adapter.optimizer.compute_gradients(weight * gradient, var_list=[weight])
        update = adapter.optimizer.apply_gradients(pairs, global_step=step)
        broadcast = group.broadcast(tf.global_variables())
        session = tf.Session(config=device.session_config())
        if number == 0:
            group.start(session)
        session.run(tf.global_variables_initializer())
        session.run(broadcast)
        device.check_session(session, graph)
        results.append([])
        for by_rank in gradients:
            session.run(update, {gradient: by_rank[group.rank]})
            results[-1].append([float(value) for value in session.run([weight, step, adapter.loss_scale])])
        if number + 1 == len(runs):
            group.finish(session)
        session.close()
print("RESULT " + json.dumps({"rank": group.rank, "results": results}))
"""


def run_two(npu_server, runs):
    """List by rank of what it has in each run after each step: [weight, steps, loss scale].

    Args:
      npu_server: the simulated server.
      runs: list of (params, list of [gradient of rank 0, gradient of rank 1]).
    """
    processes = [subprocess.Popen([sys.executable, "-c", RANK, json.dumps(runs)],
                                  env=npu_server.environment(rank=rank, size=2, TF_CPP_MIN_LOG_LEVEL="2"),
                                  cwd=npu_server.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
                 for rank in range(2)]
    try:
        outputs = [process.communicate(timeout=180) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    results = []
    for rank, (process, (out, err)) in enumerate(zip(processes, outputs)):
        assert process.returncode == 0, (rank, err[-3000:])
        [line] = [line for line in out.splitlines() if line.startswith("RESULT ")]
        assert json.loads(line[7:])["rank"] == rank
        results.append(json.loads(line[7:])["results"])
    return results


@pytest.mark.slow
def test_gradients_are_averaged_and_an_overflow_of_one_rank_skips_the_step_of_both(needs_horovod, npu_server):
    scaled = {"loss_scaling": "Backoff", "loss_scaling_params": {"scale_max": 1024.0}}
    results = run_two(npu_server, [
        (scaled, [[0.25, 0.75], [0.25, 1000.0], [0.125, 0.125]]),
        ({"npu_params": {"precision_mode": "force_fp32"}}, [[0.25, 0.75], [-1.0, 0.5]])])
    assert results[0] == results[1]
    # rank 0's weight of 1 is broadcast; the mean gradient is 0.5, then the step is skipped, then it is 0.125
    assert results[0][0] == [[0.5, 1.0, 1024.0], [0.5, 1.0, 512.0], [0.375, 2.0, 512.0]]
    # without loss scaling
    assert results[0][1] == [[0.5, 1.0, 1.0], [0.75, 2.0, 1.0]]
