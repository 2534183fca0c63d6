"""Augmentation of training utterances: effects on the waveform, speed, noise, and SpecAugment's masks (arXiv:1904.08779).

All random numbers come from the utterance's seed, so they depend only on its position in the stream of utterances. The ranges of
speed, noise_level and fixed masks are those of OpenSeq2Seq; the numbers are not, because it draws from NumPy's global generator.
"""
import functools

import numpy as np
import tensorflow.compat.v1 as tf

from open_seq2seq.config.parameters import Either, Float, Int, List, NamePath, Parameter, child_path, require_rules
from open_seq2seq.data.speech2text import waveform_effects
from open_seq2seq.data.speech2text.random_streams import stream_seed
from open_seq2seq.data.speech2text.waveform_effects import WaveformEffects

# Limits far above any use and far below what exhausts memory or overflows float32
SMALLEST_RATIO, LARGEST_RATIO = 0.01, 10.0  # of durations
LARGEST_NOISE = 100.0                       # dB above the peak
MOST_MASKS = 1000                           # bands or spans of one utterance
MOST_ADAPTIVE_MASKS = 20                    # as in LibriFullAdapt of arXiv:1912.05533
WIDEST_MASK = 10 ** 6                       # features or frames: almost 3 hours

_PEAK_EPSILON = 1e-5 / 32768  # added to the peak, as in feature extraction


class Augmentation:
    """Random changes to a waveform and to its features.

    Args:
      params: checked dict of ``PARAMETERS``.
      sample_freq: of the waveforms, Hz.
      seed, voices: see :class:`WaveformEffects`.

    Raises:
      ConfigError: parameters that contradict each other.
      DataError: a folder of noise or of impulse responses cannot be used.
    """

    PARAMETERS = (
        Parameter("speed_perturbation_ratio",
                  Either(List(Float(minimum=SMALLEST_RATIO, maximum=LARGEST_RATIO), minimum_length=1),
                         Float(minimum=0.0, maximum=0.99)), default=None,
                  doc="r: the duration is multiplied by a random number between 1 - r and 1 + r; a list: by one of its numbers"),
        Parameter("time_stretch_ratio", Float(), replaced_by="speed_perturbation_ratio",
                  doc="older name of speed_perturbation_ratio"),
        Parameter("noise_level_min", Float(maximum=LARGEST_NOISE), default=None,
                  doc="lowest level of added white noise, in dB relative to the waveform's peak"),
        Parameter("noise_level_max", Float(maximum=LARGEST_NOISE), default=None,
                  doc="highest level of added white noise, in dB"),
        Parameter("n_freq_mask", Int(minimum=0, maximum=MOST_MASKS), default=0, doc="number of feature bands set to 0"),
        Parameter("n_time_mask", Int(minimum=0, maximum=MOST_MASKS), default=0, doc="number of frame spans set to 0"),
        Parameter("width_freq_mask", Int(minimum=0, maximum=WIDEST_MASK), default=10,
                  doc="maximum width of a band, in features"),
        Parameter("width_time_mask", Int(minimum=0, maximum=WIDEST_MASK), default=50,
                  doc="maximum length of a span, in frames"),
        Parameter("adaptive_time_masks", Float(minimum=0.0, maximum=1.0), default=0.0,
                  doc="spans set to 0 per frame of the utterance, at most 20 (adaptive SpecAugment, arXiv:1912.05533: 0.04)"),
        Parameter("adaptive_time_width", Float(minimum=0.0, maximum=1.0), default=0.04,
                  doc="maximum length of such a span, as a part of the utterance"),
    ) + waveform_effects.PARAMETERS

    def __init__(self, params, sample_freq, seed=0, voices=None):
        self._params = params
        self._sample_freq = sample_freq
        require_rules(self.check_rules, params, NamePath("augmentation"))
        self._effects = WaveformEffects(params, sample_freq, seed, voices)

    @staticmethod
    def check_rules(params, path, report, num_features=None):
        """Reports contradictions between checked params.

        Args:
          params: checked dict of ``PARAMETERS``.
          path: how to name it in messages.
          report: receives the problems.
          num_features: features per frame; None: unknown, the width of bands is not checked.
        """
        waveform_effects.check_rules(params, path, report)
        low, high = params["noise_level_min"], params["noise_level_max"]
        if (low is None) != (high is None):
            report.problem(path, "has noise_level_%s but no noise_level_%s; give both, in dB, or neither"
                           % (("max", "min") if low is None else ("min", "max")))
        elif low is not None and low > high:
            report.problem(path, "has noise_level_min %g above noise_level_max %g; swap them" % (low, high))
        if num_features is not None and params["n_freq_mask"] and params["width_freq_mask"] >= num_features:
            report.problem(child_path(path, "width_freq_mask"), "is %d, expected less than num_audio_features = %d"
                           % (params["width_freq_mask"], num_features))

    def waveform(self, waveform, seed):
        """Applies the effects, changes the speed and adds noise, as configured.

        The level of the noise is relative to the peak of the waveform before the change of speed.

        Args:
          waveform: float32 [samples].
          seed: int [2] tensor.

        Returns:
          float32 [samples'], at most ``most_samples(samples)``.
        """
        params = self._params
        with tf.name_scope("augmentation"):
            if self._effects.any:
                waveform = self._effects(waveform, stream_seed(seed, "effects"))
            peak = tf.maximum(tf.reduce_max(waveform), -tf.reduce_min(waveform)) + _PEAK_EPSILON
            if params["speed_perturbation_ratio"]:
                waveform = self._at_other_speed(waveform, seed)
            if params["noise_level_min"] is not None:
                level = tf.random.stateless_uniform([], stream_seed(seed, "noise_level"), params["noise_level_min"],
                                                    params["noise_level_max"])
                noise = tf.random.stateless_normal(tf.shape(waveform), stream_seed(seed, "noise"))
                waveform += noise * (peak * tf.pow(10.0, level / 20))
        return waveform

    def most_samples(self, num_samples):
        """The most samples that a waveform of ``num_samples`` can have after :meth:`waveform`."""
        num_samples = self._effects.most_samples(num_samples)
        ratio = self._params["speed_perturbation_ratio"]
        if not ratio:
            return num_samples
        if isinstance(ratio, list):
            rate = new_rate(self._sample_freq, np.float32(max(ratio)))
        else:
            # rounding the random number to float32 can raise the rate by 1 Hz
            rate = new_rate(self._sample_freq, 1 + ratio) + 1
        return changed_length(num_samples, self._sample_freq, rate)

    def _at_other_speed(self, waveform, seed):
        ratio = self._params["speed_perturbation_ratio"]
        drawn = tf.random.stateless_uniform([], stream_seed(seed, "speed"))
        if isinstance(ratio, list):
            drawn = tf.gather(np.float32(ratio), tf.minimum(tf.cast(drawn * len(ratio), tf.int32), len(ratio) - 1))
        else:
            drawn = 1 - ratio + 2 * ratio * drawn
        changed = tf.numpy_function(change_duration, [waveform, self._sample_freq, drawn], tf.float32)
        changed.set_shape([None])
        return changed

    def features(self, features, seed):
        """Sets bands and spans of normalized features to 0, their mean.

        Args:
          features: float32 [frames, num_audio_features].
          seed: int [2] tensor.

        Returns:
          float32 [frames, num_audio_features]

        Raises:
          ConfigError: a band can be wider than the number of features.
        """
        num_features = features.shape.as_list()[1]
        if not self.has_masks:
            return features
        require_rules(functools.partial(self.check_rules, num_features=num_features), self._params, NamePath("augmentation"))
        with tf.name_scope("masks"):
            return masked(features, *self._drawn_masks(tf.shape(features)[0], num_features, seed))

    @property
    def changes_waveforms(self):
        """Whether :meth:`waveform` changes anything."""
        return bool(self._effects.any or self._params["speed_perturbation_ratio"]) or self._params["noise_level_min"] is not None

    @property
    def has_masks(self):
        """Whether :meth:`features` changes anything."""
        params = self._params
        return bool(params["n_freq_mask"] + params["n_time_mask"] + (params["adaptive_time_masks"] > 0))

    def batch_features(self, features, lengths, seeds):
        """:meth:`features` of each row of a batch.

        Args:
          features: float32 [B, T, num_audio_features].
          lengths: int32 [B], frames of each row without padding.
          seeds: int [B, 2] tensor.

        Returns:
          float32 [B, T, num_audio_features], the values that :meth:`features` gives for each row.

        Raises:
          ConfigError: a band can be wider than the number of features.
        """
        num_features, frames = features.shape.as_list()[2], tf.shape(features)[1]
        if not self.has_masks:
            return features
        require_rules(functools.partial(self.check_rules, num_features=num_features), self._params, NamePath("augmentation"))

        def factors(row):
            bands, spans = self._drawn_masks(row[0], num_features, row[1])
            return _outside(bands, num_features), _outside(spans, frames)

        with tf.name_scope("masks"):
            of_features, of_frames = tf.map_fn(factors, (lengths, seeds), (tf.float32, tf.float32))
            return features * of_features[:, tf.newaxis] * of_frames[:, :, tf.newaxis]

    def _drawn_masks(self, frames, num_features, seed):
        """(bands, spans) for :func:`masked`."""
        params = self._params
        drawn = tf.random.stateless_uniform([params["n_freq_mask"] + params["n_time_mask"], 2], stream_seed(seed, "masks"))
        bands = _intervals(drawn[:params["n_freq_mask"]], params["width_freq_mask"], num_features)
        spans = _intervals(drawn[params["n_freq_mask"]:], params["width_time_mask"], frames)
        if params["adaptive_time_masks"] > 0:
            spans = tf.concat([spans, self._adaptive_spans(frames, seed)], 0)
        return bands, spans

    def _adaptive_spans(self, frames, seed):
        """int32 [MOST_ADAPTIVE_MASKS, 2]; those beyond the utterance's number have width 0."""
        drawn = tf.random.stateless_uniform([MOST_ADAPTIVE_MASKS, 2], stream_seed(seed, "adaptive_masks"))
        length = tf.cast(frames, tf.float32)
        spans = _intervals(drawn, tf.cast(length * self._params["adaptive_time_width"], tf.int32), frames)
        is_used = tf.range(MOST_ADAPTIVE_MASKS) < tf.cast(length * self._params["adaptive_time_masks"], tf.int32)
        return spans * tf.cast(is_used, tf.int32)[:, tf.newaxis]


def waveform_changes(params):
    """Names of the parameters of checked ``params`` that change the waveform, a list; masks change only the features."""
    effects = waveform_effects.with_recipe(params)
    names = ["recipe"] if params["recipe"] is not None else [name for name in waveform_effects.NAMES if effects[name]]
    if params["speed_perturbation_ratio"]:
        names.append("speed_perturbation_ratio")
    if params["noise_level_min"] is not None:
        names.append("noise_level_min")
    return names


def change_duration(waveform, sample_freq, ratio):
    """Resamples a waveform so that it is ``ratio`` times as long at the same sample rate, which also changes its pitch.

    Args:
      waveform: float32 [samples], a NumPy array.
      sample_freq: Hz; as in OpenSeq2Seq, the new rate is rounded down to whole Hz.
      ratio: > 0.

    Returns:
      float32 [int(samples * ratio)]; at least one sample if the waveform is not empty.
    """
    import soxr

    new_freq = new_rate(sample_freq, ratio)
    if new_freq == sample_freq or not len(waveform):
        return waveform
    length = changed_length(len(waveform), sample_freq, new_freq)
    # the resampler may round the length differently, by one sample
    changed = soxr.resample(waveform, float(sample_freq), float(new_freq), quality="HQ")[:length]
    return np.pad(changed, (0, length - len(changed)), mode="constant").astype(np.float32)


def new_rate(sample_freq, ratio):
    """Hz to which to resample a waveform of ``sample_freq`` Hz so that it is ``ratio`` times as long at the old rate."""
    # the ratio is a float32 from the graph, where 0.9 * 16000 is slightly less than 14400
    return max(int(sample_freq * float(ratio) + 1e-3), 1)


def changed_length(num_samples, sample_freq, new_freq):
    """The number of samples of a waveform of ``num_samples`` at ``sample_freq`` Hz after resampling to ``new_freq`` Hz."""
    return max(num_samples * new_freq // int(sample_freq), 1)


def _intervals(drawn, max_width, size):
    """Intervals from random numbers in [0, 1): int32 [count, 2], start and width.

    Widths 0 to ``max_width`` are equally likely, and so are starts 0 to size - width - 1, as in OpenSeq2Seq; an interval at least
    as wide as ``size`` is dropped (width 0).
    """
    widths = tf.cast(drawn[:, 0] * tf.cast(max_width + 1, tf.float32), tf.int32)
    num_starts = size - widths
    starts = tf.cast(drawn[:, 1] * tf.cast(num_starts, tf.float32), tf.int32)
    return tf.stack([starts, tf.where(num_starts > 0, widths, tf.zeros_like(widths))], 1)


def masked(features, bands, spans):
    """Sets ``bands`` of features and ``spans`` of frames to 0.

    Args:
      features: float32 [frames, num_audio_features].
      bands: int32 [count, 2], first feature and width of each.
      spans: int32 [count, 2], first frame and length of each.

    Returns:
      float32 [frames, num_audio_features]
    """
    frames, num_features = tf.unstack(tf.shape(features))
    return features * _outside(bands, num_features) * _outside(spans, frames)[:, tf.newaxis]


def _outside(intervals, size):
    """float32 [size]: 0.0 inside the intervals, 1.0 outside."""
    starts, ends = intervals[:, :1], intervals[:, :1] + intervals[:, 1:]
    positions = tf.range(size)[tf.newaxis]
    return tf.cast(~tf.reduce_any((positions >= starts) & (positions < ends), axis=0), tf.float32)
