"""What ``--mode=tune_lm`` prints and leaves: the best values, a grid of word error rates, a table, a picture."""
import csv
import io
import json
import os
import shlex

import numpy as np

from open_seq2seq.decoding.options import FLAGS, default_options
from open_seq2seq.errors import StorageError
from open_seq2seq.evaluation.analysis.intervals import bootstrap_interval
from open_seq2seq.files import replaced_file
from open_seq2seq.log_lines import log_line

TABLE, SUMMARY, PICTURE = "trials.csv", "tune_lm.json", "tune_lm.png"
NEAR_END = 0.1  # share of a range
CELLS = 6  # rows and columns of the printed grid


def log_result(decoding, options, trials, best, references, widths, arguments):
    """Prints the grid, the beam widths, the best values and the lines for the config and the command line."""
    for line in grid_lines(trials.within(arguments.alpha_range, arguments.beta_range), arguments.alpha_range,
                           arguments.beta_range):
        log_line(line)
    for width, trial in widths:
        log_line("Beam width %d: WER %.2f %%, %.1f s" % (width, 100 * trial.wer, trial.seconds))
    gains = np.array(references["greedy"].edits) - np.array(best.edits)
    low, high = bootstrap_interval(gains, decoding.words)
    log_line("Best: alpha %.2f, beta %.2f: WER %.2f %%, CER %.2f %%; greedy %.2f %%, beam search without language model %.2f %%"
             % (best.alpha, best.beta, 100 * best.wer, 100 * best.cer, 100 * references["greedy"].wer,
                100 * references["beam"].wer))
    log_line("Less than greedy by %.2f points, 95 %% interval %.2f to %.2f (%d utterances)" % (
        100 * (references["greedy"].wer - best.wer), 100 * low, 100 * high, len(decoding.words)))
    log_line("These values were chosen on this data; its WER is lower than that on other data. Measure on a test set")
    for name, value, limits in (("alpha", best.alpha, arguments.alpha_range), ("beta", best.beta, arguments.beta_range)):
        margin = NEAR_END * (limits[1] - limits[0])
        if value > limits[1] - margin or value < limits[0] + margin and limits[0] != 0:
            log_line("Note: the best %s is near the end of its range, %g to %g; a wider one may have a better value: "
                     "--%s_range=LOW,HIGH" % ((name,) + tuple(limits) + (name,)))
    if best.wer >= references["greedy"].wer:
        log_line("Note: the language model does not help on this data; keep greedy decoding")
    log_line("For the config: " + config_line(options, best))
    log_line("For a command line: " + command_line(options, best))


def _settings(options, best):
    """List of (key of ``decoder_params``, value) with which an evaluation repeats the best trial."""
    options, defaults = options._replace(alpha=best.alpha, beta=best.beta, decoder_workers=None), default_options()
    always = ("decoding", "lm_path", "beam_width", "alpha", "beta")
    return [(key, getattr(options, key)) for key in always + tuple(key for key in options._fields if key not in always)
            if key in always or getattr(options, key) != getattr(defaults, key)]


def _literal(value):
    return "%.12g" % value if isinstance(value, float) else repr(value)


def config_line(options, best):
    """The entries of ``decoder_params``, as Python."""
    return ", ".join('"%s": %s' % (key, '"beam"' if key == "decoding" else _literal(value))
                     for key, value in _settings(options, best))


def command_line(options, best):
    """The flags of ``run.py``, quoted for a shell."""
    flags = {flag.key: flag.name for flag in FLAGS}
    return " ".join(shlex.quote("--%s=%s" % (
        flags[key] if key in flags and not isinstance(value, dict) else "decoder_params/" + key,
        value if isinstance(value, str) else _literal(value))) for key, value in _settings(options, best))


def grid_lines(trials, alphas, betas):
    """List of str: the lowest word error rate in each part of the ranges, a row for each part of alpha's."""
    columns, rows = np.linspace(betas[0], betas[1], CELLS + 1), np.linspace(alphas[0], alphas[1], CELLS + 1)
    lowest = np.full((CELLS, CELLS), np.nan)
    for trial in trials:
        row, column = (int(np.clip(np.searchsorted(edges, value, "right") - 1, 0, CELLS - 1))
                       for edges, value in ((rows, trial.alpha), (columns, trial.beta)))
        lowest[row, column] = np.fmin(lowest[row, column], trial.wer)
    lines = ["Lowest WER (%) by alpha (rows) and beta (columns):",
             "%13s" % "" + "".join("%13s" % _span(columns, index) for index in range(CELLS))]
    for index in range(CELLS):
        lines.append("%13s" % _span(rows, index) + "".join(
            "%13s" % ("-" if np.isnan(value) else "%.2f" % (100 * value)) for value in lowest[index]))
    return lines


def _span(edges, index):
    return "%.2f..%.2f" % (edges[index], edges[index + 1])


def write_result(folder, decoding, options, trials, best, references, widths, data):
    """Writes the table of trials, a summary and a picture; a read-only folder is reported only."""
    summary = {"checkpoint": os.path.basename(data.checkpoint), "lm_path": options.lm_path, "beam_width": options.beam_width,
               "alpha": best.alpha, "beta": best.beta, "wer": best.wer, "cer": best.cer, "greedy_wer": references["greedy"].wer,
               "beam_wer_without_language_model": references["beam"].wer, "utterances": len(decoding.words),
               "words": sum(decoding.words), "wer_of_beam_widths": {width: trial.wer for width, trial in widths},
               "trials": len(trials.finished), "config": config_line(options, best)}
    try:
        with replaced_file(os.path.join(folder, TABLE), newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["alpha", "beta", "wer", "cer", "seconds"])
            writer.writerows(["%g" % trial.alpha, "%g" % trial.beta, "%.6f" % trial.wer, "%.6f" % trial.cer,
                              "%.3f" % trial.seconds] for trial in trials.finished)
        with replaced_file(os.path.join(folder, SUMMARY)) as file:
            json.dump(summary, file, indent=1)
            file.write("\n")
        drawn = draw(trials.finished, best, references)
        if drawn is not None:
            with replaced_file(os.path.join(folder, PICTURE), "wb") as file:
                file.write(drawn)
        log_line("Trials: %s" % os.path.join(folder, TABLE))
    except StorageError as error:
        log_line("The results could not be written: %s" % error)


def draw(trials, best, references):
    """The trials as points of alpha and beta, colored by word error rate: bytes of a PNG; None without matplotlib."""
    try:
        import matplotlib
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        return None
    with matplotlib.rc_context({"font.size": 10, "axes.titlesize": 11, "axes.titlepad": 10}):
        figure = Figure(figsize=(7.0, 4.6), constrained_layout=True)
        FigureCanvasAgg(figure)
        axes = figure.add_subplot(1, 1, 1)
        rates = np.array([100 * trial.wer for trial in trials])
        # far from the best, differences do not matter
        highest = max(min(rates.max(), 100 * max(references["greedy"].wer, best.wer) * 1.2), rates.min() + 0.01)
        points = axes.scatter([trial.alpha for trial in trials], [trial.beta for trial in trials], c=rates, cmap="viridis_r",
                              vmin=rates.min(), vmax=highest, s=45, edgecolors="0.3", linewidths=0.5)
        axes.plot(best.alpha, best.beta, marker="o", markersize=13, markerfacecolor="none", markeredgecolor="#D55E00",
                  markeredgewidth=2)
        figure.colorbar(points, ax=axes, label="WER (%)", extend="max" if rates.max() > highest else "neither")
        axes.set_xlabel("alpha")
        axes.set_ylabel("beta")
        axes.set_title("WER %.2f %% at alpha %g, beta %g; greedy %.2f %%" % (
            100 * best.wer, best.alpha, best.beta, 100 * references["greedy"].wer), loc="left")
        axes.grid(alpha=0.3)
        axes.set_axisbelow(True)
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=110, metadata={"Software": None})
    return file.getvalue()
