"""Features as matrix products in TensorFlow operations, without a Fourier transform and without calls into Python.

The transform of short frames is a matrix product: frames [T, W] x (window * Fourier basis) [W, 2 * bins]. All windows here are
symmetric. With time counted from the middle of the frame, the cosine part therefore depends only on the sum of a frame and its
mirror image, and the sine part only on their difference: two products with [W / 2, bins], half the multiplications. The phase
differs from that of a transform that counts from the start of the frame, but only the power is used. A product with the mel
filters (or the cosine transform) follows.

Precision: the rounding error of float32 products is about 140 dB below the frame's energy. After pre-emphasis that is sufficient
for the sums over bins in librosa's mel filters. A single bin of a spectrogram, or of psf's first filters, which have one bin
each, can be further than that below the frame's peak. These are computed in float64 up to the power.
"""
import numpy as np
import tensorflow.compat.v1 as tf

from open_seq2seq.data.speech2text import features as reference
from open_seq2seq.data.speech2text import mel
from open_seq2seq.data.speech2text.compiled_features import CompiledFeatures, why_not_compiled
from open_seq2seq.data.speech2text.features import PARAMETERS, Geometry
from open_seq2seq.data.speech2text.random_streams import stream_seed

_DITHER_PERIOD = 16384   # samples; random normal numbers for a whole utterance would take as long as its features


def make_feature_function(params):
    """Returns the :class:`CompiledFeatures`, :class:`FeatureGraph` or :class:`NumpyFeatures` for ``params``."""
    return {"compiled": CompiledFeatures, "graph": FeatureGraph, "numpy": NumpyFeatures}[engine_of(params)](params)


def engine_of(params):
    """What computes the features for ``params`` in this environment: "compiled", "graph" or "numpy"."""
    if params["feature_engine"] != "auto":
        return params["feature_engine"]
    return "compiled" if why_not_compiled(params) is None else "graph"


def _num_frames(geometry, num_samples):
    return geometry.num_frames(num_samples, tf.maximum if tf.is_tensor(num_samples) else max)


class NumpyFeatures:
    """Features computed by the reference library, called from the graph, with the interface of :class:`FeatureGraph`."""

    PARAMETERS = PARAMETERS

    def __init__(self, params):
        self._params = params
        self._geometry = Geometry.of(params)

    def num_frames(self, num_samples):
        """The number of frames of a waveform of ``num_samples`` (at least 1): int -> int, int tensor -> int tensor."""
        return _num_frames(self._geometry, num_samples)

    def __call__(self, waveform, seed=None):
        """See :meth:`FeatureGraph.__call__`."""
        if seed is None:
            computed = tf.numpy_function(self._compute, [waveform], tf.float32)
        else:
            computed = tf.numpy_function(self._compute, [waveform, stream_seed(seed, "dither")], tf.float32)
        computed.set_shape([None, self._params["num_audio_features"]])
        return computed

    def _compute(self, waveform, seed=None):
        rng = None if seed is None else np.random.RandomState(np.asarray(seed).astype(np.uint32))
        return reference.extract_features(waveform, self._params, rng)


class FeatureGraph:
    """Features of a waveform in TensorFlow operations.

    Args:
      params: checked dict of ``PARAMETERS``.

    Raises:
      ConfigError: parameters that contradict each other.
    """

    PARAMETERS = PARAMETERS

    def __init__(self, params):
        self._params = params
        self._geometry = Geometry.of(params)
        self._psf = params["backend"] == "psf"
        self._precision = tf.float64 if self._psf or params["input_type"] == "spectrogram" else tf.float32
        bins, self._projection = self._make_projection()
        self._cosines, self._sines = self._make_bases(bins)

    def num_frames(self, num_samples):
        """The number of frames of a waveform of ``num_samples`` (at least 1): int -> int, int tensor -> int tensor."""
        return _num_frames(self._geometry, num_samples)

    def __call__(self, waveform, seed=None):
        """Adds the operations to the current graph.

        A waveform shorter than a window is extended by reflection (librosa) or zero padding (psf). A feature that is constant
        over the utterance, as in silence, becomes 0.

        Args:
          waveform: float32 [samples], at least one sample, in -1..1 at ``sample_freq``.
          seed: int [2] tensor for the dither; None: no dither.

        Returns:
          float32 [frames, num_audio_features], ``window_stride`` apart.

        Raises:
          ValueError: the waveform has another rank or type.
        """
        waveform = tf.convert_to_tensor(waveform)
        if waveform.dtype != tf.float32 or waveform.shape.ndims not in (None, 1):
            raise ValueError("waveform is %s %s, expected float32 [samples]" % (waveform.dtype.name, waveform.shape))
        with tf.name_scope("features"):
            samples = tf.cast(self._scaled(waveform, seed), self._precision)
            left, right = self._frame_halves(self._padded(self._emphasized(samples)))
            power = tf.square(tf.matmul(left + right, self._cosines)) + tf.square(tf.matmul(left - right, self._sines))
            computed = self._normalized(self._project(tf.cast(power, tf.float32)))
        computed.set_shape([None, self._params["num_audio_features"]])
        return computed

    @property
    def multiplications_per_frame(self):
        """Multiplications in the matrix products of a frame."""
        return sum(matrix.size for matrix in (self._cosines, self._sines, self._projection) if matrix is not None)

    # constants

    def _make_projection(self):
        """The bins of the spectrum that are used, and the matrix [bins, outputs] applied to their power, or None."""
        params, num_fft = self._params, self._geometry.num_fft
        num_features, sample_freq = params["num_audio_features"], params["sample_freq"]
        if params["input_type"] == "spectrogram":
            return np.arange(num_features), None
        if params["input_type"] == "mfcc" and not self._psf:
            return np.arange(num_fft // 2 + 1), mel.cosine_transform(num_fft // 2 + 1, num_features).astype(np.float32)
        if self._psf:
            filters = mel.htk_mel_filters(sample_freq, num_fft, num_features * (2 if params["input_type"] == "mfcc" else 1))
            filters /= num_fft  # python_speech_features' power is |X|^2 / num_fft
        else:
            filters = mel.slaney_mel_filters(sample_freq, num_fft, num_features)
        bins = np.flatnonzero(filters.any(axis=1))
        return bins, filters[bins].astype(np.float32)

    def _make_bases(self, bins):
        """The two halves of the Fourier basis, multiplied by the window: [ceil(frame / 2), bins] each."""
        params, frame = self._params, self._transformed_samples()
        if not self._psf:
            window = reference.WINDOWS[params["window"]](frame)
        else:
            window = np.hanning(frame) if params["input_type"] == "spectrogram" else np.ones(frame)
        half = (frame + 1) // 2
        window = window[:half].copy()
        if frame % 2:
            window[-1] /= 2  # the middle sample belongs to both halves
        before_middle = (frame - 1) / 2 - np.arange(half)
        phase = 2 * np.pi / self._geometry.num_fft * np.outer(before_middle, bins)
        dtype = self._precision.as_numpy_dtype
        return (window[:, np.newaxis] * np.cos(phase)).astype(dtype), (window[:, np.newaxis] * np.sin(phase)).astype(dtype)

    def _transformed_samples(self):
        # a transform shorter than the frame, which only psf allows, uses the frame's first samples
        return min(self._geometry.frame, self._geometry.num_fft)

    # the waveform

    def _scaled(self, waveform, seed):
        params = self._params
        if self._psf:
            # rounds to float32 after each step like the original, so that every sample truncates to the same 16-bit value;
            # written with casts because the graph optimizer would merge the factors of plain float32 products
            samples = tf.cast(waveform, tf.float64) * reference.INT16_SCALE
            gain = 1 / (tf.reduce_max(tf.abs(samples)) + reference.PEAK_EPSILON)
            for factor in (tf.cast(tf.cast(gain, tf.float32), tf.float64), 32767.0):
                samples = tf.cast(tf.cast(samples * factor, tf.float32), tf.float64)
            return tf.cast(tf.cast(samples, tf.int32), tf.float64)
        if params["gain"] is not None:
            samples = waveform * (params["gain"] * reference.INT16_SCALE)
        else:
            peak = tf.maximum(tf.reduce_max(waveform), -tf.reduce_min(waveform))
            samples = waveform * (1 / (peak + reference.PEAK_EPSILON / reference.INT16_SCALE))
        if seed is None or not params["dither"]:
            return samples
        count = tf.size(samples)
        # one second of noise, repeated: at the level of dither the repetition does not matter
        noise = tf.random.stateless_normal([_DITHER_PERIOD], stream_seed(seed, "dither"), stddev=params["dither"])
        return samples + tf.tile(noise, [count // _DITHER_PERIOD + 1])[:count]

    def _emphasized(self, samples):
        if self._psf:
            samples = tf.pad(samples, [[0, self._geometry.psf_padding(tf.size(samples), tf.maximum)]])
        if self._params["input_type"] == "spectrogram":
            return samples
        return tf.concat([samples[:1], samples[1:] - reference.PREEMPHASIS * samples[:-1]], 0)

    def _padded(self, samples):
        """The waveform extended beyond its ends and cut to the frames: [(frames - 1) * hop + frame]."""
        geometry = self._geometry
        count = tf.size(samples)
        if not geometry.centered:
            frames = 1 - -tf.maximum(count - geometry.frame, 0) // geometry.hop
            return tf.pad(samples, [[0, (frames - 1) * geometry.hop + geometry.frame - count]])
        before = tf.gather(samples, _reflected(tf.range(-geometry.offset, 0), count))
        after = tf.gather(samples, _reflected(count + tf.range(geometry.frame - geometry.offset), count))
        length = (geometry.num_frames(count) - 1) * geometry.hop + geometry.frame
        return tf.concat([before, samples, after], 0)[:length]

    def _frame_halves(self, padded):
        """First halves of the frames, and second halves mirrored: [frames, ceil(frame / 2)] each."""
        geometry = self._geometry
        if geometry.frame == 2 * geometry.hop and geometry.frame <= geometry.num_fft:
            # each half is a block of one hop, and belongs to two frames
            blocks = tf.reshape(padded, [-1, geometry.hop])
            return blocks[:-1], tf.reverse(blocks, [1])[1:]
        frame = self._transformed_samples()
        frames = tf.signal.frame(padded, geometry.frame, geometry.hop)
        half = (frame + 1) // 2
        return frames[:, :half], tf.reverse(frames[:, frame - half:frame], [1])

    # the features

    def _project(self, power):
        params = self._params
        if params["input_type"] == "spectrogram":
            decibels = 10 / np.log(10)
            scale = 1 / self._geometry.num_fft if self._psf else 1.0
            return np.float32(decibels) * tf.log(tf.maximum(power * scale, reference.POWER_FLOOR))
        projected = tf.matmul(power, self._projection)
        if not self._psf:
            return projected if params["input_type"] == "mfcc" else tf.log(projected + reference.MEL_FLOOR)
        epsilon = np.finfo(np.float64).eps  # python_speech_features replaces zero by this
        logarithms = tf.log(projected + epsilon * tf.cast(tf.equal(projected, 0), tf.float32))
        if params["input_type"] == "logfbank":
            return logarithms
        num_features = params["num_audio_features"]
        cepstral = mel.cosine_transform(2 * num_features, num_features) * mel.cepstral_lifter(num_features, 2 * num_features)
        return tf.matmul(logarithms, cepstral.astype(np.float32))

    def _normalized(self, computed):
        params = self._params
        mean, deviation = (None, None) if self._psf else (params["features_mean"], params["features_std_dev"])
        axis = [0] if params["norm_per_feature"] and not self._psf else [0, 1]
        limit = reference.in_feature_units(params, "dynamic_range")
        if limit is not None:
            computed = tf.maximum(computed, tf.reduce_max(computed) - np.float32(limit))
        average = self._average_over_counted_frames(computed, axis)
        # without the shift, the deviation of a constant would be the rounding error of its mean
        shift = computed[:1] if axis == [0] else computed[:1, :1]
        computed = computed - shift
        own_mean = average(computed)
        centered = computed - own_mean
        if deviation is None:
            # a constant feature (silence, a single frame) becomes 0; OpenSeq2Seq divides by 0 and returns NaN
            variance = average(tf.square(centered))
            varies = tf.cast(variance > tf.square(reference.CONSTANT * shift), tf.float32)
            deviation = tf.sqrt(variance)
            if params["min_std_dev"]:
                deviation = tf.maximum(deviation, np.float32(params["min_std_dev"]))
            scale = tf.div_no_nan(varies, deviation)
        else:
            deviation = np.asarray(deviation, np.float32)
            scale = np.where(deviation > 0, 1 / np.where(deviation > 0, deviation, 1), 0).astype(np.float32)
        if mean is not None:
            centered = computed + (shift - np.asarray(mean, np.float32))
        return centered * scale


    def _average_over_counted_frames(self, computed, axis):
        """A function of values like ``computed``: their mean over the frames that count for the statistics."""
        within = reference.in_feature_units(self._params, "statistics_range")
        if within is None:
            return lambda values: tf.reduce_mean(values, axis, keepdims=True)
        loudest = tf.reduce_max(computed, 1, keepdims=True)
        counted = tf.cast(loudest >= tf.reduce_max(computed) - np.float32(within), tf.float32)
        share = counted / tf.reduce_sum(counted)
        if axis == [0, 1]:
            share = share / tf.cast(tf.shape(computed)[1], tf.float32)
        return lambda values: tf.reduce_sum(values * share, axis, keepdims=True)


def _reflected(indices, count):
    """Indices into a waveform of ``count`` samples that is reflected at both ends as often as necessary."""
    period = 2 * tf.maximum(count - 1, 1)
    indices = tf.abs(indices) % period
    return tf.minimum(tf.minimum(indices, period - indices), count - 1)
