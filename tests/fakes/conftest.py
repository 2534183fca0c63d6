"""Sessions as a trainer opens them on the NPU."""
import pytest
import tensorflow.compat.v1 as tf


def npu_config(name="NpuOptimizer", **parameters):
    """A ConfigProto with one custom optimizer; a parameter's Python type chooses the field it is put in."""
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
def npu_bridge(fake_adapter, graph):
    """The imported fake, with a fresh default graph."""
    import npu_bridge
    return npu_bridge


@pytest.fixture
def operators_run():
    """Function (session, fetches, feed) -> (value, list of (type, name) of the nodes in the run's partition graphs)."""
    def run(session, fetches, feed=None):
        metadata = tf.RunMetadata()
        value = session.run(fetches, feed, options=tf.RunOptions(output_partition_graphs=True), run_metadata=metadata)
        return value, [(node.op, node.name) for definition in metadata.partition_graphs for node in definition.node]
    return run
