"""Level, clipping, offset, and the resolution of 16-bit samples."""
import numpy as np

FULL_SCALE = 32767.0


def rounded_to_16_bits(waveform):
    """Limits to -1..1 and rounds as a 16-bit file does."""
    return np.round(np.clip(waveform, -1.0, 1.0) * np.float32(FULL_SCALE)) / np.float32(FULL_SCALE)


def with_gain(waveform, gain_db):
    """Changes the level by ``gain_db`` dB, without limiting."""
    return waveform * np.float32(10 ** (gain_db / 20))


def clipped(waveform, excess_db):
    """Clips as if the waveform had been ``excess_db`` dB louder than full scale; keeps the level of what is not clipped."""
    limit = np.abs(waveform).max() * 10 ** (-excess_db / 20) if len(waveform) else 0.0
    return np.clip(waveform, -limit, limit).astype(np.float32)


def with_offset(waveform, offset):
    """Adds a constant, in units of the peak."""
    return waveform + np.float32(offset * np.abs(waveform).max() if len(waveform) else 0)
