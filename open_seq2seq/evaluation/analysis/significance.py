"""Whether two systems differ on the same utterances: the tests of NIST's sc_stats, with exact distributions.

The matched-pairs test is that of Gillick and Cox, "Some statistical issues in the comparison of speech recognition algorithms",
1989: utterances are cut into segments whose errors are independent.
"""
import collections
import math

import numpy as np

from open_seq2seq.evaluation.word_alignment import CORRECT, INSERTION

EXACT_SPEAKERS = 25
"""Up to so many speakers Wilcoxon's test uses the exact distribution if there are no ties."""

MatchedPairs = collections.namedtuple("MatchedPairs", "segments mean standard_deviation z p errors")
MatchedPairs.__doc__ = """The matched-pairs sentence-segment word error test.

segments: number of segments in which a system has an error. mean, standard_deviation (n - 1): of the errors of A minus those of
B in a segment. z: mean / (standard deviation / sqrt(segments)). p: two-sided, of the normal distribution. errors: (A, B) in the
segments, which are all errors. If the difference is the same in every segment, the deviation says nothing: z is None, and p is
that of the sign test over the segments."""

McNemar = collections.namedtuple("McNemar", "both_correct only_a_correct only_b_correct both_wrong p")
McNemar.__doc__ = """McNemar's test over utterances: whether one system has more correct ones. p: exact binomial, two-sided."""

SignTest = collections.namedtuple("SignTest", "a_better b_better equal p")
SignTest.__doc__ = """Sign test over the speakers' word error rates; equal ones do not count. p: exact binomial, two-sided."""

Wilcoxon = collections.namedtuple("Wilcoxon", "speakers statistic z p p_normal")
Wilcoxon.__doc__ = """Wilcoxon's signed-rank test over the speakers' word error rates; equal ones do not count.

speakers: those that count. statistic: sum of the ranks of the speakers on whom A has the higher rate. z, p_normal: of the normal
approximation without continuity correction, as sc_stats computes it. p: exact for up to 25 speakers without ties, else
p_normal."""


def segment_errors(operations_a, operations_b):
    """Errors of two systems in the segments of the matched-pairs test.

    Args:
      operations_a, operations_b: lists of str, alignments of the same references with the hypotheses of each system.

    Returns:
      int64 [2, segments]: the errors of A and of B in every segment with an error.
    """
    words = np.array([len(operations) - operations.count(INSERTION) for operations in operations_a], np.int64)
    # a text of n words has 2 n + 1 slots: insertions before the first word, the first word, ..., insertions at the end
    starts = np.concatenate([[0], np.cumsum(2 * words + 1)])
    errors_a, errors_b = (_slot_errors(operations, starts) for operations in (operations_a, operations_b))
    correct = (errors_a == 0) & (errors_b == 0)
    # a segment begins at the gap between two correct words, which is correct itself, and at every text
    begins = np.zeros(starts[-1], bool)
    begins[1:-1] = correct[:-2] & correct[1:-1] & correct[2:]
    is_gap = np.ones(starts[-1], bool)
    is_gap[_word_slots(words, starts)] = False
    begins &= is_gap
    begins[starts[:-1]] = True
    segment = np.cumsum(begins) - 1
    counts = np.stack([np.bincount(segment, weights=errors) for errors in (errors_a, errors_b)]).astype(np.int64)
    return counts[:, counts.sum(0) > 0]


def _word_slots(words, starts):
    """The slots of all words: starts + 1, + 3, ... of each text."""
    first = np.repeat(starts[:-1] + 1, words)
    within = np.arange(words.sum()) - np.repeat(np.cumsum(words) - words, words)
    return first + 2 * within


def _slot_errors(operations, starts):
    """Errors in each slot of all texts."""
    letters = np.frombuffer("".join(operations).encode("ascii"), np.uint8)
    lengths = np.array([len(text) for text in operations], np.int64)
    is_word = letters != ord(INSERTION)
    # words before each operation within its text
    before = np.cumsum(is_word) - is_word
    firsts = np.cumsum(lengths) - lengths
    words_before_text = np.concatenate([[0], np.cumsum(is_word)])[firsts]
    slots = np.repeat(starts[:-1], lengths) + 2 * (before - np.repeat(words_before_text, lengths)) + is_word
    return np.bincount(slots[letters != ord(CORRECT)], minlength=starts[-1])


def matched_pairs(operations_a, operations_b):
    """The :class:`MatchedPairs` test of two systems. Arguments: see :func:`segment_errors`."""
    errors = segment_errors(operations_a, operations_b)
    differences = errors[0] - errors[1]
    segments, totals = len(differences), tuple(int(total) for total in errors.sum(1))
    mean = float(differences.mean()) if segments else 0.0
    deviation = float(differences.std(ddof=1)) if segments > 1 else 0.0
    if not deviation:
        return MatchedPairs(segments, mean, deviation, None, binomial_p(segments if mean else 0, 0), totals)
    z = mean / (deviation / math.sqrt(segments))
    return MatchedPairs(segments, mean, deviation, z, _two_sided(z), totals)


def mcnemar(correct_a, correct_b):
    """The :class:`McNemar` test. Arguments: bool [utterances], whether each system's hypothesis is correct."""
    correct_a, correct_b = np.asarray(correct_a, bool), np.asarray(correct_b, bool)
    only_a, only_b = int((correct_a & ~correct_b).sum()), int((correct_b & ~correct_a).sum())
    return McNemar(int((correct_a & correct_b).sum()), only_a, only_b, int((~correct_a & ~correct_b).sum()),
                   binomial_p(only_a, only_b))


def sign_test(rates_a, rates_b):
    """The :class:`SignTest`. Arguments: float [speakers], word error rates."""
    differences = np.asarray(rates_a, float) - np.asarray(rates_b, float)
    a_better, b_better = int((differences < 0).sum()), int((differences > 0).sum())
    return SignTest(a_better, b_better, len(differences) - a_better - b_better, binomial_p(a_better, b_better))


def binomial_p(first, second):
    """Two-sided exact p of two counts that are equally likely if there is no difference."""
    from scipy.stats import binom
    return min(1.0, 2.0 * float(binom.cdf(min(first, second), first + second, 0.5)))


def wilcoxon(rates_a, rates_b):
    """The :class:`Wilcoxon` test. Arguments: float [speakers], word error rates."""
    from scipy.stats import rankdata
    differences = np.asarray(rates_a, float) - np.asarray(rates_b, float)
    # rates are quotients: equal differences may differ in their last digit
    differences = np.round(differences[differences != 0], 12)
    count = len(differences)
    if not count:
        return Wilcoxon(0, 0.0, 0.0, 1.0, 1.0)
    ranks = rankdata(np.abs(differences))
    statistic = float(ranks[differences > 0].sum())
    _, ties = np.unique(ranks, return_counts=True)
    deviation = math.sqrt(count * (count + 1) * (2 * count + 1) / 24 - float((ties ** 3 - ties).sum()) / 48)
    z = (statistic - count * (count + 1) / 4) / deviation
    p_normal = _two_sided(z)
    is_exact = count <= EXACT_SPEAKERS and ties.max() == 1
    return Wilcoxon(count, statistic, z, _exact_wilcoxon_p(count, statistic) if is_exact else p_normal, p_normal)


def _exact_wilcoxon_p(count, statistic):
    # number of subsets of the ranks with each sum
    subsets = np.zeros(count * (count + 1) // 2 + 1)
    subsets[0] = 1
    for rank in range(1, count + 1):
        subsets[rank:] += subsets[:-rank].copy()
    least = int(min(statistic, len(subsets) - 1 - statistic))
    return min(1.0, 2.0 * float(subsets[:least + 1].sum()) / 2.0 ** count)


def _two_sided(z):
    return math.erfc(abs(z) / math.sqrt(2))
