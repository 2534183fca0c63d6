"""What a check of a config finds, and how messages name keys and show values."""
from open_seq2seq.cli import closest
from open_seq2seq.errors import ConfigError

LONGEST_SHOWN = 300  # characters of a value in a message
MOST_PROBLEMS = 50   # lines of one ConfigError


class Report:
    """Collects the results of a check: ``problems`` make the config invalid, ``notes`` are printed and the run continues.

    A mistake that appears in two dicts, because both inherit it from ``base_params``, is listed once.
    """

    def __init__(self):
        self.problems = []
        self.notes = []
        self._seen = set()

    def problem(self, path, message):
        """Adds "PATH MESSAGE" to the problems."""
        self._add(self.problems, "%s %s" % (path, message))

    def note(self, path, message):
        """Adds "PATH MESSAGE" to the notes."""
        self._add(self.notes, "%s %s" % (path, message))

    def take(self, other):
        """Adds everything that another report has collected."""
        for lines, others in ((self.problems, other.problems), (self.notes, other.notes)):
            for line in others:
                self._add(lines, line)

    def raise_problems(self):
        """Raises ConfigError with all problems, if there are any; of very many, the first ones and their number."""
        if not self.problems:
            return
        lines = self.problems[:MOST_PROBLEMS]
        if len(self.problems) > MOST_PROBLEMS:
            lines.append("... and %d more problems" % (len(self.problems) - MOST_PROBLEMS))
        raise ConfigError("\n".join(lines))

    def _add(self, lines, line):
        # notes and problems have different texts, so one set serves both
        if line not in self._seen:
            self._seen.add(line)
            lines.append(line)


def shown(value):
    """``repr(value)`` for a message: cut where it is long, and without failing where Python cannot write it.

    ``repr`` raises ValueError for integers of more than 4300 digits and RecursionError for deeply nested values.
    """
    if isinstance(value, int) and value.bit_length() > 1000:
        return "an integer of %d bits" % value.bit_length()
    try:
        text = repr(value)
    except Exception:  # a class of the user's own may raise anything here
        return "a value of type %s that cannot be printed" % type(value).__name__
    if len(text) > LONGEST_SHOWN:
        return "%s... (%d characters)" % (text[:LONGEST_SHOWN], len(text))
    return text


def key_text(key):
    """A key as messages append it to a path: ``["name"]``, ``[3]``, or ``[(1, 2)]`` for any other object."""
    if isinstance(key, str) and key.isprintable() and len(key) <= LONGEST_SHOWN:
        return '["%s"]' % key
    return "[%s]" % shown(key)


def child_path(path, key):
    """The path of ``path[key]``: a string for a string, else the result of the path's own ``child``."""
    return path.child(key) if hasattr(path, "child") else "%s%s" % (path, key_text(key))


class NamePath:
    """The path of a dict outside a config: the dict has a name, and its keys are shown without it."""

    def __init__(self, name):
        self._name = name

    def child(self, key):
        return key

    def __str__(self):
        return self._name


def require_rules(check_rules, params, path):
    """Applies a ``check_rules`` function to params that were not checked as part of a config.

    Raises:
      ConfigError: with all problems that ``check_rules(params, path, report)`` reports.
    """
    report = Report()
    check_rules(params, path, report)
    report.raise_problems()


def did_you_mean(name, known):
    """The end of a message about an unknown ``name``: the closest of the ``known`` names, or all of them if none is close."""
    close = closest(name, known)
    if close is not None:
        return '(did you mean "%s"?)' % close
    return "(known: %s)" % ", ".join(sorted(known)) if len(known) <= 30 else "(run.py --help_params lists the known ones)"
