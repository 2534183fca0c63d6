"""Augmentation of training utterances: speed, noise, and SpecAugment's masks (arXiv:1904.08779).

Everything random is drawn in the graph from the utterance's seed, so that a position in the stream of utterances decides it.
The ranges are those of OpenSeq2Seq; its order of drawing from NumPy's global generator is not.
"""
import functools

import numpy as np
import tensorflow.compat.v1 as tf

from open_seq2seq.config.parameters import Either, Float, Int, List, NamePath, Parameter, child_path, require_rules
from open_seq2seq.data.speech2text.random_streams import stream_seed

_NOTHING = 1e-5 / 32768  # added to the peak, as before feature extraction


class Augmentation:
    """Random changes to a waveform and to its features.

    Args:
      params: checked dict of ``PARAMETERS``.
      sample_freq: of the waveforms, Hz.

    Raises:
      ConfigError: noise levels of which one is missing, or that are in the wrong order.
    """

    PARAMETERS = (
        Parameter("speed_perturbation_ratio",
                  Either(List(Float(above=0.0), minimum_length=1), Float(minimum=0.0, maximum=0.99)), default=None,
                  doc="r: the duration is multiplied by a number between 1 - r and 1 + r; a list: by one of its numbers"),
        Parameter("time_stretch_ratio", Float(), replaced_by="speed_perturbation_ratio",
                  doc="older name of speed_perturbation_ratio"),
        Parameter("noise_level_min", Float(), default=None,
                  doc="least level of added white noise in dB below the waveform's peak"),
        Parameter("noise_level_max", Float(), default=None, doc="greatest level of added white noise in dB"),
        Parameter("n_freq_mask", Int(minimum=0), default=0, doc="bands of features set to 0"),
        Parameter("n_time_mask", Int(minimum=0), default=0, doc="spans of frames set to 0"),
        Parameter("width_freq_mask", Int(minimum=0), default=10, doc="greatest width of a band, in features"),
        Parameter("width_time_mask", Int(minimum=0), default=50, doc="greatest length of a span, in frames"),
    )

    def __init__(self, params, sample_freq):
        self._params = params
        self._sample_freq = sample_freq
        require_rules(self.check_rules, params, NamePath("augmentation"))

    @staticmethod
    def check_rules(params, path, report, num_features=None):
        """Reports what checked params are wrong in together.

        Args:
          params: checked dict of ``PARAMETERS``.
          path: how to name it in messages.
          report: receives the problems.
          num_features: features per frame that the masks are for; None: not known, the width of bands is not checked.
        """
        low, high = params["noise_level_min"], params["noise_level_max"]
        if (low is None) != (high is None):
            report.problem(path, "has noise_level_%s but no noise_level_%s; give both, in dB, or neither"
                           % (("max", "min") if low is None else ("min", "max")))
        elif low is not None and low > high:
            report.problem(path, "has noise_level_min %g above noise_level_max %g; exchange them" % (low, high))
        if num_features is not None and params["n_freq_mask"] and params["width_freq_mask"] >= num_features:
            report.problem(child_path(path, "width_freq_mask"), "is %d, expected less than num_audio_features = %d"
                           % (params["width_freq_mask"], num_features))

    def waveform(self, waveform, seed):
        """Changes the speed and adds noise, whichever is asked for.

        The noise has the drawn level relative to the peak of the waveform given.

        Args:
          waveform: float32 [samples].
          seed: int [2] tensor.

        Returns:
          float32 [samples'], samples' being int(samples * ratio).
        """
        params = self._params
        with tf.name_scope("augmentation"):
            peak = tf.maximum(tf.reduce_max(waveform), -tf.reduce_min(waveform)) + _NOTHING
            if params["speed_perturbation_ratio"]:
                waveform = self._at_other_speed(waveform, seed)
            if params["noise_level_min"] is not None:
                level = tf.random.stateless_uniform([], stream_seed(seed, "noise_level"), params["noise_level_min"],
                                                    params["noise_level_max"])
                noise = tf.random.stateless_normal(tf.shape(waveform), stream_seed(seed, "noise"))
                waveform += noise * (peak * tf.pow(10.0, level / 20))
        return waveform

    def most_samples(self, num_samples):
        """The most samples that a waveform can have after the change of its speed.

        Args:
          num_samples: int, of the waveform.
        """
        ratio = self._params["speed_perturbation_ratio"]
        if not ratio:
            return num_samples
        if isinstance(ratio, list):
            rate = new_rate(self._sample_freq, np.float32(max(ratio)))
        else:
            # rounding of the drawn number to float32 may make the rate 1 Hz more
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
        """Masks bands and spans of normalised features with 0, their mean.

        Args:
          features: float32 [frames, num_audio_features].
          seed: int [2] tensor.

        Returns:
          float32 [frames, num_audio_features]

        Raises:
          ConfigError: a band could be wider than there are features.
        """
        params, num_features = self._params, features.shape.as_list()[1]
        if not params["n_freq_mask"] + params["n_time_mask"]:
            return features
        require_rules(functools.partial(self.check_rules, num_features=num_features), params, NamePath("augmentation"))
        with tf.name_scope("masks"):
            drawn = tf.random.stateless_uniform([params["n_freq_mask"] + params["n_time_mask"], 2], stream_seed(seed, "masks"))
            bands = _intervals(drawn[:params["n_freq_mask"]], params["width_freq_mask"], num_features)
            spans = _intervals(drawn[params["n_freq_mask"]:], params["width_time_mask"], tf.shape(features)[0])
            return masked(features, bands, spans)


def change_duration(waveform, sample_freq, ratio):
    """Resamples, so that played at the same rate it lasts ``ratio`` times as long, at a lower or higher pitch.

    Args:
      waveform: float32 [samples], a NumPy array.
      sample_freq: Hz; as in OpenSeq2Seq the ratio is rounded down to whole Hz of the new rate.
      ratio: > 0.

    Returns:
      float32 [int(samples * ratio)], at least one sample of a waveform that is not empty.
    """
    import soxr

    new_freq = new_rate(sample_freq, ratio)
    if new_freq == sample_freq or not len(waveform):
        return waveform
    length = changed_length(len(waveform), sample_freq, new_freq)
    # the filter's rounding of the length may differ by a sample
    changed = soxr.resample(waveform, float(sample_freq), float(new_freq), quality="HQ")[:length]
    return np.pad(changed, (0, length - len(changed)), mode="constant").astype(np.float32)


def new_rate(sample_freq, ratio):
    """Hz at which a waveform of ``sample_freq`` Hz is sampled to last ``ratio`` times as long at the old rate."""
    # the ratio comes from the graph as float32, where 0.9 * 16000 is a little less than 14400
    return int(sample_freq * float(ratio) + 1e-3)


def changed_length(num_samples, sample_freq, new_freq):
    """Samples that ``num_samples`` at ``sample_freq`` Hz become at ``new_freq`` Hz."""
    return max(num_samples * new_freq // int(sample_freq), 1)


def _intervals(drawn, greatest_width, size):
    """Intervals from numbers in [0, 1): int32 [count, 2], start and width.

    Widths 0 to ``greatest_width`` are equally likely, and then the starts 0 to size - width - 1, as in OpenSeq2Seq; an
    interval as wide as ``size`` or wider is left out (width 0).
    """
    widths = tf.cast(drawn[:, 0] * (greatest_width + 1), tf.int32)
    room = size - widths
    starts = tf.cast(drawn[:, 1] * tf.cast(room, tf.float32), tf.int32)
    return tf.stack([starts, tf.where(room > 0, widths, tf.zeros_like(widths))], 1)


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
    """1.0 where no interval lies, 0.0 where one does: float32 [size]."""
    starts, ends = intervals[:, :1], intervals[:, :1] + intervals[:, 1:]
    positions = tf.range(size)[tf.newaxis]
    return tf.cast(~tf.reduce_any((positions >= starts) & (positions < ends), axis=0), tf.float32)
