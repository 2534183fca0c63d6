"""The rules that change the loss scale, and their state in a checkpoint."""
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.config.parameters import Report, check_parameters
from open_seq2seq.optimizers.loss_scaling import ALGORITHMS, parameters_of


def _scales(name, params, gradients):
    """The scale after each step; a gradient of None is non-finite."""
    report = Report()
    checked = check_parameters(parameters_of(name), params, "loss_scaling_params", report)
    assert not report.problems
    scaler = ALGORITHMS[name](checked)
    finite, largest = tf.placeholder(tf.bool, []), tf.placeholder(tf.float32, [])
    update = scaler.update(finite, largest)
    scales = []
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        scales.append(session.run(scaler.scale))
        for gradient in gradients:
            session.run(update, {finite: gradient is not None, largest: np.inf if gradient is None else gradient})
            scales.append(session.run(scaler.scale))
    return scales


def test_backoff_defaults(graph):
    assert _scales("Backoff", {}, [1.0, None, 1.0, None]) == [2.0 ** 14, 2.0 ** 14, 2.0 ** 13, 2.0 ** 13, 2.0 ** 12]


def test_backoff_increases_the_scale_after_a_window_of_finite_steps(graph):
    params = {"scale_min": 1.0, "scale_max": 64.0, "step_factor": 4.0, "step_window": 3}
    gradients = [None, 1, 1, None, 1, 1, 1, 1, 1, 1, 1, 1, 1]
    assert _scales("Backoff", params, gradients) == [64, 16, 16, 16, 4, 4, 4, 16, 16, 16, 64, 64, 64, 64]


def test_backoff_stays_at_least_scale_min(graph):
    assert _scales("Backoff", {"scale_min": 3.0, "scale_max": 8.0}, [None] * 4) == [8, 4, 3, 3, 3]


def test_log_max_of_a_constant_gradient(graph):
    # mean 3, no variance: 2^(16 - 3), from the first step on
    scales = _scales("LogMax", {}, [8.0] * 5)
    assert scales[0] == 1.0
    np.testing.assert_allclose(scales[1:], [2.0 ** 13] * 5, rtol=1e-2)


def test_log_max_by_hand(graph):
    gradients = [0.5, 4.0, 1.0, 64.0]
    mean = slow = square = 0.0
    expected = [1.0]
    for step, gradient in enumerate(gradients, 1):
        x = np.log2(gradient)
        mean, slow, square = 0.9 * mean + 0.1 * x, 0.8 * slow + 0.2 * x, 0.8 * square + 0.2 * x * x
        variance = square / (1 - 0.8 ** step) - (slow / (1 - 0.8 ** step)) ** 2
        expected.append(2 ** (10.0 - mean / (1 - 0.9 ** step) - 2.0 * np.sqrt(max(variance, 0.0))))
    params = {"scale_max": 2.0 ** 20, "scale_min": 2.0 ** -20, "log_max": 10.0, "beta1": 0.9, "beta2": 0.8,
              "overflow_std_dev": 2.0}
    np.testing.assert_allclose(_scales("LogMax", params, gradients), expected, rtol=1e-4)


def test_log_max_falls_at_an_overflow_and_recovers(graph):
    scales = _scales("LogMax", {"scale_max": 2.0 ** 20}, [1.0] * 50 + [None] + [1.0] * 200)
    assert scales[50] == pytest.approx(2.0 ** 16, rel=1e-2)
    assert 1.0 < scales[51] < 2.0 ** 13
    assert scales[51] < scales[150] < scales[251]


def test_log_max_survives_a_zero_gradient(graph):
    assert np.all(np.isfinite(_scales("LogMax", {}, [0.0, 1.0])))


@pytest.mark.parametrize("iter_size", [1, 2])
def test_backoff_in_training(make_linear, iter_size):
    model = make_linear(loss_scaling="backoff", iter_size=iter_size,
                        loss_scaling_params={"scale_max": 16.0, "step_window": 2})
    feed = {model.inputs: np.ones((2, 3), np.float32), model.targets: np.zeros(2, np.float32)}
    scales, steps, fetched = [], [], []
    for poison in (1.0, float("inf"), float("nan"), 1.0, 1.0):
        if iter_size == 2:
            model.session.run(model.train.accumulate, {**feed, model.poison: poison})
        _, *of_step = model.session.run([model.train.update, model.train.loss_scale, model.train.next_loss_scale],
                                        feed if iter_size == 2 else {**feed, model.poison: poison})
        fetched.append(tuple(of_step))
        scales.append(model.session.run(model.train.loss_scale))
        steps.append(int(model.session.run(model.train.global_step)))
    assert scales == [16, 8, 4, 4, 8]
    # the scale that a step was made with, and the next one
    assert fetched == [(16, 16), (16, 8), (8, 4), (4, 4), (4, 8)]
    assert steps == [1, 1, 1, 2, 3]
    assert model.session.run(model.train.skipped_steps) == 2


def test_log_max_in_training_sees_gradients_without_the_scale(make_linear):
    model = make_linear(loss_scaling="LogMax", loss_scaling_params={"scale_max": 2.0 ** 30})
    # weights' gradient is 2 * residual * input / 1 = 2 * -0.5 * 8, the largest of all
    feed = {model.inputs: np.array([[8.0, 0, 0]], np.float32), model.targets: np.array([8.75], np.float32)}
    for _ in range(2):
        model.session.run([model.weights.initializer, model.bias.initializer])
        model.session.run(model.train.update, feed)
    assert model.session.run(model.train.loss_scale) == pytest.approx(2.0 ** 13, rel=0.02)


@pytest.mark.parametrize("algorithm", ["Backoff", "LogMax"])
def test_the_checkpoint_contains_the_state(make_linear, tmp_path, algorithm):
    model = make_linear(loss_scaling=algorithm)
    feed = {model.inputs: np.ones((2, 3), np.float32), model.targets: np.zeros(2, np.float32)}
    for poison in (1.0, float("nan")):
        model.session.run(model.train.update, {**feed, model.poison: poison})
    saver = tf.train.Saver()
    path = saver.save(model.session, str(tmp_path / "model.ckpt"))
    expected = model.session.run(tf.global_variables())
    model.session.run(tf.global_variables_initializer())
    saver.restore(model.session, path)
    for old, new in zip(expected, model.session.run(tf.global_variables())):
        np.testing.assert_array_equal(old, new)
    saved = {name for name, _ in tf.train.list_variables(path)}
    assert {"Loss_Optimization/loss_scale", "Loss_Optimization/skipped_steps", "global_step"} <= saved
    assert model.session.run(model.train.skipped_steps) == 1
