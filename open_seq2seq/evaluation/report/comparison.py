"""The comparison with another evaluation of the same utterances: which became better or worse, and whether that is by chance."""
import numpy as np

from open_seq2seq.errors import DataError
from open_seq2seq.evaluation.analysis.intervals import bootstrap_interval
from open_seq2seq.evaluation.analysis.significance import matched_pairs, mcnemar
from open_seq2seq.evaluation.analysis.summary import interval_text, percent
from open_seq2seq.evaluation.report.content import WORD, counts_of, operations_of, single_spaces, unit_of
from open_seq2seq.evaluation.report.overview import grouped
from open_seq2seq.evaluation.word_alignment import NO_EDITS

SIGNIFICANT = 0.05


def comparison_content(scores, others, name):
    """What the page shows of the comparison. Utterances are the same if their names and references are.

    Args:
      scores: list of ``UtteranceScore`` of this evaluation.
      others: list of ``UtteranceScore`` of the other one.
      name: str, what the other one is called.

    Returns:
      Dict of JSON values: name; heads, rows: a table; sentences: list of str; columns: dict of lists, other_hypothesis,
      other_operations and change for each of ``scores``, null where the other evaluation does not have the utterance.

    Raises:
      DataError: the evaluations have no utterance in common.
    """
    unit, other_of = unit_of(score.reference for score in scores), {score.id: score for score in others}
    pairs = [(score, other_of[score.id]) for score in scores
             if score.id in other_of and score.reference.split() == other_of[score.id].reference.split()]
    if not pairs:
        raise DataError("the evaluation to compare with, %s, has none of the %d utterances of this one: none has the same name "
                        "and reference, e.g. %s. Expected an evaluation of the same data set" % (
                            name, len(scores), scores[0].id if scores else "none"))
    own, other = [first for first, _ in pairs], [second for _, second in pairs]
    changes = np.array([counts_of(first, unit).errors - counts_of(second, unit).errors for first, second in pairs])
    operations = operations_of(other, unit)
    place = {score.id: number for number, score in enumerate(other)}
    columns = {"other_hypothesis": [], "other_operations": [], "change": []}
    for score in scores:
        number = place.get(score.id)
        columns["other_hypothesis"].append(None if number is None else single_spaces(other[number].hypothesis))
        columns["other_operations"].append(None if number is None else operations[number])
        columns["change"].append(None if number is None else int(changes[number]))
    return {"name": name, "heads": ["", "This evaluation", name, "Difference"], "rows": _rows(own, other, unit),
            "sentences": _sentences(scores, others, own, other, unit, changes, operations), "columns": columns}


def _rows(own, other, unit):
    rows = []
    totals = {side: {kind: sum((getattr(score, kind) for score in scores), NO_EDITS) for kind in ("words", "characters")}
              for side, scores in (("own", own), ("other", other))}
    for name, kind in (("WER", "words"), ("CER", "characters")):
        first, second = totals["own"][kind], totals["other"][kind]
        if first.length:
            rows.append([name, percent(first.rate), percent(second.rate), "%+.2f %%" % (100.0 * (first.rate - second.rate))])
    wrong = [sum(not score.is_correct for score in scores) for scores in (own, other)]
    rows.append(["Utterances with an error", grouped(wrong[0]), grouped(wrong[1]), "%+d" % (wrong[0] - wrong[1])])
    kind = "words" if unit == WORD else "characters"
    for name in ("substitutions", "deletions", "insertions"):
        first, second = getattr(totals["own"][kind], name), getattr(totals["other"][kind], name)
        rows.append([name.capitalize(), grouped(first), grouped(second), "%+d" % (first - second)])
    return rows


def _sentences(scores, others, own, other, unit, changes, operations):
    better, worse = int((changes < 0).sum()), int((changes > 0).sum())
    sentences = ["%s utterances have fewer errors here, %s have more, %s have as many." % (
        grouped(better), grouped(worse), grouped(len(own) - better - worse))]
    lengths = np.array([counts_of(score, unit).length for score in own])
    rate = "WER" if unit == WORD else "CER"
    interval = bootstrap_interval(changes, lengths)
    if interval is not None:
        sentences.append("Difference of the %s %+.2f %%, 95 %% interval %s %%." % (
            rate, 100.0 * changes.sum() / lengths.sum(), interval_text(interval)))
    segments = matched_pairs(operations_of(own, unit), operations)
    correct = mcnemar(*[[not counts_of(score, unit).errors for score in side] for side in (own, other)])
    for test, p in (("Matched pairs test of the errors", segments.p), ("McNemar's test of the correct utterances", correct.p)):
        sentences.append("%s: p = %.2g, so the difference %s." % (test, p, "is significant" if p < SIGNIFICANT
                                                                  else "may be chance"))
    missing, additional = len(scores) - len(own), len(others) - len(own)
    if missing or additional:
        sentences.append("Compared are the %s utterances that both evaluations have with the same name and reference; %s are "
                         "only in this one, %s only in the other." % (grouped(len(own)), grouped(missing), grouped(additional)))
    return sentences
