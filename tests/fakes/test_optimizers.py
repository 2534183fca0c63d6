"""Loss scaling with the status register: scaling, skipped steps, managers."""
import json
import os

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from tests.fakes.adapter import fixed_scale, part


class Training:
    """loss = slope * weight, whose gradient is the slope; each ``run`` is one step."""

    def __init__(self, wrap, config):
        self.slope = tf.placeholder(tf.float32, [], "slope")
        weight = tf.get_variable("weight", [], initializer=tf.zeros_initializer())
        self.step = tf.train.get_or_create_global_step()
        self.optimizer = wrap(tf.train.GradientDescentOptimizer(1.0))
        gradients = self.optimizer.compute_gradients(self.slope * weight, [weight])
        train = self.optimizer.apply_gradients(gradients, self.step)
        with tf.control_dependencies([train]):
            self.fetches = [tf.identity(weight.read_value() if hasattr(weight, "read_value") else weight),
                            tf.identity(self.step.read_value())]
        self.session = tf.Session(config=config)
        self.session.run(tf.global_variables_initializer())

    def run(self, slope):
        """(weight, global step) after a step."""
        weight, step = self.session.run(self.fetches, {self.slope: slope})
        return float(weight), int(step)


@pytest.fixture
def train(adapter, make_npu_config):
    trainings = []

    def start(wrap):
        trainings.append(Training(wrap, make_npu_config()))
        return trainings[-1]
    yield start
    for training in trainings:
        training.session.close()


def scaled(manager):
    NPUOptimizer = part("estimator.npu.npu_optimizer", "NPUOptimizer")
    return lambda optimizer: NPUOptimizer(optimizer, manager, is_loss_scale=True)


def test_gradients_are_scaled_for_the_backward_pass_only(train):
    training = train(scaled(fixed_scale(1024.0)))
    assert training.run(0.25) == (-0.25, 1)
    assert training.run(-0.75) == (0.5, 2)


def test_a_gradient_too_large_for_half_precision_skips_the_step(train):
    training = train(scaled(fixed_scale(1024.0)))
    assert training.run(63.0) == (-63.0, 1)  # 64512 after scaling
    assert training.run(64.0) == (-63.0, 1)  # 65536: saturates
    assert training.run(float("nan")) == (-63.0, 1)
    assert training.run(1.0) == (-64.0, 2)  # the register was cleared


def test_without_loss_scaling_overflow_silently_saturates(train):
    NPUOptimizer = part("estimator.npu.npu_optimizer", "NPUOptimizer")
    training = train(NPUOptimizer)
    assert training.run(1e6) == (-65504.0, 1)


def test_exponential_updates(train):
    ExponentialUpdateLossScaleManager = part("estimator.npu.npu_loss_scale_manager", "ExponentialUpdateLossScaleManager")
    manager = ExponentialUpdateLossScaleManager(64.0, 2, decr_every_n_nan_or_inf=2, incr_ratio=4, decr_ratio=0.5)
    training = train(scaled(manager))
    scales = []
    for slope in (1, 1, 1, 1, 5000, 1, 5000, 5000, 5000, 5000):
        training.run(slope)
        scales.append(float(training.session.run(manager.get_loss_scale())))
    # multiplied by 4 after two consecutive valid steps, halved after two overflows since the last change
    assert scales == [64, 256, 256, 1024, 1024, 1024, 512, 512, 256, 256]
    assert training.run(0.0)[1] == 6


def test_overflow_can_be_injected_at_chosen_steps_and_directly(train, monkeypatch):
    from fake_ascend import status_register
    monkeypatch.setenv("FAKE_ASCEND_OVERFLOW_AT", "1, 2")
    training = train(scaled(fixed_scale(8.0)))
    assert [training.run(1.0)[1] for _ in range(5)] == [1, 1, 1, 2, 3]
    status_register.set_overflow()
    assert [training.run(1.0)[1] for _ in range(2)] == [3, 4]
    assert status_register.readings() == 7


def test_a_fixed_scale_without_the_check(train):
    from fake_ascend import status_register
    FixedLossScaleManager = part("estimator.npu.npu_loss_scale_manager", "FixedLossScaleManager")
    NPULossScaleOptimizer = part("estimator.npu.npu_loss_scale_optimizer", "NPULossScaleOptimizer")
    training = train(lambda optimizer: NPULossScaleOptimizer(optimizer, FixedLossScaleManager(8.0, enable_overflow_check=False)))
    assert training.run(1e6) == (-65504.0 / 8.0, 1)
    assert status_register.readings() == 0


def test_the_loss_scale_optimizer_checks_by_default(train):
    FixedLossScaleManager = part("estimator.npu.npu_loss_scale_manager", "FixedLossScaleManager")
    NPULossScaleOptimizer = part("estimator.npu.npu_loss_scale_optimizer", "NPULossScaleOptimizer")
    training = train(lambda optimizer: NPULossScaleOptimizer(optimizer, FixedLossScaleManager(8.0)))
    assert [training.run(slope) for slope in (1.0, 1e6, 1.0)] == [(-1.0, 1), (-1.0, 1), (-2.0, 2)]


def test_bad_loss_scales_are_errors(adapter):
    FixedLossScaleManager = part("estimator.npu.npu_loss_scale_manager", "FixedLossScaleManager")
    NPUOptimizer = part("estimator.npu.npu_optimizer", "NPUOptimizer")
    with pytest.raises(ValueError, match="at least 1"):
        FixedLossScaleManager(0.5)
    with pytest.raises(ValueError, match="is_loss_scale is True, loss_scale_manager can not be None"):
        NPUOptimizer(tf.train.GradientDescentOptimizer(1.0), is_loss_scale=True)


def test_an_operator_list_without_the_status_operators_is_an_error(train, fake_adapter):
    path = os.path.join(fake_adapter.opp_path, "framework", "built-in", "tensorflow", "npu_supported_ops.json")
    with open(path) as file:
        operators = json.load(file)
    del operators["NpuGetFloatStatusV2"], operators["NpuClearFloatStatusV2"]
    with open(path, "w") as file:
        json.dump(operators, file)
    training = train(scaled(fixed_scale(8.0)))
    with pytest.raises(tf.errors.InvalidArgumentError, match="Ref Tensors .* tensor weight:0"):
        training.run(1.0)


def test_a_session_on_the_host_has_no_status_register(adapter):
    training = Training(scaled(fixed_scale(8.0)), None)
    with training.session, pytest.raises(tf.errors.InvalidArgumentError, match="No OpKernel was registered to support Op 'Npu"):
        training.run(1.0)


def test_one_rank_needs_no_collectives(train, monkeypatch):
    NPUDistributedOptimizer = part("estimator.npu.npu_optimizer", "NPUDistributedOptimizer")
    monkeypatch.setenv("RANK_SIZE", "1")
    training = train(NPUDistributedOptimizer)
    assert training.run(0.5) == (-0.5, 1)


def test_without_a_job_the_distributed_optimizer_fails_as_the_adapters_does(adapter, monkeypatch):
    NPUDistributedOptimizer = part("estimator.npu.npu_optimizer", "NPUDistributedOptimizer")
    monkeypatch.setenv("RANK_SIZE", "2")
    weight = tf.get_variable("weight", [], initializer=tf.zeros_initializer())
    with pytest.raises(AttributeError, match="'NoneType' object has no attribute '_rank_size'"):
        NPUDistributedOptimizer(tf.train.GradientDescentOptimizer(1.0)).compute_gradients(weight * 2.0)


def test_sparse_gradients_saturate_too(adapter):
    from fake_ascend import status_register
    rows = tf.IndexedSlices(tf.constant([[1e6], [-2.0]]), tf.constant([3, 0]), tf.constant([4, 1]))
    (limited, absent), overflows = status_register.saturate([rows, None])
    assert absent is None
    with tf.Session() as session:
        np.testing.assert_array_equal(session.run(limited.values), [[65504.0], [-2.0]])
        assert session.run(overflows) == [True]
