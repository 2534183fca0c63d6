"""The training's side of MLflow: writes a queue to the disk and looks after the process that sends it (``mlflow_sender.py``)."""
import importlib.util
import json
import os
import select
import shlex
import subprocess
import sys
import time
import uuid

from open_seq2seq.errors import UsageError
from open_seq2seq.files import printable, replaced_file
from open_seq2seq.log_lines import log_line
from open_seq2seq.models.tracking_params import CREDENTIALS, misspelled, mlflow_settings
from open_seq2seq.training.metrics import plain_numbers
from open_seq2seq.training.tracking import mlflow_sender
from open_seq2seq.training.tracking.mlflow_queue import QueueReader, QueueWriter
from open_seq2seq.training.tracking.mlflow_records import LONGEST_TAG, short_text, valid_name
from open_seq2seq.training.tracking.mlflow_store import SLOWEST_UPLOAD, local_folder
from open_seq2seq.training.tracking.tracker import STOPPED, Tracker

FOLDER = "mlflow"                 # next to the checkpoints
SEARCH_FOLDER = "search"          # of --mode=search, in which the trials are
REQUEST_SECONDS = 10              # for an answer of the server
_STOPPED_SECONDS = 5.0            # at the end of a training that a signal ended: whoever sent it may soon send SIGKILL
_UNAVAILABLE_SECONDS = 1.0        # for a server that has not answered for a while
_RESTART_SECONDS = 300.0          # between two starts of a sender that ended by itself
# a folder mlflow in the working directory, which would be found first, has no origin
_HAS_MLFLOW = ("import importlib.util, sys; sys.path.pop(0); found = importlib.util.find_spec('mlflow'); "
               "sys.exit(found is None or found.origin is None)")


def find_python(params):
    """The interpreter that has MLflow.

    Args:
      params: the checked config.

    Returns:
      Path.

    Raises:
      UsageError: there is none.
    """
    chosen = mlflow_settings(params)["python"]
    advice = ('Run "bash scripts/setup.sh --tracking", which installs it in an environment of its own, or name a Python that has '
              'it: --mlflow_params/python=PATH')
    if chosen is not None:
        if not _has_mlflow(chosen):
            raise UsageError('mlflow_params["python"] is %s, which is not a Python with the package mlflow. %s' % (
                chosen, advice))
        return chosen
    spec = importlib.util.find_spec("mlflow")
    if spec is not None and spec.origin is not None:
        return sys.executable
    own = os.path.join(mlflow_sender.CODE, ".venv-tracking", "bin", "python")
    if os.path.exists(own) and _has_mlflow(own):
        return own
    raise UsageError('tracking contains "mlflow", and the package mlflow is not installed here. %s. Without it: '
                     '--tracking="[\'tensorboard\']"' % advice)


def _has_mlflow(python):
    try:
        return subprocess.call([python, "-c", _HAS_MLFLOW], env=mlflow_sender.environment(python), stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) == 0
    except OSError:
        return False


class MlflowTracker(Tracker):
    """Records a training in MLflow.

    Nothing here waits for the server: every call appends a line to a file.

    Args:
      params: the checked config of mode "train".
      run_directory: the ``RunDirectory``.
      clock: function that returns seconds.

    Raises:
      UsageError: MLflow is not installed.
    """

    def __init__(self, params, run_directory, clock=time.monotonic):
        chosen, self._clock = mlflow_settings(params), clock
        self._python, self.folder = find_python(params), os.path.join(os.path.abspath(run_directory.checkpoints), FOLDER)
        uri = chosen["uri"] or os.environ.get("MLFLOW_TRACKING_URI") or "mlruns"
        if CREDENTIALS.match(uri):
            raise UsageError("the environment variable MLFLOW_TRACKING_URI contains a user name or a password, and addresses are "
                             "written into the run directory. Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD instead "
                             "and remove what precedes the @")
        if not chosen["uri"] and misspelled(uri):
            raise UsageError("the environment variable MLFLOW_TRACKING_URI is %s%s" % (uri, misspelled(uri)))
        folder = local_folder(uri)
        name, tags = _name_and_tags(run_directory.path)
        self._settings = {
            "uri": uri if folder is None else "file://" + os.path.abspath(folder), "python": self._python,
            "experiment": chosen["experiment"] or os.environ.get("MLFLOW_EXPERIMENT_NAME") or "jasper",
            "run_name": chosen["run_name"] or name, "tags": dict(tags, **chosen["tags"]),
            "wait_seconds": chosen["wait_seconds"], "request_seconds": REQUEST_SECONDS}
        self._limit = chosen["queue_megabytes"] * 10 ** 6
        self._queue = self._process = None
        self._unread, self._is_waiting, self._started_at, self._has_reported_limit = b"", False, None, False

    def start(self, step, graph):
        os.makedirs(self.folder, exist_ok=True)
        with replaced_file(os.path.join(self.folder, mlflow_sender.SETTINGS)) as file:
            json.dump(self._settings, file, indent=1)
        self._queue = QueueWriter(self.folder, self._limit)
        # a resumed training continues its run
        self._append(type="start", step=step, key=uuid.uuid4().hex if step == 0 else None)
        self._start_sender()

    def _start_sender(self):
        self._started_at = self._clock()
        try:
            # in a session of its own: Ctrl-C in the terminal is for the training, which then tells the sender
            self._process = subprocess.Popen(
                mlflow_sender.command(self._python, self.folder, os.getpid()), env=mlflow_sender.environment(self._python),
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=open(os.path.join(self.folder, "sender.log"), "ab"),
                start_new_session=True)
        except OSError as error:
            self._process = None
            log_line("MLflow: the process that sends cannot be started: %s. What is not sent waits in %s" % (
                error.strerror, printable(self.folder)))

    def _append(self, can_be_left_out=False, **record):
        self._queue.append(record, can_be_left_out)
        if self._queue.num_left_out and not self._has_reported_limit:
            self._has_reported_limit = True
            log_line("MLflow: %d MB wait for the server; further measurements of steps are left out there. They are complete in "
                     "metrics.jsonl" % (self._limit / 10 ** 6))
        self._look_after_sender()

    def _look_after_sender(self):
        if self._process is None:
            return
        self._read_messages(0.0)
        if self._process.poll() is not None and self._clock() - self._started_at >= _RESTART_SECONDS:
            log_line("MLflow: the process that sends ended with status %d (%s); it is started again" % (
                self._process.returncode, os.path.join(printable(self.folder), "sender.log")))
            self._close()
            self._start_sender()

    def _read_messages(self, seconds):
        """Reads messages of the sender that arrive within so many seconds; returns whether there were any, None at their end."""
        output = self._process.stdout
        if not select.select([output], [], [], seconds)[0]:
            return False
        data = os.read(output.fileno(), 65536)
        lines = (self._unread + data).split(b"\n")
        self._unread = lines.pop()
        for line in lines:
            word, _, text = line.decode("utf-8", "replace").partition(" ")
            if word == mlflow_sender.SAY:
                log_line("MLflow: " + text)
            elif word == mlflow_sender.IS_WAITING:
                self._is_waiting = True
            elif word == mlflow_sender.IS_SENDING:
                self._is_waiting, self._upload = False, int(text or 0)
        return True if data else None

    def parameters(self, values):
        self._append(type="parameters", values=plain_numbers(values))

    def tags(self, values):
        """Records a dict of str -> str about the whole run."""
        self._append(type="tags", values={valid_name([name]): short_text(text, LONGEST_TAG) for name, text in values.items()})

    def metrics(self, kind, step, seconds, numbers):
        self._append(type="metrics", kind=kind, step=int(step), seconds=seconds, numbers=plain_numbers(numbers, False),
                     can_be_left_out=kind in ("step", "layers", "skipped"))

    def artifact(self, path, folder):
        self._append(type="artifact", path=os.path.abspath(path), folder=folder)

    def finish(self, status):
        """See :meth:`Tracker.finish`. Waits for the sender while the server answers, otherwise for a bounded time."""
        if self._queue is None:
            return
        if self._queue.num_left_out:
            self.tags({"left_out_records": str(self._queue.num_left_out)})
        self._append(type="finish", status=status)
        if self._process is not None:
            self._process.stdin.close()
            self._wait(min(_STOPPED_SECONDS, self._settings["wait_seconds"]) if status == STOPPED else
                       self._settings["wait_seconds"])
            if self._process.poll() is None:
                self._process.kill()
            self._close()
        records, size = QueueReader(self.folder).waiting
        if records:
            log_line("MLflow: %d records (%.1f kB) are not sent and stay in %s. They are sent when the training is resumed, or "
                     "by: python -m open_seq2seq.training.tracking.mlflow_sender %s" % (
                         records, size / 1e3, printable(self.folder), shlex.quote(printable(self.folder))))

    def _wait(self, seconds):
        """Waits until the sender has ended, or has had no answer of the server for so long."""
        self._upload, answered = 0, self._clock()
        while True:
            allowed = _UNAVAILABLE_SECONDS if self._is_waiting else seconds + self._upload / SLOWEST_UPLOAD
            left = answered + allowed - self._clock()
            if left <= 0.0:
                return
            found = self._read_messages(left)
            if found is None:
                try:
                    self._process.wait(5.0)
                except subprocess.TimeoutExpired:
                    pass
                return
            if found and not self._is_waiting:
                answered = self._clock()

    def _close(self):
        for stream in (self._process.stdin, self._process.stdout):
            stream.close()
        # a process that a dead file system holds cannot be killed, and is not waited for
        try:
            self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            pass


def _name_and_tags(logdir):
    """The name of the run and its tags: of a trial of a search, those of the search."""
    path = os.path.abspath(logdir)
    above, name = os.path.split(path)
    tags = {"logdir": printable(path)}
    if os.path.basename(above) == SEARCH_FOLDER:
        search = os.path.dirname(above)
        tags["search"] = printable(search)
        name = "%s/%s" % (os.path.basename(search), name)
    return printable(name or path), tags
