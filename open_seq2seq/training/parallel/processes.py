"""The worker processes that a parallel training starts on its own machine, and the share of the cores of each process."""
import contextlib
import os
import subprocess
import sys

from open_seq2seq.cores import VARIABLE as SHARE_OF_CORES
from open_seq2seq.cores import shares_of_cores, usable_cores
from open_seq2seq.log_lines import log_line

PARENT = "JASPER_TRAINING_PROCESS"
"""Environment variable with the process id of the training that started a worker; the worker ends with it."""

_COMMAND = "import sys; from open_seq2seq.modes import main; sys.exit(main(sys.argv[1:]))"
_LOST_FLAGS = ("--export_dir", "--debug_port")  # of the training alone
_MOST_RESTARTS = 3
_STOP_SECONDS = 5.0


def local_processes(params, device_name):
    """Number of processes on this machine that do jobs of a parallel training, the training itself included."""
    settings = params["parallel_training"]
    if settings is None:
        return 1
    if settings["processes"] is not None:
        return settings["processes"]
    most_jobs = max(settings["jobs_initial"], settings["jobs_final"])
    return min(most_jobs, usable_cores()) if device_name == "cpu" else 1


@contextlib.contextmanager
def shared_cores(count):
    """Context in which this process uses its share of the cores of ``count`` processes. Yields the list of all shares."""
    shares, before = shares_of_cores(count), os.environ.get(SHARE_OF_CORES)
    if count > 1:
        os.environ[SHARE_OF_CORES] = str(shares[0])
    try:
        yield shares
    finally:
        if count > 1:
            if before is None:
                del os.environ[SHARE_OF_CORES]
            else:
                os.environ[SHARE_OF_CORES] = before


def worker_arguments(words):
    """The command line of a worker for that of a training."""
    kept, skip = [], False
    for word in words:
        if skip:
            skip = False
        elif word.split("=")[0] in _LOST_FLAGS:
            skip = "=" not in word
        else:
            kept.append(word)
    return kept + ["--mode=train_worker"]


class WorkerProcesses:
    """Worker processes of this machine.

    Args:
      words: their command line.
      shares: cores of each.
      folder: directory of their logs.
    """

    planned = None
    """(words, shares) of the workers that this process is to start; set by the command."""

    def __init__(self, words, shares, folder):
        self._words, self._shares, self._folder = words, shares, folder
        self._processes, self._restarts = [None] * len(shares), [0] * len(shares)

    @classmethod
    def of(cls, params, run_directory):
        """The workers of this process's training."""
        words, shares = cls.planned or ([], [])
        return cls(words, shares, run_directory.path)

    def log_of(self, number):
        """Path of a worker's output."""
        return os.path.join(self._folder, "worker_%d.log" % (number + 1))

    def start(self):
        """Starts those that do not run."""
        for number, process in enumerate(self._processes):
            if process is None:
                self._processes[number] = self._started(number)

    def _started(self, number):
        environment = dict(os.environ, **{PARENT: str(os.getpid()), SHARE_OF_CORES: str(self._shares[number]),
                                          "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)})
        with open(self.log_of(number), "ab") as log:
            return subprocess.Popen([sys.executable, "-c", _COMMAND] + list(self._words), stdin=subprocess.DEVNULL, stdout=log,
                                    stderr=log, env=environment)

    def check(self):
        """Starts workers again that have ended, at most three times each; after that the training continues without them."""
        for number, process in enumerate(self._processes):
            if process is None or process.poll() is None or self._restarts[number] > _MOST_RESTARTS:
                continue
            status, self._restarts[number] = process.returncode, self._restarts[number] + 1
            again = self._restarts[number] <= _MOST_RESTARTS
            log_line("Note: worker %d ended with %s (%s); %s" % (
                number + 1, "signal %d" % -status if status < 0 else "exit status %d" % status, self.log_of(number),
                "it is started again" if again else "the training continues without it"))
            for line in _last_lines(self.log_of(number)):
                log_line(line, offset=4)
            if again:
                self._processes[number] = self._started(number)

    def stop(self):
        """Ends them, after a few seconds by force."""
        for process in self._processes:
            if process is not None and process.poll() is None:
                process.terminate()
        for process in self._processes:
            if process is not None:
                try:
                    process.wait(_STOP_SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        self._processes = [None] * len(self._processes)


def _last_lines(path, count=3):
    try:
        with open(path, "rb") as file:
            file.seek(max(0, os.path.getsize(path) - 4096))
            return file.read().decode("utf-8", "replace").strip().split("\n")[-count:]
    except OSError:
        return []
