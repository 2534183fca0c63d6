"""What ``--mode=robustness`` leaves: a JSON file, and a picture with a bar for the word error rate of each preparation."""
import io

from open_seq2seq.errors import DataError
from open_seq2seq.files import parsed_json

FILE_NAME, SELECTED_FILE_NAME = "robustness.json", "robustness_selected.json"
PICTURE_FOLDER = "report"
# Okabe and Ito's palette, which color-blind people can tell apart
USUAL, WORST, MEAN = "#0072B2", "#D55E00", "#000000"
WIDTH, ROW, MARGIN = 7.0, 0.26, 1.2  # inches; legible on a phone
# text as outlines: the same on every machine. No date and no random names: the same numbers give the same file
_STYLE = {"svg.fonttype": "path", "svg.hashsalt": "robustness", "font.size": 10, "axes.titlesize": 11, "axes.grid": True,
          "axes.axisbelow": True, "grid.alpha": 0.3, "axes.spines.top": False, "axes.spines.right": False}


def read_robustness(path):
    """The dict that :func:`open_seq2seq.evaluation.robustness.measure_robustness` has written, or None if there is no such file.

    Raises:
      DataError: the file cannot be read or is damaged.
    """
    try:
        with open(path, encoding="utf-8") as file:
            summary = parsed_json(file.read())
        for entry in summary["preparations"]:
            for key in ("wer", "low", "high"):
                entry[key] = float(entry[key])
            entry["preparation"] + entry["description"]
        if not summary["preparations"]:
            raise ValueError("no preparation")
        summary["checkpoint"] + summary["data_set"] + summary["worst"]
        summary["mean_wer"] = float(summary["mean_wer"])
        return summary
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DataError("cannot read %s: %s" % (path, error.strerror))
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise DataError("%s is damaged (%s: %s); measure again with --mode=robustness" % (path, type(error).__name__, error))


def draw_rates(summary, image_format):
    """Draws word error rates with their intervals.

    Args:
      summary: dict as :func:`open_seq2seq.evaluation.robustness.summary_of` returns it.
      image_format: "png" or "svg".

    Returns:
      Bytes of the image; None if matplotlib is not installed.
    """
    try:
        import matplotlib
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        return None
    entries = summary["preparations"]
    names, rates = [entry["preparation"] for entry in entries], [100 * entry["wer"] for entry in entries]
    # the interval of a few utterances may not contain the rate
    errors = [[max(rate - 100 * entry["low"], 0) for rate, entry in zip(rates, entries)],
              [max(100 * entry["high"] - rate, 0) for rate, entry in zip(rates, entries)]]
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(WIDTH, MARGIN + ROW * len(entries)), constrained_layout=True)
        FigureCanvasAgg(figure)
        axes = figure.add_subplot(1, 1, 1)
        colors = [WORST if name == summary["worst"] else USUAL for name in names]
        axes.barh(range(len(names)), rates, xerr=errors, color=colors, height=0.7,
                  error_kw={"elinewidth": 1.0, "capsize": 2.5, "ecolor": "0.25"})
        axes.axvline(100 * summary["mean_wer"], color=MEAN, linestyle="--", linewidth=1.0)
        highest = max(rate + error for rate, error in zip(rates, errors[1]))
        for place, (rate, error) in enumerate(zip(rates, errors[1])):
            axes.text(rate + error + 0.012 * highest, place, "%.1f" % rate, va="center", fontsize=8,
                      bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8})
        axes.set_yticks(range(len(names)))
        axes.set_yticklabels(names)
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.set_xlim(0, max(1.1 * highest, 1.0))
        axes.grid(axis="y", visible=False)
        axes.set_xlabel("word error rate, %, with 95 % interval")
        axes.set_title("%s on %s\nin %d preparations: mean %.2f %% (dashed), worst %.2f %%" % (
            summary["checkpoint"], summary["data_set"], len(names), 100 * summary["mean_wer"], max(rates)))
        file = io.BytesIO()
        # no date, so that equal results are equal files
        figure.savefig(file, format=image_format, dpi=150, metadata={"Date": None} if image_format == "svg" else None)
    return file.getvalue()


def alternative_text(summary):
    """The alternative text of the picture."""
    return "Word error rates of %s on %s in %d preparations: mean %.2f %%; %s" % (
        summary["checkpoint"], summary["data_set"], len(summary["preparations"]), 100 * summary["mean_wer"],
        ", ".join("%s %.1f %%" % (entry["preparation"], 100 * entry["wer"]) for entry in summary["preparations"]))
