"""Prints what the shell scripts need to know of a config, without executing it (which would import TensorFlow).

    python3 scripts/inspect_config.py FILE

prints these lines, each only if it applies:
    logdir=PATH       the value of the key "logdir" where the file has one and it is a plain string
    logdir_computed   "logdir" has another value, or several
    no_eval_params    nothing in the file defines eval_params

A file that is not valid Python prints nothing; run.py reports its errors.
"""
import ast
import sys


def values_of(tree, key):
    """Nodes of the values that ``key`` gets: in a dict, as a keyword argument, or by ``params["key"] = value``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            yield from (value for name, value in zip(node.keys, node.values) if text_of(name) == key)
        elif isinstance(node, ast.keyword) and node.arg == key:
            yield node.value
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                # before Python 3.9 an index is wrapped
                if isinstance(target, ast.Subscript) and text_of(getattr(target.slice, "value", target.slice)) == key:
                    yield node.value


def text_of(node):
    """The value of a node that is a string literal; None for any other."""
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError, RecursionError, MemoryError):
        return None
    return value if isinstance(value, str) else None


def may_define(tree, name):
    """Whether the file may define the global variable ``name``: False only if nothing in it has this name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id == name or text_of(node) == name:
            return True
        if isinstance(node, ast.alias) and (node.asname or node.name) in (name, "*"):
            return True
    return False


def inspect_config(source):
    """The lines to print for a config whose contents are ``source``, bytes."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    lines, logdirs = [], {text_of(value) for value in values_of(tree, "logdir")}
    if len(logdirs) == 1 and None not in logdirs and "\n" not in min(logdirs):
        lines.append("logdir=" + min(logdirs))
    elif logdirs:
        lines.append("logdir_computed")
    if not may_define(tree, "eval_params"):
        lines.append("no_eval_params")
    return lines


if __name__ == "__main__":
    if sys.argv[1:] in ([], ["--help"], ["-h"]) or len(sys.argv) != 2:
        print(__doc__.strip())
        sys.exit(0 if sys.argv[1:] in (["--help"], ["-h"]) else 2)
    try:
        with open(sys.argv[1], "rb") as file:
            contents = file.read()
    except OSError as error:
        sys.exit("inspect_config.py: %s: %s" % (sys.argv[1], error.strerror))
    print("\n".join(inspect_config(contents)))
