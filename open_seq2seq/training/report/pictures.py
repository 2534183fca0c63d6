"""Draws panels as SVG with matplotlib. It is imported when a figure is drawn: training does not need it."""
import io
import math

from open_seq2seq.training.report.curves import LayerMap

# color, dashes, marker. Okabe and Ito's palette, which color-blind people can tell apart; dashes and markers differ, too
STYLES = {"": ("#0072B2", "-", ""), "training batches": ("#0072B2", "-", ""), "train subset": ("#56B4E9", "--", ""),
          "dev subset": ("#E69F00", "--", "")}
OTHER_STYLES = (("#D55E00", "-", "o"), ("#009E73", "-.", "s"), ("#CC79A7", ":", "^"))
SIZE = 5.2, 3.2  # inches: a column of a page, with text that is legible on a phone
ROW = 0.17  # inches of a layer
MOST_BORDERS = 30
MOST_LABELS = 40  # of layers
# text as outlines: the same on every machine. No date and no random names: the same numbers give the same file
_STYLE = {"svg.fonttype": "path", "svg.hashsalt": "report", "font.size": 10, "axes.titlesize": 11, "axes.grid": True,
          "grid.alpha": 0.3, "axes.spines.top": False, "axes.spines.right": False, "path.simplify": True}


def draw(panel, steps_per_epoch=None):
    """Draws a Panel or a LayerMap.

    Args:
      panel: what to draw.
      steps_per_epoch: for an axis of epochs, which are separated by thin lines unless there are many; None: not known.

    Returns:
      Bytes of an SVG file.

    Raises:
      ImportError: matplotlib is not installed.
    """
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure
    with matplotlib.rc_context(_STYLE):
        # not pyplot: it would need a window system and keep global state
        height = SIZE[1] if not isinstance(panel, LayerMap) else 1.3 + ROW * max(len(panel.layers), 8)
        figure = Figure(figsize=(SIZE[0], height), constrained_layout=True)
        FigureCanvasSVG(figure)
        axes = figure.add_subplot(1, 1, 1)
        axes.set_title(panel.title)
        axes.set_xlabel("training step")
        (_draw_map if isinstance(panel, LayerMap) else _draw_lines)(figure, axes, panel)
        if steps_per_epoch:
            _draw_epochs(axes, steps_per_epoch)
        file = io.BytesIO()
        figure.savefig(file, format="svg", dpi=150, metadata={"Date": None})
    return file.getvalue()


def _draw_lines(figure, axes, panel):
    others = 0
    for curve in panel.curves:
        if curve.label in STYLES:
            color, dashes, marker = STYLES[curve.label]
        else:
            color, dashes, marker = OTHER_STYLES[others % len(OTHER_STYLES)]
            others += 1
        few = len(curve.steps) <= 60
        axes.plot(curve.steps, curve.values, color=color, linestyle=dashes, linewidth=1.4, marker=marker if few else "",
                  markersize=3, label=curve.label or None)
    values = [value for curve in panel.curves for value in curve.values]
    # zero has no logarithm, and a narrow range is easier to read on a linear axis
    if panel.logarithmic and min(values) > 0.0 and max(values) > 3.0 * min(values):
        axes.set_yscale("log")
    axes.set_ylabel(panel.unit)
    if any(curve.label for curve in panel.curves):
        axes.legend(fontsize=8, framealpha=0.8)


def _draw_epochs(axes, steps_per_epoch):
    axes.secondary_xaxis("top", functions=(lambda steps: steps / steps_per_epoch, lambda epochs: epochs * steps_per_epoch)
                         ).set_xlabel("epoch", fontsize=8)
    first, last = axes.get_xlim()
    borders = [steps_per_epoch * epoch for epoch in range(1, int(last // steps_per_epoch) + 1)]
    if len(borders) <= MOST_BORDERS:
        for border in borders:
            axes.axvline(border, color="0.7", linewidth=0.6, zorder=0)
    axes.set_xlim(first, last)


def _draw_map(figure, axes, panel):
    import numpy as np
    from matplotlib.colors import LogNorm
    values = np.array([[math.nan if value is None else value for value in row] for row in panel.values])
    positive = values[np.isfinite(values) & (values > 0.0)]
    norm = None
    if panel.logarithmic and len(positive) and positive.max() > 3.0 * positive.min():
        norm = LogNorm(positive.min(), positive.max())
    # each report covers the steps since the one before, the first one those since the start
    first = panel.steps[0] - (panel.steps[1] - panel.steps[0])
    edges = [max(first, 0) if panel.steps[0] > 0 else first] + list(panel.steps)
    axes.grid(False)
    mesh = axes.pcolormesh(edges, np.arange(len(panel.layers) + 1), values, cmap="cividis", norm=norm,
                           vmin=None if norm else 0.0, rasterized=True)
    every = -(-len(panel.layers) // MOST_LABELS)
    axes.set_yticks(np.arange(0, len(panel.layers), every) + 0.5)
    axes.set_yticklabels(panel.layers[::every], fontsize=7)
    axes.invert_yaxis()
    figure.colorbar(mesh, ax=axes, label=panel.unit)
