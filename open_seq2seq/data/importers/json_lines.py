"""Files with a JSON object on each line, and the fields of such objects, which may be of any type."""
import gzip
import math
import zlib

from open_seq2seq.errors import DataError
from open_seq2seq.files import parsed_json
from open_seq2seq.text.text_file import line_of

_GZIP = b"\x1f\x8b"


def read_json_lines(path, kind):
    """Reads a file, compressed by gzip or not.

    Args:
      path: the file.
      kind: what it is, for errors, e.g. "manifest".

    Yields:
      (number of the line, dict or None, problem): one of the last two is None. Empty lines are skipped.

    Raises:
      DataError: the file cannot be read, is cut off or is not UTF-8.
    """
    try:
        with open(path, "rb") as file:
            data = file.read()
        if data.startswith(_GZIP):
            data = gzip.decompress(data)
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError("%s:%d: the %s is not UTF-8 text (byte 0x%02x)" % (path, line_of(data, error.start), kind,
                                                                          data[error.start]))
    except (OSError, EOFError, zlib.error) as error:
        raise DataError("cannot read the %s %s: %s" % (kind, path, getattr(error, "strerror", None) or error))
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield (number,) + _parsed(line)


def _parsed(line):
    try:
        value = parsed_json(line)
    except ValueError as error:
        return None, "the line is not a JSON object: %s" % error
    if not isinstance(value, dict):
        return None, "the line is a JSON %s, expected an object" % type(value).__name__
    return value, None


def number_of(values, key, default=None):
    """The finite number ``values[key]`` as a float; ``default`` where the key is absent or null.

    Raises:
      ValueError: it is not a number; the message is a phrase.
    """
    value = values.get(key)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError("%s is %s, expected a number" % (key, ascii(value)[:80]))
    return float(value)


def text_of(values, key, default=None):
    """The str ``values[key]``; a number is written as text.

    Raises:
      ValueError: it is absent and there is no default, or it is something else.
    """
    value = values.get(key, default)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise ValueError("%s is %s, expected text" % (key, "absent" if key not in values else ascii(value)[:80]))
    return value


def scalar_columns(values, without=()):
    """Tuple of (key, str) of the texts, numbers and truth values of a dict."""
    return tuple((key, str(value)) for key, value in values.items()
                 if key not in without and isinstance(value, (str, int, float)))
