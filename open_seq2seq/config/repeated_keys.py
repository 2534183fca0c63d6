"""Keys that a dict of a config has twice. Python keeps the last one and says nothing, so they are found in the source."""
import ast
import collections

RepeatedKey = collections.namedtuple("RepeatedKey", "key line earlier_line owner")
RepeatedKey.__doc__ = """key: str. line, earlier_line: where it is written, from 1. owner: the key or name whose value is the
dict, "" where it has none."""


def repeated_keys(source):
    """The keys that are repeated in one of the dict displays of a Python file.

    Args:
      source: str or bytes that Python can compile.

    Returns:
      List of RepeatedKey, in the order of the file.
    """
    tree, owners, found = ast.parse(source), {}, []
    for node in ast.walk(tree):
        for owner, value in _owned(node):
            owners[value] = owner
    for node in ast.walk(tree):
        if not isinstance(node, ast.Dict):
            continue
        lines = {}
        for key in node.keys:
            text = _text(key)
            if text is None:
                continue
            if text in lines:
                found.append(RepeatedKey(text, key.lineno, lines[text], owners.get(node, "")))
            lines[text] = key.lineno
    return sorted(found, key=lambda repeated: repeated.line)


def _owned(node):
    """Pairs of the key or name and the value, where a node gives names to values."""
    if isinstance(node, ast.Dict):
        return [(_text(key) or "", value) for key, value in zip(node.keys, node.values)]
    if isinstance(node, ast.Assign):
        return [(_named(target), node.value) for target in node.targets]
    return [(node.arg or "", node.value)] if isinstance(node, ast.keyword) else []


def _named(target):
    if isinstance(target, ast.Subscript):
        # Python 3.8 and older have an Index around it
        return _text(getattr(target.slice, "value", None) if type(target.slice).__name__ == "Index" else target.slice) or ""
    return target.id if isinstance(target, ast.Name) else ""


def _text(node):
    """The string that a node is; None for anything else."""
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None
    return value if isinstance(value, str) else None
