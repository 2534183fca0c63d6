"""Bootstrap intervals: of known distributions, and the same whether units or pairs of numbers are drawn."""
import numpy as np
import pytest
from scipy.stats import binom

from open_seq2seq.evaluation.analysis import intervals
from open_seq2seq.evaluation.analysis.intervals import bootstrap_interval


def test_errors_of_equal_units_are_binomial():
    errors = np.array([1] * 30 + [0] * 170)
    found = bootstrap_interval(errors, np.ones(200, int), resamples=20000)
    assert found == pytest.approx(tuple(binom.ppf([0.025, 0.975], 200, 0.15) / 200), abs=0.0051)


def test_units_and_pairs_have_the_same_distribution(monkeypatch):
    random = np.random.RandomState(1)
    lengths = random.randint(1, 9, 300)
    errors = random.binomial(lengths, 0.2)
    found = []
    for cost in (0, 10 ** 9):
        monkeypatch.setattr(intervals, "_DRAW_OF_A_PAIR", cost)
        found.append(bootstrap_interval(errors, lengths, resamples=20000))
    assert found[0] == pytest.approx(found[1], abs=0.003)
    # of a mean of ratios by the delta method
    rate = errors.sum() / lengths.sum()
    deviation = np.sqrt(((errors - rate * lengths) ** 2).sum()) / lengths.sum()
    assert found[0] == pytest.approx((rate - 1.96 * deviation, rate + 1.96 * deviation), abs=0.006)


def test_the_interval_is_the_same_each_time_and_in_any_memory(monkeypatch):
    errors, lengths = np.arange(50) % 4, 3 + np.arange(50) % 5
    expected = bootstrap_interval(errors, lengths)
    assert bootstrap_interval(errors, lengths) == expected != bootstrap_interval(errors, lengths, seed=1)
    monkeypatch.setattr(intervals, "_TABLE", 70)  # a resample at a time
    assert bootstrap_interval(errors, lengths) == expected


def test_empty_references():
    assert bootstrap_interval([], []) is None
    assert bootstrap_interval([2, 0], [0, 0]) is None
    low, high = bootstrap_interval([1, 0], [0, 1])  # half of the resamples have a word, and those have 0, 1 or no error
    assert (low, high) == (0.0, 1.0)


def test_differences_of_two_systems_may_be_negative():
    low, high = bootstrap_interval([-1, -2, -1, -1] * 10, [5, 6, 7, 8] * 10)
    assert low < -5 * 10 / 260 < high < 0
