"""When in an utterance's audio each frame of the logits is: from a decoder's characters to words with times in seconds."""
import numpy as np

from open_seq2seq.data.rejection import RejectedData
from open_seq2seq.data.speech2text.audio import read_audio
from open_seq2seq.data.speech2text.features import Geometry
from open_seq2seq.decoding.sound_levels import loud_frames
from open_seq2seq.decoding.transcript import make_transcript
from open_seq2seq.decoding.word_times import SPACE, timed_words
from open_seq2seq.errors import UsageError

_MANY_FRAMES = 1000      # to make the rounding at an utterance's end negligible


def feature_frames_per_logit_frame(params):
    """How many frames of features become one frame of the logits: the product of the encoder's strides."""
    return int(round(_MANY_FRAMES / float(params["encoder"].output_frames(params["encoder_params"], _MANY_FRAMES))))


class UtteranceTimes:
    """Words with times for the utterances of a data layer.

    A frame of the logits begins at the sample where the first of its feature frames begins; the time is that of the original
    recording, whatever its sample rate. Where a word ends is found in the audio, as in transcription
    (:mod:`open_seq2seq.decoding.word_times`), so that both give the same times.

    Args:
      params: the checked config of the mode.
      layer: a data layer of utterances that are audio files.

    Raises:
      UsageError: the data layer has no audio files.
    """

    def __init__(self, params, layer):
        self._params = params["data_layer_params"]
        if not {"window_stride", "sample_freq", "backend"} <= set(self._params) or not hasattr(layer, "audio_profile"):
            raise UsageError("times need a data layer of audio files, as Speech2TextDataLayer is; %s is not one. Write the "
                             "transcripts as CSV" % type(layer).__name__)
        self._vocabulary = layer.vocabulary.characters
        self._samples = Geometry.of(self._params).hop * feature_frames_per_logit_frame(params)
        self._separator = SPACE if layer.vocabulary.separates_words else ""

    def texts_of(self, labels):
        """The characters or pieces of labels, a list of str."""
        return [self._vocabulary[label] for label in labels]

    @property
    def frame_seconds(self):
        """Duration of a frame of the logits in s."""
        return self._samples / float(self._params["sample_freq"])

    def transcript(self, characters, frames, utterance):
        """The words of an utterance.

        Args:
          characters: list of :class:`~open_seq2seq.decoding.decoder.Character`.
          frames: number of valid frames of the logits.
          utterance: its ``Utterance``, whose file is read.

        Returns:
          :class:`~open_seq2seq.decoding.transcript.Transcript`. If the file has become unusable, words end with their last
          character's output.
        """
        try:
            samples = read_audio(utterance.audio_path, self._params["sample_freq"], self._params["max_missing_fraction"])
        except RejectedData:
            samples = np.zeros([0], np.float32)
        loud = loud_frames(samples, self._samples, frames)
        words = timed_words(characters, self._vocabulary, loud, self.frame_seconds)
        return make_transcript(words, round(utterance.duration, 3), self._separator)
