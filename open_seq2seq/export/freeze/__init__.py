"""From a checkpoint to a frozen graph: the trained network, its folded weights, the graph, further file formats."""
import importlib
import sys

# names that earlier versions had in a module open_seq2seq/export/freeze.py
_FROZEN_GRAPH = ("DEFAULT_FRAMES", "ExportOptions", "check_options", "description_of", "feature_params", "freeze", "pad_to")


def __getattr__(name):
    if name not in _FROZEN_GRAPH:
        raise AttributeError("module %r has no attribute %r" % (__name__, name))
    print("Note: %s.%s is now in %s.frozen_graph" % (__name__, name, __name__), file=sys.stderr)
    return getattr(importlib.import_module(__name__ + ".frozen_graph"), name)
