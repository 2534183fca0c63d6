"""Reads a rank table's JSON: the text becomes objects, and their fields are checked one by one.

Every mistake is noted with its place in the file, e.g. ``server_list[0].device[3].rank_id``.
"""
import collections
import json
import re

_LONGEST_SHOWN = 40  # characters of a value in a message
_MOST_DIGITS = 9
_MOST_CHARACTERS = 255  # of a text; names and addresses are shorter


class JsonObject(dict):
    """A JSON object that remembers which of its keys occur more than once.

    Attributes:
      repeated: list of these keys. The value of such a key is the last one, as in HCCL's own reader.
    """

    def __init__(self, pairs):
        super().__init__(pairs)
        counts = collections.Counter(key for key, _ in pairs)
        self.repeated = [key for key, count in counts.items() if count > 1]


def parse_json(text):
    """Parses the text of a rank table.

    Args:
      text: str.

    Returns:
      What the text contains; every object is a :class:`JsonObject`.

    Raises:
      ValueError: the text is not JSON, or is nested too deeply. The message says where, as "LINE:COLUMN REASON".
    """
    try:
        return json.loads(text, object_pairs_hook=JsonObject)
    except RecursionError:
        raise ValueError("1:1 objects or lists are nested too deeply; a rank table has at most 6 levels")
    except json.JSONDecodeError as error:
        raise ValueError("%d:%d %s" % (error.lineno, error.colno, error.msg))
    except ValueError as error:  # from Python 3.11 on a number of more than 4,300 digits
        raise ValueError("1:1 %s" % error)


def integer_of(text):
    """The integer that a text of ASCII digits stands for; None for any other text, or one of more than 9 digits."""
    return int(text) if re.fullmatch(r"[0-9]{1,%d}" % _MOST_DIGITS, text) else None


class Fields:
    """Reads typed fields from parsed JSON.

    Attributes:
      mistakes: list of str, one sentence for each mistake, beginning with its place in the file.
    """

    def __init__(self):
        self.mistakes = []

    def mistake(self, place, sentence):
        """Notes a mistake at ``place`` ("" for the whole table)."""
        self.mistakes.append("%s %s" % (place or "the table", sentence))

    def repeated_keys(self, content):
        """Notes every key that occurs more than once in an object of ``content``, which :func:`parse_json` returned."""
        pending = [("", content)]
        while pending:
            place, value = pending.pop()
            for key in getattr(value, "repeated", ()):
                self.mistake(_path(place, key), "occurs more than once in the same object; keep one of them")
            if isinstance(value, dict):
                pending += [(_path(place, key), inner) for key, inner in reversed(list(value.items()))]
            elif isinstance(value, list):
                pending += [("%s[%d]" % (place, index), inner) for index, inner in reversed(list(enumerate(value)))]

    def text(self, record, place, key):
        """The string ``record[key]``, or None after noting that it is missing, empty, not printable or not a string."""
        where = _path(place, key)
        if key not in record:
            self.mistake(where, "is missing")
            return None
        value = record[key]
        if isinstance(value, int) and not isinstance(value, bool):
            self.mistake(where, 'is the number %s, expected the string "%s": HCCL reads strings only' % (
                _shown(value), _shown(value)))
        elif isinstance(value, float):
            self.mistake(where, "is the number %s, expected a string" % _shown(value))
        elif not isinstance(value, str):
            self.mistake(where, "is %s, expected a string" % kind_of(value))
        elif not value:
            self.mistake(where, "is empty")
        elif len(value) > _MOST_CHARACTERS and not value.isdigit():
            self.mistake(where, 'is "%s", expected at most %d characters' % (_shown(value), _MOST_CHARACTERS))
        elif not value.isprintable() or " " in value:
            # the scripts pass servers and addresses on as words
            self.mistake(where, "is %s, expected a text without blanks and control characters" % _shown(repr(value)))
        else:
            return value
        return None

    def number(self, record, place, key):
        """The integer in the string ``record[key]``, or None after noting that it has none."""
        text = self.text(record, place, key)
        if text is not None and integer_of(text) is None:
            self.mistake(_path(place, key), 'is "%s", expected a whole number in digits%s' % (
                _shown(text), "" if len(text) <= _MOST_DIGITS else ", at most %d of them" % _MOST_DIGITS))
            return None
        return None if text is None else integer_of(text)

    def count(self, record, place, key, found, found_where):
        """Notes a mistake when ``record[key]`` is not the number ``found``; ``found_where`` says where that many were found."""
        value = self.number(record, place, key)
        if value is not None and value != found:
            self.mistake(_path(place, key), 'is "%d", but %s' % (value, found_where % found))

    def items(self, record, place, key):
        """List of (place, object) of the list of objects ``record[key]``; items that are not objects are noted and skipped."""
        where = _path(place, key)
        if key not in record:
            self.mistake(where, "is missing")
            return []
        if not isinstance(record[key], list) or not record[key]:
            self.mistake(where, "is %s, expected a list with at least one object" % kind_of(record[key]))
            return []
        found = []
        for index, item in enumerate(record[key]):
            item_place = "%s[%d]" % (where, index)
            if isinstance(item, dict):
                found.append((item_place, item))
            else:
                self.mistake(item_place, "is %s, expected an object" % kind_of(item))
        return found


def _path(place, key):
    return "%s.%s" % (place, _shown(key)) if place else _shown(key)


def _shown(value):
    """A value as text, shortened: a file may hold a number of thousands of digits."""
    text = str(value)
    return text if len(text) <= _LONGEST_SHOWN else "%s... (%d characters)" % (text[:_LONGEST_SHOWN], len(text))


def kind_of(value):
    """What a parsed JSON value is, in words: "an object", "a list", "empty", ..."""
    if value == [] or value == {}:
        return "empty"
    for kind, words in ((dict, "an object"), (list, "a list"), (str, "a string"), (bool, "true or false"), (type(None), "null")):
        if isinstance(value, kind):
            return words
    return "a number"
