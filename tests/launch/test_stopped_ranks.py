"""Ranks whose processes are stopped: which ones the launcher kills, and how a pause of the launcher and signals reach them."""
import collections
import os
import signal
import subprocess

import pytest

from open_seq2seq.distributed.heartbeats import VARIABLE, Heartbeats
from open_seq2seq.launch.rank_environment import RankPlan
from open_seq2seq.launch.stopped_ranks import StoppedRanks
from tests.launch.launcher_runs import logs_of


@pytest.mark.slow
def test_a_rank_that_is_stopped_while_others_wait_for_it_is_killed(start, tmp_path):
    # the ranks of NPUs cannot notice it themselves; the stopped process may be a child of the one that the launcher started
    launch = start("2:child", "2:print=the last line", "2:kill=%d" % signal.SIGSTOP, variables={VARIABLE: "1"})
    done = launch.finish()
    assert done.status == 4 and done.out == "turing train fail\n"
    assert "launch: rank 2 of 4 (device 6) was killed after " in done.err and "kill -STOP" in done.err
    assert "the others (rank 0, 1, 3) were stopped" in done.err and "the last line" in done.err
    for log in logs_of(tmp_path):
        assert log[-1] == "turing train fail" and "rank 2 of 4 (device 6) was killed" in log[-2]


def test_a_running_rank_that_the_others_name_as_silent_is_the_cause(start):
    # its machine's clock or scheduler may have frozen it in a state that is not visible from here
    environ = {"HOROVOD_GLOO_RENDEZVOUS_ADDR": "127.0.0.1", "HOROVOD_GLOO_RENDEZVOUS_PORT": "1"}
    message = Heartbeats(0, 4, environ, None)._message([[3, "process 7 on node1", 61.0]])
    done = start("0:print=PeerLostError: rank 0 of 4: " + message, "0:exit=4",
                 "1:print=PeerLostError: Horovod has been shut down", "1:exit=4").finish()
    assert done.status == 4 and "rank 3 of 4 (device 7) was killed" in done.err and "it did not run" in done.err


def wait_for_state(process_id, states):
    while open("/proc/%d/stat" % process_id).read().rpartition(")")[2].split()[0] not in states:
        pass


Rank = collections.namedtuple("Rank", "plan is_running process_id child")


@pytest.fixture
def ranks():
    """Function (size of the run, number of its ranks on this machine) -> those ranks, as StoppedRanks reads them."""
    processes = []

    def call(size, here):
        for _ in range(here):
            # the process that stops is a child of the first one of its session
            processes.append(subprocess.Popen(["sh", "-c", "sleep 1000 & echo $!; wait"], start_new_session=True, text=True,
                                              stdout=subprocess.PIPE))
        return [Rank(RankPlan(rank, size, rank, ()), True, process.pid, int(process.stdout.readline()))
                for rank, process in enumerate(processes)]
    yield call
    for process in processes:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.mark.parametrize("size, here, stopped, overdue", [
    (2, 2, [1], [1]), (2, 2, [0], [0]),
    # nobody waits for a single process, nor where all are stopped; the ranks of another machine wait
    (1, 1, [0], []), (2, 2, [0, 1], []), (3, 2, [0, 1], [0, 1]), (2, 1, [0], [0])])
def test_which_stopped_ranks_are_waited_for(ranks, size, here, stopped, overdue):
    found = ranks(size, here)
    watch = StoppedRanks(found, 10)
    for rank in stopped:
        os.kill(found[rank].child, signal.SIGSTOP)
        wait_for_state(found[rank].child, "T")
    # seconds 0 to 9, then 1000: the launcher itself did not run in between, of which it counts 2 s
    assert not any(watch.overdue(now) for now in range(10))
    assert [rank.plan.rank for rank in watch.overdue(1000)] == overdue
    for rank in stopped:
        os.kill(found[rank].child, signal.SIGCONT)
        wait_for_state(found[rank].child, "SR")
    assert not any(watch.overdue(now) for now in range(2000, 2020))


def test_a_pause_of_the_launcher_pauses_the_ranks(start):
    # a process group of its own in this session, as a shell starts it
    launch = start("1:child", "1:catch", preexec_fn=os.setpgrp, variables={VARIABLE: "1"})
    launch.wait_until_ready(4)
    children = open("/proc/%d/task/%d/children" % (launch.process.pid, launch.process.pid)).read().split()
    # the other child is the process that kills the ranks when the launcher is killed
    ranks = [int(child) for child in children if "launch.launcher" not in open("/proc/%s/cmdline" % child).read()]
    assert len(ranks) == 4
    launch.process.send_signal(signal.SIGTSTP)
    # as a shell learns of it
    os.waitid(os.P_PID, launch.process.pid, os.WSTOPPED)
    for rank in ranks:
        wait_for_state(rank, "T")
    launch.process.send_signal(signal.SIGCONT)
    for rank in ranks:
        wait_for_state(rank, "S")
    launch.process.send_signal(signal.SIGTERM)
    done = launch.finish()
    assert done.status == 143 and "rank 1 got SIGTERM" in done.text and "launch: paused" in done.err


def test_a_stopped_rank_gets_the_signal_that_ends_the_run(start):
    launch = start("1:catch", "1:leave=%s" % "stopped.pid", "3:catch")
    launch.wait_until_ready(4)
    rank = int(open(os.path.join(launch.folder, "stopped.pid")).read())
    os.kill(rank, signal.SIGSTOP)
    wait_for_state(rank, "T")
    launch.process.send_signal(signal.SIGTERM)
    done = launch.finish()
    assert done.status == 143 and "rank 1 got SIGTERM" in done.text
