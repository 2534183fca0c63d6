"""Transcription of recordings of any length with an exported or trained model."""

__all__ = ["Transcriber"]


def __getattr__(name):
    # importing writers or options does not load TensorFlow
    if name in __all__:
        from open_seq2seq.transcription.transcriber import Transcriber
        return Transcriber
    raise AttributeError("module %r has no attribute %r" % (__name__, name))
