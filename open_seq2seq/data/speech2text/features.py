"""The features: their parameters, their geometry, and the reference computation with librosa or python_speech_features.

There are two kinds of features, as in OpenSeq2Seq, with different values: ``backend: "librosa"`` (centered frames, Slaney's mel
filters) and ``backend: "psf"`` (python_speech_features: frames from the first sample, HTK's filters, 16-bit samples, padding to
``pad_to`` frames before the features are computed). The second is the default, as in OpenSeq2Seq. The functions in this module
compute the same as open_seq2seq/data/speech2text/speech_utils.py of OpenSeq2Seq; :mod:`feature_graph` computes it in TensorFlow,
faster.
"""
import collections
import functools
import math

import numpy as np

from open_seq2seq.config.parameters import (
    Bool,
    Choice,
    Either,
    Float,
    Int,
    Kind,
    List,
    NamePath,
    Parameter,
    child_path,
    require_rules,
)
from open_seq2seq.data.speech2text.mel import empty_htk_filters, empty_slaney_filters


class _Array(Kind):
    """A one-dimensional NumPy array of numbers, taken as a list."""

    description = "a one-dimensional NumPy array"

    def check(self, value, path, report):
        if isinstance(value, np.ndarray) and value.ndim == 1 and value.dtype.kind in "fiu":
            return [float(item) for item in value]
        return self._expected(value, path, report)


# Limits far above any speech model and far below what exhausts memory or overflows float32: a config or an exported model with
# a larger value is refused before anything is computed.
LARGEST_RATE = 1000000        # Hz
LARGEST_WINDOW = 1 << 14      # samples of a window, of its step and of the Fourier transform: 1 s at 16 kHz
LARGEST_FEATURES = LARGEST_WINDOW // 2 + 1
LARGEST_PAD_TO = 1 << 14      # frames: 2.7 minutes
LARGEST_AMPLITUDE = 1e6       # of dither and gain: spectra are squares, and float32 ends at 3.4e38
LARGEST_RANGE = 1000.0        # dB; float32 has 1,530

_STATISTIC = Either(Float(), List(Float(), minimum_length=1), _Array())

PARAMETERS = (
    Parameter("num_audio_features", Int(minimum=1, maximum=LARGEST_FEATURES), doc="features per frame"),
    Parameter("input_type", Choice("spectrogram", "mfcc", "logfbank"), default="spectrogram", doc="kind of features"),
    Parameter("backend", Choice("librosa", "psf"), default="psf",
              doc="library whose features are computed: librosa or python_speech_features (they differ in frames, filters and "
                  "normalization)"),
    Parameter("feature_engine", Choice("auto", "compiled", "graph", "numpy"), default="auto",
              doc="how features are computed: compiled (in machine code generated for the processor; logfbank of backend "
                  "librosa only), graph (in TensorFlow operations) or numpy (by the reference library); auto: compiled where "
                  "possible, else graph"),
    Parameter("window", Choice("hanning", "hamming", "none"), default="hanning", doc="analysis window, backend librosa only"),
    Parameter("window_size", Float(above=0.0), default=20e-3, doc="length of a frame in seconds, at most 16384 samples"),
    Parameter("window_stride", Float(above=0.0), default=10e-3,
              doc="distance between the starts of two frames in seconds, at most 16384 samples"),
    Parameter("sample_freq", Int(minimum=1, maximum=LARGEST_RATE), default=16000, doc="samples per second of the waveform"),
    Parameter("num_fft", Int(minimum=1, maximum=LARGEST_WINDOW), default=None,
              doc="length of the Fourier transform, backend librosa only; None: the next power of two from the window on"),
    Parameter("norm_per_feature", Bool(), default=False,
              doc="normalize each feature over time instead of all together; backend librosa only"),
    Parameter("dither", Float(minimum=0.0, maximum=LARGEST_AMPLITUDE), default=0.0,
              doc="standard deviation of noise added to the waveform of peak 1, backend librosa only"),
    Parameter("gain", Float(above=0.0, maximum=LARGEST_AMPLITUDE), default=None,
              doc="factor for 16-bit samples instead of normalization to peak 1, backend librosa only"),
    Parameter("features_mean", _STATISTIC, default=None,
              doc="mean for the normalization, one number or one per feature, backend librosa only; None: that of the utterance"),
    Parameter("features_std_dev", _STATISTIC, default=None,
              doc="standard deviation for the normalization, backend librosa only; None: that of the utterance"),
    Parameter("dynamic_range", Float(above=0.0, maximum=LARGEST_RANGE), default=None,
              doc="dB: energies further below the loudest of the utterance are raised to that level, so that normalization does "
                  "not amplify what is not audible; not for mfcc; None: no limit, as in OpenSeq2Seq"),
    Parameter("statistics_range", Float(above=0.0, maximum=LARGEST_RANGE), default=None,
              doc="dB: only frames whose loudest band is at most this far below the utterance's loudest count for the mean and "
                  "the standard deviation, so that pauses do not; not for mfcc; None: all frames, as in OpenSeq2Seq"),
    Parameter("min_std_dev", Float(minimum=0.0, maximum=LARGEST_AMPLITUDE), default=0.0,
              doc="the standard deviation of a feature that normalization divides by is at least this; 0: as in OpenSeq2Seq"),
    Parameter("pad_to", Int(maximum=LARGEST_PAD_TO), default=8,
              doc="frames are padded to a multiple of this (0 or less: no padding); backend psf pads before it normalizes"),
    Parameter("precompute_mel_basis", Bool(), default=False, ignored="the mel filters are always computed once"),
)
# Earlier versions did not have these. Their default is what was computed before: an export or a record without them is complete.
LATER_PARAMETERS = frozenset(["dynamic_range", "statistics_range", "min_std_dev"])

PREEMPHASIS = 0.97
INT16_SCALE = 32768.0              # waveforms here are samples / 32768, in OpenSeq2Seq 16-bit samples
PEAK_EPSILON = 1e-5                # added to the peak of the 16-bit samples, to avoid division by 0 in silence
PSF_NUM_FFT = 512                  # OpenSeq2Seq's constant for mfcc and logfbank
MEL_FLOOR, POWER_FLOOR = 1e-20, 1e-30
NEPERS_PER_DB = math.log(10) / 10  # of energies
CONSTANT = 1e-6                    # a relative deviation below this is rounding: logarithms differ by 1e-7 between the
                                   # vectorized body of an array and its tail
WINDOWS = {"hanning": np.hanning, "hamming": np.hamming, "none": np.ones}


class Geometry(collections.namedtuple("Geometry", "frame hop num_fft offset centered pad_to pad_frame pad_hop")):
    """Positions and sizes of the frames, in samples except ``pad_to``, which is in frames.

    frame, hop: length of a frame, and distance to the next one. num_fft: length of the Fourier transform.
    offset: samples by which the first frame starts before the waveform. centered: the waveform is reflected at both ends.
    pad_to: psf pads a waveform to a multiple of that many frames, counted with pad_frame and pad_hop.
    """

    __slots__ = ()

    @classmethod
    def of(cls, params):
        """Raises ConfigError when the parameters contradict each other."""
        require_rules(check_rules, params, NamePath("the window"))
        (pad_frame, pad_hop), num_fft = _whole_samples(params), transform_length(params)
        frame, hop = pad_frame, pad_hop
        if params["input_type"] != "spectrogram" and params["backend"] == "psf":
            frame, hop = (int(math.floor(params["sample_freq"] * params[name] + 0.5))
                          for name in ("window_size", "window_stride"))
        centered = params["backend"] == "librosa"
        offset = num_fft // 2 - (num_fft - frame) // 2 if centered else 0
        return cls(frame, hop, num_fft, offset, centered, 0 if centered else max(params["pad_to"], 0), pad_frame, pad_hop)

    def psf_padding(self, num_samples, maximum=max):
        """The number of zeros that psf features append to a waveform to get a multiple of ``pad_to`` frames."""
        if not self.pad_to:
            return 0
        missing = -(1 - -maximum(num_samples - self.pad_frame, 0) // self.pad_hop) % self.pad_to
        # a waveform shorter than a frame is first padded to one frame; the original fails with an assertion in this case
        any_missing = -(-missing // self.pad_to)
        return missing * self.pad_hop + any_missing * maximum(self.pad_frame - num_samples, 0)

    def num_frames(self, num_samples, maximum=max):
        """The number of frames of a waveform of ``num_samples``: int, or int tensor with ``maximum`` = ``tf.maximum``."""
        if self.centered:
            return 1 + (num_samples + 2 * (self.num_fft // 2) - self.num_fft) // self.hop
        padded = num_samples + self.psf_padding(num_samples, maximum)
        return 1 - -maximum(padded - self.frame, 0) // self.hop


def _whole_samples(params):
    """The window's length and stride in samples, rounded down."""
    return tuple(int(params["sample_freq"] * params[name]) for name in ("window_size", "window_stride"))


def transform_length(params):
    """Samples in the Fourier transform; the window must have at least one."""
    if params["input_type"] == "spectrogram":
        return _whole_samples(params)[0]
    if params["backend"] == "psf":
        return PSF_NUM_FFT
    return params["num_fft"] or 2 ** math.ceil(math.log2(params["window_size"] * params["sample_freq"]))


def check_rules(params, path, report):
    """Reports contradictions between params, and windows and strides of too many samples.

    Args:
      params: checked dict of ``PARAMETERS``.
      path: how to name it in messages.
      report: receives the problems.
    """
    frame, hop = _whole_samples(params)
    features = params["num_audio_features"]
    for name in ("features_mean", "features_std_dev"):
        if isinstance(params[name], list) and len(params[name]) != features:
            report.problem(child_path(path, name), "has %d values, expected one or num_audio_features = %d"
                           % (len(params[name]), features))
    for name, samples in (("window_size", frame), ("window_stride", hop)):
        if samples > LARGEST_WINDOW:
            report.problem(child_path(path, name), "is %g s, which is %d samples at %d Hz; expected at most %d samples" % (
                params[name], samples, params["sample_freq"], LARGEST_WINDOW))
    if max(frame, hop) > LARGEST_WINDOW:
        return
    if min(frame, hop) < 1:
        report.problem(path, "has window_size %g s and window_stride %g s, which are %d and %d samples at %d Hz; expected at "
                             "least one each" % (params["window_size"], params["window_stride"], frame, hop,
                                                 params["sample_freq"]))
        return
    for name in ("dynamic_range", "statistics_range"):
        if params[name] is not None and params["input_type"] == "mfcc":
            report.problem(child_path(path, name), "is %g, but mfcc are not energies of bands; expected None, or input_type "
                                                   "logfbank or spectrogram" % params[name])
    num_fft = transform_length(params)
    if num_fft < frame and params["backend"] == "librosa":
        report.problem(child_path(path, "num_fft"), "is %d, shorter than the window of %d samples; increase it to at least "
                                                    "that, or omit it" % (num_fft, frame))
        return
    if params["input_type"] != "logfbank" and features > num_fft // 2 + 1:
        report.problem(child_path(path, "num_audio_features"), "is %d, but a %s of %d-sample transforms has at most %d"
                       % (features, params["input_type"], num_fft, num_fft // 2 + 1))
    if params["input_type"] == "logfbank":
        _note_constant_features(params, num_fft, path, report)
    if params["feature_engine"] == "compiled":
        from open_seq2seq.data.speech2text.compiled_features import why_not_compiled  # which imports this module

        reason = why_not_compiled(params)
        if reason is not None:
            report.problem(child_path(path, "feature_engine"), 'is "compiled", but %s; set it to "auto" or "graph"' % reason)


def _note_constant_features(params, num_fft, path, report):
    """Notes mel filters that are so narrow that no bin of the Fourier transform lies in them."""
    features, empty_filters = params["num_audio_features"], (
        empty_htk_filters if params["backend"] == "psf" else empty_slaney_filters)

    def empty(count):
        return empty_filters(params["sample_freq"], num_fft, count)

    indices = empty(features)
    if not len(indices):
        return
    largest = next((count for count in range(features - 1, 0, -1) if not len(empty(count))), None)
    report.note(child_path(path, "num_audio_features"), "is %d, but with backend %s, %d Hz and a Fourier transform of %d samples "
                "%d of the mel bands, the first of which is band %d, contain no frequency and are constant features%s" % (
                    features, params["backend"], params["sample_freq"], num_fft, len(indices), indices[0],
                    "" if largest is None else "; up to %d features have no such band" % largest))


def extract_features(waveform, params, rng=None):
    """Computes features with the reference library, librosa or python_speech_features.

    Args:
      waveform: float [samples], at least one sample, in -1..1 at ``sample_freq``.
      params: checked dict of ``PARAMETERS``.
      rng: numpy RandomState for the dither; None: no dither.

    Returns:
      float32 [frames, num_audio_features], ``window_stride`` apart.

    Raises:
      ConfigError: parameters that contradict each other.
    """
    geometry = Geometry.of(params)
    samples = np.asarray(waveform, np.float32) * np.float32(INT16_SCALE)
    gain = params["gain"] if params["backend"] == "librosa" else None
    if gain is None:
        gain = 1.0 / (float(np.max(np.abs(samples))) + PEAK_EPSILON)
    samples = samples * np.float32(gain)
    if params["backend"] == "psf":
        return normalize(_psf_features(samples, params, geometry).astype(np.float64), params, None, None, None)
    if rng is not None and params["dither"]:
        samples = samples + np.float32(params["dither"]) * rng.standard_normal(samples.shape).astype(np.float32)
    axis = 0 if params["norm_per_feature"] else None
    return normalize(_librosa_features(samples, params, geometry).astype(np.float64), params, axis, params["features_mean"],
                     params["features_std_dev"])


def psf_features_of_stream(waveform, params):
    """Features of backend psf before their normalization, of a part of a recording.

    Args:
      waveform: float32 [samples] in -1..1, at least one; louder samples are clipped.
      params: checked dict of ``PARAMETERS``.

    Returns:
      float32 [frames, num_audio_features]; frames that are padded to a multiple of ``pad_to`` are among them.
    """
    return _psf_features(np.clip(waveform, -1, 1), params, Geometry.of(params)).astype(np.float32)


def in_feature_units(params, name):
    """The value in dB of a key, in the unit of the features: dB for spectrograms, else logarithms of energies; None stays."""
    if params[name] is None:
        return None
    return params[name] * (1.0 if params["input_type"] == "spectrogram" else NEPERS_PER_DB)


def normalize(features, params, axis, mean, deviation):
    """Normalizes features in their own type, float32 or float64.

    A constant feature (silence, a single frame) becomes 0; OpenSeq2Seq divides by a deviation of 0 and returns NaN.

    Args:
      features: [frames, features].
      params: checked dict of ``PARAMETERS``.
      axis: 0: each feature over time; None: all together.
      mean, deviation: numbers or one for each feature; None: those of the utterance.

    Returns:
      float32 [frames, features].
    """
    limit, within = in_feature_units(params, "dynamic_range"), in_feature_units(params, "statistics_range")
    if limit is not None:
        features = np.maximum(features, features.max() - limit)
    counted = features if within is None else features[features.max(axis=1) >= features.max() - within]
    # without the shift, the deviation of a constant would be the rounding error of its mean
    shift = features[:1] if axis == 0 else features[0, 0]
    shifted = counted - shift
    own_mean = np.mean(shifted, axis=axis)
    centered = features - (shift + own_mean if mean is None else np.asarray(mean))
    if deviation is None:
        deviation = np.sqrt(np.mean(np.square(shifted - own_mean), axis=axis))
        deviation = np.where(deviation > CONSTANT * np.abs(shift), np.maximum(deviation, params["min_std_dev"]), 0)
    deviation = np.asarray(deviation)
    scale = np.where(deviation > 0, 1 / np.where(deviation > 0, deviation, 1), 0)
    return (centered * scale.astype(features.dtype)).astype(np.float32, copy=False)


def _librosa_features(samples, params, geometry):
    import librosa  # takes seconds; only the reference computation needs it

    if params["input_type"] != "spectrogram":
        samples = np.append(samples[0], samples[1:] - np.float32(PREEMPHASIS) * samples[:-1])
    transform = librosa.stft(samples, n_fft=geometry.num_fft, hop_length=geometry.hop, win_length=geometry.frame, center=True,
                             window=WINDOWS[params["window"]], pad_mode="reflect")
    power = np.abs(transform) ** 2
    num_features = params["num_audio_features"]
    if params["input_type"] == "spectrogram":
        return 10 * np.log10(np.maximum(power[:num_features].T, POWER_FLOOR))
    if params["input_type"] == "mfcc":
        # librosa expects S to be a mel spectrogram in decibels; like OpenSeq2Seq, this passes the power spectrum
        return librosa.feature.mfcc(sr=params["sample_freq"], S=power, n_mfcc=num_features).T
    filters = _librosa_mel_filters(params["sample_freq"], geometry.num_fft, num_features)
    return np.log(np.dot(filters, power) + MEL_FLOOR).T


@functools.lru_cache(maxsize=8)
def _librosa_mel_filters(sample_freq, num_fft, num_filters):
    import librosa

    return librosa.filters.mel(sr=sample_freq, n_fft=num_fft, n_mels=num_filters, fmin=0, fmax=int(sample_freq / 2),
                               dtype=np.float64)


def _psf_features(samples, params, geometry):
    import python_speech_features as psf

    samples = (samples * np.float32(32767.0)).astype(np.int16)
    samples = np.pad(samples, (0, geometry.psf_padding(len(samples))), mode="constant")
    num_features, sample_freq = params["num_audio_features"], params["sample_freq"]
    if params["input_type"] == "spectrogram":
        frames = psf.sigproc.framesig(samples, geometry.frame, geometry.hop, winfunc=np.hanning)
        return psf.sigproc.logpowspec(frames, geometry.num_fft)[:, :num_features]
    frames = {"samplerate": sample_freq, "winlen": params["window_size"], "winstep": params["window_stride"],
              "nfft": geometry.num_fft, "lowfreq": 0, "highfreq": sample_freq / 2, "preemph": PREEMPHASIS}
    if params["input_type"] == "mfcc":
        return psf.mfcc(samples, numcep=num_features, nfilt=2 * num_features, ceplifter=2 * num_features,
                        appendEnergy=False, **frames)
    return psf.logfbank(samples, nfilt=num_features, **frames)
