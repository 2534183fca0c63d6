"""Devices behind one interface: ``select_device`` turns ``--device`` into a :class:`Device`."""
from open_seq2seq.devices.cpu import Cpu
from open_seq2seq.devices.device import Device
from open_seq2seq.devices.gpu import Gpu, gpu_available
from open_seq2seq.devices.npu import Npu, missing_parts

__all__ = ["Device", "select_device"]


def select_device(name, training=True):
    """Returns the device for ``--device``.

    Args:
      name: "auto" (an NPU if there is one, else a GPU, else the CPU), "cpu", "gpu" or "npu".
      training: False for evaluation and inference, which the NPU's graph engine compiles differently.

    Raises:
      DeviceError: the device asked for is not there; the message says what is missing.
    """
    if name == "auto":
        name = "npu" if not missing_parts() else "gpu" if gpu_available() else "cpu"
    if name == "npu":
        return Npu(training)
    return Gpu() if name == "gpu" else Cpu()
