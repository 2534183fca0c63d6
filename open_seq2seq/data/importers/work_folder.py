"""The state of an import on the disk: what is finished, so that an interrupted import continues, and temporary files.

``OUTPUT/.import/NAME-CHECKSUM/`` exists while an import runs: ``unit-N.json`` has the rows of each finished unit of work,
``tmp/`` has incomplete files. ``OUTPUT/.import/NAME-CHECKSUM.json`` describes a finished import. The checksum covers the
importer, its options and what it found in the corpus.
"""
import contextlib
import fcntl
import glob
import itertools
import json
import os
import shutil

from open_seq2seq.errors import StorageError

FOLDER = ".import"
_numbers = itertools.count()


def _read_record(path):
    try:
        with open(path, "rb") as file:
            record = json.loads(file.read().decode("utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


class WorkFolder:
    """See the module. Another process of the importer uses the same paths through an instance of its own.

    Args:
      base: the output folder.
      identity: name of the import, unique for its options and content.
    """

    def __init__(self, base, identity):
        self.parent = os.path.join(base, FOLDER)
        self._path = os.path.join(self.parent, identity)
        self._temporary = os.path.join(self._path, "tmp")
        self.record_path = self._path + ".json"

    @contextlib.contextmanager
    def locked(self, fresh=False):
        """Context in which this process alone imports into the output folder. What other interrupted imports left is removed.

        Args:
          fresh: also forget what this import has finished.

        Raises:
          StorageError: another process is importing into the folder.
        """
        os.makedirs(self.parent, exist_ok=True)
        lock = os.open(self.parent, os.O_RDONLY)
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StorageError("another process is importing into %s; wait until it has finished"
                                   % os.path.dirname(self.parent))
            for name in os.listdir(self.parent):
                path = os.path.join(self.parent, name)
                if os.path.isdir(path) and (fresh or path != self._path):
                    shutil.rmtree(path)
            shutil.rmtree(self._temporary, ignore_errors=True)
            os.makedirs(self._temporary)
            if fresh:
                with contextlib.suppress(FileNotFoundError):
                    os.remove(self.record_path)
            yield
        finally:
            os.close(lock)

    def temporary_path(self):
        """The path of a file that does not exist; the file is to be renamed."""
        return os.path.join(self._temporary, "%d-%d" % (os.getpid(), next(_numbers)))

    def write(self, path, content):
        """Atomic write of bytes to ``path``; a kill leaves the old file or the new one."""
        temporary = self.temporary_path()
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)

    def write_unit(self, number, rows):
        """Records that a unit is finished; ``rows`` is what JSON can store."""
        self.write(self._unit_path(number), json.dumps(rows).encode("ascii"))

    def read_unit(self, number):
        """What :meth:`write_unit` recorded, or None."""
        try:
            with open(self._unit_path(number), "rb") as file:
                return json.loads(file.read().decode("ascii"))
        except (OSError, ValueError):
            return None

    def forget_unit(self, number):
        with contextlib.suppress(FileNotFoundError):
            os.remove(self._unit_path(number))

    def is_started(self):
        """Whether this import was interrupted."""
        return os.path.isdir(self._path)

    def read_record(self):
        """The description of the finished import, a dict, or None."""
        return _read_record(self.record_path)

    def other_records(self):
        """The descriptions of other finished imports into the folder that name manifests."""
        paths = glob.glob(os.path.join(glob.escape(self.parent), "*.json"))
        records = [_read_record(path) for path in sorted(paths) if path != self.record_path]
        return [record for record in records if record and isinstance(record.get("manifests"), dict)]

    def finish(self, record):
        """Records the finished import; ``record`` None: removes every trace of it."""
        if record is not None:
            self.write(self.record_path, (json.dumps(record, indent=1, sort_keys=True) + "\n").encode("ascii"))
        self.clear()

    def remove_leftovers(self):
        """Removes what is left if the process was killed within :meth:`finish`."""
        if os.path.isdir(self._path):
            with self.locked():
                self.clear()

    def clear(self):
        """Removes the files of the running import."""
        shutil.rmtree(self._path, ignore_errors=True)
        with contextlib.suppress(OSError):      # records of finished imports are in it
            os.rmdir(self.parent)

    def _unit_path(self, number):
        return os.path.join(self._path, "unit-%06d.json" % number)
