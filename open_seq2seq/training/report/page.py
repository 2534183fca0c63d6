"""The page of a report: one HTML file with the figures inside, which needs no network and no other file."""
import base64
import html

from open_seq2seq.training.diagnostics.layer_progress import COLUMNS
from open_seq2seq.training.report.curves import LayerMap
from open_seq2seq.training.report.symptoms import PAGE

_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 75rem; padding: 1rem; color: #1a1a1a; background: #fff; }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 1.5rem 0 .5rem; }
p { margin: .25rem 0; }
.pictures { display: grid; gap: 1rem; align-items: start; }
.pictures { grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); }
figure { margin: 0; border: 1px solid #ddd; border-radius: .4rem; padding: .4rem; }
img { display: block; width: 100%; height: auto; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; }
th, td { text-align: left; padding: .2rem .8rem .2rem 0; border-bottom: 1px solid #e4e4e4; vertical-align: top; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
"""


def page(name, rows, pictures, layers, robustness=None, label_accuracy=((), ()), symptoms=()):
    """The page as text.

    Args:
      name: of the run.
      rows: list of (name, text), the table of figures.
      pictures: list of (Panel or LayerMap, bytes of its SVG), or None if they could not be drawn.
      layers: list of dicts, a row of the table of layers each.
      label_accuracy: see ``summary.label_accuracies``.
      symptoms: list of Symptom.
      robustness: (bytes of an SVG, alternative text) of the word error rates in other recordings; None: not measured.

    Returns:
      str.
    """
    title = "Training of %s" % name
    parts = ['<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
             '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
             # an empty icon: the browser then asks no server for one
             '<link rel="icon" href="data:,">\n'
             "<title>%s</title>\n<style>%s</style>\n</head>\n<body>\n<main>\n<h1>%s</h1>"
             % (html.escape(title), _STYLE, html.escape(title))]
    if symptoms:
        parts.append("<h2>What the measurements show</h2>\n<ul>\n%s\n</ul>\n<p>Causes and fixes: %s</p>" % (
            "\n".join('<li id="symptom-%s">%s</li>' % (html.escape(symptom.section), html.escape(symptom.text))
                      for symptom in symptoms), html.escape(PAGE)))
    parts.append("<h2>Summary</h2>\n" + _table(None, [[row[0], row[1]] for row in rows]))
    if pictures is None:
        parts.append("<p>The figures are missing: matplotlib is not installed.</p>")
    elif not pictures:
        parts.append("<p>There are no figures yet: a curve needs two measurements.</p>")
    else:
        parts.append('<h2>Figures</h2>\n<div class="pictures">\n%s\n</div>' % "\n".join(
            _figure(panel.name, svg, alternative(panel)) for panel, svg in pictures))
    if robustness is not None:
        parts.append('<h2>Robustness</h2>\n<div class="pictures">\n%s\n</div>' % _figure("robustness", *robustness))
    if layers:
        cells = [[str(row.get("layer"))] + ["" if not isinstance(row.get(key), (int, float)) else form % row[key]
                                            for key, _, form in COLUMNS] for row in layers]
        parts.append('<h2>Layers at the last report</h2>\n<div class="wide">%s</div>' % _table(
            ["layer"] + [name for _, name, _ in COLUMNS], cells))
    subsets, label_rows = label_accuracy
    if label_rows:
        parts.append('<h2>Accuracy of labels at the last report</h2>\n<div class="wide">%s</div>' % _table(
            ["label"] + [text for name in subsets for text in ("%s: occurrences" % name, "%s: recognized" % name)],
            [[label] + cells for label, cells in label_rows]))
    return "\n".join(parts) + "\n</main>\n</body>\n</html>\n"


def _figure(name, svg, text):
    return '<figure id="%s"><img src="data:image/svg+xml;base64,%s" alt="%s"></figure>' % (
        name, base64.b64encode(svg).decode("ascii"), html.escape(text))


def alternative(panel):
    """The alternative text of a figure."""
    if isinstance(panel, LayerMap):
        known = [(row[-1], layer) for layer, row in zip(panel.layers, panel.values) if row[-1] is not None]
        text = "%s (%s), steps %d to %d, %d layers" % (
            panel.title, panel.unit, panel.steps[0], panel.steps[-1], len(panel.layers))
        return text + ("; largest at the end in %s: %.3g" % (max(known)[1], max(known)[0]) if known else "")
    curves = ["%sfrom %.4g at step %d to %.4g at step %d" % (
        curve.label + " " if curve.label else "", curve.values[0], curve.steps[0], curve.values[-1], curve.steps[-1])
        for curve in panel.curves]
    return "%s, %s: %s" % (panel.title, panel.unit, "; ".join(curves))


def _table(head, rows):
    """An HTML table; if it has a head, all columns except the first are numbers."""
    number = ' class="number"' if head is not None else ""
    lines = ["<table>"]
    if head is not None:
        lines.append('<thead><tr>%s</tr></thead>' % "".join(
            '<th scope="col"%s>%s</th>' % (number if place else "", html.escape(cell)) for place, cell in enumerate(head)))
    lines.append("<tbody>")
    for row in rows:
        lines.append('<tr><th scope="row">%s</th>%s</tr>' % (html.escape(row[0]), "".join(
            "<td%s>%s</td>" % (number, html.escape(cell)) for cell in row[1:])))
    return "\n".join(lines + ["</tbody>\n</table>"])
