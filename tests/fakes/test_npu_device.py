"""The adapter of TensorFlow 2.6.5: built from npu_bridge as the real one is, with its own entry to graph mode."""
import importlib
import importlib.util

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from tests.fakes.adapter import load, part

pytestmark = pytest.mark.skipif(tf.__version__.startswith("1."), reason="npu_device is the adapter of TensorFlow 2.6.5")


def test_only_enable_v1_loads_the_passes(fake_adapter, graph, operators_run, make_npu_config):
    product = tf.matmul(tf.placeholder(tf.float32, [2, 2], "fixed"), tf.ones([2, 2]))
    importlib.import_module("npu_device")
    for loaded in (False, True):
        if loaded:
            load()
        with tf.Session(config=make_npu_config()) as session:
            value, nodes = operators_run(session, product, {"fixed:0": np.ones([2, 2])})
        np.testing.assert_array_equal(value, 2 * np.ones([2, 2]))
        assert ("GeOp" in {operator for operator, _ in nodes}) is loaded


def test_enable_v1_gives_the_behavior_of_version_1_and_afterwards_nothing_of_it_remains(npu_server):
    def state():
        return tf.executing_eagerly(), tf.resource_variables_enabled(), tf.control_flow_v2_enabled()

    before = state()
    assert before == (True, True, True)
    with npu_server.adapter_here():
        load()
        assert state() == (False, False, False)
        with tf.Graph().as_default(), tf.Session() as session:
            assert tf.get_variable("reference", [2]).dtype.base_dtype is not tf.get_variable("other", [2]).dtype
            assert session.run(tf.ones([])) == 1.0
    assert state() == before


def test_the_package_has_the_modules_of_the_adapter(adapter):
    assert adapter.__version__ == "v2.6.2" and importlib.util.find_spec("npu_bridge") is None
    assert part("estimator.npu.npu_optimizer", "NPUOptimizer").__module__ == "npu_device.compat.v1.estimator.npu.npu_optimizer"
    assert callable(part("hccl.hccl_ops", "allreduce"))
    for name in ("npu_loss_scale_manager", "npu_loss_scale_optimizer"):
        assert importlib.util.find_spec("npu_device.compat.v1.estimator.npu." + name) is None
    # the name and the folder are different modules
    npu_device = importlib.import_module("npu_device")
    config = npu_device.compat.v1.SessionConfigBuilder()
    config.parameter_map["precision_mode"].s = b"force_fp32"
    [entry] = config.session_config.graph_options.rewrite_options.custom_optimizers
    assert (entry.name, entry.parameter_map["precision_mode"].s) == ("NpuOptimizer", b"force_fp32")
