"""The launcher with real Horovod: ranks connect, share the cores, and end when one of them fails."""
import os
import re
import socket
import subprocess
import sys
import types

import pytest

from tests.paths import REPOSITORY

pytestmark = pytest.mark.slow
PATIENCE = 240

RANK = '''
import os, sys
import tensorflow.compat.v1 as tf
tf.disable_v2_behavior()
import horovod.tensorflow as hvd
hvd.init()
total = hvd.allreduce(tf.constant([float(hvd.rank() + 1)]), op=hvd.Sum)
with tf.Session() as session:
    print("rank %d of %d, %d of %d here, cores %s, sum %g" % (
        hvd.rank(), hvd.size(), hvd.local_rank(), hvd.local_size(), os.environ["JASPER_CORES"], session.run(total)[0]))
    # the victim kills itself after all ranks have connected; the others continue until they detect it
    while len(sys.argv) > 1:
        session.run(total)
        if hvd.rank() == int(sys.argv[1]):
            print("the end of rank %d" % hvd.rank(), flush=True)
            os.kill(os.getpid(), int(sys.argv[2]))
'''


# one rank stops itself, as kill -STOP does, in a phase of the run
STOPPING = '''
import os, signal, sys
import tensorflow.compat.v1 as tf
tf.disable_v2_behavior()
import horovod.tensorflow as horovod
from open_seq2seq.cli import exit_status_of
from open_seq2seq.distributed import open_group
from open_seq2seq.distributed.agreement import check_agreement
from open_seq2seq.distributed.lost_peers import errors_name_rank
victim, phase = int(sys.argv[1]), sys.argv[2]
rank = int(os.environ["HOROVOD_RANK"])
def enter(name):
    print("rank %d: %s" % (rank, name), flush=True)
    if (rank, name) == (victim, phase):
        os.kill(os.getpid(), signal.SIGSTOP)
initialize = horovod.init
def init():
    enter("connect")
    initialize()
horovod.init = init
def work(argv):
    group = open_group("cpu")
    total, = group.sum([tf.ones([1000])])
    with tf.Session() as session, errors_name_rank(group):
        group.start(session)
        enter("agree")
        check_agreement(group, session, {"fact": "same"})
        for step in range(10 ** 6):
            if step == 20:
                enter("step")
            session.run(total)
sys.exit(exit_status_of(work, []))
'''


def command_of(folder, words, script_words=(), program=RANK):
    (folder / "rank.py").write_text(program)
    launcher = [sys.executable, "-m", "open_seq2seq.launch", "--device", "cpu", "--log", "train_{rank}.log"]
    return launcher + list(words) + ["--", sys.executable, str(folder / "rank.py")] + list(script_words)


def environment(**variables):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HOROVOD_", "RANK_", "OMPI_", "SLURM_"))}
    return dict(kept, PYTHONPATH=REPOSITORY, TF_CPP_MIN_LOG_LEVEL="3", **variables)


@pytest.fixture
def launch(tmp_path, needs_horovod):
    def call(words, script_words=(), program=RANK, **variables):
        done = subprocess.run(command_of(tmp_path, words, script_words, program), cwd=str(tmp_path), env=environment(**variables),
                              capture_output=True, text=True, timeout=PATIENCE)
        return types.SimpleNamespace(status=done.returncode, out=done.stdout, err=done.stderr)
    return call


def facts_of(log):
    return re.search(r"rank (\d+) of (\d+), (\d+) of (\d+) here, cores (\d+), sum (\d+)", log.read_text()).groups()


@pytest.mark.parametrize("size", [2, 4])
def test_ranks_connect_and_share_the_cores(launch, tmp_path, size):
    done = launch(["--processes", str(size)])
    assert done.status == 0, done.err
    found = [facts_of(tmp_path / ("train_%d.log" % rank)) for rank in range(size)]
    assert [facts[:4] + facts[5:] for facts in found] == [
        (str(rank), str(size), str(rank), str(size), str(size * (size + 1) // 2)) for rank in range(size)]
    assert sum(int(facts[4]) for facts in found) == max(size, len(os.sched_getaffinity(0)))


@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_rank_ends_the_run(launch, tmp_path, victim):
    done = launch(["--processes", "2", "--verdict", "turing train"], [str(victim), "9"])
    assert done.status == 4
    assert "rank %d of 2 (device %d) was killed by signal 9 (SIGKILL)" % (victim, victim) in done.err
    assert "the end of rank %d" % victim in done.err.partition("The last lines of")[2]
    for rank in range(2):
        assert (tmp_path / ("train_%d.log" % rank)).read_text().endswith("turing train fail\n")


@pytest.mark.parametrize("size, victim, phase", [(2, 0, "agree"), (3, 1, "step"), (2, 1, "connect")])
def test_a_stopped_rank_ends_the_run_and_is_named(launch, tmp_path, size, victim, phase):
    done = launch(["--processes", str(size)], [str(victim), phase], STOPPING, JASPER_PEER_TIMEOUT="3")
    logs = [(tmp_path / ("train_%d.log" % rank)).read_text() for rank in range(size)]
    assert done.status == 4, logs
    assert "launch: rank %d of %d (device %d) was killed" % (victim, size, victim) in done.err and "kill -STOP" in done.err
    assert "rank %d: %s" % (victim, phase) in done.err.partition("The last lines of")[2]
    for rank, log in enumerate(logs):
        assert "Traceback" not in log
        named = r"PeerLostError: rank %d of %d: rank %d \(process \d+ on .*\) sent no heartbeat for" % (rank, size, victim)
        assert rank == victim or re.search(named, log), log


def test_two_machines_connect_through_the_first(launch, tmp_path):
    # two loopback addresses: the two launchers act as two machines
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["--servers", "127.0.0.1:1,127.0.0.2:2", "--port", str(port)]
    second = subprocess.Popen(command_of(tmp_path, words + ["--server", "1"]), cwd=str(tmp_path), env=environment(),
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        first = launch(words + ["--server", "0"])
        out, err = second.communicate(timeout=PATIENCE)
    finally:
        second.kill()
        second.communicate()
    assert first.status == 0 and second.returncode == 0, first.err + err
    assert [facts_of(tmp_path / ("train_%d.log" % rank))[:4] for rank in range(3)] == [
        ("0", "3", "0", "1"), ("1", "3", "0", "2"), ("2", "3", "1", "2")]
    assert "rank 0 of 3" in first.out and "rank 1 of 3" in out and "rank 2 of 3" not in out


def test_auto_is_the_device_that_tensorflow_finds(tmp_path):
    done = subprocess.run([sys.executable, "-m", "open_seq2seq.launch", "--", "env"], cwd=str(tmp_path),
                          env=environment(), capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    if not os.path.exists("/dev/davinci0"):
        assert "RANK_ID=" not in done.stdout
