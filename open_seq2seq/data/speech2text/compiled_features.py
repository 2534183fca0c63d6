"""Log-mel features (backend librosa) in generated machine code, several times as fast as TensorFlow's operations."""
import numpy as np
import tensorflow.compat.v1 as tf

from open_seq2seq.data.speech2text import features as reference
from open_seq2seq.data.speech2text import mel
from open_seq2seq.data.speech2text.features import PARAMETERS, Geometry, transform_length

_DITHER_PERIOD = 16384  # samples; drawing a number for every sample would take longer than the features
_MIXER = 0x9E3779B97F4A7C15  # 2^64 / golden ratio: products with consecutive numbers are spread evenly


def why_not_compiled(params):
    """Why these features cannot be computed by :class:`CompiledFeatures`: a clause of a sentence, or None if they can.

    Args:
      params: checked dict of ``PARAMETERS``.
    """
    if params["backend"] != "librosa" or params["input_type"] != "logfbank":
        return 'it computes input_type "logfbank" of backend "librosa" only'
    try:
        from open_seq2seq.data.speech2text.log_mel_code import SMALLEST_TRANSFORM, is_supported
    except ImportError as error:
        return "llvmlite, which comes with librosa, cannot be imported (%s)" % error
    num_fft = transform_length(params)
    if not is_supported(num_fft, _filters(params, num_fft)):
        return "num_fft is %d; expected a power of two, at least %d" % (num_fft, SMALLEST_TRANSFORM)
    return None


def _filters(params, num_fft):
    return mel.slaney_mel_filters(params["sample_freq"], num_fft, params["num_audio_features"])


class CompiledFeatures:
    """The features of ``FeatureGraph``, equal up to rounding, with its interface.

    Args:
      params: checked dict of ``PARAMETERS`` for which :func:`why_not_compiled` is None.

    Raises:
      ConfigError: parameters that contradict each other.
    """

    PARAMETERS = PARAMETERS

    def __init__(self, params):
        from open_seq2seq.data.speech2text.log_mel_code import LogMel

        self._params = params
        self._geometry = geometry = Geometry.of(params)
        self._log_mel = LogMel(reference.WINDOWS[params["window"]](geometry.frame), geometry.hop, geometry.num_fft,
                               _filters(params, geometry.num_fft), reference.MEL_FLOOR)
        self._noise = None
        if params["dither"]:
            noise = np.random.RandomState(0).standard_normal(_DITHER_PERIOD) * params["dither"]
            self._noise = np.concatenate([noise, noise]).astype(np.float32)

    def num_frames(self, num_samples):
        """The number of frames of a waveform of ``num_samples`` (at least 1): int -> int, int tensor -> int tensor."""
        return self._geometry.num_frames(num_samples)

    def __call__(self, waveform, seed=None):
        """See ``FeatureGraph.__call__``."""
        if seed is None:
            computed = tf.numpy_function(self.of_waveform, [waveform], tf.float32)
        else:
            computed = tf.numpy_function(self.of_waveform, [waveform, seed], tf.float32)
        computed.set_shape([None, self._params["num_audio_features"]])
        return computed

    def of_waveform(self, waveform, seed=None):
        """The features as an array. Thread-safe.

        Args:
          waveform: float32 [samples], at least one sample, in -1..1 at ``sample_freq``.
          seed: int [2], for the dither; None: no dither.

        Returns:
          float32 [frames, num_audio_features], ``window_stride`` apart.
        """
        params, frames = self._params, self._geometry.num_frames(len(waveform))
        energies = self._log_mel(self._padded(self._scaled(waveform, seed), frames), frames)
        return reference.normalize(energies, params, 0 if params["norm_per_feature"] else None, params["features_mean"],
                                   params["features_std_dev"])

    def _scaled(self, waveform, seed):
        params = self._params
        if params["gain"] is not None:
            scale = params["gain"] * reference.INT16_SCALE
        else:
            scale = 1 / (max(waveform.max(), -waveform.min()) + reference.PEAK_EPSILON / reference.INT16_SCALE)
        samples = waveform * np.float32(scale)
        if seed is not None and self._noise is not None:
            start = (int(seed[0]) * _MIXER + int(seed[1])) * _MIXER % 2 ** 64 >> 50
            for begin in range(0, len(samples), _DITHER_PERIOD):
                part = samples[begin:begin + _DITHER_PERIOD]
                part += self._noise[start:start + len(part)]
        return samples

    def _padded(self, samples, frames):
        """The samples after pre-emphasis, extended by reflection beyond their ends."""
        count, before = len(samples), self._geometry.offset
        padded = np.empty([max(self._log_mel.needed_samples(frames), before + count)], np.float32)
        middle = padded[before:before + count]
        middle[:1] = samples[:1]
        np.multiply(samples[:-1], np.float32(-reference.PREEMPHASIS), out=middle[1:])
        middle[1:] += samples[1:]
        padded[:before] = middle[_reflected(np.arange(-before, 0), count)]
        after = padded[before + count:]
        used = min(len(after), self._geometry.frame - before)
        after[:used] = middle[_reflected(count + np.arange(used), count)]
        after[used:] = 0.0
        return padded


def _reflected(indices, count):
    """Indices into a waveform of ``count`` samples that is reflected at both ends as often as necessary."""
    period = 2 * max(count - 1, 1)
    indices = np.abs(indices) % period
    return np.minimum(np.minimum(indices, period - indices), count - 1)
