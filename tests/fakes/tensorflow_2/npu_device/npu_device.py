"""The device. As in the adapter, its import changes nothing of TensorFlow; ``enable_v1`` loads the passes of graph mode."""
import tensorflow.compat.v1 as tf
from fake_ascend import operators as gen_npu_ops  # noqa: F401
from fake_ascend import sessions

_npu_device_instances = {}


def enable_v1():
    """Switches the process to the behavior of TensorFlow 1 and loads the passes that divide the graphs of its sessions."""
    tf.disable_v2_behavior()
    sessions.install()


def open(device_id=None):
    """Opens a device for eager mode. The fake divides graphs of sessions only: it records that the device is open."""
    _npu_device_instances[device_id or 0] = handle = NpuDeviceHandle()
    return handle


class NpuDeviceHandle:
    def as_default(self):
        """The adapter replaces ``tf.function``, ``tf.device`` and the eager context of the process here."""
        return self


def global_options():
    """Options of eager mode; sessions do not read them."""
    raise NotImplementedError("the fake npu_device has the graph mode only")
