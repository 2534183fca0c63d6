"""Scales or reverses the gradient of a tensor without changing its value; of operations that every device has."""
import tensorflow.compat.v1 as tf

GAMMA = 10.0  # of the schedule in arXiv:1505.07818


def strength(step, steps):
    """float32 scalar: 2 / (1 + exp(-10 p)) - 1, where p rises from 0 to 1 in ``steps`` steps (arXiv:1505.07818)."""
    progress = tf.minimum(tf.cast(step, tf.float32) / float(steps), 1.0)
    return 2.0 / (1.0 + tf.exp(-GAMMA * progress)) - 1.0


def reversed_gradient(tensor, factor):
    """``tensor`` unchanged up to rounding, whose gradient is multiplied by ``-factor``."""
    reversed_part = tensor * factor
    return tf.stop_gradient(tensor + reversed_part) - reversed_part


def scaled_gradient(tensor, factor):
    """``tensor`` unchanged up to rounding, whose gradient is multiplied by ``factor``."""
    scaled_part = tensor * factor
    return tf.stop_gradient(tensor - scaled_part) + scaled_part
