"""Processes that train together: one, several over Horovod (CPU, GPU) or several over HCCL (Ascend NPU), behind one interface.

The names are looked up when they are first used: the launcher and the rank tables belong to this package, too, and have to
start at once, where no TensorFlow is installed as well.
"""
import importlib

_MODULES = {"ProcessGroup": "group", "Single": "group", "open_group": "opening"}

__all__ = sorted(_MODULES)


def __getattr__(name):
    if name not in _MODULES:
        raise AttributeError("module %r has no attribute %r" % (__name__, name))
    return getattr(importlib.import_module("%s.%s" % (__name__, _MODULES[name])), name)
