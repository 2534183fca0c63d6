"""LARC's factor by hand, and its place in front of the optimizer."""
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.config.parameters import Report, check_parameters
from open_seq2seq.optimizers.larc import PARAMETERS, larc_factor


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
    factor = larc_factor(checked, tf.constant(0.02), variable, tf.constant(gradient_norm))
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        assert session.run(factor) == pytest.approx(expected, rel=1e-5)


def test_each_variable_has_a_factor_of_its_own(make_linear):
    model = make_linear(larc_params={"larc_eta": 0.01, "larc_mode": "scale"}, loss_scaling=64.0, iter_size=2)
    inputs, targets = np.array([[1.0, 0.0, 0.0]], np.float32), np.array([0.0], np.float32)
    feed = {model.inputs: inputs, model.targets: targets}
    model.session.run(model.train.accumulate, feed)
    model.session.run(model.train.update, feed)
    # both gradients are 2 * 1.25 = 2.5, so the step is eta * |w| in the gradient's direction
    np.testing.assert_allclose(model.session.run(model.weights),
                               [1.0 - 0.1 * 0.01 * np.sqrt(5.25), -2.0, 0.5], rtol=1e-6)
    assert model.session.run(model.bias) == pytest.approx(0.25 - 0.1 * 0.01 * 0.25, rel=1e-6)
