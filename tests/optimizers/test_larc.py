"""LARC's factor by hand, and its application before the optimizer."""
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.config.parameters import Report, check_parameters
from open_seq2seq.optimizers import larc, lr_policies
from open_seq2seq.optimizers.larc import PARAMETERS, larc_factors


@pytest.mark.parametrize("params, gradient_norm, expected", [
    ({"larc_eta": 0.001}, 2.0, 0.001 * 5.0 / (0.02 * (2.0 + 1e-7))),
    ({"larc_eta": 0.1}, 2.0, 1.0),
    ({"larc_eta": 0.1, "larc_mode": "scale"}, 2.0, 0.1 * 5.0 / (2.0 + 1e-7)),
    ({"larc_eta": 10.0, "larc_mode": "scale"}, 2.0, 10.0 * 5.0 / (2.0 + 1e-7)),
    ({"larc_eta": 0.001, "epsilon": 1.0}, 2.0, 0.001 * 5.0 / (0.02 * 3.0)),
    ({"larc_eta": 0.001, "min_update": 0.5}, 1000.0, 0.5),
])
def test_factor(graph, params, gradient_norm, expected):
    report = Report()
    checked = check_parameters(PARAMETERS, params, "larc_params", report)
    assert not report.problems
    variable = tf.get_variable("w", initializer=np.array([3.0, 4.0], np.float32), use_resource=False)
    factor, = tf.unstack(larc_factors(checked, tf.constant(0.02), [variable], tf.constant([gradient_norm])))
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        assert session.run(factor) == pytest.approx(expected, rel=1e-5)


def test_each_variable_has_its_own_factor(make_linear):
    model = make_linear(larc_params={"larc_eta": 0.01, "larc_mode": "scale"}, loss_scaling=64.0, iter_size=2)
    inputs, targets = np.array([[1.0, 0.0, 0.0]], np.float32), np.array([0.0], np.float32)
    feed = {model.inputs: inputs, model.targets: targets}
    model.session.run(model.train.accumulate, feed)
    model.session.run(model.train.update, feed)
    # both gradients are 2 * 1.25 = 2.5, so the step is eta * |w| in the gradient's direction
    np.testing.assert_allclose(model.session.run(model.weights),
                               [1.0 - 0.1 * 0.01 * np.sqrt(5.25), -2.0, 0.5], rtol=1e-6)
    assert model.session.run(model.bias) == pytest.approx(0.25 - 0.1 * 0.01 * 0.25, rel=1e-6)


@pytest.mark.parametrize("params, learning_rate, weights, gradient_norm, expected", [
    ({}, 0.0, [3.0, 4.0], 2.0, 1.0),
    ({}, 0.0, [0.0, 0.0], 2.0, 1e-7),
    ({}, 0.02, [0.0, 0.0], 2.0, 1e-7),
    ({"epsilon": 0.0}, 0.02, [3.0, 4.0], 0.0, 1.0),
    ({"epsilon": 0.0, "min_update": 0.0}, 0.0, [0.0, 0.0], 0.0, 0.0),
    ({"larc_mode": "scale"}, 0.0, [0.0, 0.0], 2.0, 1e-7),
    ({"larc_mode": "scale", "epsilon": 0.0}, 0.02, [3.0, 4.0], 0.0, 1e-7),
    ({"larc_mode": "scale", "epsilon": 0.0}, 0.02, [0.0, 0.0], 0.0, 1e-7),
])
def test_factor_is_finite_where_something_is_zero(graph, params, learning_rate, weights, gradient_norm, expected):
    checked = check_parameters(PARAMETERS, dict(params, larc_eta=0.001), "larc_params", Report())
    variable = tf.get_variable("w", initializer=np.array(weights, np.float32), use_resource=False)
    rate, norm = tf.placeholder(tf.float32, []), tf.placeholder(tf.float32, [])
    factor, = tf.unstack(larc_factors(checked, rate, [variable], tf.reshape(norm, [1])))
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        assert session.run(factor, {rate: learning_rate, norm: gradient_norm}) == pytest.approx(expected, rel=1e-6)


WARM_UP = {
    "optimizer": "Momentum", "optimizer_params": {"momentum": 0.9}, "larc_params": {"larc_eta": 0.001},
    "lr_policy": lr_policies.poly_decay, "lr_policy_params": {"learning_rate": 0.05, "power": 2.0, "warmup_steps": 10}}


@pytest.mark.parametrize("overrides", [{}, {"optimizer": "NovoGrad", "optimizer_params": {}}], ids=["Momentum", "NovoGrad"])
def test_warm_up_of_a_variable_that_is_zero(make_linear, overrides):
    model = make_linear(**dict(WARM_UP, **overrides))
    model.bias.load(0.0, model.session)
    feed = {model.inputs: np.ones([4, 3], np.float32), model.targets: np.zeros(4, np.float32)}
    _, finite = model.session.run([model.train.update, model.train.gradients_finite], feed)
    assert finite
    np.testing.assert_array_equal(model.session.run(model.weights), [1.0, -2.0, 0.5])
    assert model.session.run(model.bias) == 0.0
    model.session.run(model.train.update, feed)
    weights, bias = model.session.run([model.weights, model.bias])
    assert np.all(np.isfinite(weights)) and np.all(weights != [1.0, -2.0, 0.5]) and np.isfinite(bias)
    assert model.session.run([model.train.global_step, model.train.skipped_steps]) == [2, 0]


@pytest.mark.parametrize("optimizer", ["SGD", "NovoGrad"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_non_finite_factor_skips_the_step(make_linear, monkeypatch, optimizer, value):
    monkeypatch.setattr(larc, "larc_factors", lambda params, rate, variables, norms: tf.constant(
        [value if variable.op.name.endswith("bias") else 1.0 for variable in variables]))
    model = make_linear(optimizer=optimizer, larc_params={"larc_eta": 0.001})
    # the gradient of every variable is exactly 0, which times inf is nan
    feed = {model.inputs: np.zeros([4, 3], np.float32), model.targets: np.full(4, 0.25, np.float32)}
    _, finite, norm = model.session.run([model.train.update, model.train.gradients_finite, model.train.gradient_norm], feed)
    assert norm == 0.0 and not finite
    np.testing.assert_array_equal(model.session.run(model.weights), [1.0, -2.0, 0.5])
    assert model.session.run(model.bias) == 0.25
    assert model.session.run([model.train.global_step, model.train.skipped_steps]) == [0, 1]
