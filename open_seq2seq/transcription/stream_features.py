"""Features of a stream: each frame is computed once, and normalized when it reaches the network.

A recording is normalized by the mean and the deviation of all of its frames, which a stream does not know yet. A stream is
normalized by the latest seconds of speech instead: at most :data:`HISTORY_SECONDS`, which begin in earlier segments if the
current one is shorter. Every frame is normalized once, with what is known when the network receives it.
"""
import numpy as np

from open_seq2seq.config.parameters import Report, check_parameters
from open_seq2seq.data.speech2text import features as reference
from open_seq2seq.data.speech2text.feature_graph import FeatureGraph
from open_seq2seq.export.runtime.features import FeatureExtractor

HISTORY_SECONDS = 8.0       # training normalizes utterances of seconds
EARLIER_SECONDS = 3.0       # of earlier segments, at the beginning of a segment


class StreamFeatures:
    """Frames of a stream before normalization, in groups of a fixed size, so that blocks of any size give the same numbers.

    Args:
      params: dict of the features' parameters.
      group: frames that are computed at a time.
    """

    def __init__(self, params, group):
        checked = check_parameters(FeatureGraph.PARAMETERS, params, "feature_params", Report())
        geometry = reference.Geometry.of(checked)
        self.hop, self._group, self._extractor = geometry.hop, group, None
        self._num_frames = geometry._replace(pad_to=0).num_frames
        if checked["backend"] == "librosa":
            gain = checked["gain"]
            # a fixed gain, because the peak of a stream is not known; normalization removes it from logarithms of energies
            self._extractor = self._compute = FeatureExtractor(dict(
                params, features_mean=0.0, features_std_dev=1.0, dynamic_range=None, statistics_range=None, min_std_dev=0.0,
                gain=1.0 / reference.INT16_SCALE if gain is None else gain))
        else:
            self._compute = lambda waveform: reference.psf_features_of_stream(waveform, checked)
        # frames before and after a group that are computed with it and dropped: samples are reflected at the ends of a piece, and
        # pre-emphasis begins there
        self._before = -(-(geometry.offset + 1) // geometry.hop) + 1
        self.after = -(-(geometry.frame - geometry.offset) // geometry.hop)
        self.reset()

    def reset(self):
        """Begins another stream."""
        self._samples = np.zeros([0], np.float32)
        self._first = 0        # number of the first kept sample; a multiple of the hop
        self._next = 0         # number of the next frame

    def add(self, samples):
        """Takes float32 [samples].

        Returns:
          List of float32 [group, features], the frames that are complete with them, in order.
        """
        self._samples = np.concatenate([self._samples, samples])
        groups = []
        while self._first + len(self._samples) >= self._end_of(self._group):
            groups.append(self._computed(self._group, self._end_of(self._group)))
        return groups

    def end(self):
        """The frames that are left at the end of the stream, float32 [frames, features]; possibly none."""
        total = self._first + len(self._samples)
        frames = (self._num_frames(total) if total else 0) - self._next
        if frames <= 0:
            return None
        return self._computed(frames, total)

    def _end_of(self, frames):
        return (self._next + frames + self.after) * self.hop

    def _computed(self, frames, end):
        begin = max(self._next - self._before, 0)
        piece = self._samples[begin * self.hop - self._first:end - self._first]
        computed = self._compute(piece)[self._next - begin:self._next - begin + frames]
        self._next += frames
        keep = max(self._next - self._before, 0) * self.hop
        self._samples, self._first = self._samples[max(keep - self._first, 0):].copy(), max(keep, self._first)
        return computed

    def close(self):
        """Frees the session of the features."""
        if self._extractor is not None:
            self._extractor.close()


class StreamNormalizer:
    """Normalizes the frames of a stream's segments.

    Args:
      params: dict of the features' parameters.
      history, earlier: numbers of frames, see :data:`HISTORY_SECONDS` and :data:`EARLIER_SECONDS`.
    """

    def __init__(self, params, history, earlier):
        self._params = check_parameters(FeatureGraph.PARAMETERS, params, "feature_params", Report())
        librosa = self._params["backend"] == "librosa"
        self._axis = 0 if librosa and self._params["norm_per_feature"] else None
        self._mean, self._deviation = [self._params[name] if librosa else None for name in ("features_mean", "features_std_dev")]
        self._most, self._most_earlier = history, earlier
        self.reset()

    def reset(self):
        """Begins another stream."""
        self._history = np.zeros([0, self._params["num_audio_features"]], np.float32)

    @property
    def known(self):
        """Number of frames that are known."""
        return len(self._history)

    def begin_segment(self):
        """A segment begins: only the latest frames before it are still used."""
        self._history = self._history[max(len(self._history) - self._most_earlier, 0):]

    def __call__(self, frames):
        """The normalized frames, float32 [frames, features], of frames [frames, features] that follow those seen before."""
        history = np.concatenate([self._history, frames])
        self._history = history[max(len(history) - max(self._most, len(frames)), 0):]
        normalized = reference.normalize(self._history.astype(np.float64), self._params, self._axis, self._mean, self._deviation)
        return normalized[len(normalized) - len(frames):]
