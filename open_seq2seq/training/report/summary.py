"""The figures of a report: the state of a run, its last and best values, its config, how it ended."""
import collections
import datetime

from open_seq2seq.training.report.curves import last_step


def summary(entries):
    """The rows of the table of a report.

    Args:
      entries: as ``read_metrics`` returns them; not empty.

    Returns:
      List of (name, text).
    """
    start, end = _last(entries, "start"), _last(entries, "end")
    step = last_step(entries)
    rows = [("Step", "%d of %s" % (step, start["last_step"]) if start.get("last_step") else "%d" % step)]
    if start.get("steps_per_epoch"):
        rows.append(("Epochs", "%.2f (%d steps each)" % (step / start["steps_per_epoch"], start["steps_per_epoch"])))
    rows.append(("State", _state(entries, start, end)))
    latest = _last(entries, "step")
    for name, key, form in (("Training loss", "loss", "%.4f"), ("Learning rate", "learning_rate", "%.3g"),
                            ("Loss scale", "loss_scale", "%g"), ("Norm of the gradient", "gradient_norm", "%.3g"),
                            ("Speed", "audio_seconds_per_second", "%.1f s of audio per second"),
                            ("Time for a step", "seconds_per_step", "%.3f s"),
                            ("Limited changes of a layer", "limited_layer_changes", "%d times"),
                            ("Limited changes of all layers together", "limited_total_changes", "%d times")):
        if isinstance(latest.get(key), (int, float)):
            rows.append((name, form % latest[key] + " at step %d" % latest["step"]))
    skipped = _last(entries, "skipped")
    if isinstance(skipped.get("skipped_steps"), int):
        rows.append(("Skipped steps", "%d, the last after step %d: %s" % (
            skipped["skipped_steps"], skipped["step"], skipped.get("reason"))))
    rows += _scores(entries)
    for name, key in (("Config", "config"), ("Version", "version"), ("TensorFlow", "tensorflow"), ("Device", "device"),
                      ("Processes", "processes"), ("Training utterances", "utterances"),
                      ("Utterances in a step", "utterances_per_step")):
        if start.get(key) is not None:
            rows.append((name, str(start[key])))
    if isinstance(start.get("padding_share"), (int, float)):
        rows.append(("Padding", "%.1f %% of the frames" % (100.0 * start["padding_share"])))
    starts = [entry for entry in entries if entry["kind"] == "start"]
    if starts:
        rows.append(("Started", _date(starts[0]) + ("; resumed %d times" % (len(starts) - 1) if len(starts) > 1 else "")))
    rows.append(("Last measurement", _date(max(entries, key=lambda entry: _time(entry) or 0.0))))
    return [(name, text) for name, text in rows if text]


def _state(entries, start, end):
    # an end before the last start is that of an earlier part of the run
    if end and entries.index(end) > (entries.index(start) if start else -1):
        return "ended at step %d: %s" % (end["step"], end.get("reason"))
    return "running, or killed"


def _scores(entries):
    """The last and the best values of each data set and task."""
    rows, found = [], collections.OrderedDict()
    for entry in entries:
        if entry["kind"] in ("evaluation", "task_evaluation", "subset", "test"):
            found.setdefault((entry["kind"], entry.get("data_set"), entry.get("task")), []).append(entry)
    for (kind, data_set, task), own in found.items():
        data_set = data_set or "data"
        title = {"evaluation": data_set, "task_evaluation": "task %s, %s" % (task, data_set), "subset": data_set + " subset",
                 "test": "test " + data_set}[kind]
        for name, key, form in (("loss", "loss", "%.4f"), ("WER", "word_error_rate", "%.2f %%"),
                                ("accuracy", "accuracy", "%.2f %%")):
            scale = 100.0 if form.endswith("%%") else 1.0
            known = [entry for entry in own if isinstance(entry.get(key), (int, float))]
            if known:
                sign = -1 if key == "accuracy" else 1
                best = min(known, key=lambda entry: (sign * entry[key], entry["step"]))  # noqa: B023
                rows.append(("%s: %s" % (title, name), (form + " at step %d, best " + form + " at step %d") % (
                    scale * known[-1][key], known[-1]["step"], scale * best[key], best["step"])))
    return rows


def last_layers(entries):
    """The rows of the last report on the layers: list of dicts."""
    rows = _last(entries, "layers").get("layers")
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def label_accuracies(entries):
    """The accuracy of each label at the last report: (names of the subsets, list of (label, list of cells)); cells are texts, the
    number of occurrences and the accuracy for each subset. Empty lists where it was not measured."""
    last = collections.OrderedDict()
    for entry in entries:
        if entry["kind"] == "subset" and isinstance(entry.get("label_accuracy"), dict):
            last[str(entry.get("data_set"))] = {
                label: counts for label, counts in entry["label_accuracy"].items() if isinstance(counts, list)
                and len(counts) == 2 and all(type(number) is int and number >= 0 for number in counts) and counts[1]}
    labels = {}
    for counts in last.values():
        for label, (_, total) in counts.items():
            labels[label] = labels.get(label, 0) + total
    rows = []
    for label in sorted(labels, key=lambda one: (-labels[one], one)):
        cells = []
        for counts in last.values():
            right, total = counts.get(label, (0, 0))
            cells += [str(total), "%.1f %%" % (100.0 * right / total) if total else ""]
        rows.append(("space" if label == " " else label, cells))
    return list(last), rows


def _last(entries, kind):
    """The last entry of a kind, or an empty dict."""
    return next((entry for entry in reversed(entries) if entry["kind"] == kind), {})


def _time(entry):
    return entry["time"] if isinstance(entry.get("time"), (int, float)) else None


def _date(entry):
    seconds = _time(entry)
    return datetime.datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M:%S") if seconds is not None else ""
