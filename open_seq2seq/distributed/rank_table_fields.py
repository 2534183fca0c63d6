"""Reading the fields of a rank table, noting every mistake with its place."""


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

    def text(self, record, place, key):
        """The string ``record[key]``, or None after noting that it is missing, empty or no string."""
        where = "%s.%s" % (place, key) if place else key
        if key not in record:
            self.mistake(where, "is missing")
            return None
        value = record[key]
        if isinstance(value, (int, float)):
            self.mistake(where, 'is the number %s, expected the string "%s": HCCL reads strings only' % (value, value))
        elif not isinstance(value, str):
            self.mistake(where, "is %s, expected a string" % _kind(value))
        elif not value:
            self.mistake(where, "is empty")
        else:
            return value
        return None

    def number(self, record, place, key):
        """The whole number in the string ``record[key]``, or None after noting that there is none."""
        text = self.text(record, place, key)
        if text is not None and not (text.isdigit() and text.isascii()):
            self.mistake("%s.%s" % (place, key) if place else key, 'is "%s", expected a whole number in digits' % text)
            return None
        return None if text is None else int(text)

    def count(self, record, place, key, found, found_words):
        """Notes a mistake when ``record[key]`` is not the number ``found``; ``found_words`` says where that many were found."""
        value = self.number(record, place, key)
        if value is not None and value != found:
            self.mistake("%s.%s" % (place, key) if place else key, 'is "%d", but %s' % (value, found_words % found))

    def items(self, record, place, key):
        """List of (place, object) of the list of objects ``record[key]``; what is none is noted and left out."""
        where = "%s.%s" % (place, key) if place else key
        if key not in record:
            self.mistake(where, "is missing")
            return []
        if not isinstance(record[key], list) or not record[key]:
            self.mistake(where, "is %s, expected a list with at least one object" % _kind(record[key]))
            return []
        found = []
        for index, item in enumerate(record[key]):
            item_place = "%s[%d]" % (where, index)
            if isinstance(item, dict):
                found.append((item_place, item))
            else:
                self.mistake(item_place, "is %s, expected an object" % _kind(item))
        return found


def _kind(value):
    if value == [] or value == {}:
        return "empty"
    return {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}.get(
        type(value), "a number")
