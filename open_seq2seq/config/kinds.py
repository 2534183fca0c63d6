"""The kinds of values that a parameter takes. ``check`` returns the value to use and reports an invalid one."""
import difflib
import numbers
import re

from open_seq2seq.config.report import Report, child_path, shown
from open_seq2seq.files import expanded_path

LARGEST_FLOAT32 = (2 - 2.0 ** -23) * 2.0 ** 127  # IEEE 754
LARGEST_INT32 = 2 ** 31 - 1
MOST_WRONG_ITEMS = 20  # of one list; the rest is not checked


class NoLiteral(str):
    """Text from the command line that begins like a list, tuple, dict or quoted string but is not a Python literal.

    It can be a string, such as a regular expression; for any other kind the user meant to write a literal.
    """

    REMEDY = "Quote the strings inside, and the argument for the shell: --key=\"['a.csv', 'b.csv']\""


class Kind:
    """Any value. Subclasses override ``check``.

    Attributes:
      description: completes "expected ..." in messages.
      own_types: types of values that can only be meant for this kind, whose message is then more specific than that of
        :class:`Either`.
    """

    description = "any value"
    own_types = ()

    def check(self, value, path, report):
        """Checks one value.

        Args:
          value: what the user wrote.
          path: names the value in messages.
          report: a :class:`~open_seq2seq.config.report.Report`, which receives problems and notes.

        Returns:
          The value to use.
        """
        return value

    def _expected(self, value, path, report):
        if isinstance(value, NoLiteral):
            report.problem(path, "is %s, which is not a Python literal; expected %s. %s" % (
                shown(value)[1:-1] if len(value) > 200 else value, self.description, NoLiteral.REMEDY))
        else:
            report.problem(path, "is %s (%s), expected %s" % (shown(value), type(value).__name__, self.description))
        return value


class Any(Kind):
    """Any value, unchecked."""


class Bool(Kind):
    """True or False."""

    description = "True or False"

    def check(self, value, path, report):
        return value if isinstance(value, bool) else self._expected(value, path, report)


class _Number(Kind):
    """A number within limits, of which any may be None; ``above`` and ``below`` exclude the limit itself."""

    def __init__(self, minimum=None, maximum=None, above=None, below=None):
        self.minimum, self.maximum, self.above, self.below = minimum, maximum, above, below
        limits = ["%s %s" % (word, limit) for word, limit in (
            ("at least", minimum), ("above", above), ("at most", maximum), ("below", below)) if limit is not None]
        self.description = self.noun + (" " + " and ".join(limits) if limits else "")

    def _in_range(self, value):
        # NaN compares false with everything, so each test is written to fail for it
        return ((self.minimum is None or value >= self.minimum) and (self.maximum is None or value <= self.maximum)
                and (self.above is None or value > self.above) and (self.below is None or value < self.below)
                and value == value)

    def _too_large(self, value, path, report, type_name, largest):
        report.problem(path, "is %s, expected %s that %s can hold (at most %s)" % (
            shown(value), self.description, type_name, largest))
        return value


class Int(_Number):
    """An integer within limits; of the size of int32 unless ``maximum`` is larger."""

    noun = "an integer"

    def check(self, value, path, report):
        if not isinstance(value, numbers.Integral) or isinstance(value, bool) or not self._in_range(value):
            return self._expected(value, path, report)
        if abs(value) > max(LARGEST_INT32, self.maximum or 0):
            return self._too_large(value, path, report, "int32", LARGEST_INT32)
        return int(value)


class Float(_Number):
    """A number within limits and within the range of float32."""

    noun = "a number"

    def check(self, value, path, report):
        if not isinstance(value, numbers.Real) or isinstance(value, bool) or not self._in_range(value):
            return self._expected(value, path, report)
        if not abs(value) <= LARGEST_FLOAT32:
            return self._too_large(value, path, report, "float32", "3.4e38")
        return float(value)


class String(Kind):
    """Text."""

    description = "a string"
    own_types = (str,)

    def check(self, value, path, report):
        return str(value) if isinstance(value, str) else self._expected(value, path, report)


class FilePath(String):
    """The path of a file or directory; a leading ``~`` becomes the home directory."""

    description = "a path"

    def check(self, value, path, report):
        value = super().check(value, path, report)
        if not isinstance(value, str):
            return value
        try:
            return expanded_path(value)
        except ValueError as error:
            report.problem(path, "is %s, which %s" % (shown(value), error))
            return value


# what re.compile raises: the last two for deep nesting and for repetitions beyond 2 ** 32
INVALID_PATTERN = (re.error, RecursionError, OverflowError)


class RegularExpression(String):
    """A pattern of Python's re."""

    description = "a regular expression"

    def check(self, value, path, report):
        value = super().check(value, path, report)
        if isinstance(value, str):
            try:
                re.compile(value)
            except INVALID_PATTERN as error:
                report.problem(path, "is %s, which is not a regular expression: %s" % (shown(value), error))
        return value


class Choice(Kind):
    """One of a few fixed values; strings are compared without regard to case where ``fold_case`` is True."""

    def __init__(self, *values, **options):
        self.values = values
        self.fold_case = options.pop("fold_case", False)
        assert not options, options
        self.description = "one of " + ", ".join(repr(value) for value in values)

    def check(self, value, path, report):
        for accepted in self.values:
            if type(value) is type(accepted) and value == accepted:
                return accepted
            if self.fold_case and isinstance(value, str) and isinstance(accepted, str):
                if value.lower() == accepted.lower():
                    return accepted
        if isinstance(value, str):
            close = difflib.get_close_matches(value[:100], [v for v in self.values if isinstance(v, str)], 1)
            if close:
                report.problem(path, "is %s, expected %s (did you mean %r?)" % (shown(value), self.description, close[0]))
                return value
        return self._expected(value, path, report)


class Callable(Kind):
    """A function or a class, e.g. ``tf.nn.relu`` or an initializer."""

    description = "a function or a class"

    def check(self, value, path, report):
        return value if callable(value) else self._expected(value, path, report)


class Dict(Kind):
    """A dict whose keys are declared elsewhere, e.g. the keyword arguments of an initializer."""

    description = "a dict with string keys"

    def check(self, value, path, report):
        if isinstance(value, dict) and all(isinstance(key, str) for key in value):
            return dict(value)
        return self._expected(value, path, report)


class DictOf(Kind):
    """A dict from names that the user chooses to values of one kind."""

    own_types = (dict,)

    def __init__(self, item):
        self.item = item
        self.description = "a dict with string keys, each value %s" % item.description

    def check(self, value, path, report):
        if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
            return self._expected(value, path, report)
        return {key: self.item.check(item, child_path(path, key), report) for key, item in value.items()}


class List(Kind):
    """A list (or tuple) of one kind, of any length or of ``length``, or with at least ``minimum_length`` items."""

    own_types = (list, tuple)

    def __init__(self, item, length=None, minimum_length=0):
        self.item, self.length, self.minimum_length = item, length, minimum_length
        size = ""
        if length is not None:
            size = " of %d" % length
        elif minimum_length:
            size = " of at least %d" % minimum_length
        self.description = "a list%s, each item %s" % (size, item.description)

    def check(self, value, path, report):
        if (not isinstance(value, (list, tuple)) or (self.length is not None and len(value) != self.length)
                or len(value) < self.minimum_length):
            return self._expected(value, path, report)
        own, checked = Report(), []
        for index, item in enumerate(value):
            checked.append(self.item.check(item, child_path(path, index), own))
            if len(own.problems) > MOST_WRONG_ITEMS:
                own.problem(path, "has more invalid items; the items after %d were not checked" % index)
                break
        report.take(own)
        return checked


class Either(Kind):
    """The first of several kinds that accepts the value."""

    def __init__(self, *kinds):
        self.kinds = kinds
        self.description = " or ".join(kind.description for kind in kinds)

    def check(self, value, path, report):
        if isinstance(value, NoLiteral) and any(set(kind.own_types) & {dict, list} for kind in self.kinds):
            return self._expected(value, path, report)
        for kind in self.kinds:
            trial = Report()
            checked = kind.check(value, path, trial)
            if not trial.problems:
                report.take(trial)
                return checked
        # the kind that takes values of this type names the mistake, where "expected ..." would list all kinds
        for kind in self.kinds:
            if isinstance(value, kind.own_types):
                return kind.check(value, path, report)
        return self._expected(value, path, report)
