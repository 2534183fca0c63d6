"""What a run prints: OpenSeq2Seq's ``*** ...`` lines, the copy of them in a log file, room for a progress bar.

Tools that people have written grep these lines, so their form stays as it was.
"""
import io
import sys

from open_seq2seq.errors import StorageError

_reporting = True  # False in a process whose fellow prints the same


def report_only_troubles():
    """From now on this process prints no line of a run's progress: another rank prints the same."""
    global _reporting
    _reporting = False


def is_reporting():
    """Whether this process prints the lines of a run's progress."""
    return _reporting


def log_line(text, offset=0, start="*** ", from_every_rank=False):
    """Prints one line in the form of OpenSeq2Seq's logs: ``start``, ``offset`` spaces, the text.

    Args:
      text: the line.
      offset: number of spaces before it.
      start: what the line begins with.
      from_every_rank: print it also where :func:`report_only_troubles` was called.
    """
    if not (_reporting or from_every_rank):
        return
    sys.stdout.write(start + " " * offset + text + "\n")
    sys.stdout.flush()


class LoggedStream(io.TextIOBase):
    """A text stream that writes to a terminal (or pipe) and to a log file.

    Args:
      terminal: the stream that was there before.
      path: the log file, opened for appending.

    Raises:
      StorageError: the file cannot be opened or written, e.g. because the disk is full. A run whose log is lost is
        stopped with this reason, because its checkpoints would be lost for the same one.
    """

    def __init__(self, terminal, path):
        super().__init__()
        self.terminal = terminal
        self._path = path
        try:
            self._file = open(path, "a", encoding="utf-8", buffering=1)
        except OSError as error:
            raise _cannot_write(path, error)

    def writable(self):
        return True

    def isatty(self):
        return self.terminal.isatty()

    @property
    def encoding(self):
        return getattr(self.terminal, "encoding", None) or "utf-8"

    def fileno(self):
        return self.terminal.fileno()

    def write(self, text):
        self.terminal.write(text)
        if self._file is not None:
            try:
                self._file.write(text)
            except OSError as error:
                # closed first: Python would try to flush the rest again at exit and add a second traceback
                self._abandon()
                raise _cannot_write(self._path, error)
        return len(text)

    def flush(self):
        self.terminal.flush()

    def close_log(self):
        """Closes the log file and returns the stream to put back."""
        if self._file is not None:
            self._file.close()
            self._file = None
        return self.terminal

    def _abandon(self):
        file, self._file = self._file, None
        try:
            file.close()
        except OSError:
            pass


def _cannot_write(path, error):
    return StorageError("cannot write the log %s: %s. Free some space or choose another --logdir; a run that had "
                        "saved a checkpoint goes on with --continue_learning" % (path, error.strerror))


class logged_output:
    """Context manager: while it is open, stdout and stderr are also written to two log files.

    Args:
      stdout_path, stderr_path: the files, or None for no copy.
    """

    def __init__(self, stdout_path, stderr_path):
        self._paths = {"stdout": stdout_path, "stderr": stderr_path}
        self._opened = {}

    def __enter__(self):
        for name, path in self._paths.items():
            if path is not None:
                self._opened[name] = LoggedStream(getattr(sys, name), path)
                setattr(sys, name, self._opened[name])
        return self

    def __exit__(self, *exception):
        for name, stream in self._opened.items():
            setattr(sys, name, stream.close_log())
        return False
