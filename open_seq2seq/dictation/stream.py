"""The model of a dictation, and a new stream of it for each time that the user speaks."""
import numpy as np

from open_seq2seq.decoding.word_times import WordBuilder
from open_seq2seq.transcription.streaming import StreamingTranscriber
from open_seq2seq.transcription.transcriber import load_model_on

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
        self._model = load_model_on(model, "cpu")
        self._options = {"latency": latency, "decoding": decoding}
        self.sample_rate = self._model.description.sample_rate
        self.characters = "".join(self._model.description.vocabulary)
        self._stream = self.open()
        # the first block is slow: TensorFlow prepares the graph
        self._stream.feed(np.zeros([int(_WARM_UP_SECONDS * self.sample_rate)], np.float32), self.sample_rate)
        self._stream.finish()

    @property
    def separator(self):
        """The text between two words of this model: a space, or nothing."""
        description = self._model.description
        return WordBuilder(description.vocabulary, description.blank, 1.0).separator

    def open(self):
        """A new ``StreamingTranscriber``."""
        return StreamingTranscriber(self._model, **self._options)

    def close(self):
        """Frees the memory of the model."""
        self._model.close()
