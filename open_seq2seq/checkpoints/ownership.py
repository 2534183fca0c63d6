"""A training owns the directories that it writes to, so that no second one writes there at the same time.

The owner's file, ``run_owner.json``, appears atomically (``link``; on file systems without hard links, exclusive creation), which
also holds on network file systems. Whether the owner of a file that is found there is still running, is decided by

1. its process number and start time, if it runs on this machine: exact, and immediate after a kill;
2. ``flock``, where it works: whoever holds the lock is running, e.g. in another container;
3. its heartbeat: a running owner touches the file every 10 s. A file that nobody touched for 60 s, by the file system's own
   clock, has no running owner.
"""
import collections
import contextlib
import fcntl
import json
import os
import socket
import threading
import time
import uuid

from open_seq2seq.errors import StorageError, UsageError
from open_seq2seq.files import parsed_json
from open_seq2seq.log_lines import log_line

OWNER_FILE = "run_owner.json"
HEARTBEAT_SECONDS, SILENT_SECONDS = 10.0, 60.0
_POLL_SECONDS = 0.2
# another process that takes over at the same time needs milliseconds
_TAKEOVER_SECONDS = 5.0
_LARGEST_FILE = 1 << 16

Owner = collections.namedtuple("Owner", "host process started boot pid_namespace process_start token")
Owner.__doc__ = """The process that owns a directory.

host: its machine's name. process: its number. started: local time at which it took the directory. boot: identifies the machine
since its last start. pid_namespace: in which process numbers are unique. process_start: clock ticks between the machine's
start and the process's. The last three are None where the operating system does not provide them. token: unique.
"""


class DirectoryInUse(UsageError):
    """The directory belongs to another training that is running (exit status 2)."""


def this_process():
    """The :class:`Owner` that this process is, with a new token."""
    return Owner(socket.gethostname(), os.getpid(), time.strftime("%Y-%m-%d %H:%M:%S"),
                 _first_line("/proc/sys/kernel/random/boot_id"), _pid_namespace(), process_start(os.getpid()), uuid.uuid4().hex)


def process_start(process):
    """When a process of this machine started, in clock ticks since the machine's start.

    Args:
      process: its number.

    Returns:
      int; None if the process does not exist or is a zombie, or the operating system does not say.
    """
    line = _first_line("/proc/%d/stat" % process)
    if line is None:
        return None
    # the command's name is in parentheses and may contain anything
    fields = line.rpartition(")")[2].split()
    return None if fields[0] in ("Z", "X") else int(fields[19])


def _first_line(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.readline().strip()
    except OSError:
        return None


def _pid_namespace():
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return None


def read_owner(path):
    """The :class:`Owner` that a file names; None where the content is not one, e.g. while the file is being written.

    Raises:
      OSError: the file is missing.
    """
    try:
        with open(path, "rb") as file:
            return _parsed(file.read(_LARGEST_FILE))
    except PermissionError:
        return None


def _parsed(content):
    try:
        owner = Owner(**parsed_json(content.decode("utf-8")))
    except (ValueError, TypeError):
        return None
    kinds = {"process": int, "process_start": (int, type(None)), "boot": (str, type(None)), "pid_namespace": (str, type(None))}
    valid = all(isinstance(value, kinds.get(name, str)) for name, value in owner._asdict().items())
    return owner if valid else None


class DirectoryClaim:
    """Ownership of one directory, from :meth:`claim` to :meth:`release`.

    Args:
      directory: path of a directory that exists.
      key: what the config calls it, for messages: "logdir", "save_checkpoint_dir", ...
      silent_seconds: an owner on another machine that gives no heartbeat for that long is not running.
    """

    def __init__(self, directory, key="logdir", silent_seconds=SILENT_SECONDS):
        self._directory, self._key, self._silent_seconds = directory, key, silent_seconds
        self._path, self._descriptor = os.path.join(directory, OWNER_FILE), None
        self._owner = this_process()

    def claim(self):
        """Makes this process the owner.

        A directory whose owner is not running any more is taken over, with a line in the log. That takes up to
        ``silent_seconds`` if the owner was on another machine.

        Raises:
          DirectoryInUse: another process owns it and is running.
          StorageError: the owner's file cannot be written.
        """
        draft = "%s.%s" % (self._path, self._owner.token)
        try:
            try:
                self._write(draft, os.O_CREAT | os.O_EXCL)
                dead = None
                while not self._appears(draft):
                    dead = self._remove_dead(draft) or dead
            finally:
                with contextlib.suppress(OSError):
                    os.remove(draft)
        except OSError as error:
            raise StorageError("cannot write %s: %s. Free some space, fix the permissions or choose another --%s"
                               % (self._path, error.strerror or error, self._key))
        self._remove_old_drafts()
        if dead is not None:
            log_line('%s "%s" is taken over from a training that is not running any more (%s)' % (
                self._key, self._directory, _described(dead)))

    def confirm(self):
        """Raises DirectoryInUse if another process has become the owner, because this one gave no heartbeat for long."""
        try:
            owner = read_owner(self._path)
        except OSError:
            return
        if owner is not None and owner.token != self._owner.token:
            raise DirectoryInUse('%s "%s" was taken over by another training (%s) while this one was suspended; this one stops '
                                 "and saves nothing more" % (self._key, self._directory, _described(owner)))

    def beat(self):
        """Sends a heartbeat: touches the owner's file, and writes it again if it has been deleted."""
        try:
            owner = read_owner(self._path)
            if owner is None or owner.token == self._owner.token:
                # without an explicit time: it is the file system's clock that counts
                os.utime(self._path)
        except FileNotFoundError:
            with contextlib.suppress(OSError):
                self._write(self._path, os.O_CREAT | os.O_EXCL)
        except OSError:
            pass  # a network file system that does not answer may answer the next time

    def release(self):
        """Gives the directory back; removes the owner's file if it is still this process's."""
        with contextlib.suppress(OSError):
            owner = read_owner(self._path)
            if owner is not None and owner.token == self._owner.token:
                os.remove(self._path)
        self._close()

    def _write(self, path, flags):
        """Writes the owner's file and keeps it open with a lock, which ends with the process."""
        self._close()
        self._descriptor = os.open(path, os.O_RDWR | flags, 0o666)
        os.write(self._descriptor, (json.dumps(self._owner._asdict(), indent=1, sort_keys=True) + "\n").encode("utf-8"))
        with contextlib.suppress(OSError):
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _close(self):
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _appears(self, draft):
        """Whether the owner's file could be put in its place, because there was none."""
        try:
            os.link(draft, self._path)
            return True
        except FileExistsError:
            # a network file system may report its own success, repeated, as a failure
            with contextlib.suppress(FileNotFoundError):
                owner = read_owner(self._path)
                return owner is not None and owner.token == self._owner.token
            return False
        except OSError:
            # a file system without hard links
            try:
                self._write(self._path, os.O_CREAT | os.O_EXCL)
                return True
            except FileExistsError:
                return False

    def _remove_dead(self, draft):
        """Removes the file of an owner that is not running.

        Returns:
          The ``Owner``; None if the file has changed or vanished meanwhile.

        Raises:
          DirectoryInUse: it is running.
        """
        with contextlib.ExitStack() as stack:
            try:
                file = stack.enter_context(open(self._path, "rb"))
                owner = _parsed(file.read(_LARGEST_FILE))
            except FileNotFoundError:
                return None
            except PermissionError:
                file, owner = None, None
            # the second check is under the lock of this very file, which only one process has
            if not self._is_dead(owner, file, draft) or file is not None and not self._is_same(file):
                return None
            removed = "%s.%s.dead" % (self._path, self._owner.token)
            try:
                os.rename(self._path, removed)
            except FileNotFoundError:
                return None
            if read_owner(removed) != owner:
                # without locks: another process took over a moment ago, and it is running
                self._put_back(removed)
                return None
            os.remove(removed)
            return owner or Owner("unknown", 0, "unknown", None, None, None, "")

    def _put_back(self, removed):
        try:
            os.link(removed, self._path)
        except FileExistsError:
            pass  # a third process was faster; the owner of this file finds that out before it saves
        except OSError:
            # a file system without hard links
            os.rename(removed, self._path)
            return
        os.remove(removed)

    def _is_dead(self, owner, file, draft):
        """Waits until it is known: True, False if the file has changed meanwhile; DirectoryInUse if the owner is running."""
        here = owner is not None and owner.boot is not None and owner.process_start is not None and (
            (owner.boot, owner.pid_namespace) == (self._owner.boot, self._owner.pid_namespace))
        if here and process_start(owner.process) == owner.process_start:
            raise self._in_use_error(owner, None)
        locked, began = self._is_locked(file), time.monotonic()
        while here and locked and time.monotonic() - began < _TAKEOVER_SECONDS:
            # another process is taking over
            time.sleep(_POLL_SECONDS)
            if not self._is_same(file):
                return False
            locked = self._is_locked(file)
        if here:
            return True
        if locked:
            raise self._in_use_error(owner, self._age(draft))
        return self._is_silent(owner, draft)

    @staticmethod
    def _is_locked(file):
        if file is None:
            return False
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            pass  # a file system without locks
        return False

    def _is_same(self, file):
        try:
            return os.path.samestat(os.fstat(file.fileno()), os.stat(self._path))
        except FileNotFoundError:
            return False

    def _is_silent(self, owner, draft):
        """Watches the heartbeat; returns as :meth:`_is_dead`."""
        try:
            before, reported = os.stat(self._path), False
            while self._age(draft) < self._silent_seconds:
                if not reported:
                    log_line('%s "%s": waiting up to %.0f s for a heartbeat of the training that owns it (%s)' % (
                        self._key, self._directory, self._silent_seconds, _described(owner)))
                    reported = True
                time.sleep(min(_POLL_SECONDS, self._silent_seconds / 4))
                # a network file system shows what other machines wrote to whoever opens the file
                with contextlib.suppress(PermissionError), open(self._path, "rb"):
                    pass
                now = os.stat(self._path)
                if not os.path.samestat(before, now):
                    return False
                if now.st_mtime_ns != before.st_mtime_ns:
                    raise self._in_use_error(owner, self._age(draft))
            return True
        except FileNotFoundError:
            return False

    def _age(self, draft):
        """Seconds since the last heartbeat, by the file system's clock."""
        os.utime(draft)
        return os.stat(draft).st_mtime - os.stat(self._path).st_mtime

    def _in_use_error(self, owner, age):
        return DirectoryInUse(
            '%s "%s" is in use by a training that is running (%s%s). Wait until it ends, stop it, or choose another --%s. '
            "--mode=eval, infer, export and report of this directory work while it trains. If you know that it has ended, delete "
            "%s" % (self._key, self._directory, _described(owner),
                                 "" if age is None else "; last heartbeat %.0f s ago" % max(age, 0.0), self._key, self._path))

    def _remove_old_drafts(self):
        """Removes what processes left that were killed while they claimed the directory."""
        with contextlib.suppress(OSError):
            now = os.stat(self._path).st_mtime
            for name in os.listdir(self._directory):
                path = os.path.join(self._directory, name)
                if name.startswith(OWNER_FILE + ".") and now - os.stat(path).st_mtime > 2 * self._silent_seconds:
                    os.remove(path)


def _described(owner):
    if owner is None or not owner.process:
        return "%s does not say which" % OWNER_FILE
    return "host %s, process %d, started %s" % (owner.host, owner.process, owner.started)


@contextlib.contextmanager
def owned_directories(directories, heartbeat_seconds=HEARTBEAT_SECONDS, silent_seconds=SILENT_SECONDS):
    """Context in which this process owns directories that exist.

    Args:
      directories: dict from path to what the config calls it.
      heartbeat_seconds, silent_seconds: see the module.

    Yields:
      Function that raises :class:`DirectoryInUse` if one of them has been taken over.

    Raises:
      DirectoryInUse: one of them has another owner that is running; the others are given back.
      StorageError: an owner's file cannot be written.
    """
    # always in the same order: of two trainings with the same directories one gets all of them
    distinct = {os.path.realpath(path): (path, key) for path, key in reversed(list(directories.items()))}
    claims, stopped = [], threading.Event()

    def confirm():
        for claim in claims:
            claim.confirm()

    def beat():
        while not stopped.wait(heartbeat_seconds):
            for claim in claims:
                claim.beat()

    with contextlib.ExitStack() as stack:
        for path in sorted(distinct):
            claim = DirectoryClaim(*distinct[path], silent_seconds=silent_seconds)
            # before the claim: a signal may raise an exception in the middle of it
            stack.callback(claim.release)
            claim.claim()
            claims.append(claim)
        thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
        thread.start()
        stack.callback(thread.join)
        stack.callback(stopped.set)
        yield confirm
