"""The named optimizers and their parameters."""
import inspect

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.config.parameters import REQUIRED, Report, check_parameters
from open_seq2seq.errors import ConfigError
from open_seq2seq.optimizers import OPTIMIZERS, AdamW, NovoGrad, optimizer_class, parameters_of


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_declared_parameters_are_the_arguments_and_their_defaults(name):
    arguments = inspect.signature(OPTIMIZERS[name].__init__).parameters
    for parameter in parameters_of(name):
        default = arguments[parameter.name].default
        assert parameter.default == (REQUIRED if default is inspect.Parameter.empty else default), parameter.name


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_all_named_optimizers_can_be_made_from_their_defaults(graph, name):
    report = Report()
    params = check_parameters(parameters_of(name), {"momentum": 0.9} if name == "Momentum" else {}, "p", report)
    assert not report.problems
    weights = tf.get_variable("w", initializer=1.0, use_resource=False)
    step = optimizer_class(name)(learning_rate=tf.constant(0.1), **params).apply_gradients([(tf.constant(2.0), weights)])
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(step)
        assert session.run(weights) < 1.0


def test_classes_stand_for_themselves():
    assert parameters_of(NovoGrad) is NovoGrad.PARAMETERS and parameters_of("NovoGrad") is NovoGrad.PARAMETERS
    assert parameters_of(tf.train.AdamOptimizer) == parameters_of("Adam")
    assert optimizer_class(tf.train.AdadeltaOptimizer) is tf.train.AdadeltaOptimizer


def test_foreign_class_is_known_by_its_signature():
    report = Report()
    checked = check_parameters(parameters_of(tf.train.AdadeltaOptimizer), {"rho": 0.9, "rhoo": 1}, "optimizer_params", report)
    assert checked["rho"] == 0.9 and checked["epsilon"] == 1e-8 and "learning_rate" not in checked
    assert report.problems == ['optimizer_params["rhoo"] is unknown (did you mean "rho"?)']


def test_a_class_that_takes_anything_is_not_checked():
    class Own:
        def __init__(self, learning_rate, **kwargs):
            pass

    assert parameters_of(Own) is None


@pytest.mark.parametrize("wrong", ["adam", 3, None])
def test_unknown(wrong):
    with pytest.raises(ConfigError, match="expected one of Adagrad, Adam, AdamW"):
        parameters_of(wrong)


@pytest.mark.parametrize("use_resource", [False, True])
def test_adamw_decays_by_the_learning_rate_and_apart_from_the_moments(graph, use_resource):
    with tf.variable_scope("", use_resource=use_resource):
        weights = tf.get_variable("w", initializer=np.array([2.0, -4.0], np.float32))
    gradient = tf.placeholder(tf.float32, [2])
    step = AdamW(0.1, weight_decay=0.5).apply_gradients([(gradient, weights)])
    w, m, v = np.array([2.0, -4.0]), 0.0, 0.0
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for t, g in enumerate(np.array([[1.0, -2.0], [0.5, 3.0], [-1.0, 1.0]]), 1):
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
            w = w * (1 - 0.1 * 0.5) - 0.1 * (m / (1 - 0.9 ** t)) / (np.sqrt(v / (1 - 0.999 ** t)) + 1e-8)
            session.run(step, {gradient: g})
            np.testing.assert_allclose(session.run(weights), w, rtol=1e-5)
