"""Names of the fake adapter that fits TensorFlow, in this process or in one that a test starts."""
import importlib

import pytest
import tensorflow.compat.v1 as tf

PACKAGE = "npu_bridge" if tf.__version__.startswith("1.") else "npu_device.compat.v1"


def load():
    """Imports the adapter as a program for graph mode does, and returns its package."""
    if PACKAGE != "npu_bridge":
        importlib.import_module("npu_device").compat.enable_v1()
    return importlib.import_module(PACKAGE)


def part(path, *names):
    """Names of a module of the adapter, one alone or a list; the module itself if there are none.

    Args:
      path: of the module, below ``npu_bridge``. npu_device lacks those for loss scaling: the test is skipped.
      names: in the module, or of modules below it.
    """
    if PACKAGE != "npu_bridge" and "npu_loss_scale" in path:
        pytest.skip("npu_device has no %s" % path)
    module = importlib.import_module("%s.%s" % (PACKAGE, path))
    found = [getattr(module, name) if hasattr(module, name) else importlib.import_module("%s.%s" % (module.__name__, name))
             for name in names]
    return module if not names else found[0] if len(found) == 1 else found


class FixedScale:
    """The interface that NPUOptimizer needs of a loss scale manager; npu_device has no managers of its own."""

    def __init__(self, scale):
        self._scale = tf.constant(scale, tf.float32)

    def get_loss_scale(self):
        return self._scale

    def update_loss_scale(self, finite_gradients):
        return tf.no_op()


def fixed_scale(scale):
    """A loss scale manager of the adapter that keeps ``scale``, or for npu_device one of this module."""
    if PACKAGE != "npu_bridge":
        return FixedScale(scale)
    return part("estimator.npu.npu_loss_scale_manager", "FixedLossScaleManager")(scale)
