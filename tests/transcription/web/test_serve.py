"""serve() in a process: start, requests, stop."""
import os
import re
import signal
import subprocess
import sys
import urllib.request

import pytest

from tests.paths import REPOSITORY

SNIPPET = '''
import sys, time
from open_seq2seq.errors import JasperError
from open_seq2seq.transcription.web.server import serve

class Transcriber:
    sample_rate, decoding = 16000, "Decoding of tones"
    def close(self):
        print("closed", flush=True)
    def transcribe(self, path, name=None, progress=None, warn=None):
        print("begun", flush=True)
        while True:
            progress(0.1)
            time.sleep(0.01)

try:
    options = eval(sys.argv[1])
    serve(lambda: print("loading", flush=True) or Transcriber(), **options) if options.pop("lazy", False) else serve(
        Transcriber(), **options)
except JasperError as error:
    print(error)
    sys.exit(error.exit_status)
print("ended", flush=True)
'''


@pytest.fixture
def start(tmp_path):
    """A factory: starts serve(**options) in a process; returns it. Its temporary files are in tmp_path."""
    processes = []

    def begin(ignoring=(), **options):
        environment = dict(os.environ, PYTHONPATH=REPOSITORY, TMPDIR=str(tmp_path), PYTHONUNBUFFERED="1")
        process = subprocess.Popen(
            [sys.executable, "-c", SNIPPET, repr(dict({"port": 0}, **options))], env=environment, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, universal_newlines=True,
            preexec_fn=lambda: [signal.signal(number, signal.SIG_IGN) for number in ignoring])
        processes.append(process)
        return process
    yield begin
    for process in processes:
        process.kill()
        process.communicate()


def address(process):
    line = process.stdout.readline()
    match = re.search(r"Open (http://[^ ]+/) in a browser", line)
    assert match, line + process.stderr.read()
    return match.group(1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_it_cleanly_in_the_middle_of_a_transcription(start, wav, tmp_path, number):
    # a shell script starts background processes with SIGINT ignored; a server must handle it all the same
    process = start(ignoring=[signal.SIGINT])
    url = address(process)
    request = urllib.request.Request(url + "recordings", wav(500).read_bytes(), {"Content-Type": "audio/wav"})
    assert urllib.request.urlopen(request, timeout=60).status == 202
    assert process.stdout.readline() == "begun\n"
    assert [name for name in os.listdir(str(tmp_path)) if name.startswith("jasper-web-")]
    process.send_signal(number)
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, output, errors) == (0, "stopping\nended\n", "")
    assert [name for name in os.listdir(str(tmp_path)) if name.startswith("jasper-web-")] == []


def test_another_host_is_warned_about(start):
    process = start(host="0.0.0.0")
    url = address(process)
    assert url.startswith("http://127.0.0.1:")
    assert urllib.request.urlopen(url + "health", timeout=60).status == 200
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert re.match("WARNING: on 0.0.0.0 everybody who can reach this machine can use the page.*not encrypted.*ssh -L", errors)


def test_loopback_is_not_warned_about_and_not_reachable_otherwise(start):
    process = start()
    url = address(process)
    with open("/proc/net/tcp") as sockets:
        listening = [line.split()[1] for line in sockets if line.split()[3] == "0A"]
    port = "%04X" % int(url.rstrip("/").rpartition(":")[2])
    assert [entry for entry in listening if entry.endswith(":" + port)] == ["0100007F:" + port]    # 127.0.0.1
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60)[1] == ""


def test_a_port_in_use_is_an_error(start):
    port = int(address(start()).rstrip("/").rpartition(":")[2])
    # and no model is loaded before, which may take a minute
    for lazy in (False, True):
        output, errors = start(port=port, lazy=lazy).communicate(timeout=60)
        assert re.match("cannot listen on 127.0.0.1, port %d: Address already in use. Choose another port" % port, output)
        assert errors == ""


def test_a_transcriber_may_be_loaded_once_the_port_is_bound_and_is_closed(start):
    process = start(lazy=True)
    assert process.stdout.readline() == "loading\n"
    assert urllib.request.urlopen(address(process) + "health", timeout=60).status == 200
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, output, errors) == (0, "stopping\nclosed\nended\n", "")
