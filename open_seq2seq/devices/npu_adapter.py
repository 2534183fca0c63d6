"""Finds and imports the Ascend adapter: ``npu_bridge`` for TensorFlow 1.15, ``npu_device`` for TensorFlow 2.6.

``npu_init`` is never imported here: it adds NpuOptimizer to every session of the process, including sessions for the host.
"""
import importlib
import importlib.util
import sys

import tensorflow.compat.v1 as tf

from open_seq2seq.errors import DeviceError

_NPU_BRIDGE, _NPU_DEVICE = "npu_bridge", "npu_device"


class Adapter:
    """The imported adapter.

    Attributes:
      name: "npu_bridge" or "npu_device".
      version: its version as text, "unknown" if it has none.
    """

    def __init__(self, name):
        self.name = name
        self._package = name if name == _NPU_BRIDGE else name + ".compat.v1"
        root = sys.modules[name]
        self.version = str(getattr(root, "__version__", "unknown"))

    def module(self, path):
        """Imports a module of the adapter by its path below ``npu_bridge``.

        Raises:
          DeviceError: the module cannot be imported.
        """
        try:
            return importlib.import_module("%s.%s" % (self._package, path))
        except ImportError as error:
            raise DeviceError("%s.%s cannot be imported: %s. Install the adapter of the CANN release that fits the driver"
                              % (self._package, path, error))

    def has_module(self, path):
        """Whether the adapter has the module."""
        try:
            return importlib.util.find_spec("%s.%s" % (self._package, path)) is not None
        except ImportError:
            return False


def adapter_name():
    """Name of the adapter for this TensorFlow that can be imported, None if there is none."""
    names = (_NPU_BRIDGE,) if tf.__version__.startswith("1.") else (_NPU_DEVICE, _NPU_BRIDGE)
    return next((name for name in names if importlib.util.find_spec(name) is not None), None)


def missing_adapter():
    """List with a sentence about the missing adapter; empty if there is one."""
    if adapter_name() is not None:
        return []
    expected = _NPU_BRIDGE if tf.__version__.startswith("1.") else _NPU_DEVICE
    return ["the TensorFlow adapter: the module %s cannot be imported (install the CANN toolkit and its TensorFlow plugin for "
            "TensorFlow %s, then `source /usr/local/Ascend/ascend-toolkit/set_env.sh` in this shell)" % (
                expected, tf.__version__)]


def load_adapter():
    """Imports the adapter, which adds its passes to TensorFlow; without them everything would run on the host.

    Returns:
      An :class:`Adapter`.

    Raises:
      DeviceError: the import fails, or every session of this process has been patched.
    """
    name = adapter_name()
    if name is None:
        raise DeviceError("this machine does not have " + missing_adapter()[0])
    try:
        root = importlib.import_module(name)
        if name == _NPU_DEVICE:
            root.compat.enable_v1()
    # an adapter for another TensorFlow fails with a missing symbol, TensorFlow's NotFoundError
    except (ImportError, OSError, AttributeError, tf.errors.OpError) as error:
        raise DeviceError("the TensorFlow adapter %s is installed, but cannot be loaded with TensorFlow %s: %s. Install the "
                          "plugin for this TensorFlow, of the same release as the CANN toolkit" % (name, tf.__version__, error))
    require_unpatched_sessions()
    return Adapter(name)


def require_unpatched_sessions():
    """Checks, for any device, that the sessions of the process have not been patched.

    While a config runs, ``config/adapter_imports.py`` undoes that; a function of the config may import ``npu_init`` later.

    Raises:
      DeviceError: ``npu_init`` has been imported.
    """
    for kind in (tf.Session, tf.InteractiveSession):
        file = getattr(getattr(kind.__init__, "__code__", None), "co_filename", "")
        package = next((name for name in (_NPU_BRIDGE, _NPU_DEVICE) if name in file.replace("\\", "/").split("/")), None)
        if package is not None:
            raise DeviceError("%s was imported in a form that changes every tf.Session of the process, including sessions for "
                              "the host (%s): by `from %s.npu_init import *`, in a function that the config calls or in a module "
                              "that it imports late. Remove the import; --device npu configures the session" % (
                                  package, file, package))
