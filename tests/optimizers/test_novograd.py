"""NovoGrad's rule by hand, its saved state, and scaled and unscaled gradients."""
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.optimizers.novograd import GradientScale, NovoGrad


def _reference(weights, gradients, learning_rate, beta1, beta2, epsilon, weight_decay, grad_averaging):
    """Algorithm 1 of arXiv:1905.11286 in float64."""
    w, m, v = weights.astype(np.float64), np.zeros(weights.shape), 0.0
    for g in gradients:
        g = g.astype(np.float64)
        v = np.sum(g * g) if v == 0.0 else beta2 * v + (1 - beta2) * np.sum(g * g)
        step = g / np.sqrt(v + epsilon) + weight_decay * w
        m = beta1 * m + step * (1 - beta1 if grad_averaging else 1.0)
        w = w - learning_rate * m
    return w, m, v


@pytest.mark.parametrize("use_resource", [False, True])
@pytest.mark.parametrize("beta1, beta2, weight_decay, grad_averaging", [
    (0.95, 0.98, 0.001, False), (0.95, 0.0, 0.0, True), (0.0, 0.5, 0.1, False), (0.9, 0.9, 0.2, True)])
def test_rule(graph, use_resource, beta1, beta2, weight_decay, grad_averaging):
    random = np.random.RandomState(0)
    start = random.randn(3, 4).astype(np.float32)
    gradients = [random.randn(3, 4).astype(np.float32) * 10.0 ** i for i in (0, 2, -3, 1)]
    with tf.variable_scope("", use_resource=use_resource):
        weights = tf.get_variable("w", initializer=start)
    fed = tf.placeholder(tf.float32, [3, 4])
    optimizer = NovoGrad(0.1, beta1, beta2, 1e-8, weight_decay, grad_averaging)
    step = optimizer.apply_gradients([(fed, weights)])
    slots = [optimizer.get_slot(weights, name) for name in ("momentum", "second_moment")]
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for gradient in gradients:
            session.run(step, {fed: gradient})
        result = session.run([weights] + slots)
    for got, expected in zip(result, _reference(start, gradients, 0.1, beta1, beta2, 1e-8, weight_decay, grad_averaging)):
        np.testing.assert_allclose(got, expected, rtol=2e-5, atol=1e-6)
    assert sorted(v.op.name for v in tf.global_variables()) == ["w", "w/NovoGrad", "w/NovoGrad_second_moment"]


def test_zero_gradient_moves_nothing(graph):
    weights = tf.get_variable("w", initializer=np.ones(3, np.float32), use_resource=False)
    step = NovoGrad(0.1).apply_gradients([(tf.zeros(3), weights)])
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(step)
        assert session.run(weights).tolist() == [1.0, 1.0, 1.0]


def test_epsilon_is_under_the_root(graph):
    weights = tf.get_variable("w", initializer=np.zeros(2, np.float32), use_resource=False)
    step = NovoGrad(1.0, epsilon=1e-8).apply_gradients([(tf.constant([3e-6, 4e-6]), weights)])
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(step)
        # 1e-8 is large compared with a squared norm of 2.5e-11; added to the root it would give a step of length 1
        np.testing.assert_allclose(session.run(weights), [-3e-6 / np.sqrt(1.0025e-8), -4e-6 / np.sqrt(1.0025e-8)], rtol=1e-5)


def test_a_scale_equals_a_scaled_gradient(graph):
    gradient = np.array([3.0, -4.0], np.float32)
    plain = tf.get_variable("plain", initializer=np.ones(2, np.float32), use_resource=False)
    scaled = tf.get_variable("scaled", initializer=np.ones(2, np.float32), use_resource=False)
    optimizer = NovoGrad(0.1, beta2=0.5, epsilon=1.0, weight_decay=0.01)
    other = tf.get_variable("other", initializer=np.ones(3, np.float32), use_resource=False)
    step = tf.group(
        NovoGrad(0.1, beta2=0.5, epsilon=1.0, weight_decay=0.01).apply_gradients([(tf.constant(gradient * 0.25), plain)]),
        optimizer.apply_gradients([(tf.constant(gradient), scaled), (tf.ones(3), other)],
                                  scale=GradientScale(tf.constant([0.25, 2.0]), tf.constant([25.0, 3.0]))))
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for _ in range(3):
            session.run(step)
        first, second = session.run([plain, scaled])
        np.testing.assert_allclose(first, second, rtol=1e-6)
        assert session.run(optimizer.get_slot(scaled, "second_moment")) == pytest.approx(25.0 / 16)
        assert session.run(optimizer.get_slot(other, "second_moment")) == pytest.approx(12.0)


def test_sparse_gradients_are_refused(graph):
    table = tf.get_variable("table", [5, 2], use_resource=False)
    optimizer = NovoGrad(0.1)
    with pytest.raises(NotImplementedError):
        optimizer.apply_gradients(optimizer.compute_gradients(tf.reduce_sum(tf.gather(table, [1, 3])), [table]))
