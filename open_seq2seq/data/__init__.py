"""Data: from manifests and audio files to batches; importers of corpora."""

__all__ = ["Speech2TextDataLayer"]


def __getattr__(name):
    # imported on first use: the importers are in this package, too, and do not need TensorFlow
    if name in __all__:
        from open_seq2seq.data.speech2text.speech2text import Speech2TextDataLayer
        return Speech2TextDataLayer
    raise AttributeError("module %r has no attribute %r" % (__name__, name))
