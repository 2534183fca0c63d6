"""The launcher as a command: it starts and watches ranks, identifies the cause of a failure, and leaves no process running.

Most tests start NPU ranks, which do not need Horovod: for the launcher a rank is any command.
"""
import os
import signal
import socket
import subprocess
import sys

import pytest

from open_seq2seq.distributed.heartbeats import VARIABLE
from open_seq2seq.launch.rank_process import LAST_LINES, STOPPED_EARLY
from open_seq2seq.signals import StoppedBySignal, TrainingSignals
from tests.launch.launcher_runs import launcher_environment, logs_of, rank_table
from tests.paths import REPOSITORY


def test_all_ranks_succeed(start, tmp_path):
    done = start("0:print=first", "1:print=second", "0:exit=0", "1:exit=0", "2:exit=0", "3:exit=0").finish()
    assert done.status == 0 and done.out == "first\nturing train success\n" and not done.err
    assert logs_of(tmp_path) == [["first", "turing train success"], ["second", "turing train success"],
                                 ["turing train success"], ["turing train success"]]


@pytest.mark.slow
def test_one_rank_fails_and_the_others_are_stopped(start, tmp_path):
    done = start("2:lines=50", "2:print=the reason", "2:exit=3", "1:child").finish()
    assert done.status == 3 and done.out == "turing train fail\n"
    assert "launch: rank 2 of 4 (device 6) failed with exit status 3 after " in done.err
    assert "the others (rank 0, 1, 3) were stopped" in done.err
    shown = done.err.partition("The last lines of %s:\n" % (tmp_path / "logs" / "train_6.log"))[2].splitlines()
    assert shown == ["  line %d" % number for number in range(50 - LAST_LINES + 1, 50)] + ["  the reason"]
    for log in logs_of(tmp_path):
        assert log[-1] == "turing train fail" and "rank 2 of 4 (device 6) failed" in log[-2]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
def test_a_rank_killed_by_a_signal(start, number):
    done = start("1:kill=%d" % number).finish()
    assert done.status == 4
    assert "rank 1 of 4 (device 5) was killed by signal %d (%s)" % (number, number.name) in done.err


@pytest.mark.slow
def test_the_others_are_killed_and_not_asked_to_finish_their_step(start, tmp_path):
    ready = str(tmp_path / "ready")
    done = start("0:note=%d" % signal.SIGTERM, "0:child", "0:leave=" + ready, "3:when=" + ready, "3:exit=1").finish()
    assert done.status == 1 and "rank 3 of 4 (device 7) failed with exit status 1" in done.err
    assert "rank 0 is ready" in done.text and "got SIGTERM" not in done.text


@pytest.mark.slow
def test_a_rank_that_lost_a_peer_is_not_the_cause(start, tmp_path):
    # rank 0 ends and prints its error before rank 3, whose error takes longer
    gone = str(tmp_path / "gone")
    done = start("0:print=PeerLostError: rank 0 lost a peer", "0:leave=" + gone, "0:exit=4",
                 "3:print=RuntimeError: the cause", "3:when=" + gone, "3:await=" + gone, "3:exit=1").finish()
    assert done.status == 1 and "rank 3 of 4 (device 7) failed with exit status 1" in done.err
    assert "RuntimeError: the cause" in done.err


def test_all_lost_a_peer(start):
    done = start(*["%d:%s" % (rank, word) for rank in range(4) for word in ("print=PeerLostError: gone", "exit=4")]).finish()
    assert done.status == 4 and "(device 4) failed with exit status 4" in done.err and "PeerLostError: gone" in done.err


@pytest.mark.parametrize("number,status", [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)])
def test_a_signal_is_forwarded(start, tmp_path, number, status):
    launch = start("1:catch", "2:child")
    launch.wait_until_ready(4)
    launch.process.send_signal(number)
    done = launch.finish()
    assert done.status == status and "launch: stopped by %s" % number.name in done.err
    assert number == signal.SIGHUP or "rank 1 got %s" % number.name in done.text
    assert [log[-1] for log in logs_of(tmp_path)] == ["turing train fail"] * 4


def test_a_request_to_save_is_forwarded_and_ends_no_process(start):
    # rank 1 has a handler; the other ranks and rank 2's child have none
    launch = start("1:note=%d" % signal.SIGUSR1, "2:child")
    launch.wait_until_ready(4)
    launch.process.send_signal(signal.SIGUSR1)
    launch.wait_for("rank 1 got SIGUSR1")
    launch.process.send_signal(signal.SIGTERM)
    done = launch.finish()
    assert done.status == 143 and "rank 0, 1, 2, 3 was running" in done.err


@pytest.mark.parametrize("status, name", [(143, "SIGTERM"), (130, "SIGINT")])
def test_ranks_that_all_stop_after_a_signal_to_one_of_them(start, tmp_path, status, name):
    gone = str(tmp_path / "gone")
    done = start("2:leave=" + gone, "2:exit=%d" % status, *["%d:%s" % (rank, word) for rank in (0, 1, 3) for word in (
        "when=" + gone, "await=" + gone, "exit=%d" % status)]).finish()
    assert done.status == status and "launch: stopped by %s" % name in done.err and done.out == "turing train fail\n"
    assert [log[-1] for log in logs_of(tmp_path)] == ["turing train fail"] * 4


def test_a_rank_that_is_stopped_before_its_first_step_ends_the_others(start):
    done = start("2:print=Stopped by SIGTERM before the first step; nothing was changed", "2:exit=143", "0:child").finish()
    assert done.status == 143 and "launch: stopped by SIGTERM; rank 0, 1, 3 was running" in done.err


def test_a_training_that_is_stopped_before_its_first_step_prints_what_the_launcher_expects():
    with pytest.raises(StoppedBySignal, match=STOPPED_EARLY):
        TrainingSignals(resume="")._in_main_thread(signal.SIGTERM, None)


def test_a_second_signal_kills_at_once(start):
    launch = start("0:ignore", prelude="from open_seq2seq.launch import process_watch as watch; "
                                     "watch.LAUNCHER_STOP_SECONDS = 10 ** 6; ")
    launch.wait_until_ready(4)
    launch.process.send_signal(signal.SIGTERM)
    launch.process.send_signal(signal.SIGINT)
    assert launch.finish().status in (143, 130)


def test_all_processes_end_with_a_launcher_that_is_killed(start):
    launch = start("0:child", "1:ignore", "1:child", "2:catch")
    launch.wait_until_ready(4)
    launch.process.kill()
    assert launch.finish().status == -signal.SIGKILL  # finish() waits until no rank and no child of a rank is left


def test_the_logs_of_a_launcher_that_is_killed_end_in_fail(start, tmp_path):
    reader, writer = os.pipe()
    launch = start(pass_fds=(writer,))
    os.close(writer)
    launch.wait_until_ready(4)
    launch.process.kill()
    # only the launcher and its guard have it open
    assert os.read(reader, 1) == b""
    os.close(reader)
    for log in logs_of(tmp_path):
        assert log[-2:] == ["launch: the launcher was killed, and the ranks with it", "turing train fail"]
    assert launch.finish().status == -signal.SIGKILL


def test_children_of_a_rank_end_with_it(start):
    done = start("0:child", *["%d:exit=0" % rank for rank in range(4)]).finish()
    assert done.status == 0


def test_the_run_continues_when_the_output_is_not_read(start, tmp_path):
    reader, writer = os.pipe()
    launch = start("0:print=hello", "0:exit=0", "1:exit=0", "2:exit=0", "3:exit=0", stdout=writer)
    os.close(reader)
    os.close(writer)
    done = launch.finish()
    assert done.status == 0 and "Exception" not in done.err and "Traceback" not in done.err
    assert logs_of(tmp_path)[0] == ["hello", "turing train success"]


def test_logs_are_appended_to_and_only_new_lines_are_shown(launch, tmp_path):
    words = ("--device", "cpu", "--log", "train_{device_id}_{rank}.log", "--verdict", "turing train", "--", "sh", "-c")
    assert launch(*words, "echo one; exit 5").out == "one\nturing train fail\n"
    assert launch(*words, "echo two").out == "two\nturing train success\n"
    lines = (tmp_path / "train_0_0.log").read_text().splitlines()
    assert [lines[0]] + lines[2:] == ["one", "turing train fail", "two", "turing train success"]
    assert lines[1].startswith("launch: rank 0 of 1 (device 0) failed with exit status 5")


def variables_of(log):
    return dict(line.partition("=")[::2] for line in log.read_text().splitlines() if "=" in line)


def test_environment_of_several_npus(launch, tmp_path):
    table = rank_table(tmp_path / "table.json", [5, 4])
    done = launch("--device", "npu", "--rank_table", "table.json", "--devices", "4,5", "--", "env", RANK_SIZE="2", POD_NAME="pod",
                  HOROVOD_RANK="3", JOB_ID="job", ASCEND_GLOBAL_LOG_LEVEL="1")
    assert done.status == 0, done.err
    for rank, device in enumerate([5, 4]):
        found = variables_of(tmp_path / ("train_%d.log" % device))
        expected = {"RANK_ID": str(rank), "RANK_SIZE": "2", "RANK_TABLE_FILE": table, "DEVICE_ID": str(device),
                    "ASCEND_DEVICE_ID": str(device), "DEVICE_INDEX": str(device), "HCCL_CONNECT_TIMEOUT": "600", "JOB_ID": "job",
                    "ASCEND_GLOBAL_LOG_LEVEL": "1", "ASCEND_SLOG_PRINT_TO_STDOUT": "0", "ASCEND_GLOBAL_EVENT_ENABLE": "0"}
        assert {name: found.get(name) for name in expected} == expected
        # the adapter would use the pod's name as the rank; the other variable is from another launcher
        assert "POD_NAME" not in found and "HOROVOD_RANK" not in found
    assert "RANK_ID=0" in done.out and "RANK_ID=1" not in done.out


def test_environment_of_one_npu_names_no_rank_table(launch, tmp_path):
    done = launch("--device", "npu", "--devices", "3", "--", "env", RANK_TABLE_FILE="table.json", RANK_SIZE="8")
    assert done.status == 0, done.err
    found = variables_of(tmp_path / "train_3.log")
    assert (found["RANK_ID"], found["RANK_SIZE"], found["DEVICE_ID"], found["JOB_ID"]) == ("0", "1", "3", "10087")
    assert "RANK_TABLE_FILE" not in found


def test_environment_of_the_second_server(launch, tmp_path):
    script = os.path.join(REPOSITORY, "scripts", "make_rank_table.py")
    subprocess.run([sys.executable, script, "--server", "a=192.168.1.1,192.168.1.2", "--server", "b=192.168.1.3,192.168.1.4",
                    "--output", str(tmp_path / "table.json")], check=True, stdout=subprocess.DEVNULL)
    words = ("--device", "npu", "--rank_table", "table.json", "--connect_timeout", "300")
    for server in ("1", "b"):
        assert launch(*words, "--server", server, "--log", server + "_{rank}.log", "--", "env").status == 0
        found = variables_of(tmp_path / (server + "_3.log"))
        assert (found["RANK_ID"], found["RANK_SIZE"], found["DEVICE_ID"]) == ("3", "4", "1")
        assert (found["DEVICE_INDEX"], found["HCCL_CONNECT_TIMEOUT"]) == ("9", "300")
    which = launch(*words, "--", "env")
    assert which.status == 4 and "has 2 servers (a, b); --server has to say which" in which.err
    wrong = launch(*words, "--server", "2", "--", "env")
    assert wrong.status == 4 and "--server 2 is not in rank table" in wrong.err


def test_one_process_on_a_cpu_has_all_cores_and_no_variables_of_others(launch, tmp_path):
    show = "import os; print(sorted(os.sched_getaffinity(0)), sorted(n for n in os.environ if n[:5] in ('HOROV', 'RANK_')))"
    done = launch("--device", "cpu", "--devices", "2", "--", sys.executable, "-S", "-c", show, RANK_SIZE="8", HOROVOD_SIZE="2")
    assert done.status == 0 and done.out == "%s []\n" % sorted(os.sched_getaffinity(0))
    assert (tmp_path / "train_2.log").read_text() == done.out


@pytest.mark.parametrize("words,status,part", [
    ([], 2, "the command is missing"),
    (["--", "no-such-command"], 2, "the command no-such-command was not found"),
    (["--frobnicate", "--", "true"], 2, "unrecognized arguments: --frobnicate"),
    (["--processes", "0", "--", "true"], 2, "expected a whole number from 1 to 4096"),
    (["--processes", "2", "--devices", "0", "--", "true"], 2, "contradict each other"),
    (["--devices", "0,0", "--", "true"], 2, "in which a device occurs twice"),
    (["--devices", "0;1", "--", "true"], 2, "expected device numbers separated by commas"),
    (["--port", "65536", "--", "true"], 2, "expected a whole number from 1 to 65535"),
    (["--device", "cpu", "--rank_table", "table.json", "--", "true"], 2, "--rank_table is for NPUs"),
    (["--device", "npu", "--port", "5", "--", "true"], 2, "--port is for CPUs and GPUs"),
    (["--device", "cpu", "--servers", "a:1,a:1", "--", "true"], 2, "in which a host occurs twice"),
    (["--device", "cpu", "--servers", "a:0", "--", "true"], 2, "expected HOST:PROCESSES"),
    (["--device", "cpu", "--servers", "a:1,b:1", "--port", "5", "--", "true"], 2, "--servers needs --server"),
    (["--device", "cpu", "--servers", "a:1,b:1", "--server", "b", "--", "true"], 2, "needs --port"),
    (["--device", "cpu", "--log", "{nonsense}", "--", "true"], 2, "expected a path with {device_id} or {rank}"),
    (["--device", "npu", "--rank_table", "table.json", "--log", "same.log", "--", "true"], 2, "the same file for several ranks"),
    (["--device", "cpu", "--log", "/proc/nowhere/train.log", "--", "true"], 3, "cannot write the log /proc/nowhere/train.log"),
    (["--device", "npu", "--devices", "0,8", "--", "true"], 4, "device 8 is out of range"),
    (["--device", "npu", "--devices", "8", "--", "true"], 4, "device 8 is out of range"),
    (["--device", "npu", "--processes", "2", "--", "true"], 4, "2 NPUs need a rank table"),
    (["--device", "npu", "--rank_table", "table.json", "--devices", "0,1", "--", "true"], 4,
     "has the devices 4,5 on server 10.0.0.1, but the devices 0,1 were requested"),
    (["--device", "npu", "--rank_table", "table.json", "--devices", "3,4", "--", "true"], 4,
     "the devices 3,4 cannot train together; HCCL connects one device of a server"),
    (["--device", "npu", "--devices", "0,1,2", "--", "true"], 4, "the devices 0,1,2 cannot train together"),
    (["--device", "npu", "--processes", "6", "--", "true"], 4, "the devices 0,1,2,3,4,5 cannot train together"),
    (["--device", "npu", "--rank_table", "nowhere.json", "--", "true"], 4, "nowhere.json cannot be read"),
    (["--device", "npu", "--rank_table", "table.json", "--connect_timeout", "5", "--", "true"], 2, "from 120 to 7200"),
])
def test_invalid_options_are_errors_before_anything_starts(launch, tmp_path, words, status, part):
    rank_table(tmp_path / "table.json", [4, 5])
    refused = launch(*words)
    assert refused.status == status and part in refused.err, refused.err
    assert "Traceback" not in refused.err and os.listdir(str(tmp_path)) == ["table.json"]


def test_an_error_before_the_start_is_written_to_the_logs_of_the_devices(launch, tmp_path):
    rank_table(tmp_path / "table.json", [4, 5])
    words = ["--device", "npu", "--rank_table", "table.json", "--devices", "4,5", "--verdict", "turing train"]
    done = launch(*words, "--", "true")
    assert done.status == 0 and done.out == "turing train success\n", done.err
    (tmp_path / "table.json").write_text("{")
    refused = launch(*words, "--", "true")
    assert refused.status == 4 and refused.out == "turing train fail\n"
    for device in (4, 5):
        log = (tmp_path / ("train_%d.log" % device)).read_text()
        assert log.startswith("turing train success\nDeviceError: ") and "is not valid JSON" in log
        assert log.endswith("\nturing train fail\n")


@pytest.mark.parametrize("devices", [(4, 5, 6), (3, 4)])
def test_a_table_with_devices_that_cannot_be_connected(launch, tmp_path, devices):
    rank_table(tmp_path / "table.json", devices)
    refused = launch("--device", "npu", "--rank_table", "table.json", "--", "touch", "started")
    assert refused.status == 4 and "two or four of 4 to 7, or all eight" in refused.err, refused.err
    assert os.listdir(str(tmp_path)) == ["table.json"]


def test_a_number_of_ranks_that_contradicts_the_table(launch, tmp_path):
    rank_table(tmp_path / "table.json", [4, 5])
    refused = launch("--device", "npu", "--rank_table", "table.json", "--", "true", RANK_SIZE="8")
    assert refused.status == 4 and os.listdir(str(tmp_path)) == ["table.json"]
    assert 'RANK_SIZE is "8" in the environment, but rank table %s has 2 ranks' % (tmp_path / "table.json") in refused.err


def test_a_wrong_timeout_in_the_environment(launch, tmp_path):
    rank_table(tmp_path / "table.json", [4, 5])
    refused = launch("--device", "npu", "--rank_table", "table.json", "--", "true", **{VARIABLE: "soon"})
    assert refused.status == 4 and VARIABLE + ' is "soon", expected a number of seconds' in refused.err
    assert os.listdir(str(tmp_path)) == ["table.json"]
    refused = launch("--device", "npu", "--rank_table", "table.json", "--", "true", HCCL_CONNECT_TIMEOUT="soon")
    assert refused.status == 2 and "HCCL_CONNECT_TIMEOUT is 'soon', expected a whole number from 120 to 7200" in refused.err


def test_a_log_that_cannot_be_opened_stops_all_ranks_before_they_start(launch, tmp_path):
    rank_table(tmp_path / "table.json", [4, 5])
    (tmp_path / "train_5.log").mkdir()
    refused = launch("--device", "npu", "--rank_table", "table.json", "--", "touch", "started")
    assert refused.status == 3 and "cannot write the log %s: Is a directory" % (tmp_path / "train_5.log") in refused.err
    assert not (tmp_path / "started").exists()


def test_help_needs_neither_tensorflow_nor_horovod(tmp_path):
    code = ("import sys; sys.modules['tensorflow'] = sys.modules['horovod'] = None\n"
            "from open_seq2seq.launch.launcher import main; main(['--help'])")
    helped = subprocess.run([sys.executable, "-c", code], env=launcher_environment(), capture_output=True, text=True)
    assert helped.returncode == 0 and "--rank_table FILE" in helped.stdout, helped.stderr
    code = code.replace("main(['--help'])", "sys.exit(main(['--device=cpu', '--processes=2', '--', 'true']))")
    refused = subprocess.run([sys.executable, "-c", code], env=launcher_environment(), capture_output=True, text=True,
                             cwd=str(tmp_path))
    assert refused.returncode == 4 and "scripts/setup.sh --distributed" in refused.stderr


@pytest.mark.slow
def test_a_port_in_use(needs_horovod, launch, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        port = taken.getsockname()[1]
        refused = launch("--device", "cpu", "--processes", "2", "--port", str(port), "--", "true")
    assert refused.status == 4 and "the rendezvous port 127.0.0.1:%d is in use" % port in refused.err
    assert not os.listdir(str(tmp_path))
