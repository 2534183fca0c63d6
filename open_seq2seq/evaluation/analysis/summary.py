"""The figures of a scored data set: as JSON values and as text."""
import collections

import numpy as np

from open_seq2seq.evaluation.analysis.groups import (
    counts_of,
    group_as_dict,
    group_of_counts,
    grouping_as_dict,
    groupings,
    speakers_of,
)
from open_seq2seq.evaluation.analysis.intervals import bootstrap_interval
from open_seq2seq.evaluation.analysis.kaldi import kaldi_counts, kaldi_lines
from open_seq2seq.evaluation.analysis.word_errors import word_errors, word_errors_as_dict

LISTED = 50  # entries of each list of words in the JSON file
_SHOWN, _SHOWN_GROUPS = 10, 20  # of the text


def summarize(scores, not_scored=(), group_by=(), absent=0):
    """The figures of a data set.

    Args:
      scores: list of ``UtteranceScore``.
      not_scored: ids of utterances without a hypothesis that are not among the scores.
      group_by: names of columns to group by in addition, see ``groups.groupings``.
      absent: number of utterances without a hypothesis, whether they are among the scores or not.

    Returns:
      Dict of JSON values: of all utterances what ``groups.group_as_dict`` returns, with cer_interval, ser_interval,
      wer_interval_by_speaker (resampling speakers; null if they are not known); not_scored, list of ids; audio_seconds, loss
      (mean of the finite ones) and entropy (mean over the utterances) or null; kaldi, list of the lines of compute-wer;
      groupings, list of what ``groups.grouping_as_dict`` returns; errors, see ``word_errors.word_errors_as_dict``.
    """
    counts, speakers = counts_of(scores), speakers_of(scores)
    total = group_of_counts("all", counts)
    summary = group_as_dict(total)
    del summary["name"]
    wrong = (counts[:, 1:4].sum(1) > 0).astype(np.int64)
    summary["cer_interval"] = _as_list(bootstrap_interval(counts[:, 5:].sum(1), counts[:, 4:7].sum(1)))
    summary["ser_interval"] = _as_list(bootstrap_interval(wrong, np.ones_like(wrong)))
    summary["wer_interval_by_speaker"] = None if speakers is None else _as_list(_interval_by_speaker(scores, speakers))
    durations = [score.duration for score in scores]
    summary["audio_seconds"] = sum(durations) if scores and None not in durations else None
    summary["loss"], summary["entropy"] = (_mean([getattr(score, name) for score in scores]) for name in ("loss", "entropy"))
    summary["not_scored"] = list(not_scored)
    summary["kaldi"] = kaldi_lines(kaldi_counts(scores), total.wrong_sentences, total.utterances, absent)
    summary["groupings"] = [grouping_as_dict(grouping) for grouping in groupings(scores, group_by)]
    summary["errors"] = word_errors_as_dict(word_errors(scores), LISTED)
    return summary


def _as_list(interval):
    return None if interval is None else list(interval)


def _mean(numbers):
    known = [number for number in numbers if number is not None]
    return float(np.mean(known)) if known else None


def _interval_by_speaker(scores, speakers):
    sums = collections.defaultdict(lambda: np.zeros(2, np.int64))
    for score, speaker in zip(scores, speakers):
        sums[speaker] += score.words.errors, score.words.length
    errors, lengths = np.array([sums[speaker] for speaker in sorted(sums)]).T
    return bootstrap_interval(errors, lengths)


def percent(rate):
    """A rate for people: percent with two digits; "-" if it is not defined."""
    return "-" if rate is None else "%.2f %%" % (100 * rate)


def interval_text(interval):
    """An interval for people."""
    return "" if interval is None else "%.2f to %.2f" % tuple(100 * limit for limit in interval)


def summary_text(summary, all_groups=False):
    """The figures as text.

    Args:
      summary: dict of :func:`summarize`.
      all_groups: list every group, not only those with the most errors.

    Returns:
      str of several lines.
    """
    lines = list(summary["kaldi"]) + [""] + overall_lines(summary)
    for grouping in summary["groupings"]:
        if len(grouping["groups"]) > 1:
            lines += [""] + _grouping_lines(grouping, all_groups)
    lines += _error_lines(summary["errors"])
    return "\n".join(lines) + "\n"


def overall_lines(summary):
    """The figures of all utterances with their intervals: list of str."""
    lines = []
    for name, rate, interval, counts in (("WER", "wer", "wer_interval", summary["words"]),
                                         ("CER", "cer", "cer_interval", summary["characters"])):
        lines.append("%s %8s  95 %% interval %s  (%d substitutions, %d deletions, %d insertions)" % (
            name, percent(summary[rate]), interval_text(summary[interval]) or "-", counts["substitutions"], counts["deletions"],
            counts["insertions"]))
    lines.append("SER %8s  95 %% interval %s  (%d of %d utterances have an error)" % (
        percent(summary["ser"]), interval_text(summary["ser_interval"]) or "-", summary["wrong_sentences"],
        summary["utterances"]))
    if summary["wer_interval_by_speaker"]:
        lines.append("WER of other speakers: 95 %% interval %s (resampling speakers)"
                     % interval_text(summary["wer_interval_by_speaker"]))
    if summary["not_scored"]:
        lines.append("%d utterances were not scored: %s" % (len(summary["not_scored"]), _few(summary["not_scored"])))
    return lines


def _few(names, most=5):
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


def _grouping_lines(grouping, all_groups):
    groups = grouping["groups"]
    title = "By %s: %d groups" % (grouping["by"], len(groups))
    if grouping["mean_wer"] is not None:
        title += ", mean of their WERs %s" % percent(grouping["mean_wer"])
        if grouping["standard_deviation_of_wer"] is not None:
            title += ", standard deviation %.2f" % (100 * grouping["standard_deviation_of_wer"])
    shown = groups
    if len(groups) > _SHOWN_GROUPS and not all_groups:
        shown = sorted(groups, key=lambda group: -_errors(group["words"]))[:_SHOWN_GROUPS]
        title += "; the %d with the most errors" % len(shown)
    rows = [("", "utterances", "words", "WER", "95 % interval", "sub", "del", "ins", "CER", "SER")]
    for group in shown:
        words = group["words"]
        rows.append((group["name"], str(group["utterances"]), str(_length(words)), percent(group["wer"]),
                     interval_text(group["wer_interval"]), str(words["substitutions"]), str(words["deletions"]),
                     str(words["insertions"]), percent(group["cer"]), percent(group["ser"])))
    return [title] + table(rows)


def _errors(counts):
    return counts["substitutions"] + counts["deletions"] + counts["insertions"]


def _length(counts):
    return counts["correct"] + counts["substitutions"] + counts["deletions"]


def table(rows):
    """Lines of a table; the first row is the head, the first column is text, the others are numbers."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  " + "  ".join([row[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]).rstrip()
            for row in rows]


def _error_lines(errors):
    lines = []
    if errors["confusions"]:
        lines += ["", "Most frequent confusions (reference -> hypothesis)"]
        lines += ["  %5d  %s -> %s" % (entry["count"], entry["reference"], entry["hypothesis"])
                  for entry in errors["confusions"][:_SHOWN]]
    for name, title in (("deletions", "Most deleted words"), ("insertions", "Most inserted words")):
        if errors[name]:
            lines += ["", title]
            lines += ["  %5d  %s" % (entry["count"], entry["word"]) for entry in errors[name][:_SHOWN]]
    for name, title in (("damaged_words", "Words with the most errors"),
                        ("highest_rates", "Words with the highest error rates (3 occurrences or more)")):
        if errors[name]:
            rows = [("", "occurrences", "sub", "del", "ins", "error rate")]
            rows += [(word["word"], str(word["occurrences"]), str(word["substitutions"]), str(word["deletions"]),
                      str(word["insertions"]), percent(word["error_rate"])) for word in errors[name][:_SHOWN]]
            lines += ["", title] + table(rows)
    return lines
