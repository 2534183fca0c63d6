"""Additive noise: white, pink, hum, and mixing of two waveforms at a signal-to-noise ratio."""
import functools
import math
import threading

import numpy as np

LARGEST_FACTOR = 1e18       # of a gain: float32 ends at 3.4e38
BANK_SAMPLES = 1 << 20      # of the stored noise: 65 s at 16 kHz
HUM_HARMONICS = 5
ACTIVE_FRAME = 0.02         # s
ACTIVE_BELOW_PEAK_DB = 30   # frames more than this below the loudest frame are pauses
LOWEST_FREQUENCY = 20 / 16000  # cycles per sample; below, colored noise has no power: it would be most of the noise's power
                               # there, and not audible
COLORS = {"white": 0.0, "pink": 1.0, "brown": 2.0}


_banks_lock = threading.Lock()


def noise_bank(color):
    """Stored Gaussian noise of unit power whose spectrum falls as 1 / frequency ** COLORS[color]: float32 [BANK_SAMPLES].

    Drawing random numbers for each utterance takes longer than its features; a random place in a long recording is as good.
    """
    # several threads would each need 50 MB to make the same
    with _banks_lock:
        return _made_bank(color)


@functools.lru_cache(maxsize=None)
def _made_bank(color):
    random = np.random.RandomState(sorted(COLORS).index(color))
    bank = colored_noise(BANK_SAMPLES, COLORS[color], random)
    bank.flags.writeable = False
    return bank


def colored_noise(length, exponent, random):
    """Noise of unit power whose spectrum falls as 1 / frequency ** exponent from ``LOWEST_FREQUENCY`` on: float32 [length]."""
    white = random.standard_normal(length)
    if exponent:
        spectrum = np.fft.rfft(white)
        frequencies = np.arange(len(spectrum)) / length
        audible = frequencies >= LOWEST_FREQUENCY
        response = np.where(audible, np.maximum(frequencies, LOWEST_FREQUENCY) ** (-exponent / 2), 0)
        white = np.fft.irfft(spectrum * response, length)
    return (white / np.sqrt(np.mean(np.square(white)))).astype(np.float32)


def excerpt(source, length, random):
    """A piece of ``source`` that begins at a random sample, repeated where it is too short: float32 [length], maybe a view."""
    start = random.randint(len(source))
    if start + length <= len(source):
        return source[start:start + length]
    if length <= len(source):
        return np.concatenate([source[start:], source[:start + length - len(source)]])
    return np.resize(np.roll(source, -start), length)


def power(waveform):
    """Mean square: float."""
    return float(np.dot(waveform, waveform)) / max(len(waveform), 1)


def active_power(waveform, sample_rate):
    """Mean square of the frames that are not pauses: float, 0.0 for digital silence."""
    frame = max(int(ACTIVE_FRAME * sample_rate), 1)
    count = len(waveform) // frame
    if count < 2:
        return power(waveform)
    frames = waveform[:count * frame].reshape(count, frame)
    powers = np.einsum("ij,ij->i", frames, frames) / frame
    return float(powers[powers >= powers.max() * 10 ** (-ACTIVE_BELOW_PEAK_DB / 10)].mean())


def mixed(waveform, other, snr_db, sample_rate, other_power=None):
    """Adds ``other`` at a signal-to-noise ratio. The signal's power is that of its active frames.

    Args:
      waveform: float32 [samples].
      other: float32 [samples], of any level.
      snr_db: dB.
      sample_rate: Hz.
      other_power: mean square of what ``other`` is a piece of; None: of ``other``, without its mean.

    Returns:
      float32 [samples]; ``waveform`` itself if one of the two is digital silence.
    """
    if not len(waveform):
        return waveform
    if other_power is None:
        other = other - other.mean()
        other_power = power(other)
    factor = math.sqrt(active_power(waveform, sample_rate) / other_power * 10 ** (-snr_db / 10)) if other_power > 0 else 0.0
    return waveform + other * np.float32(factor) if 0 < factor < LARGEST_FACTOR else waveform


def with_noise(waveform, color, snr_db, sample_rate, random):
    """Adds noise of a color (a key of ``COLORS``) at a signal-to-noise ratio in dB."""
    return mixed(waveform, excerpt(noise_bank(color), len(waveform), random), snr_db, sample_rate)


def with_noise_floor(waveform, deviation, random):
    """Adds white noise of an absolute standard deviation (full scale 1)."""
    return waveform + np.float32(deviation) * excerpt(noise_bank("white"), len(waveform), random)


@functools.lru_cache(maxsize=16)
def _second_of_hum(frequency, sample_rate):
    """A second of a tone of a whole number of Hz and its harmonics: float32 [sample_rate]."""
    time = np.arange(sample_rate) / float(sample_rate)
    hum = sum(np.sin(2 * np.pi * frequency * order * time) / order for order in range(1, HUM_HARMONICS + 1)).astype(np.float32)
    hum.flags.writeable = False
    return hum


def with_hum(waveform, frequency, snr_db, sample_rate, random):
    """Adds a mains hum of ``frequency`` Hz (int) with four weaker harmonics at a signal-to-noise ratio in dB."""
    return mixed(waveform, excerpt(_second_of_hum(frequency, sample_rate), len(waveform), random), snr_db, sample_rate)
