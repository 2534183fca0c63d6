"""Data: from manifests and audio files to batches; importers of corpora."""

__all__ = ["PretrainingDataLayer", "Speech2TextDataLayer"]


def __getattr__(name):
    # imported on first use: the importers are in this package, too, and do not need TensorFlow
    if name in __all__:
        from open_seq2seq.data.speech2text.pretraining_layer import PretrainingDataLayer
        from open_seq2seq.data.speech2text.speech2text import Speech2TextDataLayer
        return {"PretrainingDataLayer": PretrainingDataLayer, "Speech2TextDataLayer": Speech2TextDataLayer}[name]
    raise AttributeError("module %r has no attribute %r" % (__name__, name))
