"""Signals to this process: requests, exceptions, messages."""
import os
import queue
import signal
import subprocess
import sys
import threading

import pytest

from open_seq2seq.distributed.group import Single
from open_seq2seq.signals import (
    NOTICED,
    StoppedBySignal,
    TrainingSignals,
    raise_if_stopped_by_signal,
    resume_command,
)
from open_seq2seq.training.requests import Request, Requests
from tests.paths import REPOSITORY

PATIENCE = 60


@pytest.fixture
def left():
    """What ``leave`` was called with, and an event that it was."""
    statuses, happened = [], threading.Event()

    def leave(status):
        statuses.append(status)
        happened.set()
    return statuses, happened, leave


@pytest.fixture
def handlers():
    """The handlers and the descriptor are afterwards those of before."""
    if threading.current_thread() is not threading.main_thread():
        # execnet starts a worker's first task in another thread if it arrives before the main one waits; a signal would end it
        pytest.skip("Python handles signals in the main thread, and this worker of pytest-xdist runs tests in another one")
    before = [signal.getsignal(number) for number in NOTICED]
    yield
    assert [signal.getsignal(number) for number in NOTICED] == before
    assert signal.set_wakeup_fd(-1) == -1
    assert not [thread for thread in threading.enumerate() if thread.name == "signals"]


def send(*numbers):
    for number in numbers:
        os.kill(os.getpid(), number)


def test_during_the_steps_signals_are_requests(handlers):
    requests, said = Requests(Single()), queue.Queue()
    with TrainingSignals("python run.py", say=said.put) as signals, signals.asking(requests):
        send(signal.SIGUSR1)
        assert requests.take({}) == {Request.SAVE}
        send(signal.SIGTERM, signal.SIGTERM, signal.SIGINT)
        assert requests.take({}) == {Request.SIGTERM, Request.SIGINT}
        assert said.get(timeout=PATIENCE) == "SIGUSR1: a checkpoint will be saved after this step"
        # the order of two pending signals is up to the system
        assert {said.get(timeout=PATIENCE) for _ in range(3)} == {
            "SIGTERM: the training will finish and save this step, then stop",
            "SIGINT: the training will finish and save this step, then stop; a second SIGINT stops it at once, without saving"}


def test_a_signal_whose_exception_was_caught_by_other_code_is_a_request_at_the_first_step(handlers, capfd):
    requests = Requests(Single())
    with TrainingSignals("python run.py") as signals:
        try:
            send(signal.SIGTERM)
        except BaseException:  # noqa: B036 - as an import does that tries one way and then another
            pass
        with signals.asking(requests):
            assert requests.take({}) == {Request.SIGTERM}


@pytest.mark.parametrize("number, status", [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_before_and_after_the_steps_signals_raise(handlers, capfd, number, status):
    with pytest.raises(StoppedBySignal, match="Stopped by %s before the first step; nothing was changed" % number.name) as stop:
        with TrainingSignals("python run.py"):
            send(signal.SIGUSR1)  # nothing to save
            send(number)
    assert stop.value.exit_status == status and stop.value.number == number
    assert "SIGUSR1: there is nothing to save before the first step" in capfd.readouterr().err
    with pytest.raises(StoppedBySignal) as stop:
        with TrainingSignals("python run.py --continue_learning") as signals:
            with signals.asking(Requests(Single())):
                pass
            send(signal.SIGUSR1)
            send(number)
    assert str(stop.value) == ("Stopped by %s after the training's last step, which is saved. Do what is left with:\n"
                               "  python run.py --continue_learning" % number.name)
    assert "SIGUSR1: everything is already saved" in capfd.readouterr().err


def test_a_second_interrupt_exits_at_once_even_while_the_main_thread_is_busy(handlers, left):
    statuses, happened, leave = left
    said = queue.Queue()
    with TrainingSignals("python run.py --continue_learning", leave, said.put) as signals, signals.asking(Requests(Single())):
        # the main thread waits in this one instruction, as it does for a step
        sender = threading.Thread(target=lambda: (os.kill(os.getpid(), signal.SIGINT), said.get(timeout=PATIENCE),
                                                  os.kill(os.getpid(), signal.SIGINT)))
        sender.start()
        assert happened.wait(PATIENCE)
        sender.join(PATIENCE)
    assert statuses == [130]
    assert said.get(timeout=PATIENCE) == ("Stopped at once by a second SIGINT; the steps after the last checkpoint are lost. "
                                          "Resume from it with:\n  python run.py --continue_learning")


def test_other_threads_than_the_main_one_have_no_handlers(handlers):
    raised = []

    def use():
        try:
            with TrainingSignals("python run.py") as signals, signals.asking(Requests(Single())):
                pass
        except Exception as error:
            raised.append(error)
    thread = threading.Thread(target=use)
    thread.start()
    thread.join(PATIENCE)
    assert raised == []


def test_only_signals_end_a_training_with_their_status():
    for request in (None, Request.TIME_IS_UP):
        raise_if_stopped_by_signal(request, 5, "python run.py")
    with pytest.raises(StoppedBySignal) as stop:
        raise_if_stopped_by_signal(Request.SIGINT, 5, "python run.py --continue_learning")
    assert str(stop.value) == "Stopped by SIGINT after step 5, which is saved. Resume with:\n  python run.py --continue_learning"
    assert stop.value.exit_status == 130
    with pytest.raises(StoppedBySignal, match="^Stopped by SIGTERM after step 5$"):
        raise_if_stopped_by_signal(Request.SIGTERM, 5, "")


@pytest.mark.parametrize("words, environ, command", [
    (["run.py", "--mode=train"], {}, "python run.py --mode=train --continue_learning"),
    (["run.py", "--continue_learning", "--logdir=a b"], {}, "python run.py --continue_learning '--logdir=a b'"),
    (["run.py"], {"JASPER_RESUME_COMMAND": "bash scripts/run_1p.sh"}, "bash scripts/run_1p.sh"),
    (["run.py", "--continue_learning=False"], {}, "python run.py --continue_learning"),
    (["run.py", "--continue_learning", "False"], {}, "python run.py --continue_learning"),
])
def test_the_resume_command_can_be_typed(words, environ, command):
    assert resume_command(words, environ) == command


def test_nothing_heavy_is_imported_before_signals_are_handled():
    done = subprocess.run([sys.executable, "-c", "import sys, open_seq2seq.signals; print('tensorflow' in sys.modules)"],
                          cwd=REPOSITORY,
                          stdout=subprocess.PIPE, text=True, timeout=PATIENCE)
    assert done.stdout == "False\n"
