"""One process of a run: started so that it cannot outlive the launcher, its end detected, its log read and shown.

Two mechanisms end the ranks when the launcher is killed. The kernel kills the processes that the launcher itself started
(``PR_SET_PDEATHSIG``). The processes that those have started, e.g. the Python that a shell script runs, are killed by the
:class:`KillGuard`, which detects the launcher's end by the end of a pipe.
"""
import ctypes
import os
import signal
import subprocess
import threading
import time

from open_seq2seq.distributed.heartbeats import ranks_without_heartbeats
from open_seq2seq.errors import StorageError

PEER_LOST = "PeerLostError"
"""What a rank prints at its end when another rank's death is the cause of its own."""

STOPPED_EARLY = "before the first step; nothing was changed"
"""What a training prints at its end when it was stopped before it could inform the others."""

LAST_LINES = 30
_PR_SET_PDEATHSIG = 1
# looked up before any fork: the child of a process with threads should do as little as possible before it executes the command
_prctl = ctypes.CDLL(None, use_errno=True).prctl


class RankProcess:
    """A started rank.

    Args:
      plan: :class:`~open_seq2seq.launch.rank_environment.RankPlan`.
      command: list of str.
      log: path of the file to which its output is appended.
      guard: :class:`KillGuard`.

    Attributes:
      plan, log: as given.
      log_start: int, position in the log at which this run's lines begin, bytes.
      status: int, its exit status, minus the signal's number if a signal killed it; None while it runs.
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
            if os.getppid() != launcher:  # the launcher was killed before the line above
                os._exit(1)
            # the signal asks a training to save; it must not kill other programs, or a training that is still starting
            signal.signal(signal.SIGUSR1, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_SETMASK, ())

        with open_log(log) as output:
            self.log_start = os.fstat(output.fileno()).st_size
            self._started = time.monotonic()
            # its own session: it can be signaled together with its children, and the launcher forwards a Ctrl-C of the terminal
            self._process = subprocess.Popen(command, env=plan.environment, stdin=subprocess.DEVNULL, stdout=output,
                                             stderr=subprocess.STDOUT, preexec_fn=before_the_command, start_new_session=True)
        guard.watch(self._process.pid)

    @property
    def process_id(self):
        """The number of its first process, which is also that of its session and process group."""
        return self._process.pid

    @property
    def seconds(self):
        return (self.ended or time.monotonic()) - self._started

    @property
    def is_running(self):
        return self.status is None

    def poll(self):
        """Updates ``status`` and ``ended`` if it has ended; kills children that it left running."""
        if not self.is_running:
            return
        try:
            ended = os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            ended = True
        if ended is None:
            return
        # before it is reaped, so that no other group can have its number yet
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
        """Whether its last lines report that another rank's death was the cause of its own."""
        return any(PEER_LOST in line for line in self.last_lines())

    @property
    def silent_peers(self):
        """Set of the ranks that its last lines report as silent."""
        return {rank for line in self.last_lines() if PEER_LOST in line for rank in ranks_without_heartbeats(line)}

    @property
    def stopped_early(self):
        """Whether its last lines report that it was stopped before its first step, about which the others have no information."""
        return any(STOPPED_EARLY in line for line in self.last_lines())

    def append(self, line):
        """Adds a line to its log."""
        with open_log(self.log) as log:
            log.write((line + "\n").encode())


def open_log(path):
    """Opens a log for appending.

    Raises:
      StorageError: it cannot be written.
    """
    try:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        # appending, because a resumed run continues its log
        return open(path, "ab", buffering=0)
    except OSError as error:
        raise StorageError("cannot write the log %s: %s. Choose another place with --log" % (path, error.strerror))


class LogFollower:
    """Copies what is appended to a file to a descriptor, in a thread: a terminal that blocks does not block the launcher.

    Args:
      path: the file.
      start: int, position at which to begin, bytes.
      target: int, file descriptor, e.g. 1.
    """

    def __init__(self, path, start, target):
        self._path, self._position, self._target = path, start, target
        self._finished = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def start(self):
        self._thread.start()

    def finish(self, seconds=5):
        """Copies the rest and ends the thread; returns after ``seconds`` at the latest."""
        self._finished.set()
        if self._thread.is_alive():
            self._thread.join(seconds)

    def _follow(self):
        with open(self._path, "rb", buffering=0) as file:
            file.seek(self._position)
            while True:
                last = self._finished.is_set()
                chunk = file.read(65536)
                while chunk:
                    if not self._write(chunk):
                        return
                    chunk = file.read(65536)
                if last:
                    return
                self._finished.wait(0.1)

    def _write(self, chunk):
        try:
            while chunk:
                chunk = chunk[os.write(self._target, chunk):]
        except OSError:
            # nothing reads the output any more, e.g. after a broken connection; the run continues, and its log is complete
            return False
        return True


class KillGuard:
    """A process that kills process groups when this process ends without having released them.

    Create it while this process has a single thread, because it forks.

    Args:
      crash_notice: list of (path, text): the texts that are appended to files in that case.
    """

    def __init__(self, crash_notice=()):
        reader, self._writer = os.pipe()
        self._process_id = os.fork()
        if self._process_id == 0:
            try:
                os.close(self._writer)
                _guard(reader, crash_notice)
            finally:
                os._exit(0)
        os.close(reader)

    def watch(self, group):
        """Adds a process group."""
        self._send("+%d\n" % group)

    def release(self, group):
        """Removes a process group, before its number can be used again."""
        self._send("-%d\n" % group)

    def _send(self, line):
        try:
            os.write(self._writer, line.encode())
        except BrokenPipeError:
            # the guard was killed; the kernel still kills the processes that the launcher started
            pass

    def close(self):
        """Ends the guard; it kills the groups that were not released."""
        os.close(self._writer)
        os.waitpid(self._process_id, 0)


def _guard(reader, crash_notice):
    # in its own session, so that signals to the launcher's group or terminal do not reach it, and without the launcher's output,
    # for whose end the programs that read it would wait
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    groups = set()
    with open(reader) as lines:
        for line in lines:
            (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
    for group in groups:
        try:
            os.killpg(group, signal.SIGKILL)
        except OSError:
            pass
    for path, text in crash_notice if groups else ():
        try:
            with open(path, "a", encoding="utf-8") as file:
                file.write(text)
        except OSError:
            pass
