"""A fake of the Ascend adapter's Python package for TensorFlow 1.15, for tests on machines without NPUs. See ../../README.md."""
import atexit

from npu_bridge.estimator.npu.npu_plugin import npu_close
from npu_bridge.helper.helper import version as __version__  # noqa: F401

atexit.register(npu_close)
