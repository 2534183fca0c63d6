"""What all models that compute logits have in common: checks of what they are fed, padding and its removal."""
import numpy as np

from open_seq2seq.errors import DataError
from open_seq2seq.export.runtime.features import FeatureExtractor, checked_waveform


class LogitModel:
    """Computes logits of features or of audio. Subclasses say how, in ``_run_features`` and ``_run_audio``.

    Args:
      description: an ``ExportDescription``.
      name: how to name the model in messages.

    Attributes:
      description: what the model is.
    """

    def __init__(self, description, name):
        self.description = description
        self._name = name
        self._extractor = None

    def logits(self, features, feature_lengths):
        """Logits of a batch of features.

        Args:
          features: float [B, T, F], 10 ms frames as evaluation computes them; what lies behind the true lengths is not read.
          feature_lengths: int [B], true lengths in frames, 0 to T.

        Returns:
          (logits float32 [B, T', V + 1], logit_lengths int32 [B], true lengths in frames of the logits). T' is what the network
          leaves of T frames.

        Raises:
          DataError: the batch is not as described, not finite, or larger than the model takes.
        """
        features, lengths = self._checked_features(features, feature_lengths)
        batch_size, frames, _ = features.shape
        padded = np.zeros([self._rows(batch_size), self._frames(frames), features.shape[2]], np.float32)
        for row, length in enumerate(lengths):
            padded[row, :length] = features[row, :length]
        padded_lengths = np.zeros([len(padded)], np.int32)
        padded_lengths[:batch_size] = lengths
        logits = self._run_features(padded, padded_lengths)
        return logits[:batch_size, :self.description.logit_frames(frames)], self._logit_lengths(lengths)

    def logits_of_audio(self, waveforms):
        """Logits of a batch of recordings; the features are computed on the way.

        Args:
          waveforms: list of float arrays [samples] in -1..1 at ``description.sample_rate``.

        Returns:
          (logits float32 [B, T', V + 1], logit_lengths int32 [B]).

        Raises:
          DataError: a recording is empty or not finite, or there are more or longer ones than the model takes.
        """
        waveforms = [checked_waveform(waveform) for waveform in waveforms]
        if not waveforms:
            raise DataError("there is no recording in the batch")
        lengths = np.array([self.extractor.num_frames(len(waveform)) for waveform in waveforms], np.int32)
        if not self.description.with_features:
            features = np.zeros([len(waveforms), lengths.max(), self.description.num_audio_features], np.float32)
            for row, waveform in enumerate(waveforms):
                features[row, :lengths[row]] = self.extractor(waveform)
            return self.logits(features, lengths)
        self._frames(int(lengths.max()))
        audio_samples = self.description.inputs[0].shape[1] or max(map(len, waveforms))
        audio = np.zeros([self._rows(len(waveforms)), audio_samples], np.float32)
        audio_lengths = np.zeros([len(audio)], np.int32)
        for row, waveform in enumerate(waveforms):
            audio[row, :len(waveform)], audio_lengths[row] = waveform, len(waveform)
        logits = self._run_audio(audio, audio_lengths)
        logit_lengths = self._logit_lengths(lengths)
        return logits[:len(waveforms), :self.description.logit_frames(int(lengths.max()))], logit_lengths

    @property
    def extractor(self):
        """The ``FeatureExtractor`` of the model's features, made when it is first asked for."""
        if self._extractor is None:
            self._extractor = FeatureExtractor(self.description.feature_params)
        return self._extractor

    def close(self):
        """Frees what the model holds; it cannot be used any more."""
        if self._extractor is not None:
            self._extractor.close()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def mask(self, feature_lengths, frames):
        """The mask input for true lengths [B] and padded frames: float32 [B, M], 1.0 for true frames."""
        lengths = np.array([self.description.mask_frames(length) for length in feature_lengths])
        return (np.arange(self.description.mask_frames(frames)) < lengths[:, np.newaxis]).astype(np.float32)

    def _run_features(self, features, feature_lengths):
        """Logits of [B, T, F] features that are zero behind ``feature_lengths`` and of a size that the model takes."""
        raise NotImplementedError

    def _run_audio(self, audio, audio_lengths):
        """Logits of [B, S] audio that is zero behind ``audio_lengths`` and of a size that the model takes."""
        raise NotImplementedError

    def _logit_lengths(self, lengths):
        return np.array([self.description.logit_frames(length) for length in lengths], np.int32)

    def _rows(self, batch_size):
        """Rows to feed for a batch."""
        static = self.description.batch_size
        if static is not None and batch_size > static:
            raise DataError("the batch has %d utterances, and %s was exported for %d at a time; feed fewer, or export with "
                            "--batch_size=%d or --frames=dynamic" % (batch_size, self._name, static, batch_size))
        return static or batch_size

    def _frames(self, frames):
        """Frames to feed for utterances of up to ``frames``."""
        static, pad_to = self.description.frames, self.description.pad_to
        padded = -(-max(frames, 1) // pad_to) * pad_to
        if static is not None and frames > static:
            raise DataError("an utterance has %d feature frames (%.1f s), and %s was exported for %d at most (%.1f s); cut it, "
                            "or export with --frames=%d or --frames=dynamic" % (
                                frames, self._seconds(frames), self._name, static, self._seconds(static), padded))
        return static or padded

    def _seconds(self, frames):
        return frames * self.description.feature_params.get("window_stride", 0.01)

    def _checked_features(self, features, feature_lengths):
        features, lengths = np.asarray(features), np.asarray(feature_lengths)
        expected = self.description.num_audio_features
        if self.description.with_features:
            raise DataError("%s computes its features itself (--with_features); give it audio, by logits_of_audio" % self._name)
        if features.ndim != 3 or features.shape[2] != expected or features.dtype.kind != "f":
            raise DataError("the features are %s %s, expected float [batch, frames, %d]: %s has %d features a frame" % (
                features.dtype, list(features.shape), expected, self._name, expected))
        if lengths.shape != features.shape[:1] or lengths.dtype.kind not in "iu":
            raise DataError("the lengths are %s %s, expected integers [%d], one an utterance" % (
                lengths.dtype, list(lengths.shape), len(features)))
        if not len(features):
            raise DataError("the batch is empty; expected one utterance at least")
        if lengths.min() < 0 or lengths.max() > features.shape[1]:
            raise DataError("a length is %d, expected 0 to %d, the padded frames" % (
                lengths.min() if lengths.min() < 0 else lengths.max(), features.shape[1]))
        for row, length in enumerate(lengths):
            if not np.isfinite(features[row, :length]).all():
                raise DataError("utterance %d of the batch has features that are not finite (nan or infinite); its audio is "
                                "damaged" % row)
        return features, lengths
