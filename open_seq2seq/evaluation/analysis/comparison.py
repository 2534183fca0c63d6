"""Two systems on the same utterances: is the difference of their word error rates more than chance, and where is it?"""
import collections

import numpy as np

from open_seq2seq.errors import DataError
from open_seq2seq.evaluation.analysis.groups import speakers_of
from open_seq2seq.evaluation.analysis.intervals import bootstrap_interval
from open_seq2seq.evaluation.analysis.score_files import named
from open_seq2seq.evaluation.analysis.significance import matched_pairs, mcnemar, sign_test, wilcoxon
from open_seq2seq.evaluation.analysis.summary import interval_text, percent, table
from open_seq2seq.evaluation.utterance_scores import finite

SIGNIFICANT = 0.05
_SHOWN = 20


def matched(scores_a, scores_b):
    """The utterances that both evaluations have.

    They are matched by their ids; if no id is in both, e.g. because the manifests are in other folders, by ``wav_filename``.

    Args:
      scores_a, scores_b: lists of ``UtteranceScore``.

    Returns:
      (scores of A, scores of B in the same order, ids only in A, ids only in B)

    Raises:
      DataError: no utterance is in both, or one has other references.
    """
    for key in (lambda score: score.id, lambda score: score.wav_filename):
        by_key = {key(score): score for score in scores_b if key(score) is not None}
        both = [(score, by_key[key(score)]) for score in scores_a if key(score) in by_key]
        distinct = len({key(score) for score, _ in both}) == len(both)
        if both and distinct:
            break
    else:
        raise DataError("no utterance is in both evaluations: the first ids are %s and %s. Both must be of the same data" % (
            named([score.id for score in scores_a[:2]]), named([score.id for score in scores_b[:2]])))
    changed = [first.id for first, second in both if first.reference.split() != second.reference.split()]
    if changed:
        raise DataError("%d of %d utterances have other references in the second evaluation: %s. Both must be scored against the "
                        "same transcripts" % (len(changed), len(both), named(changed)))
    found_a, found_b = {key(first) for first, _ in both}, {key(second) for _, second in both}
    return ([first for first, _ in both], [second for _, second in both],
            [score.id for score in scores_a if key(score) not in found_a],
            [score.id for score in scores_b if key(score) not in found_b])


def compare(scores_a, scores_b):
    """Compares two evaluations.

    Args:
      scores_a, scores_b: lists of ``UtteranceScore``, see :func:`matched`.

    Returns:
      Dict of JSON values: utterances, words; only_in_a, only_in_b: ids that are not compared; wer: [A, B]; difference: B - A;
      difference_interval, by resampling utterances; matched_pairs, mcnemar, and, if the speakers are known, sign and wilcoxon:
      dicts of the tests' results; better, worse: lists of dicts with id, reference, hypothesis_a, hypothesis_b, errors_a and
      errors_b of the utterances in which B has fewer or more errors, the largest difference first; changed: number of utterances
      whose hypotheses differ.
    """
    first, second, only_a, only_b = matched(scores_a, scores_b)
    errors_a, errors_b = (np.array([score.words.errors for score in scores]) for scores in (first, second))
    lengths = np.array([score.words.length for score in first])
    words = int(lengths.sum())
    rates = [finite(float(errors.sum()) / words) if words else None for errors in (errors_a, errors_b)]
    interval = bootstrap_interval(errors_b - errors_a, lengths)
    result = {"utterances": len(first), "words": words, "only_in_a": only_a, "only_in_b": only_b, "wer": rates,
              "difference": rates[1] - rates[0] if words else None,
              "difference_interval": None if interval is None else list(interval),
              "matched_pairs": matched_pairs([score.operations for score in first],
                                             [score.operations for score in second])._asdict(),
              "mcnemar": mcnemar(errors_a == 0, errors_b == 0)._asdict()}
    speakers = speakers_of(first)
    result["sign"] = result["wilcoxon"] = None
    if speakers is not None:
        rates_a, rates_b = _speaker_rates(speakers, errors_a, lengths), _speaker_rates(speakers, errors_b, lengths)
        result["sign"], result["wilcoxon"] = sign_test(rates_a, rates_b)._asdict(), wilcoxon(rates_a, rates_b)._asdict()
    differences = errors_b - errors_a
    order = np.argsort(-np.abs(differences), kind="stable")
    result["better"] = [_change(first[place], second[place]) for place in order if differences[place] < 0]
    result["worse"] = [_change(first[place], second[place]) for place in order if differences[place] > 0]
    result["changed"] = sum(one.hypothesis.split() != other.hypothesis.split() for one, other in zip(first, second))
    return result


def _speaker_rates(speakers, errors, lengths):
    """Word error rates of the speakers that have reference words, in the order of their names."""
    sums = collections.defaultdict(lambda: np.zeros(2, np.int64))
    for speaker, error, length in zip(speakers, errors, lengths):
        sums[speaker] += error, length
    return [sums[speaker][0] / sums[speaker][1] for speaker in sorted(sums) if sums[speaker][1]]


def _change(first, second):
    return {"id": first.id, "reference": first.reference, "hypothesis_a": first.hypothesis, "hypothesis_b": second.hypothesis,
            "errors_a": first.words.errors, "errors_b": second.words.errors}


def comparison_text(result, name_a="A", name_b="B", shown=_SHOWN):
    """The result of :func:`compare` as text.

    Args:
      result: the dict.
      name_a, name_b: what A and B are.
      shown: number of changed utterances that are listed of each kind.
    """
    lines = ["A: %s" % name_a, "B: %s" % name_b, "%d utterances, %d words" % (result["utterances"], result["words"])]
    for side in "ab":
        if result["only_in_" + side]:
            lines.append("%d utterances are only in %s and are not compared: %s" % (
                len(result["only_in_" + side]), side.upper(), named(result["only_in_" + side])))
    lines += ["", "WER of A %s, of B %s" % tuple(percent(rate) for rate in result["wer"])]
    if result["difference"] is not None:
        lines.append("B - A: %+.2f points, 95 %% interval %s%s" % (
            100 * result["difference"], interval_text(result["difference_interval"]), _relative(result["wer"])))
    lines += ["", _verdict(result), ""] + table(_test_rows(result)) + [""]
    lines.append("%d hypotheses differ: B is better in %d utterances and worse in %d" % (
        result["changed"], len(result["better"]), len(result["worse"])))
    for kind in ("worse", "better"):
        for entry in result[kind][:shown]:
            lines += ["", "%s: %s, %d -> %d errors" % (kind, entry["id"], entry["errors_a"], entry["errors_b"]),
                      "  reference  %s" % entry["reference"], "  A          %s" % entry["hypothesis_a"],
                      "  B          %s" % entry["hypothesis_b"]]
        if len(result[kind]) > shown > 0:
            lines += ["", "... and %d more that are %s" % (len(result[kind]) - shown, kind)]
    return "\n".join(lines) + "\n"


def _relative(rates):
    return "; relative %+.1f %%" % (100 * (rates[1] / rates[0] - 1)) if rates[0] else ""


def _verdict(result):
    p = result["matched_pairs"]["p"]
    if p >= SIGNIFICANT:
        return "The difference is not significant: p = %.3f of the matched-pairs test" % p
    return "%s is significantly better: p %s of the matched-pairs test" % (
        "A" if result["matched_pairs"]["mean"] < 0 else "B", "= %.3f" % p if p >= 0.001 else "< 0.001")


def _test_rows(result):
    pairs, sentences = result["matched_pairs"], result["mcnemar"]
    rows = [("test", "p", "figures"),
            ("matched pairs (MAPSSWE), segments", _p(pairs["p"]), "%d segments, mean %.3f, standard deviation %.3f, Z %s" % (
                pairs["segments"], pairs["mean"], pairs["standard_deviation"],
                "-" if pairs["z"] is None else "%.3f" % pairs["z"])),
            ("McNemar, exact, utterances", _p(sentences["p"]), "only A correct %d, only B correct %d" % (
                sentences["only_a_correct"], sentences["only_b_correct"]))]
    if result["sign"] is not None:
        sign, ranks = result["sign"], result["wilcoxon"]
        rows += [("sign test, exact, speakers", _p(sign["p"]), "A better for %d speakers, B for %d, equal %d" % (
                    sign["a_better"], sign["b_better"], sign["equal"])),
                 ("Wilcoxon, speakers", _p(ranks["p"]), "%d speakers, rank sum %g, Z %.2f" % (
                     ranks["speakers"], ranks["statistic"], ranks["z"]))]
    width = max(len(row[2]) for row in rows)
    return [(name, p, figures.ljust(width)) for name, p, figures in rows]


def _p(p):
    return "%.4f" % p if p >= 0.0001 else "< 0.0001"
