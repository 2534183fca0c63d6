"""``--key=value`` on the command line: any key of a config, at any depth, without editing the file.

    --batch_size_per_gpu=16                                 a number, True/False, None
    --logdir=runs/first                                     a plain word is a string
    --data_layer_params/dataset_files="['a.csv', 'b.csv']"  lists and dicts as Python literals
    --encoder_params/convnet_layers/3/num_channels=256      an index selects an item of a list
    --train_params/data_layer_params/max_duration=10        only where train_params apply

Values are parsed by ``ast.literal_eval`` and never evaluated; text that is not a literal is a string. The last value of a key
takes precedence, over the config and over earlier flags.
"""
import ast
import collections
import re

from open_seq2seq.config.kinds import NoLiteral
from open_seq2seq.config.provenance import COMMAND_LINE, DEEPEST, copied
from open_seq2seq.config.report import child_path, shown
from open_seq2seq.errors import UsageError


class Override(collections.namedtuple("Override", "keys value text flag")):
    """One ``--key=value``.

    keys: tuple of strings and list indices. value: the parsed value. text: as typed, None for a key alone, which means True.
    flag: the name, with its dashes, of a flag that sets the key under another name, see ``playbook.py``; else None.
    """

    __slots__ = ()

    def __new__(cls, keys, value, text, flag=None):
        return super().__new__(cls, keys, value, text, flag)


SECTIONS = ("base_params", "train_params", "eval_params", "infer_params", "test_params")
MOST_KEYS = 20  # in one override; the parameters that the project declares need 6


def parse_value(text):
    """Parses the value of an override.

    Args:
      text: str as typed.

    Returns:
      The value of the Python literal ``text``; True or False for ``true`` and ``false``; any other text as a string, a
      :class:`NoLiteral` if it begins like a list, tuple, dict or quoted string: only the check of the key can distinguish
      ``(a|b).*``, a regular expression, from ``[a.csv]``, a list without quotes.
    """
    # Python's parser prints to stderr where brackets are nested too deeply for it
    if sum(map(text.count, "[({")) <= DEEPEST or _depth(text) <= DEEPEST:
        try:
            return ast.literal_eval(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
            pass
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    if text[:1] in ("[", "(", "{", "'", '"'):
        return NoLiteral(text)
    return text


def _depth(text):
    """How deeply the brackets of ``text`` are nested, at most; those in quoted strings are counted, too."""
    depth = deepest = 0
    for character in text:
        if character in "[({":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "])}":
            depth -= 1
    return deepest


def parse_overrides(tokens):
    """The overrides among the arguments of a command line.

    Args:
      tokens: list of arguments: ``--key=value``, ``--key value``, or ``--key`` alone, which means True.

    Returns:
      List of :class:`Override` in the order typed.

    Raises:
      UsageError: an argument that belongs to no key, an empty key, or more than ``MOST_KEYS`` keys in one argument.
    """
    overrides, position = [], 0
    while position < len(tokens):
        token = tokens[position]
        position += 1
        if not token.startswith("--") or token == "--":
            raise UsageError("%s belongs to no flag; write --key=value" % shown(token))
        name, equals, text = token[2:].partition("=")
        if not equals:
            if position < len(tokens) and not tokens[position].startswith("--"):
                text = tokens[position]
                position += 1
            else:
                text = None
        steps = name.split("/")
        if not all(steps):
            raise UsageError("%s has an empty key; write --key=value or --key/nested/key=value" % token[:200])
        if len(steps) > MOST_KEYS:
            raise UsageError("--%s... has %d keys inside each other, expected at most %d" % (name[:100], len(steps), MOST_KEYS))
        value = True if text is None else parse_value(text)
        # ASCII digits only: "\u00b2" is a digit to Python but not a number
        keys = tuple(int(step) if re.match("[0-9]{1,9}$", step) else step for step in steps)
        overrides.append(Override(keys, value, text))
    return overrides


def typed(override):
    """The override as one argument of a command line."""
    name = override.flag or "--%s" % "/".join(map(str, override.keys))
    return name + ("" if override.text is None else "=%s" % override.text)


def section_of(override):
    """The dict that an override names first, and the keys inside it; None and all keys if it names none."""
    if override.keys[0] in SECTIONS and len(override.keys) > 1:
        return override.keys[0], override.keys[1:]
    return None, override.keys


def apply_override(params, keys, override, path, report):
    """Sets one value in ``params`` in place.

    A value for a key that is a string in the config stays the string typed: ``--logdir=2020`` names a directory.

    Args:
      params: the merged dict of a mode.
      keys: the keys that lead to the value in it, without the name of the section.
      override: the :class:`Override`.
      path: :class:`KeyPath` of ``params``.
      report: receives a problem where the keys lead into a value that has no keys, or past a list's end.
    """
    container, where = params, path
    source = override.flag or ("--" if len(keys) == len(override.keys) else "--%s/" % override.keys[0])
    place = "%s: %s" % (COMMAND_LINE, override.flag or "--" + "/".join(str(step) for step in override.keys))
    for depth, key in enumerate(keys):
        if isinstance(container, list):
            if not isinstance(key, int) or key >= len(container):
                report.problem(place, "leads to item %s of a list of %d; items count from 0" % (key, len(container)))
                return
        elif isinstance(container, dict):
            key = str(key)
            container.setdefault(key, None)
        else:
            report.problem(place, "leads into %s, which is neither a dict nor a list" % shown(container))
            return
        where = child_path(where, key)
        old = container[key]
        if depth == len(keys) - 1:
            # a key without a value is not the name of a directory: the check refuses True
            as_typed = isinstance(old, str) and override.value is not None and override.text is not None
            container[key] = _unquoted(override) if as_typed else copied(override.value)
            where.sources.record(where.keys, source)
        else:
            if old is None:
                container[key] = {}
                where.sources.record(where.keys, source)
            elif isinstance(old, tuple):
                container[key] = list(old)
            container = container[key]


def _unquoted(override):
    """The text typed, without the quotes of a quoted string."""
    return override.value if isinstance(override.value, str) else override.text


def prefer_typed_length(params, overrides, path, report):
    """``--max_steps=100`` replaces the config's ``num_epochs``, and ``--num_epochs`` its ``max_steps``.

    Args:
      params: the merged dict of a mode; changed in place.
      overrides: list of :class:`Override`.
      path: :class:`KeyPath` of ``params``.
      report: receives a note about the key that has no effect.
    """
    given = {section_of(override)[1]: override for override in overrides}
    for key, other in (("max_steps", "num_epochs"), ("num_epochs", "max_steps")):
        length = given.get((key,))
        if length is not None and length.value is not None and (other,) not in given and params.get(other) is not None:
            report.note(path.child(other), "has no effect: the command line says %s" % typed(length))
            params[other] = None
