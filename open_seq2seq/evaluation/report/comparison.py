"""What the page shows of another evaluation of the same utterances: which became better or worse, and whether that is chance."""
from open_seq2seq.evaluation.analysis.comparison import SIGNIFICANT, compare, matched
from open_seq2seq.evaluation.analysis.groups import group_as_dict, group_of
from open_seq2seq.evaluation.analysis.summary import interval_text, percent
from open_seq2seq.evaluation.report.content import WORD, operations_of, single_spaces, unit_of
from open_seq2seq.evaluation.report.overview import grouped


def comparison_content(scores, others, name):
    """The comparison as JSON values.

    Args:
      scores: list of ``UtteranceScore`` of this evaluation.
      others: list of ``UtteranceScore`` of the other one.
      name: str, what the other one is called.

    Returns:
      Dict: name; heads, rows: a table; sentences: list of str; columns: dict of lists, other_hypothesis, other_operations and
      change (errors here minus errors there) for each of ``scores``, null where the other evaluation does not have the utterance.

    Raises:
      DataError: no utterance is in both, or one has other references, see ``analysis.comparison.matched``.
    """
    unit = unit_of(score.reference for score in scores)
    scores, others = _in_unit(scores, unit), _in_unit(others, unit)
    other, own, only_there, only_here = matched(others, scores)
    counterparts = {score.id: counterpart for score, counterpart in zip(own, other)}
    columns = {"other_hypothesis": [], "other_operations": [], "change": []}
    for score in scores:
        counterpart = counterparts.get(score.id)
        columns["other_hypothesis"].append(None if counterpart is None else single_spaces(counterpart.hypothesis))
        columns["other_operations"].append(None if counterpart is None else counterpart.operations)
        columns["change"].append(None if counterpart is None else score.words.errors - counterpart.words.errors)
    return {"name": name, "heads": ["", "Other run", "This run", "Difference"], "rows": _rows(other, own, unit),
            "sentences": _sentences(compare(other, own), len(only_there), len(only_here), unit), "columns": columns}


def _in_unit(scores, unit):
    """The scores with the errors that count as those of words, which are what the analysis compares."""
    if unit == WORD:
        return scores
    return [score._replace(operations=operations, words=score.characters)
            for score, operations in zip(scores, operations_of(scores, unit))]


def _rows(other, own, unit):
    there, here = (group_as_dict(group_of("", scores)) for scores in (other, own))
    rows = []
    for title, key in (("WER" if unit == WORD else "CER", "wer"), ("SER", "ser")):
        known = None not in (there[key], here[key])
        rows.append([title, percent(there[key]), percent(here[key]),
                     _signed("%+.2f points", 100.0 * (here[key] - there[key])) if known else "–"])
    for kind in ("substitutions", "deletions", "insertions"):
        rows.append([kind.capitalize(), grouped(there["words"][kind]), grouped(here["words"][kind]),
                     _signed("%+d", here["words"][kind] - there["words"][kind])])
    return rows


def _signed(form, difference):
    return (form % difference if difference else (form % 0)[1:]).replace("-", "−")


def _sentences(result, only_there, only_here, unit):
    """What the result of ``analysis.comparison.compare`` means."""
    better, worse = len(result["better"]), len(result["worse"])
    sentences = ["%s utterances have fewer errors in this evaluation, %s have more, %s have as many." % (
        grouped(better), grouped(worse), grouped(result["utterances"] - better - worse))]
    if result["difference"] is not None:
        sentences.append("The %s changes by %s, 95 %% interval %s." % (
            "WER" if unit == WORD else "CER", _signed("%+.2f points", 100.0 * result["difference"]),
            interval_text(result["difference_interval"]).replace("-", "−")))
    for name, key in (("Matched pairs test of the errors", "matched_pairs"),
                      ("McNemar's test of the correct utterances", "mcnemar"),
                      ("Wilcoxon's test of the error rates of the speakers", "wilcoxon")):
        if result[key] is not None:
            p = result[key]["p"]
            sentences.append("%s: p = %.2g, so the difference %s." % (
                name, p, "is significant" if p < SIGNIFICANT else "may be chance"))
    if only_there or only_here:
        sentences.append("%s utterances are in both evaluations and are compared; %s are only in this one, %s only in the other."
                         % (grouped(result["utterances"]), grouped(only_here), grouped(only_there)))
    return sentences
