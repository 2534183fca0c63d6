"""Finds ranks that are stopped (``kill -STOP``, Ctrl-Z, a suspended job) while the other ranks of the run wait for them.

Ranks over Horovod notice this themselves, see ``distributed/heartbeats.py``. The launcher looks as well, because the devices of
ranks over HCCL, and ranks on other machines, have no other way to learn of it, and because nothing else ends a stopped process:
only SIGKILL does.
"""
import os

SECONDS_BETWEEN_LOOKS = 1.0


class StoppedRanks:
    """Measures how long each rank has been stopped.

    Time during which the launcher itself did not run does not count, nor does time during which all ranks of the run are
    stopped, because none of them waits then.

    Args:
      processes: list of :class:`~open_seq2seq.launch.rank_process.RankProcess`.
      seconds: how long a rank may be stopped.
    """

    def __init__(self, processes, seconds):
        self._processes, self._seconds = processes, seconds
        self._stopped_for = {process: 0.0 for process in processes}
        self._last_look = None

    def overdue(self, now):
        """List of the ranks that have been stopped for too long; looks at them about once a second.

        Args:
          now: seconds of a monotonic clock.
        """
        if self._last_look is not None and now < self._last_look + SECONDS_BETWEEN_LOOKS:
            return []
        step = 0.0 if self._last_look is None else min(now - self._last_look, 2 * SECONDS_BETWEEN_LOOKS)
        self._last_look = now
        stopped = self.stopped_now()
        if not self._is_waited_for(stopped):
            stopped = []
        for process in self._processes:
            self._stopped_for[process] = self._stopped_for[process] + step if process in stopped else 0.0
        return [process for process in stopped if self._stopped_for[process] >= self._seconds]

    def stopped_now(self):
        """List of the ranks of which a process is stopped now."""
        sessions = _stopped_sessions()
        return [process for process in self._processes if process.is_running and process.process_id in sessions]

    def _is_waited_for(self, stopped):
        running = [process for process in self._processes if process.is_running]
        return len(stopped) < len(running) or self._processes[0].plan.size > len(self._processes)


def _stopped_sessions():
    """Set of the sessions, by the numbers of their first processes, in which a process is stopped."""
    sessions = set()
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open("/proc/%s/stat" % name, encoding="utf-8", errors="replace") as file:
                    # the name of the program, in parentheses, may contain anything
                    state, _, _, session = file.read().rpartition(")")[2].split()[:4]
            except (OSError, ValueError):
                continue  # it has ended
            if state in "Tt":
                sessions.add(int(session))
    return sessions
