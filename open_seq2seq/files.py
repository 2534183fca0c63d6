"""Files that appear whole or not at all."""
import contextlib
import os

from open_seq2seq.errors import StorageError


@contextlib.contextmanager
def replaced_file(path, mode="w", **options):
    """Opens a temporary neighbour of ``path`` and renames it to ``path`` when the block ends without an exception.

    Args:
      path: the file to be written.
      mode: "w" or "wb".
      options: further arguments of ``open``; text is UTF-8 unless they say otherwise.

    Raises:
      StorageError: the file cannot be written; nothing is left behind and what was there before stays.
    """
    if "b" not in mode:
        options.setdefault("encoding", "utf-8")
    temporary = "%s.%d.tmp" % (path, os.getpid())
    try:
        with open(temporary, mode, **options) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise StorageError("cannot write %s: %s. Free some space, mend the permissions or choose another place"
                           % (path, error.strerror or error))
    finally:
        if os.path.exists(temporary):
            os.remove(temporary)
