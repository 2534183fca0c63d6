"""Finds and imports the Ascend adapter: ``npu_bridge`` for TensorFlow 1.15, ``npu_device`` for TensorFlow 2.6.5.

``npu_device`` has two modes. Here it is used in graph mode: ``npu_device.compat.enable_v1()`` restores the behavior of TensorFlow
1 and loads the same graph passes as ``npu_bridge``; ``npu_device.compat.v1`` contains the modules of ``npu_bridge``, but none for
loss scaling. Sessions are configured alike for both. ``npu_device.open()`` is for eager mode and is not called.

``npu_init`` is never imported here: it adds NpuOptimizer to every session of the process, including sessions for the host.

Source: the adapter's public source code (tf_adapter and tf_adapter_2.x).
"""
import importlib
import importlib.util
import sys

import tensorflow.compat.v1 as tf

from open_seq2seq.errors import DeviceError

NPU_BRIDGE, NPU_DEVICE = "npu_bridge", "npu_device"
TENSORFLOW_OF = {NPU_BRIDGE: "1.15.0", NPU_DEVICE: "2.6.5"}

_SET_ENVIRONMENT = "`source /usr/local/Ascend/ascend-toolkit/set_env.sh`"


class Adapter:
    """The imported adapter.

    Attributes:
      name: "npu_bridge" or "npu_device".
      version: its version as text, "unknown" if it has none.
    """

    def __init__(self, name):
        self.name = name
        self._package = name if name == NPU_BRIDGE else name + ".compat.v1"
        self.version = installed_version(name) or str(getattr(importlib.import_module(self._package), "__version__", "unknown"))

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


def name_for_tensorflow():
    """Name of the adapter that fits this TensorFlow, by its first number."""
    return NPU_BRIDGE if tf.__version__.startswith("1.") else NPU_DEVICE


def adapter_name():
    """Name of the adapter that fits this TensorFlow if it can be imported, else None."""
    name = name_for_tensorflow()
    return name if importlib.util.find_spec(name) is not None else None


def has_adapter():
    """Whether this Python has an adapter, perhaps for another TensorFlow."""
    return any(importlib.util.find_spec(name) is not None for name in TENSORFLOW_OF)


def installed_version(name):
    """Version of an installed Python package as text, None if it is not known."""
    for metadata in ("importlib.metadata", "importlib_metadata"):  # Python 3.7 has only the second, which TensorFlow installs
        try:
            metadata = importlib.import_module(metadata)
        except ImportError:
            continue
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            return None
    return None


def missing_adapter():
    """List with a sentence about the missing adapter; empty if there is one for this TensorFlow."""
    expected = name_for_tensorflow()
    if adapter_name() is not None:
        version = installed_version(expected) or ""
        # the version of an adapter is that of the TensorFlow it was built for; the first releases had others
        if not version.startswith(("1.15.", "2.")) or version.split(".")[:2] == tf.__version__.split(".")[:2]:
            return []
        return ["the TensorFlow adapter for TensorFlow %s: %s %s is installed, which is for TensorFlow %s only (install that "
                "TensorFlow in this Python, or use the Python that has it)" % (tf.__version__, expected, version, version)]
    other = NPU_DEVICE if expected == NPU_BRIDGE else NPU_BRIDGE
    if importlib.util.find_spec(other) is not None:
        return ["the TensorFlow adapter for TensorFlow %s: %s is installed, which is for TensorFlow %s; expected %s (install the "
                "plugin %s of the same CANN release, or TensorFlow %s in this Python)" % (
                    tf.__version__, other, TENSORFLOW_OF[other], expected, expected, TENSORFLOW_OF[other])]
    if not tf.__version__.startswith(("1.15.", "2.6.")):
        return ["a TensorFlow that has an adapter: this Python has TensorFlow %s, and Ascend's adapters are %s (use the Python "
                "of the CANN installation)" % (tf.__version__, " and ".join(
                    "%s for TensorFlow %s" % adapter for adapter in TENSORFLOW_OF.items()))]
    return ["the TensorFlow adapter: the module %s cannot be imported (install the CANN toolkit and its TensorFlow plugin for "
            "TensorFlow %s, then %s in this shell)" % (expected, tf.__version__, _SET_ENVIRONMENT)]


def load_adapter():
    """Imports the adapter, which adds its passes to TensorFlow; without them everything would run on the host.

    Returns:
      An :class:`Adapter`.

    Raises:
      DeviceError: the adapter is missing or for another TensorFlow, the import fails, or every session of this process has been
        patched.
    """
    missing = missing_adapter()
    if missing:
        raise DeviceError("this machine does not have " + missing[0])
    name = name_for_tensorflow()
    try:
        root = importlib.import_module(name)
        if name == NPU_DEVICE:
            _enable_graph_mode(root)
        adapter = Adapter(name)
    # an adapter for another TensorFlow fails with a missing symbol, TensorFlow's NotFoundError
    except (ImportError, OSError, AttributeError, tf.errors.OpError) as error:
        raise DeviceError("the TensorFlow adapter %s is installed, but cannot be loaded with TensorFlow %s: %s. Install the "
                          "plugin for this TensorFlow, of the same release as the CANN toolkit" % (name, tf.__version__, error))
    require_unpatched_sessions()
    return adapter


def _enable_graph_mode(npu_device):
    """Loads the passes for sessions. TensorFlow's advice against the behavior of version 1 is not shown: there is no choice."""
    verbosity = tf.logging.get_verbosity()
    tf.logging.set_verbosity(tf.logging.ERROR)
    try:
        npu_device.compat.enable_v1()
    finally:
        tf.logging.set_verbosity(verbosity)


def require_unpatched_sessions():
    """Checks, for any device, that the sessions of the process have not been patched and that no eager device is open.

    While a config runs, ``config/adapter_imports.py`` undoes that; a function of the config may import ``npu_init`` later.

    Raises:
      DeviceError: ``npu_init`` has been imported, or ``npu_device.open()`` has been called.
    """
    for kind in (tf.Session, tf.InteractiveSession):
        file = getattr(getattr(kind.__init__, "__code__", None), "co_filename", "")
        package = next((name for name in (NPU_BRIDGE, NPU_DEVICE) if name in file.replace("\\", "/").split("/")), None)
        if package is not None:
            raise DeviceError("%s was imported in a form that changes every tf.Session of the process, including sessions for "
                              "the host (%s): by `from %s.npu_init import *`, in a function that the config calls or in a module "
                              "that it imports late. Remove the import; --device npu configures the session" % (
                                  package, file, package if package == NPU_BRIDGE else package + ".compat.v1"))
    if getattr(sys.modules.get("npu_device.npu_device"), "_npu_device_instances", None):
        raise DeviceError("npu_device.open() was called in this process: it prepares the device for eager mode and replaces "
                          "tf.device and tf.function, but this trainer runs graphs. Remove the call; --device npu needs none")
