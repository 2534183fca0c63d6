"""The matrices of the features: mel filters and cosine transforms.

They are computed here because librosa takes seconds to import and the graph needs nothing else from it. Tests compare them with
librosa and python_speech_features.
"""
import numpy as np

_LINEAR_HZ_PER_MEL = 200.0 / 3        # below 1 kHz the Slaney scale is linear,
_LOG_START_HZ = 1000.0                # above it logarithmic,
_LOG_START_MEL = _LOG_START_HZ / _LINEAR_HZ_PER_MEL
_MEL_PER_LOG_HZ = 27 / np.log(6.4)    # 27 mels from 1 kHz to 6.4 kHz


def _hz_to_slaney_mel(hz):
    if hz < _LOG_START_HZ:
        return hz / _LINEAR_HZ_PER_MEL
    return _LOG_START_MEL + _MEL_PER_LOG_HZ * np.log(hz / _LOG_START_HZ)


def _slaney_mel_to_hz(mel):
    logarithmic = _LOG_START_HZ * np.exp((np.maximum(mel, _LOG_START_MEL) - _LOG_START_MEL) / _MEL_PER_LOG_HZ)
    return np.where(mel < _LOG_START_MEL, mel * _LINEAR_HZ_PER_MEL, logarithmic)


def slaney_mel_filters(sample_freq, num_fft, num_filters):
    """The filters of Slaney's Auditory Toolbox: triangles of unit area (in Hz) from 0 to ``sample_freq`` / 2.

    The result is the transpose of ``librosa.filters.mel(sr, n_fft, n_mels, fmin=0, fmax=int(sr / 2))``.

    Returns:
      float64 [num_fft // 2 + 1, num_filters]
    """
    bins = np.linspace(0, sample_freq / 2, num_fft // 2 + 1)
    edges = _slaney_mel_to_hz(np.linspace(0, _hz_to_slaney_mel(int(sample_freq / 2)), num_filters + 2))
    filters = [np.interp(bins, edges[i:i + 3], (0, 2 / (edges[i + 2] - edges[i]), 0)) for i in range(num_filters)]
    return np.stack(filters, axis=1)


def htk_mel_filters(sample_freq, num_fft, num_filters):
    """The filters of python_speech_features: HTK's mel scale, triangles of unit height with corners on whole bins.

    Returns:
      float64 [num_fft // 2 + 1, num_filters]
    """
    left, middle, right = _htk_corners(sample_freq, num_fft, num_filters)
    bins = np.arange(num_fft // 2 + 1)[:, np.newaxis]
    # two corners may be the same bin; the width 1 set for that case is never used, because there is no bin between them
    rising = (bins - left) / np.maximum(middle - left, 1)
    falling = (right - bins) / np.maximum(right - middle, 1)
    return np.where((bins >= left) & (bins < middle), rising, np.where((bins >= middle) & (bins < right), falling, 0.0))


def _htk_corners(sample_freq, num_fft, num_filters):
    """(left, middle, right) of each filter, in bins."""
    mels = np.linspace(0, 2595 * np.log10(1 + sample_freq / 2 / 700), num_filters + 2)
    corners = np.floor((num_fft + 1) * 700 * (10 ** (mels / 2595) - 1) / sample_freq)
    return corners[:-2], corners[1:-1], corners[2:]


def empty_htk_filters(sample_freq, num_fft, num_filters):
    """Indices of the :func:`htk_mel_filters` that are zero everywhere: their logarithm is a constant feature."""
    left, middle, right = _htk_corners(sample_freq, num_fft, num_filters)
    return np.flatnonzero((middle - left <= 1) & (right == middle))


def empty_slaney_filters(sample_freq, num_fft, num_filters):
    """Indices of the :func:`slaney_mel_filters` that are zero everywhere, because no bin lies between their edges."""
    edges = _slaney_mel_to_hz(np.linspace(0, _hz_to_slaney_mel(int(sample_freq / 2)), num_filters + 2))
    positions = edges / (sample_freq / 2) * (num_fft // 2)
    return np.flatnonzero(np.ceil(positions[2:]) - np.floor(positions[:-2]) < 2)


def cosine_transform(num_inputs, num_outputs):
    """The first ``num_outputs`` coefficients of the orthonormal DCT-II: ``x @ matrix`` is ``scipy.fftpack.dct(x, norm="ortho")``.

    Returns:
      float64 [num_inputs, num_outputs]
    """
    phase = np.pi / num_inputs * np.outer(np.arange(num_inputs) + 0.5, np.arange(num_outputs))
    matrix = np.cos(phase) * np.sqrt(2 / num_inputs)
    matrix[:, 0] /= np.sqrt(2)
    return matrix


def cepstral_lifter(num_coefficients, lifter):
    """Weights that emphasize high cepstral coefficients: 1 + lifter / 2 * sin(pi * n / lifter), float64 [num_coefficients]."""
    return 1 + lifter / 2 * np.sin(np.pi * np.arange(num_coefficients) / lifter)
