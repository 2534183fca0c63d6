"""The first part of the page: the figures of the whole data set, and those of its groups."""
from open_seq2seq.evaluation.analysis.summary import interval_text, percent
from open_seq2seq.evaluation.report.content import CHARACTER, WORD

_GROUP_HEADS = ("", "Utterances", "Words", "WER", "95 % interval", "Sub", "Del", "Ins", "CER", "SER")


def headline(summary, unit):
    """The figures of the data set.

    Args:
      summary: dict of ``analysis.summary.summarize``.
      unit: "word" or "character", in which errors are counted.

    Returns:
      List of dicts: name, value, note.
    """
    words, characters = _length(summary["words"]), _length(summary["characters"])
    rates = [_rate("WER", summary["wer"], summary["wer_interval"], "words"),
             _rate("CER", summary["cer"], summary["cer_interval"], "characters")]
    if unit == CHARACTER:
        rates.reverse()
    cells = rates + [_cell("SER", percent(summary["ser"]), "%s of %s utterances have an error" % (
        grouped(summary["wrong_sentences"]), grouped(summary["utterances"])))]
    counts, length = (summary["words"], words) if unit == WORD else (summary["characters"], characters)
    for name in ("substitutions", "deletions", "insertions"):
        cells.append(_cell(name.capitalize(), grouped(counts[name]), "%.2f %% of the %ss" % (
            100.0 * counts[name] / length, unit) if length else ""))
    if summary["loss"] is not None:
        cells.append(_cell("Loss", "%.4g" % summary["loss"], "mean CTC loss in nats"))
    cells.append(_cell("Data", "%s utterances" % grouped(summary["utterances"]), "%s words%s" % (
        grouped(words), "" if summary["audio_seconds"] is None else ", %s of audio" % readable_time(summary["audio_seconds"]))))
    return cells


def _rate(name, rate, interval, units):
    if rate is None or interval is None:
        return _cell(name, "–", "the references have no %s" % units)
    return _cell(name, percent(rate), "95 %% interval %s %%" % interval_text(interval))


def _cell(name, value, note):
    return {"name": name, "value": value, "note": note}


def _length(counts):
    return counts["correct"] + counts["substitutions"] + counts["deletions"]


def grouped(number):
    """A number for people, with commas."""
    return "{:,}".format(number)


def readable_time(seconds):
    """A time for people."""
    for unit, length in (("h", 3600.0), ("min", 60.0)):
        if seconds >= length:
            return "%.2f %s" % (seconds / length, unit)
    return "%.1f s" % seconds


def group_tables(summary):
    """The tables of groups.

    Args:
      summary: dict of ``analysis.summary.summarize``.

    Returns:
      List of dicts: title, heads, rows.
    """
    tables = []
    for grouping in summary["groupings"]:
        if len(grouping["groups"]) < 2:
            continue
        title = "By %s" % grouping["by"]
        if grouping["mean_wer"] is not None and grouping["standard_deviation_of_wer"] is not None:
            title += ": mean of the WERs %s, standard deviation %.2f" % (
                percent(grouping["mean_wer"]), 100.0 * grouping["standard_deviation_of_wer"])
        rows = [[group["name"], grouped(group["utterances"]), grouped(_length(group["words"])), percent(group["wer"]),
                 interval_text(group["wer_interval"])] + [
                     grouped(group["words"][name]) for name in ("substitutions", "deletions", "insertions")] + [
                         percent(group["cer"]), percent(group["ser"])] for group in grouping["groups"]]
        tables.append({"title": title, "heads": [grouping["by"]] + list(_GROUP_HEADS[1:]), "rows": rows})
    return tables
