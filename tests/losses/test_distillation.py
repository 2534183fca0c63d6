"""Soft targets: values against NumPy in float64, gradients against finite differences, rows without finite logits."""
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.losses.ctc_loss import LossOutput
from open_seq2seq.losses.distillation import mixed_loss, soft_target_losses

LENGTHS = np.array([5, 3, 0, 1])


def _log_softmax(values):
    values = values - values.max(-1, keepdims=True)
    return values - np.log(np.exp(values).sum(-1, keepdims=True))


def _expected(logits, teacher, lengths, temperature):
    student, teacher = (_log_softmax(values.astype(np.float64) / temperature) for values in (logits, teacher))
    frames = (np.exp(teacher) * (teacher - student)).sum(2)
    return np.array([temperature ** 2 * row[:length].sum() for row, length in zip(frames, lengths)])


def _run(logits, teacher, lengths, temperature, weights):
    """(losses, gradient by the logits of the sum of weight * loss, gradient by the teacher's logits)."""
    with tf.Graph().as_default(), tf.Session() as session:
        logits, teacher = tf.constant(logits, tf.float32), tf.constant(teacher, tf.float32)
        losses = soft_target_losses(logits, teacher, tf.constant(lengths, tf.int32), temperature)
        by_logits, by_teacher = tf.gradients(tf.reduce_sum(losses * tf.constant(weights, tf.float32)), [logits, teacher])
        assert by_teacher is None
        return session.run((losses, by_logits))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_value_and_gradient(temperature):
    random = np.random.RandomState(3)
    logits, teacher = random.randn(4, 5, 6) * 3, random.randn(4, 5, 6) * 3
    weights = random.rand(4)
    losses, gradient = _run(logits, teacher, LENGTHS, temperature, weights)
    np.testing.assert_allclose(losses, _expected(logits, teacher, LENGTHS, temperature), rtol=1e-5, atol=1e-5)
    step, numeric = 1e-5, np.zeros_like(logits)
    for place in np.ndindex(*logits.shape):
        shifted = []
        for sign in (1, -1):
            moved = logits.copy()
            moved[place] += sign * step
            shifted.append((weights * _expected(moved, teacher, LENGTHS, temperature)).sum())
        numeric[place] = (shifted[0] - shifted[1]) / (2 * step)
    np.testing.assert_allclose(gradient, numeric, rtol=1e-4, atol=1e-5)
    assert not gradient[1, 3:].any() and not gradient[2].any()
    equal, gradient = _run(teacher, teacher, LENGTHS, temperature, weights)
    np.testing.assert_allclose(equal, 0.0, atol=1e-5)
    np.testing.assert_allclose(gradient, 0.0, atol=1e-5)


def test_rows_without_finite_logits_have_no_gradient():
    random = np.random.RandomState(0)
    logits, teacher = random.randn(4, 5, 3), random.randn(4, 5, 3)
    logits[0, 1, 2], teacher[1, 2, 0], logits[3, 4, 0] = np.nan, np.inf, np.nan    # the last one is padding
    losses, gradient = _run(logits, teacher, LENGTHS, 2.0, np.ones(4))
    assert losses[0] == losses[1] == losses[2] == 0.0 and losses[3] > 0.0
    assert np.isfinite(gradient).all() and not gradient[:3].any() and gradient[3, 0].any()


def test_mixed_with_the_loss_of_the_transcripts():
    losses, soft = np.float32([4.0, np.inf, 6.0]), np.float32([1.0, 2.0, 5.0])
    counted, rows = np.array([True, False, True]), np.float32([1.0, 0.0, 0.5])

    def mixed(weight, rows, factor=None, total=0.0):
        loss = LossOutput(tf.constant(total, tf.float32), tf.constant(losses), tf.constant(counted))
        with tf.Session() as session:
            return session.run(mixed_loss(loss, tf.constant(soft), weight, tf.constant(rows), factor))

    with tf.Graph().as_default():
        for weight in (0.0, 0.25, 1.0):
            found = mixed(weight, rows)
            expected = (1 - weight) * losses[[0, 2]] + weight * soft[[0, 2]]
            np.testing.assert_allclose(found.per_utterance[[0, 2]], expected, rtol=1e-6)
            # an utterance that is not counted keeps its loss
            assert found.per_utterance[1] == np.inf
            np.testing.assert_allclose(found.loss, (expected * [1.0, 0.5]).sum() / 3, rtol=1e-6)
        # one of several tasks, of weight 2: the sum of all is 10
        several = mixed(0.25, rows, tf.constant(2.0), 10.0)
        plain, own = ((values[[0, 2]] * [1.0, 0.5]).sum() / 3 for values in (losses, 0.75 * losses + 0.25 * soft))
        np.testing.assert_allclose(several.loss, 10.0 + 2.0 * (own - plain), rtol=1e-6)
