"""Tempo and pitch: WSOLA (Verhelst and Roelands, 1993), and resampling."""
import numpy as np
import soxr

from open_seq2seq.data.effects.channel import of_length

WINDOW = 0.025     # s
SEARCH = 0.006     # s in both directions


def tempo_length(num_samples, ratio):
    """Samples of a waveform of ``num_samples`` after :func:`with_tempo`."""
    return max(int(round(num_samples * ratio)), 1)


def with_tempo(waveform, sample_rate, ratio):
    """Makes a waveform ``ratio`` times as long without a change of pitch.

    Windows of 25 ms overlap by half. Each is taken from within 6 ms of its proper place, from where its first half is most
    similar to the second half of the previous window. A waveform of less than 50 ms is only cut or extended by zeros.

    Args:
      waveform: float32 [samples].
      sample_rate: Hz.
      ratio: new duration by old duration.

    Returns:
      float32 [tempo_length(samples, ratio)]
    """
    hop = max(int(WINDOW / 2 * sample_rate), 1)
    length = tempo_length(len(waveform), ratio)
    waveform = waveform.astype(np.float32, copy=False)
    if not len(waveform):
        return waveform
    if ratio == 1 or len(waveform) < 4 * hop:
        return of_length(waveform, length)
    search = int(SEARCH * sample_rate)
    padded = np.pad(waveform, (search, 4 * hop + search), mode="constant")
    window = np.hanning(2 * hop + 1)[:-1].astype(np.float32)
    count = -(-length // hop) + 1
    result = np.zeros((count + 1) * hop, np.float32)
    previous = 0
    for number in range(count):
        place = min(int(number * hop / ratio), len(waveform) - 1)
        if number:
            # what followed the first half of the previous window: its second half, which this window's first half overlaps
            natural = padded[previous + hop:previous + 2 * hop]
            region = padded[place:place + 2 * search + len(natural)]
            place += int(np.argmax(np.correlate(region, natural, mode="valid")))
        else:
            place += search
        piece = padded[place:place + 2 * hop]
        result[number * hop:number * hop + len(piece)] += piece * window[:len(piece)]
        previous = min(place, len(padded) - 3 * hop)
    # the first window has no other one before it
    result[:hop] += padded[search:search + hop] * (1 - window[:hop])
    return of_length(result, length)


def with_pitch(waveform, sample_rate, semitones):
    """Raises the pitch by ``semitones`` (lowers it if negative) at the same tempo, formants included."""
    factor = 2 ** (semitones / 12.0)
    if not len(waveform) or factor == 1:
        return waveform
    changed = soxr.resample(with_tempo(waveform, sample_rate, factor), sample_rate * factor, sample_rate, quality="HQ")
    return of_length(changed, len(waveform)).astype(np.float32, copy=False)
