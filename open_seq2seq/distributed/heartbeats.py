"""Finds the ranks of a Horovod run whose processes do not run, although their connections stay open.

The kernel keeps the connections of a stopped process (``kill -STOP``, Ctrl-Z, a suspended job), and those to a frozen or
disconnected machine close only after many minutes. Without this module the other ranks wait until Gloo's time limit, whose error
does not name the rank. Therefore a thread of each process replaces its note on the rendezvous server several times in a minute. A
process that compiles a graph, reads data slowly or waits for others still sends these heartbeats, because TensorFlow and Horovod
release Python's lock.

Rank 0 observes all other ranks and adds the silent ones to its own note; the others observe rank 0. So the number of requests
grows with the number of ranks and not with its square.

This module does not import TensorFlow, because the launcher uses it.
"""
import json
import math
import os
import re
import socket
import threading
import time

from open_seq2seq.distributed.rendezvous_notes import ERRORS, RendezvousNotes
from open_seq2seq.errors import DeviceError

VARIABLE = "JASPER_PEER_TIMEOUT"
"""Environment variable: seconds without a heartbeat after which a rank counts as lost."""

DEFAULT_SECONDS = 60
MOST_SECONDS = 86400

HOW_TO_CONTINUE = ("A training resumes from its last checkpoint, which is intact, with --continue_learning. %s sets the time "
                   "limit" % VARIABLE)

_BEATS_IN_TIMEOUT = 12
_LONGEST_INTERVAL = 5.0
_LONGEST_REQUEST = 5.0


def peer_timeout(environ):
    """Seconds without a heartbeat after which a rank counts as lost.

    Args:
      environ: mapping of the environment variables.

    Raises:
      DeviceError: the variable is not a number of seconds.
    """
    text = environ.get(VARIABLE) or str(DEFAULT_SECONDS)
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 1 <= seconds <= MOST_SECONDS:
        raise DeviceError('%s is "%s", expected a number of seconds from 1 to %d. Correct or unset it (default: %d)' % (
            VARIABLE, text[:40], MOST_SECONDS, DEFAULT_SECONDS))
    return seconds


class Silence:
    """How long a peer's note has stayed the same, in seconds during which this process could observe it.

    An observation counts for ``longest_step`` seconds at most: when this process itself was stopped, or the server did not
    answer, nothing is known about the peer in the meantime.

    Args:
      longest_step: float, seconds.

    Attributes:
      seconds: float.
    """

    def __init__(self, longest_step):
        self._longest_step = longest_step
        self._note, self._time = None, 0.0
        self.seconds = 0.0

    def observe(self, note, now):
        """Args: ``note``, the peer's note, None if it has finished; ``now``, seconds of a monotonic clock."""
        if note is None or note != self._note:
            self.seconds = 0.0
        else:
            self.seconds += min(now - self._time, self._longest_step)
        self._note, self._time = note, now


class Heartbeats:
    """Sends this rank's heartbeats and observes those of the other ranks, in a thread.

    Args:
      rank: this process's number.
      size: number of processes.
      environ: mapping of the environment variables.
      lose: function of a message that is called, in the thread, when ranks are silent; it should end the process.

    Raises:
      DeviceError: see :func:`peer_timeout`.
    """

    def __init__(self, rank, size, environ, lose):
        self._rank, self._lose = rank, lose
        self._timeout = peer_timeout(environ)
        self._interval = min(self._timeout / _BEATS_IN_TIMEOUT, _LONGEST_INTERVAL)
        self._notes = RendezvousNotes(environ, "heartbeats", min(self._timeout / 4, _LONGEST_REQUEST))
        observed = range(1, size) if rank == 0 else [0]
        self._silences = {peer: Silence(2 * self._interval) for peer in observed}
        self._own = {"beat": 0, "process": "process %d on %s" % (os.getpid(), socket.gethostname()), "silent": []}
        self._answered = self._ran = time.monotonic()
        self._pause, self._pause_end = 0.0, self._ran
        self._observing = threading.Lock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeats", daemon=True)

    def send(self):
        """Replaces this rank's note; call it once before the others can start to observe. Raises one of ``ERRORS``."""
        self._own["beat"] += 1
        self._notes.put(self._rank, json.dumps(self._own))

    def start(self):
        """Starts the thread; call it when every rank has sent its first heartbeat."""
        self._thread.start()

    def stop(self):
        """Ends the thread when all ranks have done their work."""
        self._stopped.set()
        self._notes.remove(self._rank)

    def explanation(self):
        """What an error of a collective operation may be a consequence of: a message that names silent ranks, "" if none are.

        Call it after the operation has failed. It asks the server once more: rank 0 may have ended because another rank is
        silent.
        """
        try:
            silent = self._observe(self._timeout / 3)
        except ConnectionRefusedError:
            return ""  # the launcher has ended
        except ERRORS:
            seconds = time.monotonic() - self._answered
            if seconds < self._timeout / 3:
                return ""
            return ("the rendezvous server at %s has not answered for %.0f s either, so this rank stops. The launcher it belongs "
                    "to is stopped, or its machine hangs or has lost its connection. %s" % (
                        self._notes.address, seconds, HOW_TO_CONTINUE))
        if silent:
            return self._message(silent)
        pause = self._recent_pause()
        if pause < self._timeout:
            return ""
        return ("this process did not run for %.0f s, perhaps because the run was paused with Ctrl-Z, and the connections to the "
                "other ranks have reached their time limit. %s" % (pause, HOW_TO_CONTINUE))

    def _recent_pause(self):
        """Seconds for which this process has recently not run; a pause that it has survived does not explain a later error."""
        now = time.monotonic()
        return max(now - self._ran, self._pause if now < self._pause_end + self._timeout / 3 else 0.0)

    def _run(self):
        while not self._stopped.wait(self._interval):
            now = time.monotonic()
            if now - self._ran > self._timeout:
                self._pause, self._pause_end = now - self._ran, now
            self._ran = now
            try:
                self.send()
                silent = self._observe(self._timeout)
                if silent and self._rank == 0:
                    self._own["silent"] = silent
                    self.send()
            except ERRORS:
                # the launcher, to which the server belongs, may be stopped itself: the ranks do not need it to continue
                continue
            if silent and not self._stopped.is_set():
                self._lose(self._message(silent))
                return

    def _observe(self, seconds):
        """List of (rank, process, seconds of silence) of the ranks that have been silent for ``seconds``."""
        silent = []
        with self._observing:
            for peer, silence in self._silences.items():
                text = self._notes.get(peer)
                self._answered = time.monotonic()
                silence.observe(text, self._answered)
                note = _parsed(text)
                if silence.seconds >= seconds:
                    silent.append([peer, note["process"], silence.seconds])
                elif note["silent"]:
                    return note["silent"]
        return silent

    def _message(self, silent):
        seconds = max(seconds for _, _, seconds in silent)
        reasons = "stopped (kill -STOP, Ctrl-Z, a suspended job or a debugger), or its machine %s"
        if any(rank == self._rank for rank, _, _ in silent):
            return "the other ranks have ended because this process did not run for %.0f s: it was %s. %s" % (
                seconds, reasons % "hung or had lost its connection", HOW_TO_CONTINUE)
        return "%s sent no heartbeat for %.0f s, so this rank stops. %s is %s. %s" % (
            ", ".join("rank %d (%s)" % (rank, process) for rank, process, _ in silent), seconds,
            "That process" if len(silent) == 1 else "Each of them", reasons % "hangs or has lost its connection", HOW_TO_CONTINUE)


def ranks_without_heartbeats(line):
    """List of the ranks that a line of a log, with a message of :class:`Heartbeats`, reports as silent."""
    found = re.search(r"((?:rank \d+ \(process \d+ on [^)]*\)(?:, )?)+) sent no heartbeat for \d+ s", line)
    return [int(rank) for rank in re.findall(r"rank (\d+) \(", found.group(1))] if found else []


def _parsed(text):
    return json.loads(text) if text else {"process": "", "silent": []}
