"""The adapter's utilities."""
import os

import tensorflow.compat.v1 as tf


def get_ranksize():
    """Number of ranks in the environment variables."""
    if "RANK_SIZE" in os.environ and "CM_WORKER_SIZE" in os.environ:
        raise ValueError("RANK_SIZE and CM_WORK_SIZE cannot be configured at the same time")
    return int(os.environ.get("RANK_SIZE") or os.environ.get("CM_WORKER_SIZE") or "1")


def set_iteration_per_loop(sess, train_op, iterations_per_loop=1):
    if not isinstance(train_op, tf.Operation):
        raise ValueError("The incoming 'train_op' type is '%s', and the need type is 'Operation'" % train_op.dtype.name)
    if iterations_per_loop != 1:
        raise NotImplementedError("the fake runs one step a Session.run")
    return train_op


def npu_compile(sess, *fetches):
    sess.run(fetches)
