"""One process of a run: started so that it cannot outlive the launcher, its end noticed, its log read."""
import ctypes
import os
import signal
import subprocess
import time

from open_seq2seq.errors import StorageError

PEER_LOST = "PeerLostError"
"""What a rank prints at its end when another rank's death is the cause of its own."""

STOPPED_EARLY = "before the first step; nothing was changed"
"""What a training prints at its end that was told to stop before it could tell the others."""

LAST_LINES = 30
_PR_SET_PDEATHSIG = 1
# looked up before any fork: the child of a process with threads should do as little as it can before it executes the command
_prctl = ctypes.CDLL(None, use_errno=True).prctl


class RankProcess:
    """A started rank.

    Args:
      plan: :class:`~open_seq2seq.launch.rank_environment.RankPlan`.
      command: list of str.
      log: path of the file that its output is added to.
      guard: :class:`~open_seq2seq.launch.kill_guard.KillGuard`.

    Attributes:
      plan, log: as given.
      log_start: int, where in the log this run's lines begin, bytes.
      status: int, what it exited with, minus the signal that killed it, None while it runs.
      ended: float, ``time.monotonic()`` of its end, None while it runs.
      seconds: float, how long it ran.

    Raises:
      StorageError: the log cannot be written.
    """

    def __init__(self, plan, command, log, guard):
        self.plan, self.log = plan, log
        self.status = self.ended = None
        self._guard = guard
        launcher = os.getpid()

        def before_the_command():
            _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != launcher:  # it was killed before the line above
                os._exit(1)
            # asks a training to save; a program that knows nothing of it, or is still starting, is not to die of it
            signal.signal(signal.SIGUSR1, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_SETMASK, ())

        with open_log(log) as output:
            self.log_start = os.fstat(output.fileno()).st_size
            self._started = time.monotonic()
            # a session of its own: its whole family can be signalled, and a Ctrl-C in the terminal is for the launcher to pass on
            self._process = subprocess.Popen(command, env=plan.environment, stdin=subprocess.DEVNULL, stdout=output,
                                             stderr=subprocess.STDOUT, preexec_fn=before_the_command, start_new_session=True)
        guard.watch(self._process.pid)

    @property
    def seconds(self):
        return (self.ended or time.monotonic()) - self._started

    @property
    def is_running(self):
        return self.status is None

    def look(self):
        """Notices its end; its children, if it left any, are killed."""
        if not self.is_running:
            return
        try:
            found = os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            found = True
        if found is None:
            return
        # before it is reaped, so that its number cannot be another group's yet
        self.send(signal.SIGKILL)
        self._guard.release(self._process.pid)
        self.status = self._process.wait()
        self.ended = time.monotonic()

    def send(self, number):
        """Sends a signal to it and its children."""
        if self.is_running:
            try:
                os.killpg(self._process.pid, number)
            except ProcessLookupError:
                pass

    def last_lines(self, count=LAST_LINES):
        """List of the last lines that it printed in this run."""
        try:
            with open(self.log, "rb") as file:
                end = file.seek(0, os.SEEK_END)
                file.seek(max(self.log_start, end - 200 * count - 65536))
                text = file.read().decode("utf-8", "replace")
        except OSError as error:
            return ["(%s cannot be read: %s)" % (self.log, error.strerror)]
        return text.rstrip().splitlines()[-count:]

    @property
    def lost_a_peer(self):
        """Whether it says at its end that another rank's death was the cause of its own."""
        return any(PEER_LOST in line for line in self.last_lines())

    @property
    def stopped_early(self):
        """Whether it says at its end that it was told to stop before its first step, of which the others do not know."""
        return any(STOPPED_EARLY in line for line in self.last_lines())

    def append(self, line):
        """Adds a line to its log."""
        with open_log(self.log) as log:
            log.write((line + "\n").encode())


def open_log(path):
    """Opens a log to be added to.

    Raises:
      StorageError: it cannot be written.
    """
    try:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        # adding, since a continued run's log continues, too
        return open(path, "ab", buffering=0)
    except OSError as error:
        raise StorageError("cannot write the log %s: %s. Choose another place with --log" % (path, error.strerror))
