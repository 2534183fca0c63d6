"""Operators of the adapter."""
import tensorflow.compat.v1 as tf
from fake_ascend import standins


def initialize_system(name=None):
    """Operation that starts HCCL; run it before any collective."""
    return standins.mark(tf.no_op(name=name or "NPUInit"), "NPUInit")


def shutdown_system(name=None):
    """Operation that ends HCCL; run it after everything else."""
    return standins.mark(tf.no_op(name=name or "NPUShutdown"), "NPUShutdown")


def dropout(x, keep_prob, noise_shape=None, seed=None, name=None):
    if noise_shape is not None and not isinstance(noise_shape, (list, tuple)):
        raise ValueError("noise_shape should be a list or tuple")
    return tf.nn.dropout(x, rate=1 - keep_prob, noise_shape=noise_shape, seed=seed, name=name)
