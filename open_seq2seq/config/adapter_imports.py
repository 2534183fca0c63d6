"""Imports of the Ascend adapter in a config, such as those that Huawei's porting tool writes into every file.

``--device npu`` imports the adapter and configures its session itself, so a config needs none of them. They may do harm: the
adapter cannot be imported next to the ``tf.contrib`` of ``contrib.py``, many machines do not have it, and ``npu_init`` changes
``tf.Session`` for the whole process. While a config runs, its imports therefore find stand-ins. The real module is imported when
a name of it is used, and what it did to the sessions is undone.
"""
import contextlib
import importlib
import importlib.abc
import importlib.machinery
import sys
import types

import tensorflow.compat.v1 as tf

from open_seq2seq.errors import ConfigError

# the adapter for TensorFlow 1.15 and for 2.6.5, and the Python package of HCCL that comes with CANN
PACKAGES = ("npu_bridge", "npu_device", "hccl")

# a program for graph mode begins with this call, which --device npu makes itself; on other machines it has no effect
_GRAPH_MODE = ("npu_device.compat", "enable_v1")
# of eager mode: they change tf.device and tf.function for the whole process, or have no effect on sessions
_EAGER_MODE = {"open": "it opens the device for eager mode, and this trainer runs graphs. Remove it; --device npu needs none",
               "global_options": "it sets options of eager mode, and this trainer runs graphs. Remove it; the options of the "
                                 "adapter are in npu_params"}


class MissingAdapterError(ConfigError, AttributeError):
    """A config uses a name of the adapter that this machine does not have.

    An AttributeError as well, for which Python looks for a module of that name.
    """


def is_of_adapter(name):
    """Whether a module of this name belongs to the adapter."""
    return name.split(".")[0] in PACKAGES


class AdapterImports(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds stand-ins for the adapter's modules.

    Args:
      real_tensorflow: function that returns a context in which ``import tensorflow`` finds the real one.

    Attributes:
      notes: list of str, one for every line that imports the adapter.
    """

    def __init__(self, real_tensorflow):
        self.notes = []
        self._real_tensorflow = real_tensorflow
        self._real_modules, self._reasons, self._is_standing_in = {}, {}, False

    @contextlib.contextmanager
    def installed(self):
        """While active, import statements find the stand-ins."""
        sys.meta_path.insert(0, self)
        try:
            self._stand_in()
            yield
        finally:
            self._step_aside()
            sys.meta_path.remove(self)

    def _stand_in(self):
        self._is_standing_in, self._real_modules = True, _taken_from_modules()

    def _step_aside(self):
        stand_ins = _taken_from_modules()
        sys.modules.update(self._real_modules)
        self._is_standing_in = False
        return stand_ins

    def find_spec(self, name, path, target=None):
        """See ``importlib.abc.MetaPathFinder``."""
        if not self._is_standing_in or not is_of_adapter(name):
            return None
        self._note(name)
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec):
        """See ``importlib.abc.Loader``."""
        return _AdapterModule(spec.name, self)

    def exec_module(self, module):
        """Does nothing: a stand-in has no code."""

    def _note(self, name):
        frame = sys._getframe()
        while "importlib" in frame.f_code.co_filename or frame.f_code.co_filename == __file__:
            frame = frame.f_back
        place = "%s:%d" % (frame.f_code.co_filename, frame.f_lineno)
        if not any(note.startswith(place + ": ") for note in self.notes):
            self.notes.append("%s: the import of %s is not needed; --device npu imports the adapter and configures the session. "
                              "Remove the line" % (place, name))

    def real(self, name):
        """The real module, or None if it cannot be imported; ``tf.Session`` is afterwards as before."""
        if name in self._reasons:
            return None
        stands_in = self._is_standing_in
        stand_ins = self._step_aside() if stands_in else {}
        try:
            with self._real_tensorflow(), _unchanged_sessions():
                return importlib.import_module(name)
        # an adapter for another TensorFlow fails with a missing symbol, TensorFlow's NotFoundError
        except (ImportError, OSError, AttributeError, tf.errors.OpError) as error:
            self._reasons[name] = str(error).split("\n")[0]
            return None
        finally:
            if stands_in:
                self._stand_in()
                sys.modules.update(stand_ins)

    def explain(self, error):
        """Adds to a NameError what ``from npu_bridge.npu_init import *`` could not import."""
        if self._reasons and error.args:
            error.args = ("%s. %s imported nothing: %s" % (
                error.args[0], ", ".join(sorted(self._reasons)), next(iter(self._reasons.values()))),) + error.args[1:]

    def missing(self, name, attribute):
        """The error for a name that is not there."""
        reason = self._reasons.get(name)
        return MissingAdapterError("%s.%s is used, but %s. %s" % (
            name, attribute, "it has no such name" if reason is None else "this machine cannot import it: %s" % reason,
            "Remove it: --device npu needs no code of the adapter in a config"))


class _AdapterModule(types.ModuleType):
    """A stand-in for a module of the adapter, or for a name of one that is missing."""

    def __init__(self, name, imports):
        super().__init__(name)
        self._imports = imports

    def __getattr__(self, name):
        if name.startswith("__") and name != "__all__":
            raise AttributeError(name)
        if (self.__name__, name) == _GRAPH_MODE:
            return lambda: None
        if self.__name__ == "npu_device":
            if name == "compat":  # also without ``import npu_device.compat``
                return _AdapterModule("npu_device.compat", self._imports)
            if name in _EAGER_MODE:
                raise MissingAdapterError("npu_device.%s is used: %s" % (name, _EAGER_MODE[name]))
        real = self._imports.real(self.__name__)
        if name == "__all__":
            # not its tf: the config has one with a fast contrib
            return [] if real is None else [public for public in getattr(real, "__all__", vars(real)) if not (
                public.startswith("_") or getattr(getattr(real, public), "__name__", "").startswith("tensorflow"))]
        if real is not None and hasattr(real, name):
            return getattr(real, name)
        raise self._imports.missing(self.__name__, name)

    def __call__(self, *arguments, **options):
        parent, _, name = self.__name__.rpartition(".")
        self._imports.real(parent)
        raise self._imports.missing(parent, name)


def _taken_from_modules():
    """Takes the adapter's modules, or their stand-ins, out of ``sys.modules`` and returns them by name."""
    return {name: sys.modules.pop(name) for name in list(sys.modules) if is_of_adapter(name)}


@contextlib.contextmanager
def _unchanged_sessions():
    before = [(kind, kind.__init__) for kind in (tf.Session, tf.InteractiveSession)]
    try:
        yield
    finally:
        for kind, initializer in before:
            kind.__init__ = initializer
