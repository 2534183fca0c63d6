"""Features outside a training graph: a waveform in, what the model was evaluated on out."""
import numpy as np
import tensorflow.compat.v1 as tf

from open_seq2seq.data.speech2text.feature_graph import make_feature_function


class FeatureExtractor:
    """The features of single waveforms, computed on the CPU in a session of its own, without dither as in evaluation.

    Args:
      params: checked dict of :data:`~open_seq2seq.data.speech2text.features.PARAMETERS`.
      threads: of the session; 0: as many as there are cores.

    Raises:
      ConfigError: parameters that contradict each other.
    """

    def __init__(self, params, threads=0):
        self.sample_rate, self.num_audio_features = params["sample_freq"], params["num_audio_features"]
        # evaluation pads to this after the features, and psf within them
        self._pad_to = max(params["pad_to"], 1)
        self._features = make_feature_function(params)
        with tf.Graph().as_default() as graph, tf.device("/cpu:0"):
            self._waveform = tf.placeholder(tf.float32, [None], "waveform")
            self._computed = self._features(self._waveform)
        # an accelerator's memory is for the model
        config = tf.ConfigProto(device_count={"GPU": 0}, intra_op_parallelism_threads=threads)
        self._session = tf.Session(graph=graph, config=config)

    def num_frames(self, num_samples):
        """Frames, without padding, of a waveform of ``num_samples`` (at least 1)."""
        return self._features.num_frames(num_samples)

    def __call__(self, waveform):
        """Computes the features.

        Args:
          waveform: float32 [samples], at least one, in -1..1 at ``sample_rate``.

        Returns:
          float32 [frames, num_audio_features], ``window_stride`` apart.
        """
        return self._session.run(self._computed, {self._waveform: waveform})

    def batch(self, waveforms):
        """Features of several waveforms, zero-padded as in evaluation: to the longest, and up to a multiple of ``pad_to``.

        Args:
          waveforms: list of float32 [samples].

        Returns:
          (float32 [B, T, num_audio_features], int32 [B] true lengths in frames)
        """
        computed = [self(waveform) for waveform in waveforms]
        lengths = np.array([len(features) for features in computed], np.int32)
        padded = np.zeros([len(computed), -(-int(lengths.max()) // self._pad_to) * self._pad_to, self.num_audio_features],
                          np.float32)
        for row, features in zip(padded, computed):
            row[:len(features)] = features
        return padded, lengths

    def close(self):
        """Ends the session."""
        self._session.close()
