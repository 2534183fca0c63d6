"""Entropy pruning of n-gram models (Stolcke, 1998): without the n-grams whose loss changes the model least.

The probability of a context is its frequency in the text, not the model's: the lower orders of Kneser-Ney are not distributions
of the text (Chelba et al., "Study on interaction between entropy pruning and Kneser-Ney smoothing", 2010).
"""
import numpy as np


def prune_by_entropy(model, threshold):
    """Removes n-grams of order 2 and higher whose removal raises the perplexity by less than ``threshold``.

    Args:
      model: :class:`~open_seq2seq.text.ngrams.kneser_ney.NgramModel` with counts.
      threshold: relative change of perplexity, e.g. 1e-8, as SRILM's ``-prune``.

    Returns:
      NgramModel. N-grams that begin or end a longer one stay.
    """
    orders = list(model.orders)
    predictions = orders[0].count.sum()
    for number in range(len(orders) - 1, 0, -1):
        order, lower = orders[number], orders[number - 1]
        keep = ~_removable(orders, number) | (_rise(order, lower, predictions) >= threshold)
        orders[number - 1] = lower._replace(backoff=_backoffs(order, lower, keep))
        orders[number] = type(order)(*(values[keep] for values in order))
        if number + 1 < len(orders):
            numbers = np.cumsum(keep) - 1
            higher = orders[number + 1]
            orders[number + 1] = higher._replace(context=numbers[higher.context], suffix=numbers[higher.suffix])
    return model._replace(orders=orders)


def _removable(orders, number):
    removable = np.ones(len(orders[number].word), bool)
    if number + 1 < len(orders):
        removable[orders[number + 1].context] = False
        removable[orders[number + 1].suffix] = False
    return removable


def _left(order, lower, chosen=slice(None)):
    """(mass that the contexts leave to the order below, mass of the words there that they do not list): float64 [contexts]."""
    context, size = order.context[chosen], len(lower.word)
    return (1 - np.bincount(context, order.probability[chosen], size),
            1 - np.bincount(context, lower.probability[order.suffix][chosen], size))


def _rise(order, lower, predictions):
    """float64 [n]: relative change of the perplexity if each n-gram alone were removed."""
    own, shorter, context = order.probability, lower.probability[order.suffix], order.context
    mass, rest = _left(order, lower)
    backoff = lower.backoff[context]
    new_backoff = (mass[context] + own) / (rest[context] + shorter)
    frequency = np.bincount(context, order.count, len(lower.word)) / predictions
    change = own * (np.log(shorter) + np.log(new_backoff) - np.log(own)) + mass[context] * np.log(new_backoff / backoff)
    return np.expm1(-frequency[context] * change)


def _backoffs(order, lower, keep):
    """The back-offs of the order below when only n-grams of ``keep`` are left; unchanged where all are."""
    size = len(lower.word)
    changed = np.bincount(order.context, ~keep, size) > 0
    mass, rest = _left(order, lower, keep)
    # a context that lists nothing leaves everything
    return np.where(changed, np.where(np.bincount(order.context, keep, size) > 0, mass / np.maximum(rest, 1e-12), 1.0),
                    lower.backoff)
