"""The page of a report: one HTML file with its data, style and scripts inside."""
import html
import json
import os
import re

from open_seq2seq.files import printable

_ASSETS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "assets")
# in this order: each uses names of those before it
SCRIPTS = ("elements.js", "alignment.js", "charts.js", "recording.js", "utterances.js", "main.js")

# what would end a script element, begin a comment, or end a line of JavaScript
_ESCAPES = {ord(character): "\\u%04x" % ord(character) for character in "<>&\u2028\u2029"}
# half of a character of two, which has no UTF-8
_SURROGATE = re.compile("[\ud800-\udfff]")


def write_page(file, title, subtitle, evaluation, recordings):
    """Writes the page.

    Args:
      file: text file, UTF-8.
      title, subtitle: str.
      evaluation: dict of JSON values, see ``content.page_content``.
      recordings: iterable of (number of an utterance, dict of JSON values), see ``recordings.embedded_recordings``.
    """
    parts = _template()
    values = {"title": html.escape(printable(title)), "subtitle": html.escape(printable(subtitle)), "style": _asset("page.css"),
              "script": "\n".join(map(_asset, SCRIPTS)), "evaluation": json_in_html(evaluation)}
    for text, name in parts:
        file.write(text)
        if name == "recordings":
            # they come last: the browser shows the tables before it has read them
            for number, recording in recordings:
                file.write('<script type="application/json" id="recording-%d">%s</script>\n' % (number, json_in_html(recording)))
        elif name is not None:
            file.write(values[name])


def json_in_html(value):
    """JSON that may stand in a script element of an HTML page.

    Args:
      value: JSON values; numbers are finite.

    Returns:
      str without ``<``, ``>``, ``&`` and lone surrogates.

    Raises:
      ValueError: a number is infinite or NaN.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).translate(_ESCAPES)
    return _SURROGATE.sub(lambda match: "\\u%04x" % ord(match.group()), text)


def _template():
    """List of (text, name of the value that follows it or None)."""
    parts = []
    for piece in _asset("page.html").split("{{"):
        name, end, text = piece.partition("}}")
        if not end:
            parts.append((piece, None))
        else:
            parts[-1] = (parts[-1][0], name)
            parts.append((text, None))
    return parts


def _asset(name):
    with open(os.path.join(_ASSETS, name), encoding="utf-8") as file:
        return file.read()
