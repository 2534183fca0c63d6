"""Checks of ``--corpus``: what is often given instead of the right path is named."""
import glob
import os

from open_seq2seq.data.importers.output import SHOWN
from open_seq2seq.errors import DataError


def require_files(paths, endings):
    """Raises DataError if a path is not that of a file; of a folder it names the files in it that may be meant.

    Args:
      paths: list of str, the value of ``--corpus``.
      endings: tuple of str, how the names of such files end.
    """
    for path in paths:
        if os.path.isdir(path):
            names = sorted(name for name in os.listdir(path) if name.lower().endswith(endings))
            raise DataError("--corpus %s: is a folder; expected files%s" % (path, "; in it are %s" % shown(
                os.path.join(path, name) for name in names) if names else " that end in " + " or ".join(endings)))
        if not os.path.exists(path):
            raise DataError("--corpus %s: the file does not exist" % path)


def require_folder_with(folder, name, kind):
    """Raises DataError if a folder does not contain the file ``name``; folders in it that do are named.

    Args:
      folder: str, the value of ``--corpus``.
      name: str.
      kind: what is expected, for the message.
    """
    if not os.path.isdir(folder):
        raise DataError("--corpus %s: %s; expected %s" % (
            folder, "is a file" if os.path.exists(folder) else "the folder does not exist", kind))
    if not os.path.exists(os.path.join(folder, name)):
        inner = sorted(os.path.dirname(path) for path in glob.glob(os.path.join(glob.escape(folder), "*", name)))
        raise DataError("--corpus %s: contains no %s; expected %s%s" % (
            folder, name, kind, ". In it are %s" % shown(inner) if inner else ""))


def shown(paths):
    """The first of many paths, for a message."""
    paths = list(paths)
    return ", ".join(paths[:SHOWN]) + (", ..." if len(paths) > SHOWN else "")
