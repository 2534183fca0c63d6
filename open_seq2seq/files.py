"""Reading and writing files safely: atomic replacement, JSON of any content and its checksum, paths with ``~``."""
import collections
import contextlib
import fcntl
import hashlib
import json
import os
import re
import tempfile
import time
import uuid

from open_seq2seq.errors import DataError, StorageError

# Python decodes a byte of a file name that is not valid UTF-8 as a lone surrogate, U+DC80 to U+DCFF
_SURROGATE = re.compile("[\ud800-\udfff]")
_UNLOCKED_SECONDS = 60.0  # age from which a temporary file without a lock is left over; one is locked when it has been opened


def expanded_path(path):
    """``path`` with a leading ``~`` or ``~user`` replaced by that user's home directory.

    A shell leaves the ``~`` of ``--logdir=~/run`` and of a config file alone.

    Args:
      path: str as the user wrote it.

    Returns:
      str.

    Raises:
      ValueError: the user does not exist, the path contains a NUL character, or it is not valid UTF-8; the message completes
        "PATH ...".
    """
    expanded = expanded_home(path)
    if _SURROGATE.search(expanded):
        raise ValueError("is not valid UTF-8 (%s), and TensorFlow needs UTF-8 paths; rename the file or directory, e.g. with: "
                         "convmv -f latin1 -t utf-8 --notest NAME" % printable(expanded))
    return expanded


def expanded_home(path):
    """Like :func:`expanded_path`, but accepts a path that is not valid UTF-8, for files that TensorFlow does not open."""
    if "\0" in path:
        raise ValueError("contains a NUL character, and no file name can")
    expanded = os.path.expanduser(path)
    if expanded.startswith("~"):
        raise ValueError("starts with %s, but there is no such user; write ./%s for a file of that name"
                         % (path.split("/")[0], path))
    return expanded


def printable(path):
    """``path`` with every byte that is not valid UTF-8 as ``\\xNN`` and any other lone surrogate as ``\\uNNNN``."""
    def escaped(match):
        code = ord(match.group())
        return "\\x%02x" % (code - 0xdc00) if 0xdc80 <= code <= 0xdcff else "\\u%04x" % code
    return _SURROGATE.sub(escaped, path)


def files_below(folder, on_repeated_link):
    """Paths of all files in a folder and below it, hidden ones excluded. Links to folders are followed, each folder once.

    Args:
      folder: the folder.
      on_repeated_link: function (path of a link, path as which its folder was already read).

    Raises:
      DataError: a folder cannot be read.
    """
    def fail(error):
        raise DataError("cannot read the folder %s: %s" % (printable(error.filename), error.strerror))

    visited, pending = {}, collections.deque([folder])      # links last: a folder is read at its own place
    while pending:
        start = pending.popleft()
        if os.path.realpath(start) in visited:
            on_repeated_link(start, visited[os.path.realpath(start)])
            continue
        for directory, subdirectories, names in os.walk(start, onerror=fail):
            visited[os.path.realpath(directory)] = directory
            below = [os.path.join(directory, name) for name in sorted(subdirectories) if not name.startswith(".")]
            pending.extend(path for path in below if os.path.islink(path))
            subdirectories[:] = [os.path.basename(path) for path in below
                                 if not os.path.islink(path) and os.path.realpath(path) not in visited]
            for name in names:
                if not name.startswith("."):
                    yield os.path.join(directory, name)


def parsed_json(text):
    """What a JSON text contains.

    Raises:
      ValueError: it is not JSON, is nested too deeply, has a number of too many digits, or a key occurs twice in one object.
    """
    try:
        return json.loads(text, object_pairs_hook=unique_keys)
    except RecursionError:
        raise ValueError("objects or lists are nested too deeply")


def unique_keys(pairs):
    """The ``object_pairs_hook`` of a JSON reader that refuses keys that occur twice, where Python's takes the last one.

    Raises:
      ValueError: a key occurs twice.
    """
    values = dict(pairs)
    if len(values) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError("it has the key %r twice" % next(key for key in keys if keys.count(key) > 1))
    return values


def checksum_of(values):
    """SHA-256, hexadecimal, of what JSON stores of ``values``; the order of keys and the layout of the file do not matter.

    Raises:
      ValueError: JSON cannot store them, e.g. because they are nested too deeply.
    """
    try:
        # first as a reader gets them: keys are sorted as texts there
        stored = json.loads(json.dumps(values))
        return hashlib.sha256(json.dumps(stored, sort_keys=True).encode("ascii")).hexdigest()
    except RecursionError:
        raise ValueError("objects or lists are nested too deeply")


def file_digest(path, algorithm="sha256"):
    """The digest of a file's content, hexadecimal.

    Args:
      path: file name.
      algorithm: a name of ``hashlib.new``.

    Raises:
      OSError: the file cannot be read.
    """
    digest = hashlib.new(algorithm)
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def require_writable(path):
    """Proves that ``path`` can be written, before hours of work whose result goes there.

    Raises:
      StorageError: it is a directory, or its folder is missing or not writable.
    """
    if os.path.isdir(path):
        raise StorageError("cannot write %s: it is a directory; expected the name of a file" % path)
    try:
        with tempfile.TemporaryFile(dir=os.path.dirname(path) or "."):
            pass
    except OSError as error:
        raise StorageError("cannot write %s: %s. Make the folder, fix its permissions or choose another place"
                           % (path, error.strerror))


@contextlib.contextmanager
def replaced_file(path, mode="w", **options):
    """Atomic write: opens a temporary file next to ``path`` and renames it to ``path`` when the block ends without an exception.

    The content is on the disk then, and survives a loss of power.

    Args:
      path: the file to be written.
      mode: "w" or "wb".
      options: further arguments of ``open``; text is UTF-8 unless they say otherwise.

    Raises:
      StorageError: the file cannot be written; what was there before stays, and nothing is left
        behind unless the folder no longer lets anything be deleted.
    """
    if "b" not in mode:
        options.setdefault("encoding", "utf-8")
    # processes of other machines and containers may have the same number
    temporary = "%s.%d-%s.tmp" % (path, os.getpid(), uuid.uuid4().hex[:8])
    try:
        with open(temporary, mode.replace("w", "x"), **options) as file:
            with contextlib.suppress(OSError):      # not every file system has locks
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync(os.path.dirname(path) or ".")
    except OSError as error:
        raise StorageError("cannot write %s: %s. Free some space, fix the permissions or choose another place"
                           % (path, error.strerror or error))
    finally:
        # in a directory that has just become read-only, or on a disk that is gone, it stays; the reason was reported above
        with contextlib.suppress(OSError):
            os.remove(temporary)


def remove_interrupted_writes(path):
    """Removes the temporary files of :func:`replaced_file` for ``path`` that killed processes have left behind.

    A file that is still being written is locked, and stays; so does one whose file system has no locks.
    """
    folder, name = os.path.split(path)
    pattern = re.compile(re.escape(name) + r"\.\d+-[0-9a-f]{8}\.tmp")
    with contextlib.suppress(OSError):
        for found in filter(pattern.fullmatch, os.listdir(folder or ".")):
            temporary = os.path.join(folder, found)
            with contextlib.suppress(OSError), open(temporary, "rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if time.time() - os.fstat(file.fileno()).st_mtime > _UNLOCKED_SECONDS:
                    os.remove(temporary)


def sync(path):
    """Brings a file's content, or a directory's entries (what was renamed into it or deleted from it), to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
