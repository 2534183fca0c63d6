"""The page of a validation: one HTML file without scripts that needs no network, with histograms and players."""
import collections
import concurrent.futures
import html
import re

from open_seq2seq.cores import usable_cores
from open_seq2seq.data.audio.embedding import audio_address
from open_seq2seq.data.rejection import RejectedData
from open_seq2seq.data.speech2text.audio import read_audio
from open_seq2seq.data.validation.checks import CHECKS, ERROR, INFO, WARNING, made_checks
from open_seq2seq.data.validation.histograms import histograms_of, svg
from open_seq2seq.data.validation.validate import hours_of
from open_seq2seq.files import printable

ROWS_SHOWN = 40                        # of each check
PLAYERS = 120                          # recordings in the page, at most
PLAYERS_BYTES = 12 * 10 ** 6           # that they take, at most
PLAYER_RATE = 16000                    # Hz
PLAYER_SECONDS = 30.0                  # of a recording, at most

_TITLE = "Validation of the data"
# half of a character of two, which has no UTF-8, and what a page shows as nothing or in another direction
_INVISIBLE = re.compile("[\ud800-\udfff\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")

_STYLE = """
:root { --ground: #f6f4f1; --card: #fff; --ink: #23201d; --faint: #665f58; --line: #ddd7d0; --bar: #5f7f95;
  --error: #a3201a; --warning: #8a5300; --info: #41627a; color-scheme: light;
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", "Noto Sans", "DejaVu Sans", sans-serif; }
@media (prefers-color-scheme: dark) { :root { --ground: #191715; --card: #23201d; --ink: #ece7e1; --faint: #a89f96;
  --line: #3d3833; --bar: #7fa3bb; --error: #ff9a8f; --warning: #f0b866; --info: #9cc4e0; color-scheme: dark; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); overflow-wrap: anywhere; }
header, main { max-width: 84rem; margin: 0 auto; padding: 0 1rem; }
header { padding-top: 1.25rem; padding-bottom: 1rem; }
h1 { font-size: 1.4rem; margin: 0; } h2 { font-size: 1.1rem; margin: 0 0 .5rem; } h3 { font-size: 1rem; margin: .75rem 0 .25rem; }
p { margin: .25rem 0; } .faint { color: var(--faint); }
section { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 1rem; margin-bottom: 1rem; }
a { color: inherit; }
table { border-collapse: collapse; width: 100%; }
.columns-3 { table-layout: fixed; } .columns-3 th { width: 22%; } .columns-3 th:last-child { width: auto; }
th, td { text-align: left; vertical-align: top; padding: .3rem .75rem .3rem 0; border-bottom: 1px solid var(--line); }
.number { text-align: right; font-variant-numeric: tabular-nums; }
th, td.number, td.error, td.warning, td.info { white-space: nowrap; }
.error { color: var(--error); font-weight: 600; } .warning { color: var(--warning); font-weight: 600; }
.info { color: var(--info); }
.charts { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 19rem), 1fr)); }
figure { margin: 0; } figcaption { font-size: .9rem; font-weight: 600; }
svg { display: block; width: 100%; height: auto; } svg text { font-size: 11px; fill: var(--faint); }
svg line { stroke: var(--line); } svg rect { fill: var(--bar); }
audio { display: block; width: 18rem; max-width: 100%; height: 2.25rem; margin-top: .25rem; }
@media (max-width: 44rem) {
  table, tbody, tr, td { display: block; padding-right: 0; } thead { display: none; }
  td { border: 0; padding: 0; } tr { border-bottom: 1px solid var(--line); padding: .4rem 0; } .number { text-align: left; }
  td::before { content: attr(data-head) " "; color: var(--faint); font-weight: 400; }
}
"""


def write_page(file, validation, repairs):
    """Writes the page.

    Args:
      file: text file, UTF-8.
      validation: Validation.
      repairs: OrderedDict from the name of a set to its ``repair.Repair``.
    """
    by_check = collections.OrderedDict()
    for finding in validation.findings:
        by_check.setdefault(finding.check, []).append(finding)
    players = _players(validation, by_check)
    file.write('<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
               '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
               # the page may load nothing but what is in it
               '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; style-src \'unsafe-inline\'; '
               'img-src data:; media-src data:">\n<link rel="icon" href="data:,">\n'
               "<title>%s</title>\n<style>%s</style>\n</head>\n<body>\n<header><h1>%s</h1>\n<p>%s</p></header>\n<main>\n" % (
                   _TITLE, _STYLE, _TITLE, text(verdict(validation))))
    file.write(_sets(validation, repairs))
    file.write(_checks(validation, by_check))
    for data_set in validation.sets:
        charts = histograms_of(validation.rows[data_set.name], validation.facts, data_set)
        figures = "\n".join("<figure><figcaption>%s</figcaption>%s</figure>" % (text(chart.title), svg(chart, data_set.name))
                            for chart in charts)
        if figures:
            file.write('<section><h2>Distributions: %s</h2>\n<div class="charts">%s</div></section>\n' % (
                text(data_set.name), figures))
    for name, findings in by_check.items():
        file.write(_rows(name, findings, validation, players))
    file.write("</main>\n</body>\n</html>\n")


def text(value):
    """A str for HTML; characters that a page does not show are written as escapes."""
    return html.escape(_INVISIBLE.sub(lambda match: "\\u%04x" % ord(match.group()), printable(value)))


def verdict(validation):
    """A sentence on the result."""
    counts = collections.Counter(finding.severity for finding in validation.findings)
    rows = sum(map(len, validation.rows.values()))
    return "%s in %s rows%s." % (
        " and ".join("{:,} {}{}".format(counts[severity], severity, "" if counts[severity] == 1 else "s")
                     for severity in (ERROR, WARNING)), "{:,}".format(rows),
        "" if validation.decoded else "; only headers of audio files were read")


def _table(heads, rows):
    """rows: lists of cells: HTML, or (HTML, class)."""
    lines = ['<table class="columns-%d"><thead><tr>%s</tr></thead><tbody>' % (len(heads), "".join(
        '<th scope="col">%s</th>' % text(head) for head in heads))]
    for row in rows:
        cells = [cell if isinstance(cell, tuple) else (cell, "") for cell in row]
        lines.append("<tr>%s</tr>" % "".join('<td data-head="%s" class="%s">%s</td>' % (text(head), kind, content)
                                             for head, (content, kind) in zip(heads, cells)))
    return "\n".join(lines) + "</tbody></table>"


def _sets(validation, repairs):
    rows = []
    for data_set in validation.sets:
        own = validation.rows[data_set.name]
        repair = repairs.get(data_set.name)
        rows.append([text(data_set.name), text(", ".join(data_set.manifests)), ("{:,}".format(len(own)), "number"),
                     ("%.2f" % hours_of(own, validation.facts), "number"),
                     "–" if repair is None else "no row is left" if repair.path is None else text(
                         "%s: %d rows, %d changed, %d dropped" % (repair.path, repair.kept, repair.changed, repair.dropped))])
    return "<section><h2>Sets</h2>\n%s</section>\n" % _table(("set", "manifests", "rows", "hours", "repaired copy"), rows)


def _checks(validation, by_check):
    rows, passed = [], []
    for name, findings in by_check.items():
        severity = findings[0].severity
        rows.append([("%s" % severity, severity), '<a href="#%s">%s</a>' % (name, text(CHECKS[name].title)),
                     ("{:,}".format(len(findings)), "number"), text(CHECKS[name].advice)])
    for check in made_checks(validation.decoded):
        if check.name not in by_check:
            passed.append(check.title)
    return '<section id="checks"><h2>Checks</h2>\n%s<p class="faint">Nothing found: %s.</p></section>\n' % (
        _table(("", "found", "count", "what to do"), rows) if rows else "", text("; ".join(passed)))


def _rows(name, findings, validation, players):
    row_of = _row_of(validation)
    rows = []
    for finding in findings[:ROWS_SHOWN]:
        row = row_of.get((finding.set, finding.manifest, finding.row))
        detail = text(finding.detail)
        if row is not None:
            detail += '<br><span class="faint">%s</span>' % text(row.transcript[:400]) if row.transcript else ""
            if row.path in players:
                detail += '<audio controls preload="none" src="%s"></audio>' % players[row.path]
        rows.append([text("%s:%s" % (finding.manifest, finding.row) if finding.row is not None else finding.manifest),
                     text(finding.wav_filename), detail])
    more = len(findings) - len(rows)
    return '<section id="%s"><h2 class="%s">%s: %s</h2>\n<p class="faint">%s.</p>\n%s%s</section>\n' % (
        name, findings[0].severity, text(CHECKS[name].title), "{:,}".format(len(findings)), text(CHECKS[name].advice),
        _table(("row", "file", "found"), rows),
        '<p class="faint">%s more are in validation.json.</p>' % "{:,}".format(more) if more else "")


def _row_of(validation):
    return {(row.set, row.manifest, row.row): row for rows in validation.rows.values() for row in rows}


def _players(validation, by_check):
    """Dict from path to a data address of the audio of the worst rows, the worst of every check first."""
    row_of, chosen = _row_of(validation), collections.OrderedDict()
    listed = [findings[:ROWS_SHOWN] for findings in by_check.values() if findings[0].severity != INFO]
    for place in range(ROWS_SHOWN):
        for findings in listed:
            finding = findings[place] if place < len(findings) else None
            row = finding and row_of.get((finding.set, finding.manifest, finding.row))
            if row and row.problem is None and validation.facts[row.path].reason is None and len(chosen) < PLAYERS:
                chosen[row.path] = None

    def address(path):
        try:
            return audio_address(read_audio(path, PLAYER_RATE)[:int(PLAYER_SECONDS * PLAYER_RATE)], PLAYER_RATE)
        except RejectedData:
            return None

    players, size = {}, 0
    with concurrent.futures.ThreadPoolExecutor(usable_cores()) as pool:
        for path, made in zip(chosen, pool.map(address, chosen)):
            if made is not None and size + len(made) <= PLAYERS_BYTES:
                players[path] = made
                size += len(made)
    return players
