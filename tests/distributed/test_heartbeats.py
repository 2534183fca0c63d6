"""Heartbeats: ranks whose processes do not run are named; those that only work for long, and pauses of the whole run, are not."""
import queue
import re
import threading
import time

import pytest

from open_seq2seq.distributed.heartbeats import VARIABLE, Heartbeats, Silence, peer_timeout, ranks_without_heartbeats
from open_seq2seq.distributed.rendezvous_notes import RendezvousNotes
from open_seq2seq.errors import DeviceError

PATIENCE = 120


class Run:
    """The heartbeats of the ranks of a run in this process; a rank whose thread is not started does not run."""

    def __init__(self, port, size, seconds="1"):
        self.environ = {"HOROVOD_GLOO_RENDEZVOUS_ADDR": "127.0.0.1", "HOROVOD_GLOO_RENDEZVOUS_PORT": str(port), VARIABLE: seconds}
        self.lost = [queue.Queue() for _ in range(size)]
        self.ranks = [Heartbeats(rank, size, self.environ, self.lost[rank].put) for rank in range(size)]
        for rank in self.ranks:
            rank.send()


@pytest.fixture
def start(rendezvous):
    runs = []

    def call(size, running, **options):
        runs.append(Run(rendezvous(size), size, **options))
        for rank in running:
            runs[-1].ranks[rank].start()
        return runs[-1]
    yield call
    for run in runs:
        for rank in run.ranks:
            rank.stop()


@pytest.mark.slow
@pytest.mark.parametrize("silent, running", [([1], [0, 2]), ([0], [1, 2]), ([1, 2], [0, 3])])
def test_every_rank_that_runs_names_the_ranks_that_do_not(start, silent, running):
    run = start(len(silent + running), running)
    for rank in running:
        message = run.lost[rank].get(timeout=PATIENCE)
        assert ranks_without_heartbeats("PeerLostError: rank %d of 3: %s" % (rank, message)) == silent
        assert "kill -STOP" in message and "--continue_learning" in message and VARIABLE in message
        # the same after an error of Horovod, which a rank that ends may cause first
        assert ranks_without_heartbeats(run.ranks[rank].explanation()) == silent
    # a rank that continues later learns why the others have ended
    assert 0 in silent or "because this process did not run" in run.ranks[silent[0]].explanation()


@pytest.mark.slow
def test_a_rank_that_has_finished_or_continues_is_not_silent(start):
    run = start(3, [0])
    run.ranks[1].stop()
    alive = threading.Event()

    def work():
        # in its own time, not in the thread of the heartbeats
        while not alive.wait(0.1):
            run.ranks[2].send()
    thread = threading.Thread(target=work)
    thread.start()
    with pytest.raises(queue.Empty):
        run.lost[0].get(timeout=3)
    alive.set()
    thread.join()
    assert ranks_without_heartbeats(run.lost[0].get(timeout=PATIENCE)) == [2]


@pytest.mark.slow
def test_an_error_after_a_long_pause_of_the_whole_run_is_explained(start, monkeypatch):
    run = start(2, [])
    assert [rank.explanation() for rank in run.ranks] == ["", ""]
    monotonic = time.monotonic
    with monkeypatch.context() as patch:
        patch.setattr(time, "monotonic", lambda: monotonic() + 100)
        explanations = [rank.explanation() for rank in run.ranks]
    for explanation in explanations:
        assert re.match(r"this process did not run for 10\d s, .*Ctrl-Z.*--continue_learning", explanation)
        assert ranks_without_heartbeats("PeerLostError: " + explanation) == []


def test_a_server_that_has_ended_says_nothing_about_the_ranks():
    run = Run.__new__(Run)
    environ = {"HOROVOD_GLOO_RENDEZVOUS_ADDR": "127.0.0.1", "HOROVOD_GLOO_RENDEZVOUS_PORT": "1"}
    run.ranks = [Heartbeats(rank, 2, environ, lambda message: pytest.fail(message)) for rank in range(2)]
    assert [rank.explanation() for rank in run.ranks] == ["", ""]


@pytest.mark.slow
def test_a_second_run_with_the_same_server_does_not_read_the_notes_of_the_first(start, rendezvous):
    first = start(2, [0])
    first.lost[0].get(timeout=PATIENCE)
    notes = RendezvousNotes(first.environ, "heartbeats", 10)
    assert '"silent": [[1, "process ' in notes.get(0)
    second = Run(int(first.environ["HOROVOD_GLOO_RENDEZVOUS_PORT"]), 2)
    assert [rank.explanation() for rank in second.ranks] == ["", ""]


def test_only_time_in_which_a_peer_could_be_observed_counts():
    silence = Silence(longest_step=10.0)
    seen = []
    # this process or the server is stopped from 12 to 500
    for note, now in [("a", 0.0), ("a", 5.0), ("a", 12.0), ("a", 500.0), ("a", 504.0), ("b", 505.0), ("b", 510.0), (None, 520.0),
                      (None, 600.0), ("b", 601.0)]:
        silence.observe(note, now)
        seen.append(silence.seconds)
    assert seen == [0.0, 5.0, 12.0, 22.0, 26.0, 0.0, 5.0, 0.0, 0.0, 0.0]


@pytest.mark.parametrize("text", ["soon", "0", "-5", "nan", "inf", "100000"])
def test_a_time_limit_that_is_not_a_number_of_seconds(text):
    with pytest.raises(DeviceError, match='%s is "%s", expected a number of seconds from 1 to 86400' % (VARIABLE, text)):
        peer_timeout({VARIABLE: text})


def test_the_default_time_limit():
    assert peer_timeout({}) == peer_timeout({VARIABLE: ""}) == 60 and peer_timeout({VARIABLE: "2.5"}) == 2.5


@pytest.mark.parametrize("line", ["", "PeerLostError: rank 1 of 2: another rank died or does not answer",
                                  "rank 1 sent no heartbeat for 3 s"])
def test_lines_that_name_no_silent_rank(line):
    assert ranks_without_heartbeats(line) == []
