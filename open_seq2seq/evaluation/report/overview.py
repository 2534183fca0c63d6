"""The first part of the page: the figures of the whole data set and of its groups, and what was evaluated."""
import collections
import os
import time

from open_seq2seq.checkpoints.files import checkpoint_step
from open_seq2seq.evaluation.analysis.summary import interval_text, percent
from open_seq2seq.evaluation.record import data_set_name, directory_of_run
from open_seq2seq.evaluation.report.content import CHARACTER, WORD
from open_seq2seq.evaluation.scoring import note_on_uncounted
from open_seq2seq.version import __version__

_GROUP_HEADS = ("", "Utterances", "Words", "WER", "95 % interval", "Sub", "Del", "Ins", "CER", "SER")

Facts = collections.namedtuple("Facts", "title subtitle rows notes")
Facts.__doc__ = """What the page says about the evaluation as a whole.

title, subtitle: str. rows: list of [name, text]: checkpoint, data, decoder. notes: list of sentences."""


def page_facts(checkpoint, evaluation, result, num_rejected):
    """The :class:`Facts` of an evaluation.

    Args:
      checkpoint: what was evaluated, path without extension.
      evaluation: the ``Evaluation``.
      result: ``EvaluationResult``.
      num_rejected: rows of the manifests that are not among the utterances.
    """
    data_set, step = data_set_name(evaluation.data_layer), checkpoint_step(checkpoint)
    run = os.path.abspath(directory_of_run(checkpoint))
    # with --enable_logs the checkpoints are in logs/ in the logdir
    run = os.path.basename(os.path.dirname(run) if os.path.basename(run) == "logs" else run)
    rows = [["Checkpoint", "%s, step %d" % (checkpoint, step)],
            ["Data", ", ".join(getattr(evaluation.data_layer, "manifests", [data_set]))],
            ["Decoding", evaluation.decoder.describe()],
            ["Speed", "%.1f s of audio per second on device %s" % (
                result.audio_seconds / max(result.seconds, 1e-9), evaluation.graph.device.name)],
            ["Evaluated", time.strftime("%Y-%m-%d %H:%M")], ["Version", __version__]]
    notes = [note for note in [note_on_uncounted(result)] if note is not None]
    if num_rejected:
        notes.append("%d rows of the manifests were rejected or could not be read. They are not in this report; eval.json lists "
                     "them." % num_rejected)
    task = ", task %s" % evaluation.params["selected_task"] if evaluation.params.get("decoder_scope") else ""
    return Facts("Evaluation of %s%s" % (run, task), "%s, step %d" % (data_set, step), rows, notes)


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
    cells.append(_cell("Utterances", grouped(summary["utterances"]), "%s words%s" % (
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
