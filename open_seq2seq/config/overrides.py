"""``--key=value`` on the command line: any key of a config, at any depth, without editing the file.

    --batch_size_per_gpu=16                                 a number, True/False, None
    --logdir=runs/first                                     a plain word is a string
    --data_layer_params/dataset_files="['a.csv', 'b.csv']"  lists and dicts as Python literals
    --encoder_params/convnet_layers/3/num_channels=256      an index leads into a list
    --train_params/data_layer_params/max_duration=10        only where train_params apply

Values are parsed by ``ast.literal_eval`` and never evaluated; what is no literal is a string. The last
word wins, over the config and over earlier flags.
"""
import ast
import collections

from open_seq2seq.config.parameters import NoLiteral, child_path
from open_seq2seq.config.provenance import COMMAND_LINE, copied
from open_seq2seq.errors import UsageError


class Override(collections.namedtuple("Override", "keys value text flag")):
    """One ``--key=value``.

    keys: tuple of strings and list indices. value: what the text means. text: as typed, None for a key alone, which says True.
    flag: where a flag of another name set the key, that name with its dashes, see ``playbook.py``; else None.
    """

    __slots__ = ()

    def __new__(cls, keys, value, text, flag=None):
        return super().__new__(cls, keys, value, text, flag)


SECTIONS = ("base_params", "train_params", "eval_params", "infer_params", "test_params")


def parse_value(text):
    """The value that ``text`` stands for.

    Returns:
      What the Python literal ``text`` says; True or False for ``true`` and ``false``; any other text as a string, a
      :class:`NoLiteral` if it begins like a list, tuple, dict or quoted string: only who knows the key can tell
      ``(a|b).*``, a regular expression, from ``[a.csv]``, a list without quotes.
    """
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        pass
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    if text[:1] in ("[", "(", "{", "'", '"'):
        return NoLiteral(text)
    return text


def parse_overrides(tokens):
    """The overrides among the command line's words.

    Args:
      tokens: list of words: ``--key=value``, ``--key value``, or ``--key`` alone, which says True.

    Returns:
      List of :class:`Override` in the order typed.

    Raises:
      UsageError: a word that belongs to no key, or an empty key.
    """
    overrides, position = [], 0
    while position < len(tokens):
        token = tokens[position]
        position += 1
        if not token.startswith("--") or token == "--":
            raise UsageError("%r belongs to no flag; write --key=value" % token)
        name, equals, text = token[2:].partition("=")
        if not equals:
            if position < len(tokens) and not tokens[position].startswith("--"):
                text = tokens[position]
                position += 1
            else:
                text = None
        steps = name.split("/")
        if not all(steps):
            raise UsageError("%s has an empty key; write --key=value or --key/nested/key=value" % token)
        value = True if text is None else parse_value(text)
        overrides.append(Override(tuple(int(step) if step.isdigit() else step for step in steps), value, text))
    return overrides


def typed(override):
    """The override as one word of a command line."""
    name = override.flag or "--%s" % "/".join(map(str, override.keys))
    return name + ("" if override.text is None else "=%s" % override.text)


def section_of(override):
    """The dict that an override names first, and the keys inside it; None and all keys where it names none."""
    if override.keys[0] in SECTIONS and len(override.keys) > 1:
        return override.keys[0], override.keys[1:]
    return None, override.keys


def apply_override(params, keys, override, path, report):
    """Sets one value in ``params`` in place.

    A value for what is a string in the config stays the string typed: ``--logdir=2020`` names a directory.

    Args:
      params: the merged dict of a mode.
      keys: where in it, without the name of the section.
      override: the :class:`Override`.
      path: :class:`KeyPath` of ``params``.
      report: receives a problem where the keys lead into a value that has no keys, or past a list's end.
    """
    container, where = params, path
    source = override.flag or ("--" if len(keys) == len(override.keys) else "--%s/" % override.keys[0])
    said = "%s: %s" % (COMMAND_LINE, override.flag or "--" + "/".join(str(step) for step in override.keys))
    for depth, key in enumerate(keys):
        if isinstance(container, list):
            if not isinstance(key, int) or key >= len(container):
                report.problem(said, "leads to item %s of a list of %d; items count from 0" % (key, len(container)))
                return
        elif isinstance(container, dict):
            key = str(key)
            container.setdefault(key, None)
        else:
            report.problem(said, "leads into %r, which is neither a dict nor a list" % (container,))
            return
        where = child_path(where, key)
        old = container[key]
        if depth == len(keys) - 1:
            # a key alone is no name for a directory: True is refused later
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
    """What was typed, without the quotes of a quoted string."""
    return override.value if isinstance(override.value, str) else override.text


def prefer_typed_length(params, overrides, path, report):
    """``--max_steps=100`` takes the place of the config's ``num_epochs``, and the other way round."""
    said = {section_of(override)[1]: override for override in overrides}
    for key, other in (("max_steps", "num_epochs"), ("num_epochs", "max_steps")):
        length = said.get((key,))
        if length is not None and length.value is not None and (other,) not in said and params.get(other) is not None:
            report.note(path.child(other), "has no effect: the command line says %s" % typed(length))
            params[other] = None
