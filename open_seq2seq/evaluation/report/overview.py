"""The first part of the page: the figures of the whole data set, and where they come from."""
import numpy as np

from open_seq2seq.evaluation.report.content import CHARACTER, WORD, unit_of
from open_seq2seq.evaluation.utterance_scores import finite
from open_seq2seq.evaluation.word_alignment import NO_EDITS


def headline(scores, interval):
    """The figures of the data set.

    Args:
      scores: list of ``UtteranceScore``, at least one.
      interval: function (errors, lengths: int [n]) -> (low, high), the 95 % confidence interval of a rate.

    Returns:
      List of dicts: name, value, note.
    """
    unit = unit_of(score.reference for score in scores)
    words, characters = (sum(counts, NO_EDITS) for counts in (
        [score.words for score in scores], [score.characters for score in scores]))
    rates = [_rate("WER", "words", words, [score.words for score in scores], interval),
             _rate("CER", "characters", characters, [score.characters for score in scores], interval)]
    if unit == CHARACTER:
        rates.reverse()
    wrong = sum(not score.is_correct for score in scores)
    errors = words if unit == WORD else characters
    cells = rates + [_cell("SER", "%.2f %%" % (100.0 * wrong / len(scores)), "%s of %s utterances have an error" % (
        _grouped(wrong), _grouped(len(scores))))]
    for name, number in (("Substitutions", errors.substitutions), ("Deletions", errors.deletions),
                         ("Insertions", errors.insertions)):
        share = "%.2f %% of the %ss" % (100.0 * number / errors.length, unit) if errors.length else ""
        cells.append(_cell(name, _grouped(number), share))
    losses = [score.loss for score in scores if finite(score.loss) is not None]
    if losses:
        without = len(scores) - len(losses)
        cells.append(_cell("Loss", "%.4g" % np.mean(losses), "mean CTC loss in nats" + (
            "; %s utterances without a finite loss are excluded" % _grouped(without) if without else "")))
    hours = sum(score.duration or 0.0 for score in scores) / 3600.0
    cells.append(_cell("Data", "%s utterances" % _grouped(len(scores)), "%s words, %s of audio" % (
        _grouped(words.length), "%.2f h" % hours if hours >= 0.1 else "%.1f min" % (60.0 * hours))))
    return cells


def _rate(name, units, total, counts, interval):
    if not total.length:
        return _cell(name, "–", "the references have no %s" % units)
    low, high = interval(np.array([count.errors for count in counts]), np.array([count.length for count in counts]))
    return _cell(name, "%.2f %%" % (100.0 * total.rate), "95 %% interval %.2f to %.2f %%" % (100.0 * low, 100.0 * high))


def _cell(name, value, note):
    return {"name": name, "value": value, "note": note}


def _grouped(number):
    return "{:,}".format(number)
