"""Watches the processes of a run: when one dies the others are stopped, and the one that was the cause is found."""
import collections
import signal
import time

POLL_SECONDS = 0.1
GRACE_SECONDS = 2
"""How long after the first death others may die by themselves, before they are told to."""
PEER_LOST_GRACE_SECONDS = 4
"""The same while all that died say that they lost a peer: the peer may still be printing what went wrong."""
TERMINATE_SECONDS = 4
"""How long processes that are told to stop may take to end once one of them has failed at it; then they are killed."""
KILL_SECONDS = 2
"""How long to wait for the end of what was killed: in an uninterruptible wait for its device it dies when the driver lets it."""
LAUNCHER_STOP_SECONDS = 600
"""How long processes may take to end when the launcher itself is told to stop: a step of a large network, and its checkpoint. A
second signal to the launcher ends them at once."""

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
SAVE_SIGNAL = signal.SIGUSR1
WATCHED_SIGNALS = frozenset(STOP_SIGNALS) | {signal.SIGCHLD, SAVE_SIGNAL}
STATUS_OF_STOP = {128 + number: number for number in (signal.SIGTERM, signal.SIGINT)}
"""What a training exits with that was told to stop, and has saved."""


class Outcome(collections.namedtuple("Outcome", "cause stop_signal stopped")):
    """How a run ended.

    Attributes:
      cause: the :class:`~open_seq2seq.launch.rank_process.RankProcess` that failed first, None if none did.
      stop_signal: the signal that the launcher, or one of the processes, was stopped by, or None.
      stopped: list of the RankProcess that were still running and were stopped.
    """


def block_signals():
    """Has the signals of :data:`WATCHED_SIGNALS` wait until :func:`watch` takes them; before any thread is started."""
    # one that ignores its children would never see their status
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED_SIGNALS)


def watch(processes):
    """Waits until all processes have ended, or stops them when one fails or the launcher is told to stop.

    Args:
      processes: list of :class:`~open_seq2seq.launch.rank_process.RankProcess`.

    Returns:
      :class:`Outcome`; no process is left running.
    """
    stop_signal = _wait(processes, lambda: _failed(processes))
    if stop_signal is not None:
        return _stop_by_signal(processes, stop_signal)
    failed = _failed(processes)
    if not failed:
        return Outcome(None, None, [])
    if failed[0].status in STATUS_OF_STOP and failed[0].stopped_early:
        # the others wait for it, and have nothing to save either
        running = [process for process in processes if process.is_running]
        _kill(processes)
        return Outcome(None, STATUS_OF_STOP[failed[0].status], running)
    if failed[0].status in STATUS_OF_STOP:
        # a rank was told to stop, and has told the others
        status = failed[0].status
        deadline = time.monotonic() + LAUNCHER_STOP_SECONDS
        _wait(processes, lambda: _ended_otherwise(processes, (status,)) or time.monotonic() > deadline)
        if all(process.status == status for process in processes):
            return Outcome(None, STATUS_OF_STOP[status], [])
    first = min(process.ended for process in failed)

    def grace_is_over():
        only_consequences = all(process.lost_a_peer for process in _failed(processes))
        return time.monotonic() > first + (PEER_LOST_GRACE_SECONDS if only_consequences else GRACE_SECONDS)

    stop_signal = _wait(processes, grace_is_over)
    if stop_signal is not None:
        return _stop_by_signal(processes, stop_signal)
    failed = _failed(processes)
    running = [process for process in processes if process.is_running]
    # no SIGTERM: a training would finish its step, for which it needs the dead one
    _kill(processes)
    return Outcome(find_cause(failed), None, running)


def find_cause(failed):
    """The process of a list of failed ones whose end was the cause of the others'.

    That is the first, but for those that say that they lost a peer. Of those that were found dead together one killed by a
    signal comes first: nobody else's end kills a process.
    """
    candidates = [process for process in failed if not process.lost_a_peer] or failed
    first = min(process.ended for process in candidates)
    together = [process for process in candidates if process.ended <= first + 1.5 * POLL_SECONDS]
    return min(together, key=lambda process: (process.status > 0, process.plan.rank))


def stop(processes, number, seconds):
    """Sends a signal to all processes and kills those that have not ended after ``seconds``."""
    for process in processes:
        process.send(number)
    begin = time.monotonic()

    def is_over():
        # whoever waits for a process that has failed would wait for ever
        failures = [max(begin, process.ended) for process in _ended_otherwise(processes, (0, 128 + number, -number))]
        return time.monotonic() > min([begin + seconds] + [failure + TERMINATE_SECONDS for failure in failures])

    # a second signal to the launcher means: at once
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
    """List of those that have ended with another status than these."""
    return [process for process in processes if not process.is_running and process.status not in statuses]


def _wait(processes, condition):
    """Waits until all have ended, the condition holds (None) or the launcher was told to stop (that signal)."""
    while True:
        for process in processes:
            process.look()
        if not any(process.is_running for process in processes) or condition():
            return None
        received = signal.sigtimedwait(WATCHED_SIGNALS, POLL_SECONDS)
        if received is not None and received.si_signo in STOP_SIGNALS:
            return signal.Signals(received.si_signo)
        if received is not None and received.si_signo == SAVE_SIGNAL:
            for process in processes:
                process.send(SAVE_SIGNAL)
