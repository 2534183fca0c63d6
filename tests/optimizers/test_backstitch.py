"""Backstitch with every optimizer, compared with a recursion in NumPy and with steps of the optimizer alone."""
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.errors import ConfigError
from open_seq2seq.optimizers import AdapterOptimizer, Optimization
from open_seq2seq.optimizers.backstitch import is_backstitch_step

CURVATURE = np.array([[4.0, 0.5, 0.0], [0.5, 1.0, 0.2], [0.0, 0.2, 0.25]], np.float32)
START = np.array([3.0, -2.0, 1.0], np.float32)


class Quadratic:
    """``0.5 * w' A w * poison`` with an L2 loss of the weights and an update of a moving average, as a network builds them.

    ``poison`` [2]: factors of the losses of the two passes.
    """

    def __init__(self, params, l2=0.0, wrap=None):
        self.poison, self._l2, self._passes = tf.placeholder_with_default([1.0, 1.0], [2]), l2, 0
        with tf.variable_scope("model", use_resource=False):
            optimization = Optimization(params, 100, 10, wrap=wrap)
            loss, averages = self._loss()
            self.plain = optimization.operations(loss, averages)
            self.train = optimization.operations(loss, averages, second_pass=self._loss)
        self.session = tf.Session()
        self.session.run([tf.global_variables_initializer(), tf.local_variables_initializer()])

    def _loss(self):
        regularizer = (lambda weights: self._l2 * tf.nn.l2_loss(weights)) if self._l2 else None
        with tf.variable_scope("net", reuse=tf.AUTO_REUSE):
            weights = tf.get_variable("weights", initializer=START, regularizer=regularizer)
            frozen = tf.get_variable("frozen", [], initializer=tf.ones_initializer(), trainable=False)
        if not self._passes:
            self.weights, self.moving = weights, frozen
        outputs = tf.linalg.matvec(CURVATURE, weights)
        loss = 0.5 * tf.reduce_sum(weights * outputs) * self.poison[self._passes]
        self._passes = 1
        return loss, [tf.assign_sub(frozen, (frozen - outputs[0]) * 0.5)]

    def step(self, train, poison=(1.0, 1.0)):
        self.session.run(train.update, {self.poison: poison})
        return self.session.run(self.weights)


def test_sgd_is_the_paper_s_recursion(graph, make_params):
    model, scale, rate, l2 = Quadratic(make_params(backstitch_scale=0.5, loss_scaling=8.0), l2=0.3), 0.5, 0.1, 0.3
    weights, moving = START.astype(np.float64), 1.0
    for _ in range(5):
        moving = 0.5 * (moving + CURVATURE.dot(weights)[0])
        weights = weights + scale * rate * CURVATURE.dot(weights)
        moving = 0.5 * (moving + CURVATURE.dot(weights)[0])
        weights = weights - (1 + scale) * rate * (CURVATURE.dot(weights) + l2 / (1 + scale) * weights)
        np.testing.assert_allclose(model.step(model.train), weights, rtol=1e-5)
        # the statistics of both passes count
        assert model.session.run(model.moving) == pytest.approx(moving, rel=1e-5)
    assert model.session.run(model.train.global_step) == 5


@pytest.mark.parametrize("overrides", [
    {"optimizer": name, "optimizer_params": params} for name, params in (
        ("Adagrad", {}), ("Adam", {}), ("AdamW", {"weight_decay": 0.1}), ("Ftrl", {}), ("Momentum", {"momentum": 0.9}),
        ("NovoGrad", {"weight_decay": 0.1}), ("RMSProp", {}))] + [
    {"max_param_change": 0.05}, {"max_grad_norm": 0.5}, {"larc_params": {"larc_eta": 0.01}}], ids=str)
def test_both_steps_are_changes_that_the_optimizer_makes(make_params, overrides):
    """w + (1 + a) * delta(w - a * delta(w)) - a * delta(w), each delta from the optimizer alone with the same state."""
    scale = 0.25
    with tf.Graph().as_default():
        model = Quadratic(make_params(backstitch_scale=scale, **overrides))
        # a state that is not the initial one
        weights = [model.step(model.plain), model.step(model.plain)][-1]
        state = [variable for variable in tf.global_variables() if variable is not model.weights]
        before = model.session.run(state)

        def change(weights):
            for variable, value in zip(state, before):
                variable.load(value, model.session)
            model.weights.load(weights, model.session)
            return model.step(model.plain) - weights

        middle = weights - scale * change(weights)
        expected = middle + (1 + scale) * change(middle)
        after = model.session.run(state)
        for variable, value in zip(state, before):
            variable.load(value, model.session)
        model.weights.load(weights, model.session)
        np.testing.assert_allclose(model.step(model.train), expected, rtol=1e-5, atol=1e-6)
        for variable, value, expected_value in zip(state, model.session.run(state), after):
            if variable is not model.moving and "limited_changes" not in variable.name:
                np.testing.assert_allclose(value, expected_value, rtol=1e-5, err_msg=variable.name)


@pytest.mark.parametrize("poison", [(np.inf, 1.0), (1.0, np.nan)])
def test_a_step_with_a_gradient_that_is_not_finite_changes_nothing(graph, make_params, poison):
    model = Quadratic(make_params(backstitch_scale=1.0, optimizer="Adam", loss_scaling="Backoff"))
    model.step(model.train)
    state = [variable for variable in tf.global_variables() if variable is not model.moving]
    before = dict(zip((variable.op.name for variable in state), model.session.run(state)))
    model.step(model.train, poison)
    after = dict(zip(before, model.session.run(state)))
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    assert {name.rsplit("/", 1)[1] for name in changed} == {"skipped_steps", "loss_scale", "good_steps"}
    assert model.session.run(model.train.skipped_steps) == 1


def test_the_seed_decides_which_steps_are_backstitches():
    params = {"backstitch_scale": 0.3, "backstitch_interval": 4, "random_seed": 6}
    assert [step for step in range(12) if is_backstitch_step(params, step)] == [2, 6, 10]
    assert not any(is_backstitch_step(dict(params, backstitch_scale=0.0), step) for step in range(12))


@pytest.mark.parametrize("overrides, wraps, told", [
    ({"iter_size": 2}, False, ["iter_size", "batch_size_per_gpu"]), ({}, True, ["adapter", "backstitch_scale to 0"])])
def test_what_cannot_be_computed_is_refused(graph, make_params, overrides, wraps, told):
    wrap = (lambda optimizer: AdapterOptimizer(optimizer, tf.constant(1.0))) if wraps else None
    with pytest.raises(ConfigError) as error:
        Quadratic(make_params(backstitch_scale=0.3, **overrides), wrap=wrap)
    assert all(part in str(error.value) for part in ["backstitch_scale"] + told)
