"""What a run prints: ``*** ...`` lines as OpenSeq2Seq or the ModelZoo port print them, and their copy in a log file.

Users' scripts parse these lines, so their form does not change.
"""
import io
import sys

from open_seq2seq.errors import StorageError

LOG_FORMATS = ("openseq2seq", "modelzoo")
"""Values of ``--log_format``: whose lines for steps and evaluations a run prints. The first is the default."""

_reporting = True  # False on a rank whose lines another rank prints
_log_format = LOG_FORMATS[0]


def set_log_format(name):
    """Selects one of :data:`LOG_FORMATS` for the lines that this process prints from now on."""
    global _log_format
    _log_format = name


def has_modelzoo_format():
    """Whether steps and evaluations are reported in the lines of the ModelZoo port, which its performance scripts parse."""
    return _log_format == "modelzoo"


def report_only_problems():
    """From now on this process prints no line of a run's progress: another rank prints the same ones."""
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
      from_every_rank: print it also after :func:`report_only_problems`.
    """
    if not (_reporting or from_every_rank):
        return
    sys.stdout.write(start + " " * offset + text + "\n")
    sys.stdout.flush()


class LoggedStream(io.TextIOBase):
    """A text stream that writes to a terminal (or pipe) and to a log file.

    Args:
      terminal: the original stream.
      path: the log file, opened for appending.
      advice: sentence that follows an error message, e.g. how to resume.

    Raises:
      StorageError: the file cannot be opened or written, e.g. because the disk is full. The run stops: its checkpoints could not
        be written either.
    """

    def __init__(self, terminal, path, advice=""):
        super().__init__()
        self.terminal = terminal
        self._path, self._advice = path, advice
        try:
            # a path that is not valid UTF-8 can be printed
            self._file = open(path, "a", encoding="utf-8", errors="backslashreplace", buffering=1)
        except OSError as error:
            raise self._cannot_write(error)

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
                self._close_after_error()
                raise self._cannot_write(error)
        return len(text)

    def flush(self):
        self.terminal.flush()

    def close_log(self):
        """Closes the log file and returns the stream to put back."""
        if self._file is not None:
            self._file.close()
            self._file = None
        return self.terminal

    def _close_after_error(self):
        file, self._file = self._file, None
        try:
            file.close()
        except OSError:
            pass

    def _cannot_write(self, error):
        return StorageError("cannot write the log %s: %s. Free some space or choose another --logdir%s" % (
            self._path, error.strerror, ". " + self._advice if self._advice else ""))


class logged_output:
    """Context manager: while it is open, stdout and stderr are also written to two log files.

    Args:
      stdout_path, stderr_path: the files, or None for no copy.
      advice: see :class:`LoggedStream`.
    """

    def __init__(self, stdout_path, stderr_path, advice=""):
        self._paths, self._advice = {"stdout": stdout_path, "stderr": stderr_path}, advice
        self._opened = {}

    def __enter__(self):
        try:
            for name, path in self._paths.items():
                if path is not None:
                    self._opened[name] = LoggedStream(getattr(sys, name), path, self._advice)
                    setattr(sys, name, self._opened[name])
        except StorageError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception):
        for name, stream in self._opened.items():
            setattr(sys, name, stream.close_log())
        return False
