"""Devices behind one interface: ``select_device`` turns ``--device`` into a :class:`Device`."""
from open_seq2seq.devices.cpu import Cpu
from open_seq2seq.devices.device import Device
from open_seq2seq.devices.gpu import Gpu, gpu_available, unused_gpu_note
from open_seq2seq.devices.npu import Npu, npu_present
from open_seq2seq.devices.npu_adapter import require_unpatched_sessions

__all__ = ["Device", "resolve_device_name", "select_device"]


def resolve_device_name(name):
    """Returns "cpu", "gpu" or "npu" for ``--device``; "auto" is an NPU if there is one, else a GPU, else the CPU."""
    if name != "auto":
        return name
    return "npu" if npu_present() else "gpu" if gpu_available() else "cpu"


def select_device(name, training=True, params=None, group=None):
    """Returns the device for ``--device``.

    Args:
      name: "auto", "cpu", "gpu" or "npu".
      training: False for evaluation and inference, which the NPU's graph engine compiles differently.
      params: the checked config of the model, None for the defaults.
      group: the ``ProcessGroup`` of the run, None for one process.

    Raises:
      ConfigError: the device does not support something in the config.
      DeviceError: the device is missing; the message says which parts. Or the config has imported ``npu_init``, which moves
        every session to the NPU.
    """
    require_unpatched_sessions()
    name = resolve_device_name(name)
    if name == "npu":
        return Npu(training, params, group)
    if name == "gpu":
        return Gpu(group)
    return Cpu(note=unused_gpu_note(), saves_memory=training and params is not None and params["recompute"] is not None)
