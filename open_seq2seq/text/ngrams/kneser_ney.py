"""Interpolated modified Kneser-Ney smoothing (Chen and Goodman, 1998) as KenLM's ``lmplz`` defines it.

Heafield et al., "Scalable Modified Kneser-Ney Language Model Estimation", ACL 2013. The numbers are those of lmplz with
``--discount_fallback``: all words and ``<unk>`` share the mass that the distribution of words leaves, and pruned n-grams leave
theirs to the back-off.
"""
import collections

import numpy as np

from open_seq2seq.text.ngrams.counts import BOS, EOS, UNK

FALLBACK = (0.5, 1.0, 1.5)  # lmplz's for texts whose counts of counts give no valid discounts

NgramModel = collections.namedtuple("NgramModel", "words orders notes")
NgramModel.__doc__ = """An n-gram language model.

words: list of str, the special ones first. orders: list of :class:`ModelOrder`, of words first. notes: list of str about the
estimation."""

ModelOrder = collections.namedtuple("ModelOrder", "context word suffix probability backoff count")
ModelOrder.__doc__ = """The n-grams of an order, sorted by context and word; arrays [n].

context, suffix: int, indices into the order below. word: int, index into the model's words. probability: float64, of the word
after the context. backoff: float64, weight of the order below after this n-gram; 1 where nothing follows. count: int, occurrences
in the text; None in a model that was read from a file."""


def estimate(words, tables, last, prune=(), most_words=None):
    """Estimates a model.

    Args:
      words: list of str.
      tables, last: see :func:`~open_seq2seq.text.ngrams.counts.count_ngrams`.
      prune: counts; n-grams of an order that occur at most as often are left out. One for each order; the last one is for all
        higher orders, too. They must not decrease.
      most_words: leave out all but this many of the most frequent words; None: none.

    Returns:
      :class:`NgramModel`.
    """
    thresholds = list(prune) + [prune[-1] if prune else 0] * (len(tables) - len(prune))
    adjusted = _adjusted_counts(tables)
    # the numbering of the kept n-grams, -1 for the others
    kept, notes, orders, interpolated = [], [], [], []
    for number, (table, counts) in enumerate(zip(tables, adjusted)):
        keep = table.count > thresholds[number]
        if number == 0:
            if most_words is not None:
                ranks = np.argsort(-table.count[EOS + 1:], kind="stable") + EOS + 1
                keep[ranks[most_words:]] = False
            keep[[UNK, BOS, EOS]] = True
        else:
            keep &= (kept[-1][table.context] >= 0) & (kept[-1][table.suffix] >= 0)
        kept.append(np.where(keep, np.cumsum(keep) - 1, -1))
        discounts, is_fallback = _discounts(_counts_of_counts(table, counts, last, number, len(tables)))
        if is_fallback:
            notes.append("order %d: the text is too small or too regular to estimate discounts; %g, %g and %g are used" % (
                (number + 1,) + FALLBACK))
        probability, gamma = _discounted(table, counts, keep, discounts, len(tables[number - 1].word) if number else 1)
        if number == 0:
            # <unk> is a word that was never seen; <s> is not predicted
            probability += gamma[0] / (np.count_nonzero(keep) - 1)
            probability[BOS] = 1.0
        else:
            probability += gamma[table.context] * interpolated[-1][table.suffix]
            orders[-1] = orders[-1]._replace(backoff=gamma[kept[number - 1] >= 0])
        interpolated.append(probability)
        context, suffix = (kept[-2][table.context], kept[-2][table.suffix]) if number else (table.context, table.suffix)
        orders.append(ModelOrder(context[keep], kept[0][table.word[keep]], suffix[keep], np.minimum(probability[keep], 1.0),
                                 np.ones(np.count_nonzero(keep)), table.count[keep]))
    return NgramModel([word for word, number in zip(words, kept[0]) if number >= 0], orders, notes)


def _adjusted_counts(tables):
    """Counts for the distributions: occurrences in the highest order, below it the number of different words before an n-gram.

    What begins with ``<s>`` has no word before it and keeps its occurrences.
    """
    adjusted = []
    for table, longer in zip(tables, tables[1:]):
        adjusted.append(np.where(table.from_start, table.count, np.bincount(longer.suffix, minlength=len(table.word))))
    return adjusted + [tables[-1].count]


def _counts_of_counts(table, counts, last, number, order):
    """int [5]: how many n-grams have the adjusted counts 0 to 4."""
    counts_of_counts = np.bincount(np.minimum(counts, 5), minlength=6)
    if number < min(order - 1, len(last)):
        # lmplz takes the occurrences of the n-gram that it sorts last; this is kept for equal numbers
        counts_of_counts[min(counts[last[number]], 5)] -= 1
        counts_of_counts[min(table.count[last[number]], 5)] += 1
    return counts_of_counts[:5]


def _discounts(counts_of_counts):
    """(float64 [4]: what is subtracted from the counts 0, 1, 2 and more, Chen and Goodman's equation 26; is it the fallback?)."""
    _, n1, n2, n3, n4 = (float(count) for count in counts_of_counts)
    if min(n1, n2, n3) > 0:
        y = n1 / (n1 + 2 * n2)
        found = np.array([0.0, 1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3])
        if np.all((found >= 0) & (found <= np.arange(4))):
            return found, False
    return np.array((0.0,) + FALLBACK), True


def _discounted(table, counts, keep, discounts, num_contexts):
    """(float64 [n]: the share of each n-gram in its context, discounted; float64 [contexts]: the mass left to the order below).

    The mass of n-grams that are not kept is left, too.
    """
    total = np.bincount(table.context, counts, num_contexts)
    discount = discounts[np.minimum(counts, 3)]
    left = np.bincount(table.context, np.where(keep, discount, counts), num_contexts)
    # a context that nothing follows, e.g. </s>, has no total
    gamma = np.where(total > 0, left / np.maximum(total, 1), 1.0)
    return (counts - discount) / np.maximum(total, 1)[table.context], gamma
