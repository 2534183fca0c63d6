"""Writes the provenance of a run into its directory: the config, every resolved param, the command line, the state of the code.

The file names ``config_DATE.py``, ``cmd-args_DATE.log`` and ``git-info_DATE.log`` are those of OpenSeq2Seq;
``resolved_config_DATE.json`` is new. The environment is not saved, because it may contain secrets.
"""
import functools
import json
import os
import platform
import shlex
import socket
import subprocess
import sys
import time

import numpy as np

import open_seq2seq
from open_seq2seq.config.overrides import typed
from open_seq2seq.config.report import shown
from open_seq2seq.errors import DataError, StorageError
from open_seq2seq.files import printable, replaced_file

CODE = os.path.dirname(os.path.dirname(os.path.abspath(open_seq2seq.__file__)))


def write_resolved_config(directory, experiment, arguments, words=None, date=None):
    """Writes four files, each atomically.

    Args:
      directory: the run's directory; created if it is missing.
      experiment: :class:`~open_seq2seq.experiment.loading.Experiment`.
      arguments: :class:`~open_seq2seq.experiment.flags.Arguments`.
      words: list of str, the command line; None: that of this process.
      date: suffix of the names, e.g. 2026-01-31_12-00-00; None: now.

    Returns:
      Path of the resolved config.

    Raises:
      StorageError: the directory cannot be created or written.
    """
    words = sys.argv if words is None else words
    date = date or time.strftime("%Y-%m-%d_%H-%M-%S")
    resolved, changes = _resolved(experiment, arguments, words, date)
    try:
        os.makedirs(directory, exist_ok=True)
    except OSError as error:
        raise StorageError("cannot create the directory %s: %s. Choose another place or fix the permissions"
                           % (directory, error.strerror))

    def path(name):
        return os.path.join(directory, name % date)

    with replaced_file(path("config_%s.py"), "wb") as file:
        file.write(experiment.source)
    with replaced_file(path("cmd-args_%s.log")) as file:
        file.write(" ".join(shlex.quote(plain(word)) for word in words) + "\n")
    with replaced_file(path("git-info_%s.log")) as file:
        file.write("commit hash: %s\n%s" % (resolved["git_commit"] or "unknown, the code is not in a git repository", changes))
    with replaced_file(path("resolved_config_%s.json")) as file:
        json.dump(resolved, file, indent=2, ensure_ascii=False)
        file.write("\n")
    return path("resolved_config_%s.json")


def resolved_config(experiment, arguments, words=None, date=None):
    """The contents of ``resolved_config_DATE.json``, a dict for JSON; for the arguments see :func:`write_resolved_config`."""
    return _resolved(experiment, arguments, sys.argv if words is None else words,
                     date or time.strftime("%Y-%m-%d_%H-%M-%S"))[0]


def _resolved(experiment, arguments, words, date):
    """(the resolved config, the code's uncommitted changes)."""
    # imported here, because run.py imports this module before it knows whether it needs TensorFlow, which takes seconds
    import tensorflow.compat.v1 as tf
    commit, changes = code_state()
    return {
        "config_file": plain(experiment.path),
        "sha256": experiment.sha256,
        "base_model": plain(experiment.base_model),
        "params": {mode: plain(params) for mode, params in sorted(experiment.params.items())},
        "vocabulary": _characters(experiment),
        "overrides": plain([typed(override) for override in experiment.overrides]),
        "arguments": plain(arguments._asdict()),
        "command_line": plain(words),
        "version": open_seq2seq.__version__,
        "git_commit": commit,
        "git_uncommitted_changes": bool(changes) if commit is not None else None,
        "tensorflow": tf.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "host": socket.gethostname(),
        "date": date,
    }, changes


def _characters(experiment):
    """The vocabulary as a list of characters, because the run's folder may be moved without the file; None if it is missing."""
    from open_seq2seq.models.task_params import config_of_task
    from open_seq2seq.text.vocabulary import Vocabulary
    for params in experiment.params.values():
        try:
            # with tasks, that of the main one
            return list(Vocabulary.from_file(config_of_task(params)["data_layer_params"]["vocab_file"]).characters)
        except (KeyError, TypeError, DataError):
            continue
    return None


def plain(value):
    """``value`` in types that JSON has: classes and functions become their dotted names, data types their names."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        # an argument that is not UTF-8 has surrogates, which cannot be written
        return printable(value)
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, (int, float)):
        # JSON has no infinity and no NaN, and Python does not write integers of thousands of digits
        return value if abs(value) <= sys.float_info.max else shown(value)
    if type(value).__name__ == "DType":
        return value.name
    if callable(value) and hasattr(value, "__qualname__"):
        return "%s.%s" % (value.__module__, value.__qualname__)
    return shown(value)


def flattened(value, path=""):
    """Pairs of path and value of a result of :func:`plain`, e.g. ("encoder_params/convnet_layers/3/repeat", 5)."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if items is None:
        return [(path, value)]
    return [pair for key, item in items for pair in flattened(item, "%s/%s" % (path, key) if path else str(key))]


def code_state():
    """(commit of the code, None outside a repository; its uncommitted changes as a diff), both when this is called first."""
    # the process has loaded its code: later changes do not concern it
    return _state_of_code(CODE)


@functools.lru_cache(maxsize=1)
def _state_of_code(folder):
    commit = _git(folder, "rev-parse", "HEAD")
    top = (_git(folder, "rev-parse", "--show-toplevel") or "").strip()
    if commit is None or os.path.realpath(top) != os.path.realpath(folder):
        return None, ""
    return commit.strip(), _git(folder, "diff", "HEAD") or ""


def _git(folder, *words):
    try:
        return subprocess.run(("git", "-C", folder) + words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True,
                              timeout=20).stdout.decode("utf-8", "replace")
    except (OSError, subprocess.SubprocessError):
        return None
