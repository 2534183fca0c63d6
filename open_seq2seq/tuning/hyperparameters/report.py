"""What ``--mode=search`` prints and leaves: the best trial and its command, a table of all, a picture of what mattered."""
import csv
import math
import os
import shlex

from open_seq2seq.config.overrides import typed
from open_seq2seq.errors import StorageError
from open_seq2seq.files import replaced_file
from open_seq2seq.log_lines import log_line
from open_seq2seq.progress import print_table
from open_seq2seq.tuning.hyperparameters.trial_process import trial_folder, words_of

TABLE, PICTURE, BEST = "trials.csv", "search.png", "best.txt"
SHOWN = 10  # trials in the printed table


def log_trial(study, number, count, metric):
    """Prints the result of a trial that has ended."""
    trial = next(trial for trial in study.trials if trial.number == number)
    best = study.best
    if trial.state.name == "COMPLETE":
        result = "%s %.4f" % (metric, trial.value)
    else:
        result = "%s: %s" % ("stopped" if trial.state.name == "PRUNED" else "failed", trial.user_attrs.get("reason"))
    log_line("Trial %d (%d/%d): %s, %.0f s; %s" % (
        number, study.num_ended, count, result, trial.user_attrs.get("seconds", 0.0),
        "no result yet" if best is None else "the best so far" if best.number == number else "best %.4f, trial %d" % (
            best.value, best.number)))


def write_results(study, params, arguments, overrides):
    """Prints the best trials and what mattered, and writes the files.

    Returns:
      The best of Optuna's ``FrozenTrial``; None if no trial is complete.
    """
    best, metric = study.best, params["best_metric"]
    try:
        with replaced_file(os.path.join(study.folder, TABLE), newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            keys = [dimension.key for dimension in study.space]
            writer.writerow(["trial", "state", metric, "seconds"] + keys + ["reason"])
            writer.writerows([trial.number, trial.state.name.lower(), "" if trial.value is None else "%.6g" % trial.value,
                              "%.1f" % trial.user_attrs.get("seconds", 0.0)] + [_text(trial.params.get(key)) for key in keys]
                             + [trial.user_attrs.get("reason", "")] for trial in study.trials)
        if best is None:
            log_line("No trial is complete yet. Trials: %s" % os.path.join(study.folder, TABLE))
            return None
        importances = study.importances()
        _print(study, best, metric, importances)
        command = command_of_best(study, best, params, arguments, overrides)
        with replaced_file(os.path.join(study.folder, BEST)) as file:
            file.write(command + "\n")
        picture = draw(study, best, metric, importances)
        if picture is not None:
            with replaced_file(os.path.join(study.folder, PICTURE), "wb") as file:
                file.write(picture)
        log_line("Trials: %s%s" % (os.path.join(study.folder, TABLE),
                                   "" if picture is None else "; picture: " + os.path.join(study.folder, PICTURE)))
        log_line("The model of the best trial is in %s. Its network again, with other data or another seed:" % trial_folder(
            study.folder, best.number))
        log_line(command)
        log_line("Its %s is the best of many on this dev set, so it is worse on other data. Measure on a test set" % metric)
    except StorageError as error:
        log_line("The results could not be written: %s" % error)
    return best


def values_of(study, trial):
    """Dict of key -> value of a trial, choices as a command line has them."""
    return {dimension.key: trial.params[dimension.key] for dimension in study.space}


def command_of_best(study, best, params, arguments, overrides):
    """The command that trains the best network, as it can be typed into a shell."""
    words = ["python", "run.py", "--config_file=" + arguments.config_file, "--mode=train_eval",
             "--logdir=" + os.path.join(params["logdir"], "best")]
    values = values_of(study, best)
    words += [typed(override) for override in overrides if "/".join(map(str, override.keys)) not in values] + words_of(values)
    return " ".join(map(shlex.quote, words))


def _text(value):
    return "" if value is None else "%.6g" % value if isinstance(value, float) else str(value)


def _short(key):
    return key.rpartition("/")[2]


def _print(study, best, metric, importances):
    complete = sorted(study.in_state("COMPLETE"), key=lambda trial: trial.value, reverse=study.maximized)
    keys = [dimension.key for dimension in study.space]
    print_table("Best trials", ["trial", metric] + [_short(key) for key in keys] + ["s"], [
        [str(trial.number), "%.4f" % trial.value] + [_text(trial.params[key]) for key in keys]
        + ["%.0f" % trial.user_attrs.get("seconds", 0.0)] for trial in complete[:SHOWN]], min_width=120)
    log_line("%d trials: %d complete, %d stopped early, %d failed" % (
        len(study.trials), len(complete), len(study.in_state("PRUNED")), len(study.in_state("FAIL"))))
    for reason in sorted({trial.user_attrs.get("reason", "?") for trial in study.in_state("FAIL")}):
        log_line("failed: %s" % reason, offset=4)
    if importances:
        log_line("What mattered, as the share of the variance of %s: %s" % (metric, ", ".join(
            "%s %.0f %%" % (_short(key), 100 * share) for key, share in importances.items())))
    for dimension in study.space:
        if dimension.values is None and best.params[dimension.key] in (dimension.low, dimension.high):
            log_line("Note: the best %s is at an end of its range, %s to %s; a wider one may have a better value" % (
                dimension.key, _text(dimension.low), _text(dimension.high)))


def draw(study, best, metric, importances):
    """Each key's values and the results of the trials, the most important key first; crosses are trials that were stopped early.

    Returns:
      Bytes of a PNG; None without matplotlib.
    """
    try:
        import matplotlib
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        return None
    import io
    trials = study.in_state("COMPLETE")
    dimensions = sorted(study.space, key=lambda dimension: -importances.get(dimension.key, 0.0))
    columns = min(3, len(dimensions) + 1)
    rows = math.ceil((len(dimensions) + 1) / columns)
    with matplotlib.rc_context({"font.size": 9, "axes.titlesize": 9}):
        figure = Figure(figsize=(3.6 * columns, 2.7 * rows), constrained_layout=True)
        FigureCanvasAgg(figure)
        results, lowest = [trial.value for trial in trials], max if study.maximized else min
        # the worst trials would compress the differences that matter
        highest = sorted(results)[int(0.9 * (len(results) - 1))] if len(results) >= 10 and not study.maximized else None
        for place, dimension in enumerate(dimensions):
            axes = figure.add_subplot(rows, columns, place + 1)
            values = [trial.params[dimension.key] for trial in trials]
            if dimension.values is not None:
                axes.scatter([str(value) for value in values], results, s=20)
            else:
                axes.scatter(values, results, s=20)
                axes.set_xscale("log" if dimension.log else "linear")
            stopped = [(trial.params[dimension.key], lowest(trial.intermediate_values.values()))
                       for trial in study.in_state("PRUNED") if trial.intermediate_values]
            axes.scatter([str(value) if dimension.values is not None else value for value, _ in stopped],
                         [value for _, value in stopped], s=14, marker="x", color="0.6", linewidths=0.8)
            axes.scatter([str(best.params[dimension.key]) if dimension.values is not None else best.params[dimension.key]],
                         [best.value], s=90, facecolors="none", edgecolors="#D55E00", linewidths=2)
            share = importances.get(dimension.key)
            axes.set_title(_short(dimension.key) + ("" if share is None else ": %.0f %% of the variance" % (100 * share)))
            _limit(axes, results, highest)
        axes = figure.add_subplot(rows, columns, len(dimensions) + 1)
        numbers = [trial.number for trial in trials]
        axes.scatter(numbers, results, s=20)
        axes.step(numbers, [lowest(results[:place + 1]) for place in range(len(results))], where="post", color="#D55E00")
        axes.set_title("trials; line: the best so far" + ("" if highest is None else "; not all fit"))
        axes.xaxis.get_major_locator().set_params(integer=True)
        _limit(axes, results, highest)
        for axes in figure.axes[::columns]:
            axes.set_ylabel("dev " + metric)
        image = io.BytesIO()
        figure.savefig(image, format="png", dpi=110)
    return image.getvalue()


def _limit(axes, results, highest):
    if highest is not None and max(results) > highest > min(results):
        axes.set_ylim(min(results) - 0.05 * (highest - min(results)), highest + 0.1 * (highest - min(results)))
