"""The one place where a parameter is declared: name, kind, default, range, one line of documentation.

Every class that takes params has a class attribute ``PARAMETERS``, a tuple of :class:`Parameter`. From it come
the defaults, the check of a user's config, ``--help`` and the reference page in docs/. In the manner of
google/lingvo's hyperparams: an unknown name is answered with "did you mean".

    PARAMETERS = (
        Parameter("num_channels", Int(minimum=1), doc="output channels of the block"),
        Parameter("dropout_keep_prob", Float(minimum=0.0, maximum=1.0), default=1.0, doc="..."),
    )
    checked = check_parameters(PARAMETERS, user_dict, "base_params[\"encoder_params\"]", report)

``check_parameters`` never raises: it adds every mistake to ``report`` so that a user sees all of them at once.
"""
import difflib
import numbers

from open_seq2seq.errors import ConfigError
from open_seq2seq.files import expanded_path


class _Required:
    def __repr__(self):
        return "REQUIRED"


REQUIRED = _Required()


class Report:
    """Collects what a check found: ``problems`` refuse the config, ``notes`` are printed and the run goes on.

    A mistake that shows in two dicts, because both took it over from ``base_params``, is listed once.
    """

    def __init__(self):
        self.problems = []
        self.notes = []

    def problem(self, path, message):
        self._add(self.problems, "%s %s" % (path, message))

    def note(self, path, message):
        self._add(self.notes, "%s %s" % (path, message))

    def take(self, other):
        """Adds what another report has collected."""
        for lines, others in ((self.problems, other.problems), (self.notes, other.notes)):
            for line in others:
                self._add(lines, line)

    @staticmethod
    def _add(lines, line):
        if line not in lines:
            lines.append(line)


def child_path(path, key):
    """The path of ``path[key]``: of a string another string, else what the path's own ``child`` says."""
    if hasattr(path, "child"):
        return path.child(key)
    return "%s[%d]" % (path, key) if isinstance(key, int) else '%s["%s"]' % (path, key)


class NamePath:
    """The path of a dict that belongs to no config: it has a name, and its keys are called by theirs alone."""

    def __init__(self, name):
        self._name = name

    def child(self, key):
        return key

    def __str__(self):
        return self._name


def require_rules(check_rules, params, path):
    """Applies a ``check_rules`` function to params that did not come through a config's check.

    Raises:
      ConfigError: with all problems that ``check_rules(params, path, report)`` reports.
    """
    report = Report()
    check_rules(params, path, report)
    if report.problems:
        raise ConfigError("\n".join(report.problems))


LARGEST_FLOAT32 = (2 - 2.0 ** -23) * 2.0 ** 127  # IEEE 754


class NoLiteral(str):
    """Text from the command line that begins like a list, tuple, dict or quoted string but is none.

    A string it may be, such as a regular expression; anything else was meant to be a literal.
    """

    REMEDY = "Quote the strings inside, and the whole for the shell: --key=\"['a.csv', 'b.csv']\""


class Kind:
    """What values a parameter takes. ``check`` returns the value to use and reports a wrong one."""

    description = "any value"

    def check(self, value, path, report):
        return value

    def _expected(self, value, path, report):
        if isinstance(value, NoLiteral):
            report.problem(path, "is %s, which is not a Python literal; expected %s. %s" % (
                value, self.description, NoLiteral.REMEDY))
            return value
        report.problem(path, "is %r (%s), expected %s" % (value, type(value).__name__, self.description))
        return value


class Any(Kind):
    pass


class Bool(Kind):
    description = "True or False"

    def check(self, value, path, report):
        if isinstance(value, bool):
            return value
        return self._expected(value, path, report)


class _Number(Kind):
    def __init__(self, minimum=None, maximum=None, above=None, below=None):
        self.minimum, self.maximum, self.above, self.below = minimum, maximum, above, below
        limits = []
        if minimum is not None:
            limits.append("at least %s" % minimum)
        if above is not None:
            limits.append("above %s" % above)
        if maximum is not None:
            limits.append("at most %s" % maximum)
        if below is not None:
            limits.append("below %s" % below)
        self.description = self.noun + (" " + " and ".join(limits) if limits else "")

    def _in_range(self, value):
        # a NaN compares false with everything, so each test is written to fail for it
        return ((self.minimum is None or value >= self.minimum) and (self.maximum is None or value <= self.maximum)
                and (self.above is None or value > self.above) and (self.below is None or value < self.below)
                and value == value)


class Int(_Number):
    noun = "an integer"

    def check(self, value, path, report):
        if isinstance(value, numbers.Integral) and not isinstance(value, bool) and self._in_range(value):
            return int(value)
        return self._expected(value, path, report)


class Float(_Number):
    noun = "a number"

    def check(self, value, path, report):
        if isinstance(value, numbers.Real) and not isinstance(value, bool) and self._in_range(value):
            if abs(value) <= LARGEST_FLOAT32:
                return float(value)
            report.problem(path, "is %r, expected %s that float32 can hold (at most 3.4e38)" % (value, self.description))
            return value
        return self._expected(value, path, report)


class String(Kind):
    description = "a string"

    def check(self, value, path, report):
        if isinstance(value, str):
            return str(value)
        return self._expected(value, path, report)


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
            report.problem(path, "is %r, which %s" % (value, error))
            return value


class Choice(Kind):
    """One of a few fixed values; strings are compared as they are, or without case where ``fold_case``."""

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
            close = difflib.get_close_matches(value, [v for v in self.values if isinstance(v, str)], 1)
            if close:
                report.problem(path, "is %r, expected %s (did you mean %r?)" % (value, self.description, close[0]))
                return value
        return self._expected(value, path, report)


class Callable(Kind):
    """A function or a class, e.g. ``tf.nn.relu`` or an initializer."""

    description = "a function or a class"

    def check(self, value, path, report):
        if callable(value):
            return value
        return self._expected(value, path, report)


class Dict(Kind):
    """A dict whose keys belong to somebody else, e.g. the keyword arguments of an initializer."""

    description = "a dict with string keys"

    def check(self, value, path, report):
        if isinstance(value, dict) and all(isinstance(key, str) for key in value):
            return dict(value)
        return self._expected(value, path, report)


class List(Kind):
    """A list (or tuple) of one kind, of any length or of ``length``, or with at least ``minimum_length`` items."""

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
        return [self.item.check(item, child_path(path, i), report) for i, item in enumerate(value)]


class Struct(Kind):
    """A dict with declared keys of its own."""

    description = "a dict"

    def __init__(self, parameters):
        self.parameters = tuple(parameters)

    def check(self, value, path, report):
        if not isinstance(value, dict):
            return self._expected(value, path, report)
        return check_parameters(self.parameters, value, path, report)


class Either(Kind):
    """The first of several kinds that accepts the value."""

    def __init__(self, *kinds):
        self.kinds = kinds
        self.description = " or ".join(kind.description for kind in kinds)

    def check(self, value, path, report):
        if isinstance(value, NoLiteral) and any(isinstance(kind, (List, Struct)) for kind in self.kinds):
            return self._expected(value, path, report)
        for kind in self.kinds:
            trial = Report()
            checked = kind.check(value, path, trial)
            if not trial.problems:
                report.notes.extend(trial.notes)
                return checked
        # the kind of the value's own type says more than "expected ..."
        for kind in self.kinds:
            for types, own_kind in ((dict, Struct), ((list, tuple), List), (str, String)):
                if isinstance(value, types) and isinstance(kind, own_kind):
                    return kind.check(value, path, report)
        return self._expected(value, path, report)


class Parameter:
    """One declared parameter.

    Args:
      name: the key in the params dict.
      kind: a :class:`Kind`.
      default: value when the key is absent; ``REQUIRED`` (the default) makes the key compulsory. A parameter whose
        default is None also accepts None.
      doc: one line for ``--help`` and docs/.
      ignored: if given, the key is accepted for compatibility, has no effect, and this reason is reported.
      replaced_by: if given, the key is an older spelling of that parameter and its value goes there.
    """

    def __init__(self, name, kind, default=REQUIRED, doc="", ignored=None, replaced_by=None):
        self.name, self.kind, self.default, self.doc = name, kind, default, doc
        self.ignored, self.replaced_by = ignored, replaced_by

    @property
    def required(self):
        return self.default is REQUIRED and self.ignored is None and self.replaced_by is None

    def __repr__(self):
        return "Parameter(%r, %s, default=%r)" % (self.name, self.kind.description, self.default)


def did_you_mean(name, known):
    """What to say of an unknown ``name``: the closest of the ``known`` ones, or all of them where none is close."""
    close = difflib.get_close_matches(str(name), list(known), 1)
    if close:
        return '(did you mean "%s"?)' % close[0]
    return "(known: %s)" % ", ".join(sorted(known)) if len(known) <= 30 else "(run.py --help_params lists the known ones)"


def check_parameters(parameters, values, path, report, require=True):
    """Checks ``values`` against declared ``parameters`` and fills in the defaults.

    Args:
      parameters: iterable of :class:`Parameter`.
      values: the user's dict; it is not changed.
      path: how to name the dict in messages, e.g. ``base_params["encoder_params"]``, or an object with
        ``child(key)`` and ``str()``.
      report: a :class:`Report` that receives every problem and note.
      require: False where an absent compulsory parameter is no mistake, as no data set is to ``--mode=describe``.

    Returns:
      A new dict with a value for every declared parameter that is neither ignored nor replaced.
    """
    declared = {parameter.name: parameter for parameter in parameters}
    checked = {}
    for name, value in values.items():
        where = child_path(path, name)
        parameter = declared.get(name)
        if parameter is None:
            report.problem(where, "is unknown " + did_you_mean(name, declared))
            continue
        if parameter.ignored is not None:
            report.note(where, "has no effect: %s" % parameter.ignored)
            continue
        target = parameter
        if parameter.replaced_by is not None:
            if parameter.replaced_by in values:
                report.problem(where, 'and "%s" are the same parameter; keep one' % parameter.replaced_by)
                continue
            target = declared[parameter.replaced_by]
        if value is None and target.default is None:
            checked[target.name] = None
            continue
        checked[target.name] = target.kind.check(value, where, report)
    for parameter in declared.values():
        if parameter.name in checked or parameter.ignored is not None or parameter.replaced_by is not None:
            continue
        if parameter.required:
            if require:
                report.problem(child_path(path, parameter.name),
                               "is missing; expected %s%s" % (parameter.kind.description,
                                                              ": " + parameter.doc if parameter.doc else ""))
        else:
            checked[parameter.name] = _copy(parameter.default)
    return checked


def _copy(default):
    """A default list or dict is copied, so that no two runs in one process share it."""
    if isinstance(default, list):
        return [_copy(item) for item in default]
    if isinstance(default, dict):
        return {key: _copy(value) for key, value in default.items()}
    return default


def checked_part(parameters, values, key):
    """``values`` with defaults filled in; those of somebody else's function as they are.

    Raises:
      ConfigError: with every mistake in ``values``.
    """
    if parameters is None:
        return dict(values or {})
    report = Report()
    checked = check_parameters(parameters, values or {}, key, report)
    if report.problems:
        raise ConfigError("\n".join(report.problems))
    return checked
