"""The model that transcribes, on the device that is asked for."""
import os

from open_seq2seq.errors import UsageError
from open_seq2seq.export import load_model, model_in_folder

DEVICES = ("cpu", "gpu", "npu")


def load_model_on(path, device):
    """Loads a model.

    Args:
      path: as ``open_seq2seq.export.load_model`` takes it; for a GPU or an NPU NAME.pb, or a folder with one.
      device: one of :data:`DEVICES`. An NPU compiles a graph for each shape, which takes minutes: there the shape must be static.

    Returns:
      A ``LogitModel``.

    Raises:
      CheckpointError: there is no model, or it cannot be used.
      DeviceError: the device is not there, or the session does not use it.
      UsageError: another kind of model than the device takes.
    """
    if device == "cpu":
        return load_model(path)
    # these import TensorFlow, which an .onnx on the CPU should not wait for any longer than it must
    from open_seq2seq.devices import select_device
    from open_seq2seq.export.description import read_description
    from open_seq2seq.export.exported_model import model_on_device

    found = model_in_folder(path) if os.path.isdir(path) else path
    if not found.endswith(".pb") or not os.path.isfile(found):
        raise UsageError("--device %s runs an exported .pb, and %s is none; export it with run.py --mode=export, or take "
                         "--device cpu" % (device, path))
    if device == "npu" and read_description(found).frames is None:
        raise UsageError("%s takes any number of frames, and an NPU would compile it anew for each; export it with "
                         "--frames=2336, say, or take --device cpu" % found)
    return model_on_device(found, select_device(device, training=False))
