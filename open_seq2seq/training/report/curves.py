"""The data of the figures of a report: panels with curves over training steps, and maps of layers over training steps."""
import collections

Curve = collections.namedtuple("Curve", "label steps values")
Curve.__doc__ = """A line. label: for the legend. steps, values: lists of equal length, without values that were not finite."""

Panel = collections.namedtuple("Panel", "name title unit curves logarithmic")
Panel.__doc__ = """A figure of lines. name: for links. unit: of the values. logarithmic: whether their axis may be logarithmic."""

LayerMap = collections.namedtuple("LayerMap", "name title unit steps layers values logarithmic")
LayerMap.__doc__ = """A figure with a row for each layer. values: list of rows, one for each of ``layers``, with a number or
None for each of ``steps``."""

MOST_POINTS = 600  # of a curve: about as many as a figure has columns of pixels


def panels(entries):
    """The figures for which a run has at least two measurements.

    Args:
      entries: as ``read_metrics`` returns them.

    Returns:
      List of Panel and LayerMap.
    """
    steps, skipped = _of_kind(entries, "step"), _of_kind(entries, "skipped")
    evaluations, subsets = _by_data_set(entries, "evaluation"), _by_data_set(entries, "subset")
    tasks = _by_task(entries)

    def scored(name):
        return ([_curve(data_set, entries, name) for data_set, entries in evaluations.items()]
                + [_curve("%s, %s" % key, entries, name) for key, entries in tasks.items()]
                + [_curve("%s subset" % data_set, entries, name) for data_set, entries in subsets.items()])

    def figure(name):
        return [_curve("training batches", steps, name)] + scored(name)

    is_pretraining = any("loss_bits" in entry for entry in steps + _of_kind(entries, "evaluation"))
    unit = "masked prediction (nats per frame)" if is_pretraining else "CTC loss (nats per utterance)"
    lines = [
        Panel("loss", "Loss", unit,
              [_curve("training batches", steps, "loss")] + scored("loss"), True),
        Panel("task_losses", "Loss of each task in training", "loss (nats; mean squared error for features)",
              _curves_of_tasks(steps, "loss"), True),
        Panel("accuracy", "Accuracy", "right classes (%)", [_scaled(curve, 100.0) for curve in scored("accuracy")], False),
        Panel("task_weights", "Weight of each task", "factor of the loss",
              _curves_of_tasks(steps, "weight", changing=True), False),
        Panel("word_error_rate", "Word error rate", "WER (%)", [_scaled(curve, 100.0) for curve in scored("word_error_rate")],
              False),
        Panel("loss_bits", "Loss of masked frames", "cross-entropy (bits per masked frame)", figure("loss_bits"), False),
        Panel("masked_accuracy", "Accuracy on masked frames", "right predictions (%)",
              [_scaled(curve, 100.0) for curve in figure("masked_accuracy")], False),
        Panel("unmasked_accuracy", "Accuracy on frames that are not masked", "right predictions (%)",
              [_scaled(curve, 100.0) for curve in figure("unmasked_accuracy")], False),
        Panel("masked_share", "Masked frames", "share of the frames (%)",
              [_scaled(curve, 100.0) for curve in figure("masked_share")], False),
        Panel("prediction_entropy_bits", "Entropy of the predicted clusters", "entropy (bits per masked frame)",
              figure("prediction_entropy_bits"), False),
        Panel("clusters_in_use", "Clusters that are predicted", "clusters",
              figure("clusters_in_use") + [_curve("occur in training batches", steps, "clusters_expected")], False),
        Panel("frame_entropy", "Entropy of the frame posteriors", "entropy (nats per frame)", scored("frame_entropy"), False),
        Panel("learning_rate", "Learning rate", "learning rate", [_curve("", steps, "learning_rate")], True),
        Panel("gradient_norm", "Norm of the gradient", "norm", [_curve("", steps, "gradient_norm")], True),
        Panel("loss_scale", "Loss scale", "factor", [_curve("", steps, "loss_scale")], True),
        Panel("skipped_steps", "Skipped steps", "steps since the beginning",
              [_curve("", [{"step": 0, "skipped_steps": 0}] + skipped, "skipped_steps")], False),
        Panel("speed", "Speed", "audio seconds per second", [_curve("", steps, "audio_seconds_per_second")], False),
        Panel("data_wait", "Waiting for data", "share of the time (%)", [_scaled(_curve("", steps, "data_wait_share"), 100.0)],
              False)]
    drawn = [panel._replace(curves=[curve for curve in panel.curves if len(curve.steps) > 1]) for panel in lines]
    return [panel for panel in drawn if panel.curves] + layer_maps(_of_kind(entries, "layers"))


def layer_maps(entries):
    """Figures of what was measured of each layer; those without values are skipped."""
    layers, steps = [], [entry["step"] for entry in entries]
    found = collections.defaultdict(dict)

    def is_part(number):
        """Whether a report covers fewer steps than there are between it and the one before, because the run was resumed."""
        return number > 0 and isinstance(entries[number].get("steps"), int) and (
            entries[number]["steps"] < steps[number] - steps[number - 1])

    for number, entry in enumerate(entries):
        rows = entry.get("layers")
        for row in filter(lambda row: isinstance(row, dict), rows if isinstance(rows, list) else []):
            if row.get("layer") not in layers:
                layers.append(row.get("layer"))
            for name, value in row.items():
                if isinstance(value, (int, float)) and not (name == "relative_change" and is_part(number)):
                    found[name][row.get("layer"), number] = float(value)
    maps = []
    for name, title, unit, logarithmic in (
            ("relative_change", "Change of each layer between two reports", "change / norm of the weights", True),
            ("gradient_norm", "Norm of each layer's gradient", "norm", True),
            ("dead_channels", "Dead channels of each layer", "share of the channels", False),
            ("mean_drift", "Batch norm: moving mean against the training subset", "standard deviations", False),
            ("variance_drift", "Batch norm: moving variance against the training subset", "|ln ratio|", False)):
        known = [layer for layer in layers if any((layer, number) in found[name] for number in range(len(steps)))]
        if len(steps) > 1 and known:
            maps.append(LayerMap("layers_" + name, title, unit, steps, known, [
                [found[name].get((layer, number)) for number in range(len(steps))] for layer in known], logarithmic))
    return maps


def steps_per_epoch(entries):
    """Steps in an epoch at the last start of the run, or None."""
    starts = _of_kind(entries, "start")
    steps = starts[-1].get("steps_per_epoch") if starts else None
    return steps if type(steps) is int and steps > 0 else None


def last_step(entries):
    """The last step that was measured; 0 if there is none."""
    return max([entry["step"] for entry in entries], default=0)


def _of_kind(entries, kind):
    return sorted((entry for entry in entries if entry["kind"] == kind), key=lambda entry: entry["step"])


def _by_data_set(entries, kind):
    found = collections.OrderedDict()
    for entry in _of_kind(entries, kind):
        found.setdefault(str(entry.get("data_set")), []).append(entry)
    return found


def _by_task(entries):
    """OrderedDict from (task, data set) to the evaluations of tasks other than the main one."""
    found = collections.OrderedDict()
    for entry in _of_kind(entries, "task_evaluation"):
        found.setdefault((str(entry.get("task")), str(entry.get("data_set"))), []).append(entry)
    return found


def _curves_of_tasks(steps, name, changing=False):
    """A curve of a number of each task in training batches; ``changing``: only those that are not constant."""
    points = collections.OrderedDict()
    for entry in steps:
        tasks = entry.get("tasks")
        for task, numbers in (tasks.items() if isinstance(tasks, dict) else ()):
            if isinstance(numbers, dict):
                points.setdefault(str(task), []).append(dict(numbers, step=entry["step"]))
    curves = [_curve(task, found, name) for task, found in points.items()]
    return [curve for curve in curves if not changing or len(set(curve.values)) > 1]


def _curve(label, entries, name):
    points = [(entry["step"], float(entry[name])) for entry in entries
              if isinstance(entry.get(name), (int, float)) and not isinstance(entry.get(name), bool)]
    if len(points) > MOST_POINTS:
        points = _means(points)
    return Curve(label, [step for step, _ in points], [value for _, value in points])


def _means(points):
    """Means of neighboring points, at most :data:`MOST_POINTS` of them."""
    size = -(-len(points) // MOST_POINTS)
    groups = [points[begin:begin + size] for begin in range(0, len(points), size)]
    return [(group[-1][0], sum(value for _, value in group) / len(group)) for group in groups]


def _scaled(curve, factor):
    return curve._replace(values=[value * factor for value in curve.values])
