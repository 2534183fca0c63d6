"""Kinds of values that options of the Ascend adapter take.

Texts are what most options are. On a command line ``1`` and ``true`` are a number and a truth value before anybody knows which
option they are for, so these become the text again. What a value says of files is checked by ``check_place``, on the machine
with the device: the same config also runs at a desk.
"""
import json
import os
import re

from open_seq2seq.config.parameters import Choice, FilePath, Kind, List


class Text(Kind):
    """A text that is not empty."""

    description = "a text"

    def check(self, value, path, report):
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        # a NoLiteral is what was typed; the quotes that Python would want are not the adapter's
        if isinstance(value, str) and value.strip() and "\0" not in value:
            return self.checked_text(str(value), path, report)
        return self._expected(value, path, report)

    def checked_text(self, text, path, report):
        """Returns the text to use, and reports what is wrong with it."""
        return text


class Word(Choice):
    """One of several words."""

    def check(self, value, path, report):
        if isinstance(value, bool) and str(value).lower() in self.values:
            value = str(value).lower()
        return super().check(value, path, report)


class Digits(Choice):
    """One of several texts, some of which look like numbers."""

    def check(self, value, path, report):
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        return super().check(value, path, report)


class Pattern(Text):
    """A text of a given form.

    Args:
      pattern: regular expression of the whole text.
      example: how to show the form in messages.
    """

    def __init__(self, pattern, example):
        self._pattern = re.compile(pattern)
        self.description = "a text like %s" % example

    def checked_text(self, text, path, report):
        return text if self._pattern.fullmatch(text) else self._expected(text, path, report)


class MemorySize(Text):
    """Bytes, as a number or as a product, which the graph engine multiplies out."""

    description = "a number of bytes, or a product like 26 * 1024 * 1024 * 1024"

    def checked_text(self, text, path, report):
        if re.fullmatch(r"\s*[1-9]\d*(\s*\*\s*[1-9]\d*)*\s*", text):
            return text
        return self._expected(text, path, report)


class DumpSteps(Text):
    """Steps and ranges of steps."""

    description = "steps and ranges of steps like 0|5|10-20, at most 100 of them"

    _MOST = 100

    def checked_text(self, text, path, report):
        parts = text.split("|")
        if not all(re.fullmatch(r"\d+(-\d+)?", part) for part in parts) or len(parts) > self._MOST:
            return self._expected(text, path, report)
        for part in parts:
            first, _, last = part.partition("-")
            if last and int(first) > int(last):
                report.problem(path, "is %r, where %s runs backwards; expected %s" % (text, part, self.description))
        return text


class JsonText(Text):
    """A JSON object, as text or as a dict."""

    description = "a JSON object, as a text or a dict"

    def check(self, value, path, report):
        if isinstance(value, dict):
            try:
                return json.dumps(value, sort_keys=True)
            except (TypeError, ValueError) as error:
                report.problem(path, "is %r, which cannot be written as JSON: %s" % (value, error))
                return value
        return super().check(value, path, report)

    def checked_text(self, text, path, report):
        try:
            if isinstance(json.loads(text), dict):
                return text
        except ValueError:
            pass
        return self._expected(text, path, report)


class Place(Text):
    """A file or directory; a leading ``~`` becomes the home directory."""

    def checked_text(self, text, path, report):
        return FilePath().check(text, path, report)

    def check_place(self, value):
        """Returns what is wrong with the path ``value`` on this machine, or None."""
        raise NotImplementedError


class ExistingFile(Place):
    """A file that is there and readable; with ``json`` also one of that form."""

    def __init__(self, json=False):
        self._json = json
        self.description = "the path of a %sfile" % ("JSON " if json else "")

    def check_place(self, value):
        if not os.path.isfile(value):
            return "there is no such file"
        try:
            with open(value, encoding="utf-8", errors="replace") as file:
                if self._json:
                    json.load(file)
        except OSError as error:
            return "the file cannot be read: %s" % error.strerror
        except ValueError as error:
            return "the file is not JSON: %s" % error
        return None


class ExistingFolder(Place):
    """A directory that is there, readable and writable: the adapter makes none."""

    description = "the path of a directory that exists"

    def check_place(self, value):
        if not os.path.isdir(value):
            return "there is no such directory"
        return None if os.access(value, os.R_OK | os.W_OK | os.X_OK) else "the directory cannot be read and written"


class Folder(Place):
    """A directory that the compiler makes if need be."""

    description = "the path of a directory"

    def check_place(self, value):
        nearest = os.path.abspath(value)
        while not os.path.exists(nearest):
            nearest = os.path.dirname(nearest)
        if not os.path.isdir(nearest):
            return "%s is not a directory" % nearest
        return None if os.access(nearest, os.W_OK | os.X_OK) else "%s cannot be written" % nearest


class Ascending(List):
    """A list of numbers, each larger than the one before.

    Args:
      item: kind of one number.
      most: how many there may be.
    """

    def __init__(self, item, most):
        super().__init__(item, minimum_length=1)
        self._most = most
        self.description = "an ascending list of at most %d, each %s" % (most, item.description)

    def check(self, value, path, report):
        known = len(report.problems)
        checked = super().check(value, path, report)
        if len(report.problems) == known and (
                len(checked) > self._most or any(a >= b for a, b in zip(checked, checked[1:]))):
            return self._expected(value, path, report)
        return checked
