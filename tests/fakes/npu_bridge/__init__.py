"""A fake of the Ascend TensorFlow adapter's Python package, for tests on machines without NPUs. See ../README.md."""
import atexit

from fake_ascend import sessions

from npu_bridge.estimator.npu.npu_plugin import npu_close

__version__ = "1.15.0-fake"

sessions.install()
atexit.register(npu_close)
