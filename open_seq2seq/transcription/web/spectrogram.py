"""The spectrogram of the page: mel power in decibels, one byte per point.

These are not the network's features: those are normalized over the recording, which removes a constant hum that a user should
see.
"""
import collections

import numpy as np
import soundfile

from open_seq2seq.data.speech2text.mel import slaney_mel_filters

WINDOW_SECONDS, STEP_SECONDS = 0.025, 0.010
NUM_BANDS = 80
NUM_FFT = 1024                         # the window is padded with zeros, so that each of the lowest bands has points
RANGE_DB = 80.0                        # from the darkest point to the brightest
FAINTEST_PEAK_DB = -50.0               # of full scale; silence is not amplified to look like speech
POWER_FLOOR = 1e-14                    # below anything that is drawn
MAX_COLUMNS = 60000                    # 10 minutes at full resolution, 4.8 MB
BLOCK_COLUMNS = 2000

Spectrogram = collections.namedtuple("Spectrogram", "points seconds_per_column band_hz")
Spectrogram.__doc__ = """points: uint8 [columns, NUM_BANDS], lowest band first, 255 = the loudest, 0 = RANGE_DB below it.
seconds_per_column: float. band_hz: the centers of the bands, list of NUM_BANDS floats."""


def spectrogram(path, go_on=lambda: None):
    """The spectrogram of a mono WAV file, in constant memory, except for the result.

    Args:
      path: of the WAV that ``sound.write_playback`` wrote, with at least one sample.
      go_on: called before each block; may raise to stop.

    Returns:
      Spectrogram.
    """
    with soundfile.SoundFile(path) as sound:
        rate, num_samples = sound.samplerate, sound.frames
        window, step = int(WINDOW_SECONDS * rate), int(STEP_SECONDS * rate)
        num_columns = 1 + num_samples // step
        pooled = -(-num_columns // MAX_COLUMNS)
        filters = slaney_mel_filters(rate, NUM_FFT, NUM_BANDS)
        # a full-scale sine is 0 dB in its band
        weights = (filters / filters.max(axis=0) * (2.0 / np.hanning(window).sum()) ** 2).astype(np.float32)
        decibels = []
        for samples in _blocks(sound, window, step, num_columns, pooled):
            go_on()
            frames = _frames(samples, window, step) * np.hanning(window).astype(np.float32)
            power = np.abs(np.fft.rfft(frames, NUM_FFT)).astype(np.float32) ** 2
            columns = 10 * np.log10(np.maximum(power.dot(weights), POWER_FLOOR))
            # the loudest of the merged columns, so that no short sound disappears
            decibels.append(np.maximum.reduceat(columns, np.arange(0, len(columns), pooled)).astype(np.float16))
    decibels = np.concatenate(decibels).astype(np.float32)
    top = max(float(decibels.max()), FAINTEST_PEAK_DB)
    points = np.clip(np.rint((decibels - top + RANGE_DB) * (255.0 / RANGE_DB)), 0, 255).astype(np.uint8)
    band_hz = filters.argmax(axis=0) * (rate / float(NUM_FFT))
    return Spectrogram(points, pooled * step / float(rate), band_hz.tolist())


def _blocks(sound, window, step, num_columns, pooled):
    """Yields float32 [samples] for a multiple of ``pooled`` columns each; column c is centered on sample c * step."""
    columns_at_a_time = max(BLOCK_COLUMNS // pooled, 1) * pooled
    kept = np.zeros(window // 2, np.float32)
    for first in range(0, num_columns, columns_at_a_time):
        columns = min(columns_at_a_time, num_columns - first)
        needed = (columns - 1) * step + window
        samples = np.concatenate([kept, sound.read(needed - len(kept), dtype="float32", fill_value=0.0)])
        yield samples
        kept = samples[columns * step:]


def _frames(samples, window, step):
    """[columns, window], a view of ``samples``."""
    columns = 1 + (len(samples) - window) // step
    stride = samples.strides[0]
    return np.lib.stride_tricks.as_strided(samples, (columns, window), (step * stride, stride), writeable=False)
