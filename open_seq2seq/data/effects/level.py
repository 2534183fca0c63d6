"""Level, clipping, offset, and the resolution of 16-bit samples."""
import numpy as np

FULL_SCALE = 32768.0


def as_16_bits(waveform):
    """The samples of a 16-bit file: int32 [samples], -32768..32767."""
    return np.clip(np.round(waveform * np.float32(FULL_SCALE)), -FULL_SCALE, FULL_SCALE - 1).astype(np.int32)


def rounded_to_16_bits(waveform):
    """Limits to -1..1 and rounds as a 16-bit file does; samples that come from one stay as they are."""
    return as_16_bits(waveform).astype(np.float32) * np.float32(1 / FULL_SCALE)


def with_gain(waveform, gain_db):
    """Changes the level by ``gain_db`` dB, without limiting."""
    return waveform * np.float32(10 ** (gain_db / 20))


def clipped(waveform, excess_db):
    """Clips as if the waveform had been ``excess_db`` dB louder than full scale; keeps the level of what is not clipped."""
    limit = np.float32(_peak(waveform) * 10 ** (-excess_db / 20))
    return np.clip(waveform, -limit, limit)


def with_offset(waveform, offset):
    """Adds a constant, in units of the peak."""
    return waveform + np.float32(offset * _peak(waveform))


def _peak(waveform):
    return float(np.abs(waveform).max()) if len(waveform) else 0.0
