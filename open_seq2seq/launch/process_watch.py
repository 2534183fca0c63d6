"""Watches the processes of a run: when one fails the others are stopped, and the process that was the cause is identified."""
import collections
import os
import signal
import sys
import time

from open_seq2seq.launch.stopped_ranks import StoppedRanks

POLL_SECONDS = 0.1
GRACE_SECONDS = 2
"""How long after the first failure the others may end by themselves before they are killed."""
PEER_LOST_GRACE_SECONDS = 4
"""The same while all failed processes report a lost peer: that peer may still be printing its error."""
TERMINATE_SECONDS = 4
"""How long processes that are asked to stop may take to end after one of them has failed; then they are killed."""
KILL_SECONDS = 2
"""How long to wait for killed processes to end: one in an uninterruptible wait for its device ends when the driver returns."""
LAUNCHER_STOP_SECONDS = 600
"""How long processes may take to end when the launcher itself is asked to stop: a step of a large network and its checkpoint. A
second signal to the launcher kills them at once."""

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
SAVE_SIGNAL = signal.SIGUSR1
PAUSE_SIGNAL = signal.SIGTSTP
WATCHED_SIGNALS = frozenset(STOP_SIGNALS) | {signal.SIGCHLD, SAVE_SIGNAL, PAUSE_SIGNAL}
STATUS_OF_STOP = {128 + number: number for number in (signal.SIGTERM, signal.SIGINT)}
"""Exit status of a training that was stopped by a signal and has saved a checkpoint."""


class Outcome(collections.namedtuple("Outcome", "cause stop_signal stopped silent")):
    """How a run ended.

    Attributes:
      cause: the :class:`~open_seq2seq.launch.rank_process.RankProcess` that failed first, None if none failed.
      stop_signal: the signal that the launcher, or one of the processes, was stopped by, or None.
      stopped: list of RankProcess that were still running and were stopped.
      silent: bool, the cause did not fail but did not run, e.g. after ``kill -STOP``, and was killed.
    """

    __slots__ = ()

    def __new__(cls, cause, stop_signal, stopped, silent=False):
        return super().__new__(cls, cause, stop_signal, stopped, silent)


def block_signals():
    """Blocks the signals :data:`WATCHED_SIGNALS`, which :func:`watch` receives; call it before any thread is started."""
    # a process that ignores SIGCHLD never gets the status of its children
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED_SIGNALS)


def watch(processes, patience):
    """Waits until all processes have ended, or stops them when one fails or does not run, or the launcher is asked to stop.

    Args:
      processes: list of :class:`~open_seq2seq.launch.rank_process.RankProcess`.
      patience: seconds that a process may be stopped while others wait for it.

    Returns:
      :class:`Outcome`; no process is left running.
    """
    stopped_ranks = StoppedRanks(processes, patience)
    overdue = []

    def is_to_be_ended():
        overdue[:] = stopped_ranks.overdue(time.monotonic())
        return _failed(processes) or overdue

    stop_signal = _wait(processes, is_to_be_ended)
    if stop_signal is not None:
        return _stop_by_signal(processes, stop_signal)
    failed = _failed(processes)
    if overdue and not failed:
        return _end_overdue(processes, overdue)
    if not failed:
        return Outcome(None, None, [])
    if failed[0].status in STATUS_OF_STOP and failed[0].stopped_early:
        # the others wait for it and have nothing to save either
        running = [process for process in processes if process.is_running]
        _kill(processes)
        return Outcome(None, STATUS_OF_STOP[failed[0].status], running)
    if failed[0].status in STATUS_OF_STOP:
        # a rank was asked to stop and has informed the others
        status = failed[0].status
        deadline = time.monotonic() + LAUNCHER_STOP_SECONDS
        _wait(processes, lambda: _ended_otherwise(processes, (status,)) or time.monotonic() > deadline)
        if all(process.status == status for process in processes):
            return Outcome(None, STATUS_OF_STOP[status], [])
    stop_signal = _wait(processes, _end_of_grace(processes, min(process.ended for process in failed)))
    if stop_signal is not None:
        return _stop_by_signal(processes, stop_signal)
    failed = _failed(processes)
    running = [process for process in processes if process.is_running]
    silent = _silent(running, failed, stopped_ranks)
    # no SIGTERM: a training would first finish its step, for which it needs the process that failed
    _kill(processes)
    return Outcome(silent[0] if silent else find_cause(failed), None, running, bool(silent))


def find_cause(failed):
    """The failed process that caused the others to fail.

    It is the first one that failed, except for those that report a lost peer. Of several that ended at the same time, one killed
    by a signal comes first: another process's end does not cause that.
    """
    candidates = [process for process in failed if not process.lost_a_peer] or failed
    first = min(process.ended for process in candidates)
    together = [process for process in candidates if process.ended <= first + 1.5 * POLL_SECONDS]
    return min(together, key=lambda process: (process.status > 0, process.plan.rank))


def _end_overdue(processes, overdue):
    """Kills the ranks that are stopped; the others then have the same time to report their lost peer as after any failure."""
    running = [process for process in processes if process.is_running]
    for process in overdue:
        process.send(signal.SIGKILL)
    _wait(processes, _end_of_grace(processes, time.monotonic()))
    stopped = [process for process in running if process.is_running or process in overdue]
    _kill(processes)
    return Outcome(overdue[0], None, stopped, silent=True)


def _end_of_grace(processes, first):
    """Function that returns whether the others have had enough time to end by themselves after a failure at ``first``."""
    def is_over():
        only_consequences = all(process.lost_a_peer for process in _failed(processes))
        return time.monotonic() > first + (PEER_LOST_GRACE_SECONDS if only_consequences else GRACE_SECONDS)
    return is_over


def _silent(running, failed, stopped_ranks):
    """List of the running processes that caused the others to fail because they do not run."""
    if not all(process.lost_a_peer for process in failed):
        return []
    named = set().union(*[process.silent_peers for process in failed])
    stopped = stopped_ranks.stopped_now()
    return [process for process in running if process.plan.rank in named or process in stopped]


def stop(processes, number, seconds):
    """Sends a signal to all processes and kills those that have not ended after ``seconds``."""
    for process in processes:
        process.send(number)
        # a process that is stopped receives the signal when it continues
        process.send(signal.SIGCONT)
    begin = time.monotonic()

    def is_over():
        # a process that waits for a failed one would never end
        failures = [max(begin, process.ended) for process in _ended_otherwise(processes, (0, 128 + number, -number))]
        return time.monotonic() > min([begin + seconds] + [failure + TERMINATE_SECONDS for failure in failures])

    # a second signal to the launcher ends the wait
    _wait(processes, is_over)
    _kill(processes)


def _kill(processes):
    for process in processes:
        process.send(signal.SIGKILL)
    deadline = time.monotonic() + KILL_SECONDS
    _wait(processes, lambda: time.monotonic() > deadline)


def _stop_by_signal(processes, number):
    running = [process for process in processes if process.is_running]
    stop(processes, number, LAUNCHER_STOP_SECONDS)
    return Outcome(None, number, running)


def _failed(processes):
    return [process for process in processes if process.status not in (None, 0)]


def _ended_otherwise(processes, statuses):
    """List of the processes that have ended with another status than these."""
    return [process for process in processes if not process.is_running and process.status not in statuses]


def _wait(processes, condition):
    """Waits until all have ended or the condition holds (None), or the launcher is asked to stop (returns that signal)."""
    while True:
        for process in processes:
            process.poll()
        if not any(process.is_running for process in processes) or condition():
            return None
        received = signal.sigtimedwait(WATCHED_SIGNALS, POLL_SECONDS)
        if received is not None and received.si_signo in STOP_SIGNALS:
            return signal.Signals(received.si_signo)
        if received is not None and received.si_signo == SAVE_SIGNAL:
            for process in processes:
                process.send(SAVE_SIGNAL)
        if received is not None and received.si_signo == PAUSE_SIGNAL:
            _pause(processes)


def _pause(processes):
    """Stops the processes and then the launcher itself, as Ctrl-Z does with any command; returns when it is continued.

    The processes are in sessions without a terminal, where SIGTSTP has no effect.
    """
    for process in processes:
        process.send(signal.SIGSTOP)
    print("launch: paused with its processes; `fg` continues them", file=sys.stderr, flush=True)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {PAUSE_SIGNAL})
    os.kill(os.getpid(), PAUSE_SIGNAL)  # stops here, except where the launcher has no terminal from which it could be continued
    signal.pthread_sigmask(signal.SIG_BLOCK, {PAUSE_SIGNAL})
    for process in processes:
        process.send(signal.SIGCONT)
