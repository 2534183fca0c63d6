"""Pauses between words: where they are, and other contents or lengths for them."""
import numpy as np

from open_seq2seq.data.effects.noise import excerpt, noise_bank

FRAME = 0.01              # s
SHORTEST_PAUSE = 0.06     # s
SPEECH_MARGIN = 0.02      # s on both sides of speech that belong to it


def find_pauses(waveform, sample_rate, below_peak_db=35.0):
    """Where nobody speaks: int array [pauses, 2] of first and end sample.

    In a pause every 10 ms are more than ``below_peak_db`` dB quieter than the loudest 10 ms. The 20 ms next to speech are not
    part of it, and at least 60 ms remain. The beginning and the end of the waveform count as pauses, too. Digital silence alone
    has none: there is no speech next to it.
    """
    frame = max(int(FRAME * sample_rate), 1)
    count = len(waveform) // frame
    if count < 3:
        return np.zeros([0, 2], int)
    frames = waveform[:count * frame].reshape(count, frame)
    powers = np.einsum("ij,ij->i", frames, frames)
    quiet = powers < powers.max() * 10 ** (-below_peak_db / 10)
    edges = np.diff(np.concatenate([[0], quiet.astype(np.int8), [0]]))
    starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    margin = int(round(SPEECH_MARGIN / FRAME))
    starts, ends = np.where(starts == 0, 0, starts + margin), np.where(ends == count, ends, ends - margin)
    kept = ends - starts >= SHORTEST_PAUSE / FRAME
    found = np.stack([starts[kept], ends[kept]], axis=1) * frame
    if len(found) and found[-1, 1] == count * frame:
        found[-1, 1] = len(waveform)
    return found


def with_pauses_of_noise(waveform, sample_rate, deviation, random):
    """Replaces pauses by white noise of a standard deviation (full scale 1); 0: by digital silence."""
    result = waveform.copy()
    for start, end in find_pauses(waveform, sample_rate):
        filling = np.float32(deviation) * excerpt(noise_bank("white"), end - start, random) if deviation else np.float32(0)
        result[start:end] = filling
    return result


def with_shorter_pauses(waveform, sample_rate, keep, random=None):
    """Cuts pauses.

    Args:
      keep: the longest pause that stays, s.
      random: None: every pause is cut to ``keep``; a RandomState: to a random length up to ``keep``.
    """
    parts, position = [], 0
    for start, end in find_pauses(waveform, sample_rate):
        longest = int(sample_rate * (keep if random is None else random.uniform(0, keep)))
        if end - start > longest:
            parts.append(waveform[position:start + longest // 2])
            position = end - (longest - longest // 2)
    parts.append(waveform[position:])
    result = np.concatenate(parts)
    return result if len(result) else waveform


def without_outer_pauses(waveform, sample_rate):
    """Cuts the pauses at both ends."""
    found = find_pauses(waveform, sample_rate)
    start = found[0, 1] if len(found) and found[0, 0] == 0 else 0
    end = found[-1, 0] if len(found) and found[-1, 1] == len(waveform) else len(waveform)
    return waveform[start:end] if end > start else waveform
