"""Features of a waveform, exactly as evaluation computes them except that dither is off."""
import numpy as np
import tensorflow.compat.v1 as tf

from open_seq2seq.config.parameters import Report, check_parameters
from open_seq2seq.data.speech2text.feature_graph import FeatureGraph, make_feature_function
from open_seq2seq.data.speech2text.features import Geometry
from open_seq2seq.devices.cpu import Cpu
from open_seq2seq.errors import CheckpointError, DataError


class FeatureExtractor:
    """Computes features in its own session.

    Args:
      params: dict of the features' parameters, e.g. a description's ``feature_params``.

    Raises:
      CheckpointError: a parameter is unknown or wrong.
    """

    def __init__(self, params):
        report = Report()
        checked = check_parameters(FeatureGraph.PARAMETERS, params, "feature_params", report)
        if report.problems:
            raise CheckpointError("the model's features cannot be computed: %s" % "; ".join(report.problems))
        #: samples between the starts of two frames
        self.hop = Geometry.of(checked).hop
        self._graph = tf.Graph()
        with self._graph.as_default():
            self._waveform = tf.placeholder(tf.float32, [None], "waveform")
            self._function = make_feature_function(checked)
            self._features = self._function(self._waveform)
        self._session = tf.Session(graph=self._graph, config=Cpu().session_config())

    def num_frames(self, num_samples):
        """Frames of a waveform of ``num_samples`` (an int of at least 1)."""
        return int(self._function.num_frames(num_samples))

    def __call__(self, waveform):
        """Computes the features.

        Args:
          waveform: float32 [samples], at least one, in -1..1 at the model's sample rate.

        Returns:
          float32 [frames, num_audio_features].

        Raises:
          DataError: no samples, more than one channel, or samples that are not finite.
        """
        return self._session.run(self._features, {self._waveform: checked_waveform(waveform)})

    def close(self):
        """Frees the session."""
        self._session.close()


def checked_waveform(waveform):
    """``waveform`` as float32 [samples].

    Raises:
      DataError: no samples, more than one channel, or samples that are not finite.
    """
    waveform = np.asarray(waveform, np.float32)
    if waveform.ndim != 1:
        raise DataError("the audio has shape %s, expected one channel: [samples]" % (waveform.shape,))
    if not len(waveform):
        raise DataError("the audio is empty; expected at least one sample")
    finite = np.isfinite(waveform)
    if not finite.all():
        raise DataError("the audio has %d samples that are not finite (NaN or infinite), the first is sample %d of %d; fix "
                        "the recording" % (np.count_nonzero(~finite), np.argmin(finite), len(waveform)))
    return waveform
