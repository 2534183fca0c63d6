"""The model of a dictation, and a new stream of it for each time that the user speaks."""
import numpy as np

from open_seq2seq.transcription.streaming import StreamingTranscriber

_WARM_UP_SECONDS = 1.0


class Streams:
    """Opens a model once.

    Args:
      model: path of an exported model or of a training run.
      decoding: DecodingOptions.
      latency: seconds of sound after a word that are heard before it is final.

    Raises:
      CheckpointError, DataError, UsageError: the model or the language model cannot be used.
    """

    def __init__(self, model, decoding, latency):
        self._stream = StreamingTranscriber(model, latency=latency, decoding=decoding)
        self.sample_rate, self.separator = self._stream.sample_rate, self._stream.separator
        self.characters = "".join(self._stream.description.vocabulary)
        # the first piece is slow: TensorFlow prepares the graph
        noise = np.random.RandomState(0).normal(scale=0.1, size=int(_WARM_UP_SECONDS * self.sample_rate))
        self._stream.feed(noise.astype(np.float32), self.sample_rate)
        self._stream.finish()

    def open(self):
        """The ``StreamingTranscriber`` at the beginning of a stream; the one before has to be ended."""
        self._stream.reset()
        return self._stream

    def close(self):
        """Frees the memory of the model."""
        self._stream.close()
