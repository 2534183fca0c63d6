"""Kinds of values for the options of the Ascend adapter; each kind checks a single value.

Most options are texts. The command line parses ``1`` and ``true`` as a number and a bool before it knows the option, so the kinds
convert them back to text. Whether a file exists is checked separately, by ``check_path``, on the machine with the device: the
same config also runs on machines without one.
"""
import ast
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
        # str() of a NoLiteral is the text as it was typed, without the quotes of a Python literal
        if isinstance(value, str) and value.strip() and "\0" not in value:
            return self.checked_text(str(value), path, report)
        return self._expected(value, path, report)

    def checked_text(self, text, path, report):
        """Returns the text to use, and reports mistakes in it."""
        return text


class Word(Choice):
    """One of several words; True and False stand for "true" and "false"."""

    def check(self, value, path, report):
        if isinstance(value, bool) and str(value).lower() in self.values:
            value = str(value).lower()
        return super().check(value, path, report)


class Digits(Choice):
    """One of several texts, of which some are numbers."""

    def check(self, value, path, report):
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        return super().check(value, path, report)


class Pattern(Text):
    """A text of a given form.

    Args:
      pattern: regular expression for the whole text.
      example: an example for messages.
    """

    def __init__(self, pattern, example):
        self._pattern = re.compile(pattern)
        self.description = "a text like %s" % example

    def checked_text(self, text, path, report):
        return text if self._pattern.fullmatch(text) else self._expected(text, path, report)


class MemorySize(Text):
    """Bytes, as a number or as a product that the graph engine evaluates."""

    description = "a number of bytes, or a product like 26 * 1024 * 1024 * 1024"

    def checked_text(self, text, path, report):
        if re.fullmatch(r"\s*[1-9]\d*(\s*\*\s*[1-9]\d*)*\s*", text, re.ASCII):
            return text
        return self._expected(text, path, report)


class DumpSteps(Text):
    """Steps and ranges of steps."""

    description = "steps and ranges of steps like 0|5|10-20, at most 100 of them"

    _MOST = 100

    def checked_text(self, text, path, report):
        parts = text.split("|")
        if not all(re.fullmatch(r"\d{1,9}(-\d{1,9})?", part, re.ASCII) for part in parts) or len(parts) > self._MOST:
            return self._expected(text, path, report)
        for part in parts:
            first, _, last = part.partition("-")
            if last and int(first) >= int(last):
                report.problem(path, "is %r, where %s does not begin before its end; expected %s" % (
                    text, part, self.description))
        return text


class AccelerationMode(Text):
    """In which part of a training the device computes with a lower precision: ``PRECISION|BY|RATIO``; RATIO may be missing."""

    PRECISIONS = ("fast", "fast1")
    RATIOS = {"step": (0.2, 0.9), "loss": (1.01, 1.5)}

    description = "fast|step|R with R from 0.2 to 0.9 (default 0.9) or fast|loss|R with R from 1.01 to 1.5 (default 1.05); " \
                  "fast is float16, fast1 is bfloat16"

    def checked_text(self, text, path, report):
        parts = text.split("|")
        if len(parts) not in (2, 3) or parts[0] not in self.PRECISIONS or parts[1] not in self.RATIOS:
            return self._expected(text, path, report)
        smallest, largest = self.RATIOS[parts[1]]
        if len(parts) == 3 and not (re.fullmatch(r"\d(\.\d{1,6})?", parts[2], re.ASCII)
                                    and smallest <= float(parts[2]) <= largest):
            return self._expected(text, path, report)
        return text


class InOutPairs(Text):
    """Pairs of lists of tensor names, as a text or as lists."""

    description = "pairs of input and output names like [[['in1', 'in2'], ['out']]], as lists or a text"

    def check(self, value, path, report):
        if isinstance(value, (list, tuple)):
            if not self._are_pairs(value):
                return self._expected(value, path, report)
            return "[%s]" % ",".join("[%s]" % ",".join("[%s]" % ",".join("'%s'" % name for name in names) for names in pair)
                                     for pair in value)
        return super().check(value, path, report)

    def checked_text(self, text, path, report):
        try:
            pairs = ast.literal_eval(text.strip())
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            pairs = None
        return text if self._are_pairs(pairs) else self._expected(text, path, report)

    @staticmethod
    def _are_pairs(value):
        return isinstance(value, (list, tuple)) and len(value) > 0 and all(
            isinstance(pair, (list, tuple)) and len(pair) == 2 and all(
                isinstance(names, (list, tuple)) and len(names) > 0 and all(
                    isinstance(name, str) and re.fullmatch(r"[^\s'\"\[\],]+", name) for name in names) for names in pair)
            for pair in value)


class JsonText(Text):
    """A JSON object, as text or as a dict."""

    description = "a JSON object, as a text or a dict"

    def check(self, value, path, report):
        if isinstance(value, dict):
            try:
                return json.dumps(value, sort_keys=True)
            except (TypeError, ValueError, RecursionError) as error:
                report.problem(path, "is a dict that cannot be written as JSON: %s" % error)
                return value
        return super().check(value, path, report)

    def checked_text(self, text, path, report):
        try:
            if isinstance(json.loads(text), dict):
                return text
        except (ValueError, RecursionError):
            pass
        return self._expected(text, path, report)


class PathOption(Text):
    """A file or directory; a leading ``~`` becomes the home directory."""

    def checked_text(self, text, path, report):
        return FilePath().check(text, path, report)

    def check_path(self, value):
        """Returns what is wrong with the path ``value`` on this machine, or None."""
        raise NotImplementedError


class ExistingFile(PathOption):
    """A file that exists and is readable; with ``json=True`` it also has to contain JSON."""

    def __init__(self, json=False):
        self._json = json
        self.description = "the path of a %sfile" % ("JSON " if json else "")

    def check_path(self, value):
        if not os.path.isfile(value):
            return "there is no such file"
        try:
            with open(value, encoding="utf-8", errors="replace") as file:
                if self._json:
                    json.load(file)
        except OSError as error:
            return "the file cannot be read: %s" % error.strerror
        except (ValueError, RecursionError) as error:
            return "the file is not valid JSON: %s" % error
        return None


class ExistingFolder(PathOption):
    """A directory that exists and is readable and writable; the adapter does not create it."""

    description = "the path of a directory that exists"

    def check_path(self, value):
        if not os.path.isdir(value):
            return "there is no such directory"
        return None if os.access(value, os.R_OK | os.W_OK | os.X_OK) else "the directory cannot be read and written"


class Folder(PathOption):
    """A directory that the compiler creates if it is missing."""

    description = "the path of a directory"

    def check_path(self, value):
        nearest = os.path.abspath(value)
        while not os.path.exists(nearest):
            nearest = os.path.dirname(nearest)
        if not os.path.isdir(nearest):
            return "%s is not a directory" % nearest
        return None if os.access(nearest, os.W_OK | os.X_OK) else "%s cannot be written" % nearest


class AscendingList(List):
    """A list of numbers, each larger than the previous one.

    Args:
      item: kind of one number.
      most: maximum length.
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
