"""One training owns a directory; owners that are not running any more are recognized on this machine and on others."""
import json
import os
import signal
import subprocess
import sys
import threading

import pytest

from open_seq2seq.checkpoints import ownership
from open_seq2seq.checkpoints.ownership import (
    OWNER_FILE,
    DirectoryClaim,
    DirectoryInUse,
    owned_directories,
    process_start,
    read_owner,
    this_process,
)
from open_seq2seq.errors import StorageError
from tests.paths import REPOSITORY

SNIPPET = """
import sys
sys.path.insert(0, %r)
from open_seq2seq.checkpoints.ownership import DirectoryInUse, owned_directories
try:
    with owned_directories({sys.argv[1]: "logdir"}):
        print("owner", flush=True)
        sys.stdin.read()
except DirectoryInUse as error:
    print(error, flush=True)
""" % REPOSITORY


@pytest.fixture
def start(tmp_path):
    """Starts a process that claims the directory; returns it and the first line that it prints."""
    processes = []

    def call():
        process = subprocess.Popen([sys.executable, "-c", SNIPPET, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   text=True)
        processes.append(process)
        lines = []
        for line in process.stdout:
            lines.append(line)
            if not line.startswith("***"):
                break
        return process, "".join(lines)
    yield call
    for process in processes:
        process.kill()
        process.communicate()


def write_owner(directory, **changes):
    """The file of an owner; by default of another machine, which touched it a moment ago."""
    owner = this_process()._replace(**dict(dict(host="elsewhere", process=41, boot="another", token="theirs"), **changes))
    path = os.path.join(str(directory), OWNER_FILE)
    with open(path, "w") as file:
        json.dump(owner._asdict(), file)
    return path


def test_a_second_process_is_refused_with_the_firsts_host_process_and_start(start, tmp_path):
    first, line = start()
    assert line == "owner\n"
    owner = read_owner(str(tmp_path / OWNER_FILE))
    assert owner.process == first.pid
    _, message = start()
    for part in ('logdir "%s" is in use' % tmp_path, "host %s, process %d, started %s" % (owner.host, first.pid, owner.started),
                 "stop it, or choose another --logdir", "delete %s" % (tmp_path / OWNER_FILE)):
        assert part in message
    first.communicate("")
    assert os.listdir(str(tmp_path)) == []


def test_a_killed_owner_is_replaced_at_once_and_that_is_reported(start, tmp_path):
    first, _ = start()
    first.send_signal(signal.SIGKILL)
    # not waited for: it stays as a zombie
    os.waitid(os.P_PID, first.pid, os.WEXITED | os.WNOWAIT)
    second, lines = start()
    assert "is taken over from a training that is not running any more (host " in lines and lines.endswith("\nowner\n")
    assert "process %d, " % first.pid in lines and read_owner(str(tmp_path / OWNER_FILE)).process == second.pid


def test_an_owner_in_another_container_of_this_machine_is_known_by_its_lock(start, tmp_path):
    first, _ = start()
    path = str(tmp_path / OWNER_FILE)
    owner = read_owner(path)
    # as the second one would see it from a container: same kernel, other process numbers
    with open(path, "r+") as file:
        json.dump(owner._replace(pid_namespace="pid:[1]", process=1)._asdict(), file)
    os.utime(path, (0, 0))
    _, message = start()
    assert "is in use by a training that is running" in message and "last heartbeat" in message
    first.kill()
    first.wait()
    os.utime(path, (0, 0))
    assert start()[1].endswith("\nowner\n")


@pytest.mark.slow
@pytest.mark.parametrize("content", [b"", b"not JSON", b"[" * 100000, b'{"host": 1}', b"\xff", b"{}", b'{"process": 1e999}'],
                         ids=["empty", "text", "nested", "wrong type", "not UTF-8", "no keys", "infinite"])
def test_a_file_without_a_valid_owner_is_replaced_when_nobody_touches_it(tmp_path, capsys, content):
    (tmp_path / OWNER_FILE).write_bytes(content)
    claim = DirectoryClaim(str(tmp_path), silent_seconds=0.2)
    claim.claim()
    assert read_owner(str(tmp_path / OWNER_FILE)).process == os.getpid()
    assert "taken over from a training that is not running any more (%s does" % OWNER_FILE in capsys.readouterr().out
    claim.release()
    assert os.listdir(str(tmp_path)) == []


def test_an_owner_on_another_machine_is_running_as_long_as_it_touches_its_file(tmp_path):
    path = write_owner(tmp_path)
    stopped = threading.Event()

    def beat():
        while not stopped.wait(0.02):
            os.utime(path)
    thread = threading.Thread(target=beat)
    thread.start()
    try:
        with pytest.raises(DirectoryInUse, match="host elsewhere, process 41, .*last heartbeat"):
            DirectoryClaim(str(tmp_path), silent_seconds=30).claim()
    finally:
        stopped.set()
        thread.join()
    assert os.listdir(str(tmp_path)) == [OWNER_FILE] and read_owner(path).token == "theirs"


def test_an_owner_on_another_machine_that_is_silent_for_long_is_replaced_at_once(tmp_path, capsys):
    path = write_owner(tmp_path)
    # by the clock of the file system, not by this machine's
    os.utime(path, (os.stat(path).st_mtime - 61, os.stat(path).st_mtime - 61))
    claim = DirectoryClaim(str(tmp_path))
    claim.claim()
    out = capsys.readouterr().out
    assert "waiting" not in out and "host elsewhere, process 41" in out
    claim.release()


def test_the_process_number_of_a_killed_owner_may_belong_to_another_process(tmp_path, capsys):
    me = this_process()
    path = write_owner(tmp_path, host=me.host, process=os.getpid(), boot=me.boot, process_start=me.process_start - 1)
    claim = DirectoryClaim(str(tmp_path))
    claim.claim()
    assert "process %d" % os.getpid() in capsys.readouterr().out
    with open(path) as file:
        assert json.load(file)["process_start"] == me.process_start
    claim.release()
    assert not os.path.exists(path)


@pytest.mark.slow
def test_of_many_that_find_a_dead_owner_exactly_one_takes_over(tmp_path):
    me = this_process()

    def contend(barrier, claims, refused):
        claim = DirectoryClaim(str(tmp_path))
        barrier.wait()
        try:
            claim.claim()
            claims.append(claim)
        except DirectoryInUse:
            refused.append(claim)
    for _ in range(50):
        write_owner(tmp_path, host=me.host, process=os.getpid(), boot=me.boot, process_start=me.process_start - 1)
        claims, refused, barrier = [], [], threading.Barrier(8)
        threads = [threading.Thread(target=contend, args=(barrier, claims, refused)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(claims) == 1 and len(refused) == 7
        claims[0].confirm()
        claims[0].release()
        assert os.listdir(str(tmp_path)) == []


def test_a_file_system_without_hard_links_and_locks(tmp_path, monkeypatch):
    def unsupported(*arguments):
        raise PermissionError(1, "Operation not permitted")
    monkeypatch.setattr(ownership.os, "link", unsupported)
    monkeypatch.setattr(ownership.fcntl, "flock", unsupported)
    first = DirectoryClaim(str(tmp_path))
    first.claim()
    with pytest.raises(DirectoryInUse):
        DirectoryClaim(str(tmp_path)).claim()
    first.confirm()
    first.release()
    me = this_process()
    write_owner(tmp_path, host=me.host, process=os.getpid(), boot=me.boot, process_start=me.process_start - 1)
    second = DirectoryClaim(str(tmp_path))
    second.claim()
    second.release()
    assert os.listdir(str(tmp_path)) == []


def test_an_owner_that_was_replaced_finds_out_before_it_writes_and_leaves_the_other_alone(tmp_path):
    with owned_directories({str(tmp_path): "logdir"}, heartbeat_seconds=0.01) as confirm:
        confirm()
        path = write_owner(tmp_path)
        with pytest.raises(DirectoryInUse, match="was taken over by another training .host elsewhere, process 41"):
            confirm()
    assert read_owner(path).token == "theirs"


def test_a_running_owner_touches_its_file_and_restores_it(tmp_path):
    claim = DirectoryClaim(str(tmp_path))
    claim.claim()
    path = str(tmp_path / OWNER_FILE)
    os.utime(path, (0, 0))
    claim.beat()
    assert os.stat(path).st_mtime > 0
    os.remove(path)
    claim.beat()
    assert read_owner(path).process == os.getpid()
    claim.release()
    assert os.listdir(str(tmp_path)) == []


def test_all_directories_or_none(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "a")
    with owned_directories({str(tmp_path / "b"): "logdir"}):
        with pytest.raises(DirectoryInUse, match="/b"), owned_directories({str(tmp_path / "a"): "x", str(tmp_path / "b"): "y"}):
            pass
        # the first one was given back; the same directory under two names is claimed once
        with owned_directories({str(tmp_path / "a"): "logdir", str(link): "save_checkpoint_dir"}):
            assert os.listdir(str(tmp_path / "a")) == [OWNER_FILE]


def test_what_killed_claimants_left_is_removed(tmp_path):
    old, new = tmp_path / (OWNER_FILE + ".abc"), tmp_path / (OWNER_FILE + ".def")
    for path in (old, new):
        path.write_text("")
    os.utime(str(old), (0, 0))
    claim = DirectoryClaim(str(tmp_path))
    claim.claim()
    assert not old.exists() and new.exists()
    claim.release()


def test_a_directory_that_cannot_be_written_is_a_storage_error():
    # also for root, whom permissions do not stop
    with pytest.raises(StorageError, match="cannot write /proc/run_owner.json"):
        DirectoryClaim("/proc").claim()


def test_start_of_processes():
    assert process_start(os.getpid()) == this_process().process_start > 0
    process = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert process_start(process.pid) is None  # a zombie
    process.wait()
    assert process_start(process.pid) is None
