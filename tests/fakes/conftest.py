"""Configs of sessions on the NPU, and functions that start ranks."""
import subprocess
import sys

import pytest
import tensorflow.compat.v1 as tf

from tests.fakes.adapter import load


def npu_config(name="NpuOptimizer", **parameters):
    """A ConfigProto with one custom optimizer; a parameter's Python type selects its field."""
    config = tf.ConfigProto(allow_soft_placement=True)
    rewrite_options = config.graph_options.rewrite_options
    rewrite_options.remapping = rewrite_options.OFF
    entry = rewrite_options.custom_optimizers.add()
    entry.name = name
    for key, value in parameters.items():
        if isinstance(value, bool):
            entry.parameter_map[key].b = value
        elif isinstance(value, int):
            entry.parameter_map[key].i = value
        else:
            entry.parameter_map[key].s = tf.compat.as_bytes(value)
    return config


@pytest.fixture
def make_npu_config():
    """The function ``npu_config(name="NpuOptimizer", **parameters)``."""
    return npu_config


@pytest.fixture
def adapter(fake_adapter, graph):
    """The imported fake, ``npu_bridge`` or ``npu_device.compat.v1``, with a fresh default graph."""
    return load()


@pytest.fixture
def operators_run():
    """Function (session, fetches, feed) -> (value, list of (type, name) of the nodes in the run's partition graphs)."""
    def run(session, fetches, feed=None):
        metadata = tf.RunMetadata()
        value = session.run(fetches, feed, options=tf.RunOptions(output_partition_graphs=True), run_metadata=metadata)
        return value, [(node.op, node.name) for definition in metadata.partition_graphs for node in definition.node]
    return run


@pytest.fixture
def run_ranks(npu_server, tmp_path, needs_horovod):
    """Function (program, size, **variables) that runs ``program`` in every rank and returns [(status, stdout, stderr)] by rank.

    A variable that is a list has one value per rank.
    """
    processes = []

    def run(program, size, **variables):
        path = tmp_path / "program.py"
        path.write_text(PREAMBLE + program)
        for rank in range(size):
            own = {name: value[rank] if isinstance(value, list) else value for name, value in variables.items()}
            environment = npu_server.environment(rank, size, **own)
            output = [open(str(tmp_path / ("%s%d" % (name, rank))), "w+") for name in ("out", "err")]
            processes.append((subprocess.Popen([sys.executable, str(path)], env=environment, cwd=str(tmp_path),
                                               stdout=output[0], stderr=output[1], start_new_session=True), output))
        results = []
        for process, output in processes:
            process.wait(240)
            for file in output:
                file.seek(0)
            results.append((process.returncode,) + tuple(file.read() for file in output))
        return results

    yield run
    for process, output in processes:
        if process.poll() is None:
            process.kill()
            process.wait()
        for file in output:
            file.close()


PREAMBLE = """
import os
import numpy as np
import tensorflow.compat.v1 as tf
from tests.fakes.adapter import load, part
load()
npu_ops = part("estimator", "npu_ops")
hccl_ops = part("hccl", "hccl_ops")
rank = int(os.environ.get("RANK_ID") or -1)
config = tf.ConfigProto(allow_soft_placement=True, intra_op_parallelism_threads=1, inter_op_parallelism_threads=2)
config.graph_options.rewrite_options.custom_optimizers.add().name = "NpuOptimizer"
start, stop = npu_ops.initialize_system(), npu_ops.shutdown_system()
"""
