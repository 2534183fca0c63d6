"""What MLflow stores of a run's settings and measurements: names and values within its limits.

Limits: names of 250 characters, values of parameters of 250 (later servers: 500, 6000) and of tags of 5000; names consist of
letters, digits, ``_ - . /`` and space. A local store has a file for each name: no part of it is longer than 255 bytes and no
name is the folder of another one.
"""
import hashlib
import math
import re

LONGEST_NAME = 240       # bytes of UTF-8, so that a file of the name can exist
LONGEST_PARAMETER = 250  # characters
LONGEST_TAG = 5000
NON_FINITE = "non_finite"

_INVALID = re.compile(r"[^\w\-. /]")
# names that say which of several measurements of one kind it is
_SELECTORS = {"task_evaluation": ("task",), "subset": ("data_set",), "subset_evaluation": ("data_set",)}


def valid_name(parts):
    """The name of a parameter or metric, from the names on the way to it.

    A part that MLflow does not accept, or that is too long, gets a checksum, so that different names stay different.

    Args:
      parts: list of str.
    """
    name = "/".join(_valid_part(part) for part in parts)
    if len(name.encode("utf-8")) > LONGEST_NAME:
        checksum = hashlib.sha256(name.encode("utf-8")).hexdigest()[:8]
        name = name.encode("utf-8")[:LONGEST_NAME - 9].decode("utf-8", "ignore").rstrip("/. ") + "-" + checksum
    return name


def _valid_part(part):
    text = _INVALID.sub("_", part).replace("/", ".").strip()
    if text in ("", ".") or text.startswith(".."):
        text = "_" + text
    if text == part or text == part.replace("/", "."):
        return text
    return "%s-%s" % (text, hashlib.sha256(part.encode("utf-8", "replace")).hexdigest()[:8])


def parameter_values(values):
    """MLflow's parameters of a flattened config.

    Args:
      values: dict of path, with "/", -> None, bool, number or str.

    Returns:
      Dict of name, with ".", -> str.
    """
    # dots: a local store would make folders of slashes, and a key may be a value in one part of a run and a dict in the next
    return {valid_name([path.replace("/", ".")]): short_text(values[path], LONGEST_PARAMETER) for path in sorted(values)}


def short_text(value, longest):
    """A value as one line of at most ``longest`` characters, never empty."""
    text = value if isinstance(value, str) else repr(value)
    # tables show one line
    text = "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)
    if not text.strip():
        text = repr(text)
    if len(text) > longest:
        end = " ... (%d characters)" % len(text)
        text = text[:longest - len(end)] + end
    return text


def metric_values(kind, numbers):
    """MLflow's metrics and tags of one measurement.

    Args:
      kind, numbers: see ``Tracker.metrics``; the numbers are Python's.

    Returns:
      (dict of name -> finite float, dict of name -> str of texts, dict of name -> "nan", "inf" or "-inf").
    """
    selectors = _SELECTORS.get(kind, ())
    start = [kind] + [str(numbers[key]) for key in selectors if numbers.get(key)]
    found, texts, non_finite = {}, {}, {}
    for parts, value in _leaves({key: value for key, value in numbers.items() if key not in selectors}):
        # the layers of the kind "layers"
        name = valid_name(start + (parts[1:] if parts[0] == kind and len(parts) > 1 else parts))
        if isinstance(value, str):
            texts[name] = short_text(value, LONGEST_TAG)
            continue
        try:
            number = float(value)
        except OverflowError:
            number = math.inf if value > 0 else -math.inf
        if math.isfinite(number):
            found[name] = number
        else:
            non_finite[name] = repr(number)
    return found, texts, non_finite


def _leaves(value, parts=()):
    """(list of names, value) of every number and text inside dicts and lists; a dict of a list is named by its layer."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, parts + (str(key),))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            name = inner.get("layer") if isinstance(inner, dict) else None
            if isinstance(name, str):
                yield from _leaves({key: item for key, item in inner.items() if key != "layer"}, parts + (name,))
            else:
                yield from _leaves(inner, parts + (str(index),))
    elif value is not None:
        yield list(parts), value
