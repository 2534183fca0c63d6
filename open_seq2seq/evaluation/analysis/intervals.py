"""Confidence intervals of error rates by the bootstrap (Bisani and Ney, "Bootstrap estimates for confidence intervals in ASR
performance evaluation", 2004)."""
import numpy as np

RESAMPLES = 1000
CONFIDENCE = 0.95

_TABLE = 1000000  # numbers drawn at a time
_DRAW_OF_A_PAIR = 30  # times the time of drawing a unit


def bootstrap_interval(errors, lengths, seed=0, resamples=RESAMPLES):
    """The 95 % interval of an error rate: units are drawn with replacement, as many as there are.

    Units with equal numbers are interchangeable, so where many are equal, a resample draws how often each pair of numbers occurs:
    the distribution is that of drawing every unit, and the time depends on the number of different pairs.

    Args:
      errors: int [units] of utterances, or of speakers; or differences of the errors of two systems.
      lengths: int [units], words (or characters, sentences) of the references.
      seed: int.
      resamples: number of resamples.

    Returns:
      (low, high), fractions; None without units, or where the references are empty.
    """
    errors, lengths = np.asarray(errors, np.int64), np.asarray(lengths, np.int64)
    if not lengths.sum():
        return None
    pairs, times = np.unique(np.stack([errors, lengths], 1), axis=0, return_counts=True)
    random, rates, units = np.random.RandomState(seed), [], len(errors)
    draws_pairs = len(pairs) * _DRAW_OF_A_PAIR < units
    step = max(1, _TABLE // (len(pairs) if draws_pairs else units))
    for begin in range(0, resamples, step):
        count = min(step, resamples - begin)
        if draws_pairs:
            drawn_errors, drawn_lengths = (random.multinomial(units, times / units, size=count) @ pairs).T
        else:
            drawn = random.randint(units, size=(count, units))
            drawn_errors, drawn_lengths = errors[drawn].sum(1), lengths[drawn].sum(1)
        # a resample of empty references only has no rate
        rates.append(drawn_errors[drawn_lengths > 0] / drawn_lengths[drawn_lengths > 0])
    return tuple(float(value) for value in np.percentile(np.concatenate(rates), [50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE)]))
