"""The one place where a parameter is declared: name, kind, default, range, one line of documentation.

Every class that takes params has a class attribute ``PARAMETERS``, a tuple of :class:`Parameter`. The defaults, the check of a
user's config, ``--help`` and the reference page in docs/ are derived from it. As in google/lingvo's hyperparams, the message
about an unknown name says "did you mean".

    PARAMETERS = (
        Parameter("num_channels", Int(minimum=1), doc="output channels of the block"),
        Parameter("dropout_keep_prob", Float(minimum=0.0, maximum=1.0), default=1.0, doc="..."),
    )
    checked = check_parameters(PARAMETERS, user_dict, "base_params[\"encoder_params\"]", report)

``check_parameters`` never raises: it adds every mistake to ``report``, so that a user sees all of them at once.
"""
import inspect

from open_seq2seq.config.kinds import (
    Any,
    Bool,
    Callable,
    Choice,
    Dict,
    DictOf,
    Either,
    FilePath,
    Float,
    Int,
    Kind,
    List,
    NoLiteral,
    RegularExpression,
    String,
)
from open_seq2seq.config.report import NamePath, Report, child_path, did_you_mean, key_text, require_rules, shown

__all__ = ["REQUIRED", "Any", "Bool", "Callable", "Choice", "Dict", "DictOf", "Either", "FilePath", "Float", "Int", "Kind",
           "List", "NamePath", "NoLiteral", "Parameter", "RegularExpression", "Report", "String", "Struct", "check_parameters",
           "checked_part", "child_path", "declares", "did_you_mean", "key_text", "parameters_from_signature", "require_rules",
           "shown"]


class _Required:
    def __repr__(self):
        return "REQUIRED"


REQUIRED = _Required()
MOST_SUGGESTIONS = 20  # for unknown keys of one dict; finding one takes longer than all other checks


class Parameter:
    """One declared parameter.

    Args:
      name: the key in the params dict.
      kind: a :class:`Kind`.
      default: value when the key is absent; ``REQUIRED`` (the default) makes the key compulsory. A parameter whose
        default is None also accepts None.
      doc: one line for ``--help`` and docs/.
      ignored: if given, the key is accepted for compatibility, has no effect, and this reason is reported.
      replaced_by: if given, the key is an older spelling of that parameter, which receives its value.
    """

    def __init__(self, name, kind, default=REQUIRED, doc="", ignored=None, replaced_by=None):
        self.name, self.kind, self.default, self.doc = name, kind, default, doc
        self.ignored, self.replaced_by = ignored, replaced_by

    @property
    def required(self):
        """Whether a config must have the key."""
        return self.default is REQUIRED and self.ignored is None and self.replaced_by is None

    def __repr__(self):
        return "Parameter(%r, %s, default=%r)" % (self.name, self.kind.description, self.default)


class Struct(Kind):
    """A dict with declared keys of its own."""

    description = "a dict"
    own_types = (dict,)

    def __init__(self, parameters):
        self.parameters = tuple(parameters)

    def check(self, value, path, report):
        if not isinstance(value, dict):
            return self._expected(value, path, report)
        return check_parameters(self.parameters, value, path, report)


def check_parameters(parameters, values, path, report, require=True):
    """Checks ``values`` against declared ``parameters`` and fills in the defaults.

    Args:
      parameters: iterable of :class:`Parameter`.
      values: the user's dict; it is not changed.
      path: how to name the dict in messages, e.g. ``base_params["encoder_params"]``, or an object with
        ``child(key)`` and ``str()``.
      report: a :class:`Report` that receives every problem and note.
      require: False where an absent compulsory parameter is allowed, e.g. a data set in ``--mode=describe``.

    Returns:
      A new dict with a value for every declared parameter that is neither ignored nor replaced.
    """
    declared = {parameter.name: parameter for parameter in parameters}
    checked, unknown = {}, 0
    for name, value in values.items():
        where = child_path(path, name)
        parameter = declared.get(name)
        if parameter is None:
            unknown += 1
            report.problem(where, "is unknown " + did_you_mean(name, declared) if unknown <= MOST_SUGGESTIONS else "is unknown")
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
    """A copy of a default list or dict, so that two runs in one process do not share it."""
    if isinstance(default, list):
        return [_copy(item) for item in default]
    if isinstance(default, dict):
        return {key: _copy(value) for key, value in default.items()}
    return default


def checked_part(parameters, values, key):
    """Checks the params of one part by themselves.

    Args:
      parameters: tuple of :class:`Parameter`; None for a custom function of which nothing is known.
      values: dict, or None for an empty one.
      key: the name of the dict in messages.

    Returns:
      ``values`` with defaults filled in; unchanged without ``parameters``.

    Raises:
      ConfigError: with every mistake in ``values``.
    """
    if parameters is None:
        return dict(values or {})
    report = Report()
    checked = check_parameters(parameters, values or {}, key, report)
    report.raise_problems()
    return checked


def declares(*parameters):
    """Decorator that gives a function its ``PARAMETERS``."""
    def decorate(function):
        function.PARAMETERS = parameters
        return function
    return decorate


def parameters_from_signature(function, supplied):
    """Declares the keyword arguments of a custom function as parameters of any kind.

    Args:
      function: a function or a class.
      supplied: names of the arguments that the trainer passes itself.

    Returns:
      A tuple of :class:`Parameter`, or None if ``function`` takes ``**kwargs`` or cannot be inspected.
    """
    try:
        arguments = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(argument.kind is argument.VAR_KEYWORD for argument in arguments):
        return None
    return tuple(
        Parameter(argument.name, Any(), default=REQUIRED if argument.default is argument.empty else argument.default,
                  doc="argument of %s" % getattr(function, "__name__", function))
        for argument in arguments
        if argument.name not in supplied and argument.kind is not argument.VAR_POSITIONAL)
