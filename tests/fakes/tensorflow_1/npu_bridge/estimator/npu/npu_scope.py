"""Scopes that mark the operations built in them."""
import contextlib

import tensorflow.compat.v1 as tf
from fake_ascend.standins import HOST_MARK


@contextlib.contextmanager
def without_npu_compile_scope():
    """Operations built here stay on the host."""
    with tf.get_default_graph()._attr_scope({HOST_MARK: tf.AttrValue(b=True)}):
        yield


@contextlib.contextmanager
def keep_dtype_scope():
    """Operations built here keep their precision."""
    with tf.get_default_graph()._attr_scope({"_keep_dtype": tf.AttrValue(i=1)}):
        yield
