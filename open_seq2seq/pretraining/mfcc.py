"""Mel-frequency cepstral coefficients as fairseq's ``dump_mfcc_feature.py`` computes them with torchaudio, i.e. Kaldi's.

Windows of 25 ms every 10 ms that fit into the audio (``snip_edges``), mean removed, pre-emphasis 0.97, Povey window, 23 mel bins
from 20 Hz to the Nyquist frequency, 13 cepstra with lifter 22, no dither, no energy. Samples are in -1..1, not in Kaldi's 16-bit
scale: only C0 differs by that. First and second differences over 5 frames follow, which makes 39 values a frame.

Many utterances are computed at once: their frames are the rows of one matrix.

Rounding: where a mel bin has 1e-10 of its frame's energy, as above 4 kHz in recordings of 8 kHz, the float32 transform decides
its value. There torchaudio's numbers and these, and each of them and exact ones, differ by up to 2e-3, in 1 % of the frames; all
others agree to 1e-3.
"""
import numpy as np
import scipy.fft

CEPSTRA, MEL_BINS, LIFTER = 13, 23, 22.0
SIZE = 3 * CEPSTRA
FRAME_RATE = 100.0            # frames per second
SAMPLE_RATE = 16000           # of fairseq's recipe
_WINDOW_SECONDS, _STRIDE_SECONDS = 0.025, 0.010
_PRE_EMPHASIS, _LOWEST_HZ = 0.97, 20.0
_FLOOR = np.finfo(np.float32).eps


class Mfcc:
    """Computes the features of waveforms.

    Args:
      sample_rate: samples per second of the waveforms.

    Attributes:
      size: values of a frame, 39. frame_rate: frames per second, 100.
    """

    size, frame_rate = SIZE, FRAME_RATE

    def __init__(self, sample_rate=SAMPLE_RATE):
        self.sample_rate = sample_rate
        self._window, self._stride = int(sample_rate * _WINDOW_SECONDS), int(sample_rate * _STRIDE_SECONDS)
        self._fft = 1 << (self._window - 1).bit_length()
        # torch's window, which it computes in float32
        phases = np.arange(self._window, dtype=np.float32) * np.float32(2 * np.pi / (self._window - 1))
        hann = np.cos(phases.astype(np.float64)).astype(np.float32) * np.float32(-0.5) + np.float32(0.5)
        self._shape = (hann.astype(np.float64) ** 0.85).astype(np.float32)
        self._mel = _mel_filters(sample_rate, self._fft).astype(np.float32)
        self._cosines = _cosines().astype(np.float32)

    def num_frames(self, num_samples):
        """Frames of a waveform of ``num_samples``; 0 if it is shorter than a window."""
        return 0 if num_samples < self._window else 1 + (num_samples - self._window) // self._stride

    def __call__(self, waveforms):
        """Computes the features of waveforms.

        Args:
          waveforms: list of float32 [samples], -1..1.

        Returns:
          (float32 [frames of all, 39], int array of the frames of each).
        """
        lengths = np.array([self.num_frames(len(waveform)) for waveform in waveforms], int)
        frames = np.empty([lengths.sum(), self._window], np.float32)
        end = 0
        for waveform, length in zip(waveforms, lengths):
            if length:
                waveform = np.ascontiguousarray(waveform, np.float32)
                step = waveform.strides[0]
                frames[end:end + length] = np.lib.stride_tricks.as_strided(waveform, (length, self._window),
                                                                           (self._stride * step, step))
                end += length
        cepstra = self._log_mel(frames) @ self._cosines
        first = _differences(cepstra, lengths)
        return np.concatenate([cepstra, first, _differences(first, lengths)], 1), lengths

    def _log_mel(self, frames):
        """float32 [T, window], which it overwrites -> log energies, float32 [T, 23]."""
        frames -= frames.mean(1, keepdims=True)
        emphasized = np.empty_like(frames)
        np.multiply(frames[:, :-1], np.float32(-_PRE_EMPHASIS), out=emphasized[:, 1:])
        emphasized[:, 1:] += frames[:, 1:]
        # the sample before the first one is taken to be equal to it
        emphasized[:, 0] = frames[:, 0] * np.float32(1 - _PRE_EMPHASIS)
        emphasized *= self._shape
        # scipy transforms float32 as float32
        spectrum = scipy.fft.rfft(emphasized, self._fft)
        power = np.square(spectrum.real)
        power += np.square(spectrum.imag)
        return np.log(np.maximum(power @ self._mel, _FLOOR))


def _mel_filters(sample_rate, fft):
    """Kaldi's triangles on the mel axis, [fft / 2 + 1, 23]; the bin of the Nyquist frequency has no weight."""
    def mel(hertz):
        return 1127.0 * np.log1p(np.asarray(hertz) / 700.0)

    low, high = mel(_LOWEST_HZ), mel(sample_rate / 2.0)
    left = low + np.arange(MEL_BINS)[None] * (high - low) / (MEL_BINS + 1)
    delta = (high - low) / (MEL_BINS + 1)
    places = mel(np.arange(fft // 2) * sample_rate / float(fft))[:, None]
    triangles = np.maximum(0.0, np.minimum((places - left) / delta, (left + 2 * delta - places) / delta))
    return np.concatenate([triangles, np.zeros([1, MEL_BINS])])


def _cosines():
    """Orthonormal cosine transform with the lifter, [23, 13]."""
    numbers = np.arange(CEPSTRA)
    cosines = np.cos(np.pi / MEL_BINS * (np.arange(MEL_BINS)[:, None] + 0.5) * numbers) * np.sqrt(2.0 / MEL_BINS)
    cosines[:, 0] = np.sqrt(1.0 / MEL_BINS)
    return cosines * (1.0 + 0.5 * LIFTER * np.sin(np.pi * numbers / LIFTER))


def _differences(values, lengths):
    """Slopes over 5 frames; at the ends of an utterance its first or last frame is repeated. Both float32 [frames of all, D]."""
    ends = np.repeat(np.cumsum(lengths), lengths)
    starts = ends - np.repeat(lengths, lengths)
    places = np.arange(len(values))
    slopes = np.zeros_like(values)
    for step in (1, 2):
        slopes += step * (values[np.minimum(places + step, ends - 1)] - values[np.maximum(places - step, starts)])
    return slopes / np.float32(10.0)
