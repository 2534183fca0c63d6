"""Loss scaling by the adapter, with the fake's status register in place of the NPU's."""
import json
import os

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.data.speech2text.dataset import Batch
from open_seq2seq.devices import npu_adapter, select_device
from open_seq2seq.devices.npu_loss_scaling import choose_loss_scaling, describe_loss_scaling
from open_seq2seq.devices.npu_option_checks import checked_npu_params
from open_seq2seq.distributed import ProcessGroup, Single
from open_seq2seq.errors import ConfigError, DeviceError
from open_seq2seq.optimizers.loss_scaling import BackoffScaler
from open_seq2seq.training.graph import ShapeStepBuilder


def chosen(loss_scaling, loss_scaling_params=None, **npu_params):
    return choose_loss_scaling(loss_scaling, loss_scaling_params, checked_npu_params(npu_params))


def test_float16_without_a_setting_is_scaled_by_backoff():
    scaling = chosen(None)
    assert scaling.setting == "Backoff"
    assert scaling.params == {"scale_min": 1.0, "scale_max": 2.0 ** 14, "step_factor": 2.0, "step_window": 2000}
    described = describe_loss_scaling(scaling)
    assert "initially 16384, divided by 2 at an overflow, multiplied after 2000 steps without one (the default" in described


def test_float32_without_a_setting_is_not_scaled():
    assert chosen(None, precision_mode="force_fp32").setting is None
    assert chosen(1.0, precision_mode_v2="mixed_bfloat16").setting is None
    assert describe_loss_scaling(chosen(None, precision_mode="force_fp32")) == (
        "loss scaling: none (nothing is computed in float16)")


def test_the_setting_of_the_config_is_used():
    assert chosen("Backoff", {"step_window": 100}).params["step_window"] == 100
    assert chosen("Backoff", precision_mode="force_fp32").setting == "Backoff"
    assert chosen(128.0).setting == 128.0
    assert chosen(1.0).setting == 1.0
    assert describe_loss_scaling(chosen(128.0)) == (
        'loss scaling: 128; a step in which the NPU reports an overflow is skipped ("loss_scaling" of the config)')


def test_settings_that_an_npu_does_not_support_are_errors():
    with pytest.raises(ConfigError, match='"loss_scaling" is "LogMax".*they saturate instead. Use "Backoff" or a number'):
        chosen("LogMax")
    with pytest.raises(ConfigError, match='"loss_scaling" is 0.5; the adapter accepts at least 1'):
        chosen(0.5)
    with pytest.raises(ConfigError, match="step_window"):
        chosen("Backoff", {"step_window": 0})


def test_an_unsupported_setting_is_an_error_in_training_but_not_in_evaluation(fake_adapter):
    with pytest.raises(ConfigError, match="LogMax"):
        select_device("npu", params={"loss_scaling": "LogMax"})
    assert select_device("npu", training=False, params={"loss_scaling": "LogMax"}).name == "npu"


class Training:
    """One weight, 1 at first, whose gradient is what is fed; gradient descent with a learning rate of 1."""

    def __init__(self, device, params, group=None):
        self.gradient = tf.placeholder(tf.float32, [])
        self.weight = tf.get_variable("weight", [], initializer=tf.ones_initializer(), use_resource=True)
        self.step = tf.train.get_or_create_global_step()
        self.adapter = device.wrap_optimizer(tf.train.GradientDescentOptimizer(1.0), params, group or Single())
        pairs = self.adapter.optimizer.compute_gradients(self.weight * self.gradient, var_list=[self.weight])
        self.update = self.adapter.optimizer.apply_gradients(pairs, global_step=self.step)
        self.session = tf.Session(config=device.session_config())
        self.session.run(tf.global_variables_initializer())

    def run(self, gradient):
        """(weight, steps made, loss scale) after one more step."""
        self.session.run(self.update, {self.gradient: gradient})
        return tuple(self.session.run([self.weight, self.step, self.adapter.loss_scale]))


def test_backoff_skips_overflows_and_adjusts_its_scale(fake_adapter, graph):
    training = Training(select_device("npu"), {"loss_scaling": "Backoff", "loss_scaling_params": {
        "scale_max": 1024.0, "step_factor": 4.0, "step_window": 2}})
    with training.session:
        assert training.run(0.25) == (0.75, 1, 1024.0)
        # 100 * 1024 is more than float16 holds: saturated, not inf, and seen in the status register alone
        assert training.run(100.0) == (0.75, 1, 256.0)
        assert training.run(0.25) == (0.5, 2, 256.0)
        assert training.run(0.25) == (0.25, 3, 1024.0)


def test_the_scale_never_falls_below_1(fake_adapter, graph):
    training = Training(select_device("npu"), {"loss_scaling": "Backoff", "loss_scaling_params": {"scale_max": 2.0}})
    with training.session:
        assert [training.run(1e9)[2] for _ in range(3)] == [1.0, 1.0, 1.0]


def test_a_fixed_scale_is_constant_and_overflows_are_skipped(fake_adapter, graph):
    training = Training(select_device("npu"), {"loss_scaling": 128.0})
    with training.session:
        assert training.run(0.25) == (0.75, 1, 128.0)
        assert training.run(1000.0) == (0.75, 1, 128.0)
        assert training.run(0.25) == (0.5, 2, 128.0)


@pytest.mark.parametrize("iter_size", [1, 3])
def test_an_overflow_before_a_step_is_forgotten_and_one_of_its_batches_is_not(fake_adapter, graph, iter_size):
    """The register keeps an overflow of an evaluation; a step clears it before its first batch, in the step's own graph."""
    from fake_ascend import status_register
    device = select_device("npu", params={"loss_scaling": 128.0})
    builder = object.__new__(ShapeStepBuilder)
    builder._device, builder._batches_of_step = device, None
    if iter_size > 1:
        builder._batches_of_step = tf.get_variable("batches", [], tf.int32, tf.zeros_initializer(), use_resource=False)
    features = tf.placeholder(tf.float32, [2])
    after = builder._without_earlier_overflows(Batch(features, *[None] * (len(Batch._fields) - 1))).features
    counted = tf.no_op() if iter_size == 1 else builder._batches_of_step.assign_add(1).op
    with tf.Session(config=device.session_config()) as session:
        session.run(tf.global_variables_initializer())
        for number in range(iter_size):
            status_register.set_overflow()
            session.run(after, {features: [1.0, 2.0]})
            # what a batch of the step itself sets stays for the optimizer's reading
            assert status_register.is_set() == (number > 0)
            session.run(counted)
    status_register.reset()


def test_float32_in_a_single_process_needs_no_optimizer_of_the_adapter(fake_adapter, graph):
    device = select_device("npu", params={"npu_params": {"precision_mode": "force_fp32"}})
    assert device.wrap_optimizer(tf.train.GradientDescentOptimizer(1.0), {"loss_scaling": None}, Single()) is None


class _Pair(ProcessGroup):
    rank, size, local_rank, local_size = 0, 2, 0, 2


@pytest.mark.slow
@pytest.mark.parametrize("loss_scaling,class_name,scale", [(None, "NPUDistributedOptimizer", 1.0), (64.0, "NPUOptimizer", 64.0)])
def test_several_ranks_are_averaged_by_the_adapter(needs_horovod, fake_adapter, graph, monkeypatch, loss_scaling, class_name,
                                                   scale):
    for name, value in fake_adapter.environment(rank=0, size=2).items():
        monkeypatch.setenv(name, value)
    device = select_device("npu", params={"npu_params": {"precision_mode": "force_fp32"}}, group=_Pair())
    adapter = device.wrap_optimizer(tf.train.GradientDescentOptimizer(1.0), {"loss_scaling": loss_scaling}, _Pair())
    assert type(adapter.optimizer).__name__ == class_name
    with tf.Session() as session:
        assert session.run(adapter.loss_scale) == scale
    weight = tf.get_variable("weight", [], use_resource=False)
    adapter.optimizer.compute_gradients(tf.square(weight), var_list=[weight])
    from fake_ascend import standins
    types = [standins.type_of(operation) for operation in graph.get_operations()]
    assert types.count("HcomAllReduce") == 1


def test_cann_of_another_release_is_an_error(fake_adapter, graph, tmp_path, monkeypatch):
    path = os.path.join(fake_adapter.opp_path, "framework", "built-in", "tensorflow", "npu_supported_ops.json")
    with open(path, encoding="utf-8") as file:
        operators = json.load(file)
    del operators["NpuGetFloatStatusV2"]
    with open(path, "w", encoding="utf-8") as file:
        json.dump(operators, file)
    device = select_device("npu")
    expected = "does not contain NpuGetFloatStatusV2, with which .* the adapter and CANN are of different releases"
    with pytest.raises(DeviceError, match=expected):
        device.wrap_optimizer(tf.train.GradientDescentOptimizer(1.0), {"loss_scaling": None}, Single())


def test_an_adapter_without_scale_managers_uses_this_projects(fake_adapter, graph, monkeypatch):
    """npu_device for TensorFlow 2.6 has NPUOptimizer alone; the bounds of the scale then hold, too."""
    monkeypatch.setattr(npu_adapter.Adapter, "has_module", lambda adapter, path: False)
    training = Training(select_device("npu"), {"loss_scaling": "Backoff", "loss_scaling_params": {
        "scale_max": 1024.0, "scale_min": 256.0, "step_window": 1}})
    assert isinstance(training.adapter.optimizer._loss_scale_manager._scaler, BackoffScaler)
    with training.session:
        assert training.run(0.25) == (0.75, 1, 1024.0)
        assert [training.run(1e9) for _ in range(3)] == [(0.75, 1, 512.0), (0.75, 1, 256.0), (0.75, 1, 256.0)]
        assert np.isclose(training.run(0.25), (0.5, 2, 512.0)).all()
