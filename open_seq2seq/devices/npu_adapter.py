"""Finding and importing the Ascend adapter: ``npu_bridge`` for TensorFlow 1.15, ``npu_device`` for TensorFlow 2.6.

``npu_init`` is never imported: it puts NpuOptimizer into every session of the process, those meant for the host included.
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
      version: its version as text, "unknown" where it has none.
    """

    def __init__(self, name):
        self.name = name
        self._package = name if name == _NPU_BRIDGE else name + ".compat.v1"
        root = sys.modules[name]
        self.version = str(getattr(root, "__version__", "unknown"))

    def module(self, path):
        """Imports a module of the adapter, named as inside npu_bridge.

        Raises:
          DeviceError: there is none of that name.
        """
        try:
            return importlib.import_module("%s.%s" % (self._package, path))
        except ImportError as error:
            raise DeviceError("%s.%s cannot be imported: %s. Install the adapter of the CANN release that the driver is of"
                              % (self._package, path, error))

    def has_module(self, path):
        """Whether the adapter has the module."""
        try:
            return importlib.util.find_spec("%s.%s" % (self._package, path)) is not None
        except ImportError:
            return False


def adapter_name():
    """The importable adapter for this TensorFlow, None if there is none."""
    names = (_NPU_BRIDGE,) if tf.__version__.startswith("1.") else (_NPU_DEVICE, _NPU_BRIDGE)
    return next((name for name in names if importlib.util.find_spec(name) is not None), None)


def missing_adapter():
    """Sentences on the missing adapter; empty if there is one."""
    if adapter_name() is not None:
        return []
    wanted = _NPU_BRIDGE if tf.__version__.startswith("1.") else _NPU_DEVICE
    return ["the TensorFlow adapter: the module %s cannot be imported (install the CANN toolkit and its TensorFlow plugin for "
            "TensorFlow %s, then `source /usr/local/Ascend/ascend-toolkit/set_env.sh` in this shell)" % (wanted, tf.__version__)]


def load_adapter():
    """Imports the adapter, which puts its passes into TensorFlow; without that everything would run on the host.

    Returns:
      An :class:`Adapter`.

    Raises:
      DeviceError: the import fails, or something has patched every session of this process.
    """
    name = adapter_name()
    if name is None:
        raise DeviceError("this machine lacks " + missing_adapter()[0])
    try:
        root = importlib.import_module(name)
        if name == _NPU_DEVICE:
            root.compat.enable_v1()
    # an adapter of another TensorFlow fails with a missing symbol, which is TensorFlow's NotFoundError
    except (ImportError, OSError, AttributeError, tf.errors.OpError) as error:
        raise DeviceError("the TensorFlow adapter %s is there, but cannot be loaded with TensorFlow %s: %s. Install the plugin "
                          "for this TensorFlow, of the release of the CANN toolkit" % (name, tf.__version__, error))
    require_unpatched_sessions()
    return Adapter(name)


def require_unpatched_sessions():
    """Refuses to go on, whatever the device, when every session of the process has been patched.

    Raises:
      DeviceError: ``npu_init`` has been imported, by a config perhaps.
    """
    for package in (_NPU_BRIDGE, _NPU_DEVICE + ".compat.v1"):
        if package + ".npu_init" in sys.modules:
            raise DeviceError("%s.npu_init has been imported, by the config or what it imports. It changes every tf.Session of "
                              "the process, also those meant for the host. Remove the import; --device npu sets up the session"
                              % package)
