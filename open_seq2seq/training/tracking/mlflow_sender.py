"""The process that sends what a training has queued to MLflow.

    python -m open_seq2seq.training.tracking.mlflow_sender LOGDIR/mlflow

sends what a training that has ended has left. A training starts the process itself, holds its standard input open and reads
messages, one a line, from its standard output; when the input ends, the process sends what is left and ends, too.
"""
import contextlib
import fcntl
import importlib.util
import os
import select
import sys
import time

from open_seq2seq.training.tracking.mlflow_queue import QueueReader, read_json, segments
from open_seq2seq.training.tracking.mlflow_records import metric_values, parameter_values
from open_seq2seq.training.tracking.mlflow_store import MlflowStore, Rejected, RunIsGone, Unavailable

CODE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
SETTINGS, LOCK = "settings.json", "lock"
POLL_SECONDS = 1.0
FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 1.0, 60.0
MOST_RECORDS = 500            # of one commit
MOST_REJECTIONS = 5           # that are reported
ALL_SENT, WITHOUT_MLFLOW, NOT_ALL_SENT = 0, 2, 3
_STATUSES = {"finished": "FINISHED", "failed": "FAILED", "stopped": "KILLED"}
# the first word of a message: for the log, or for the process that waits
SAY, IS_WAITING, IS_SENDING = "say", "waiting", "sending"


_is_alone = False             # whether a person started the process


def message(word, text=""):
    """Prints a message for the training; nobody may be reading any more."""
    if _is_alone and word != SAY:
        return
    line = "%s%s\n" % ("" if _is_alone else word + " ", " ".join(text.split()))
    with contextlib.suppress(OSError):
        os.write(sys.stdout.fileno(), line.encode("utf-8", "backslashreplace"))


class Parent:
    """The training, or nobody."""

    def __init__(self, process):
        self._process, self.has_ended = process, process is None

    def wait(self, seconds):
        """Waits so long, or until the training closes its end of the standard input, or is gone."""
        if self.has_ended:
            time.sleep(min(seconds, POLL_SECONDS))
            return
        readable, _, _ = select.select([sys.stdin], [], [], seconds)
        # the descriptor may be held open by another child of a training that was killed
        self.has_ended = bool(readable and not os.read(sys.stdin.fileno(), 1024)) or os.getppid() != self._process


class Sender:
    """Sends a queue.

    Args:
      folder: of the queue.
      settings: what the training wrote to ``settings.json``.
      parent: ``Parent``.
      clock: function that returns seconds.

    Raises:
      ImportError: MLflow is not installed.
    """

    def __init__(self, folder, settings, parent, clock=time.monotonic):
        self._folder, self._settings, self._parent, self._clock = folder, settings, parent, clock
        self._store, self._queue = MlflowStore(folder, settings), QueueReader(folder)
        self._step, self._failures, self._rejections, self._failed_since = 0, 0, 0, None
        self._last_answer, self._is_running = clock(), False

    def work(self):
        """Sends until the training has ended and everything is sent, or the server does not answer for ``wait_seconds``.

        Returns:
          The exit status, ALL_SENT or NOT_ALL_SENT.
        """
        ended_at = None
        while True:
            try:
                is_empty = self._send_some()
            except Unavailable as error:
                self._unavailable(str(error))
                is_empty = None
            else:
                if self._failed_since is not None and not is_empty:
                    self._available()
            if self._parent.has_ended:
                ended_at = self._clock() if ended_at is None else ended_at
                if is_empty and not self._is_running:
                    self._queue.remove_sent()
                    return ALL_SENT
                if is_empty:
                    is_empty = self._set_killed()
                if is_empty is None and self._clock() - max(ended_at, self._last_answer) >= self._patience:
                    return NOT_ALL_SENT
            if is_empty:
                self._parent.wait(POLL_SECONDS)
            elif is_empty is None:
                self._parent.wait(min(FIRST_RETRY_SECONDS * 2.0 ** (self._failures - 1), LAST_RETRY_SECONDS))

    @property
    def _patience(self):
        # a server that has not answered for a while will not, either, because the training has ended
        return 0.0 if self._failures > 1 else self._settings["wait_seconds"]

    def _set_killed(self):
        """Sets the status of a run whose training ended without doing so; returns None if the server does not answer."""
        try:
            self._handled(self._store.status, "KILLED")
        except Unavailable as error:
            self._unavailable(str(error))
            return None
        self._is_running = False
        return False

    def _unavailable(self, reason):
        self._failures += 1
        if self._failed_since is None:
            self._failed_since = self._clock()
            message(SAY, "%s does not answer (%s). What is not sent waits in %s" % (
                self._settings["uri"], reason, self._folder))
        # last: a training that has ended may stop reading now
        message(IS_WAITING)

    def _available(self):
        message(SAY, "%s answers again after %.0f s; what has waited is being sent" % (
            self._settings["uri"], self._clock() - self._failed_since))
        self._failed_since, self._failures = None, 0

    def _send_some(self):
        """Sends the next records; returns whether there was none.

        Raises:
          Unavailable: the server does not answer. What was sent before is committed.
        """
        records, end, damaged = self._queue.read(MOST_RECORDS)
        if damaged:
            message(SAY, "%d damaged line%s of the queue in %s skipped" % (damaged, "s" if damaged > 1 else "", self._folder))
        pending = []
        for record, position in records:
            if record["type"] != "metrics":
                self._flush(pending)
                if record["type"] == "start":
                    self._step = record["step"]
                    if record["key"] is not None:
                        self._store.begin(record["key"])
                self._handled(self._one, record)
                self._queue.commit(position)
            else:
                pending.append((record, position))
        self._flush(pending)
        if end != self._queue.position:
            self._queue.commit(end)
        return not records

    def _handled(self, send, *arguments):
        """Calls a function that sends something. If the run was deleted, it goes to a new one."""
        for _ in range(2):
            try:
                if self._store.open():
                    message(SAY, "run %s of experiment %s in %s" % (
                        self._store.run_id, self._settings["experiment"], self._settings["uri"]))
                self._rejected(send(*arguments) or [])
                break
            except Rejected as error:
                self._rejected([str(error)])
                break
            except RunIsGone:
                message(SAY, "run %s was deleted; what follows is recorded in a new one" % self._store.run_id)
                self._store.replace_deleted()
        self._last_answer = self._clock()
        message(IS_SENDING)

    def _rejected(self, texts):
        for text in texts[:max(0, MOST_REJECTIONS - self._rejections)]:
            message(SAY, "not recorded: %s" % text)
        self._rejections += len(texts)

    def _flush(self, pending):
        """Sends measurements, a list of (record, Position), and empties the list."""
        if pending:
            self._handled(self._metrics, [record for record, _ in pending])
            self._queue.commit(pending[-1][1])
            del pending[:]

    def _metrics(self, records):
        metrics, tags, non_finite = [], {}, []
        for record in records:
            step, milliseconds = int(record["step"]), int(1000 * record["seconds"])
            found, texts, others = metric_values(record["kind"], record["numbers"])
            metrics += [(name, value, milliseconds, step) for name, value in sorted(found.items())]
            tags.update(texts)
            non_finite += [(name, text, milliseconds, step) for name, text in sorted(others.items())]
        rejected = self._store.metrics(metrics) + self._store.tags(sorted(tags.items()))
        return rejected + (self._store.non_finite(non_finite) if non_finite else [])

    def _one(self, record):
        """Sends a record that is not a measurement; returns a list of what was rejected."""
        if record["type"] == "start":
            self._store.status("RUNNING")
            self._is_running = True
            if record["key"] is None:
                return self._store.tags([("resumed_at", str(record["step"]))])
        elif record["type"] == "parameters":
            return self._store.parameters(parameter_values(record["values"]), self._step)
        elif record["type"] == "tags":
            return self._store.tags(sorted(record["values"].items()))
        elif record["type"] == "artifact":
            size = _size(record["path"])
            message(IS_SENDING, str(size))
            self._store.artifact(record["path"], record["folder"])
        elif record["type"] == "finish":
            self._store.status(_STATUSES[record["status"]])
            self._is_running = False
        return []


def _size(path):
    """Bytes of a file, or of the files in a folder."""
    if os.path.isfile(path):
        return os.path.getsize(path)
    return sum(os.path.getsize(os.path.join(directory, name)) for directory, _, names in os.walk(path) for name in names)


def send(folder, parent):
    """Sends the queue in a folder, when no other process does; returns the exit status."""
    settings = read_json(os.path.join(folder, SETTINGS), None)
    if settings is None:
        message(SAY, "%s has no %s; expected the folder mlflow of a training that has tracking=[\"mlflow\"]" % (folder, SETTINGS))
        return WITHOUT_MLFLOW
    with open(os.path.join(folder, LOCK), "a") as lock:
        if not _locked(lock, parent):
            message(SAY, "another process is sending what waits in %s" % folder)
            return NOT_ALL_SENT
        try:
            sender = Sender(folder, settings, parent)
        except ImportError as error:
            message(SAY, "%s: %s" % (sys.executable, error))
            return WITHOUT_MLFLOW
        return sender.work()


def _locked(lock, parent):
    """Whether no other process sends; one of a training that was killed may still be ending."""
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if parent.has_ended:
                return False
            parent.wait(POLL_SECONDS)
        except OSError:
            return True  # not every file system has locks


def _change_python(folder):
    """Continues as the Python that the training of this queue used, where this one has no MLflow."""
    python = (read_json(os.path.join(folder, SETTINGS), None) or {}).get("python")
    if importlib.util.find_spec("mlflow") is None and python is not None and python != sys.executable:
        os.execve(python, command(python, folder), environment(python))


def command(python, folder, parent=None):
    """The command that starts the process: list of str.

    Args:
      python: the interpreter.
      folder: of the queue.
      parent: process id of the training; None: there is none.
    """
    # the working directory may contain a folder mlflow
    start = "import sys; sys.path[0] = %r; from open_seq2seq.training.tracking.mlflow_sender import main; main()" % CODE
    return [python, "-c", start, folder] + ([] if parent is None else [str(parent)])


def environment(python):
    """The environment of the process: without another interpreter's modules."""
    own = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    return own if python != sys.executable else dict(os.environ)


def main():
    """The process: ``FOLDER [PARENT]``."""
    if len(sys.argv) not in (2, 3) or sys.argv[1].startswith("-"):
        print("usage: python -m open_seq2seq.training.tracking.mlflow_sender FOLDER\n\n" + __doc__.strip())
        sys.exit(0 if "--help" in sys.argv else 2)
    global _is_alone
    parent = int(sys.argv[2]) if len(sys.argv) == 3 else None
    _is_alone = parent is None
    if parent is not None:
        os.nice(10)  # the training comes first
    else:
        _change_python(sys.argv[1])
    status = send(sys.argv[1], Parent(parent))
    if parent is None and segments(sys.argv[1]):
        records, size = QueueReader(sys.argv[1]).waiting
        message(SAY, "%d records (%d bytes) are not sent" % (records, size) if records else "everything is sent")
    sys.exit(status)


if __name__ == "__main__":
    main()
