"""The interface of every model that computes logits: it checks the batch, pads it, and removes the padding from the result."""
import numpy as np

from open_seq2seq.errors import CheckpointError, DataError
from open_seq2seq.export.runtime.features import FeatureExtractor, checked_waveform

TRIAL_FRAMES, MOST_TRIAL_FRAMES = 64, 1 << 12


class LogitModel:
    """Computes logits of features or of audio. Subclasses implement ``_run_features`` and ``_run_audio``.

    Args:
      description: an ``ExportDescription``.
      name: name of the model in messages.

    Attributes:
      description: the ``ExportDescription``.
    """

    def __init__(self, description, name):
        self.description = description
        self._name = name
        self._extractor = None

    def logits(self, features, feature_lengths):
        """Logits of a batch of features.

        Args:
          features: float [B, T, F], 10 ms frames as evaluation computes them; padding after the valid lengths is not read.
          feature_lengths: int [B], valid frames, 0 to T.

        Returns:
          (logits float32 [B, T', V + 1], logit_lengths int32 [B], valid frames of the logits). T' is the number of frames that
          the network leaves of T.

        Raises:
          DataError: the batch is not as described, not finite, or larger than the model accepts.
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
        """Logits of a batch of recordings; the features are computed first.

        Args:
          waveforms: list of float arrays [samples] in -1..1 at ``description.sample_rate``.

        Returns:
          (logits float32 [B, T', V + 1], logit_lengths int32 [B]).

        Raises:
          DataError: a recording is empty or not finite, or there are more or longer recordings than the model accepts.
        """
        waveforms = [checked_waveform(waveform) for waveform in waveforms]
        if not waveforms:
            raise DataError("the batch has no recordings; expected at least one")
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
        """The ``FeatureExtractor`` of the model's features, created on first use."""
        if self._extractor is None:
            self._extractor = FeatureExtractor(self.description.feature_params)
        return self._extractor

    def close(self):
        """Frees the model's resources; it cannot be used afterwards."""
        if self._extractor is not None:
            self._extractor.close()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def mask(self, feature_lengths, frames):
        """The mask input for valid lengths [B] and padded frames: float32 [B, M], 1.0 for valid frames."""
        lengths = np.array([self.description.mask_frames(length) for length in feature_lengths])
        return (np.arange(self.description.mask_frames(frames)) < lengths[:, np.newaxis]).astype(np.float32)

    def require_described_frames(self, even_if_static=False):
        """Runs a model of dynamic length on a few frames of zeros: the logits must have as many frames as described.

        A static model's shapes are compared with the graph's instead.

        Args:
          even_if_static: run a static model too.

        Raises:
          CheckpointError: the graph fails or gives another number of frames, because the description is another model's.
        """
        description = self.description
        frames = description.frames
        if frames is not None and not even_if_static:
            return
        if frames is None:
            frames = TRIAL_FRAMES
            while description.logit_frames(frames) < 2 and frames < MOST_TRIAL_FRAMES:
                frames *= 2
        try:
            if description.with_features:
                samples = description.inputs[0].shape[1] or frames * self.extractor.hop
                frames = self._frames(self.extractor.num_frames(samples))
                audio = np.zeros([self._rows(1), samples], np.float32)
                logits = self._run_audio(audio, np.array([samples] + [0] * (len(audio) - 1), np.int32))
            else:
                features = np.zeros([self._rows(1), frames, description.num_audio_features], np.float32)
                logits = self._run_features(features, np.full([len(features)], frames, np.int32))
        except CheckpointError:
            raise
        except Exception as error:  # TensorFlow's and onnxruntime's errors have no common base
            raise CheckpointError("%s cannot compute logits of %d frames with the shapes in its JSON (%s); copy both files of "
                                  "one export, or export again" % (self._name, frames, str(error).split("\n")[0]))
        expected = [description.logit_frames(frames), len(description.vocabulary) + 1]
        if list(logits.shape[1:]) != expected:
            raise CheckpointError("%s has logits %s for %d frames, its JSON says %s (frame_changes, vocabulary); copy both files "
                                  "of one export, or export again" % (self._name, list(logits.shape[1:]), frames, expected))

    def folded_network(self):
        """The ``FoldedNetwork`` with an activation that is a function of arrays; None if it cannot be taken from the model."""
        return None

    def _run_features(self, features, feature_lengths):
        """Logits of features [B, T, F] that are zero after ``feature_lengths`` and have a size that the model accepts."""
        raise NotImplementedError

    def _run_audio(self, audio, audio_lengths):
        """Logits of audio [B, S] that is zero after ``audio_lengths`` and has a size that the model accepts."""
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
        return frames * self.description.feature_params["window_stride"]

    def _checked_features(self, features, feature_lengths):
        features, lengths = np.asarray(features), np.asarray(feature_lengths)
        expected = self.description.num_audio_features
        if self.description.with_features:
            raise DataError("%s computes its features itself (--with_features); pass audio to logits_of_audio" % self._name)
        if features.ndim != 3 or features.shape[2] != expected or features.dtype.kind != "f":
            raise DataError("the features are %s %s, expected float [batch, frames, %d]: %s has %d features a frame" % (
                features.dtype, list(features.shape), expected, self._name, expected))
        if lengths.shape != features.shape[:1] or lengths.dtype.kind not in "iu":
            raise DataError("the lengths are %s %s, expected integers [%d], one for each utterance" % (
                lengths.dtype, list(lengths.shape), len(features)))
        if not len(features):
            raise DataError("the batch is empty; expected at least one utterance")
        if lengths.min() < 0 or lengths.max() > features.shape[1]:
            raise DataError("a length is %d, expected 0 to %d, the padded frames" % (
                lengths.min() if lengths.min() < 0 else lengths.max(), features.shape[1]))
        for row, length in enumerate(lengths):
            if not np.isfinite(features[row, :length]).all():
                raise DataError("utterance %d of the batch has features that are not finite (NaN or infinite); its audio is "
                                "damaged" % row)
        return features, lengths
