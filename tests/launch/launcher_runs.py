"""A launcher whose ranks are a script that performs the actions of its arguments, for the tests."""
import json
import os
import select
import subprocess
import sys
import types

from open_seq2seq.distributed.heartbeats import VARIABLE
from tests.paths import REPOSITORY

PATIENCE = 120
"""Time limit of a test in seconds; each takes only a few."""

# a rank and its children keep the fifo open while they run; its arguments are the actions that it performs
RANK = '''
import os, signal, subprocess, sys, time
rank, fifo = int(os.environ["RANK_ID"]), os.open(sys.argv[1], os.O_WRONLY)
words = [word.partition(":")[2] for word in sys.argv[2:] if word.startswith("%d:" % rank)]
def send(line):
    os.write(fifo, (line + "\\n").encode())
def note(number, frame):
    send("rank %d got %s" % (rank, signal.Signals(number).name))
def note_the_end(number, frame):
    note(number, frame)
    sys.exit(0)
for word in words:
    name, _, value = word.partition("=")
    if name == "child":
        subprocess.Popen([sys.executable, "-S", "-c", "import signal; signal.pause()"], pass_fds=[fifo])
    elif name == "ignore":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    elif name == "catch":
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, note_the_end)
    elif name == "note":
        signal.signal(int(value), note)
    elif name == "print":
        print(value)
    elif name == "lines":
        print("\\n".join("line %d" % number for number in range(int(value))))
    elif name == "await":
        # until the launcher has reaped another rank
        while os.path.exists("/proc/%s" % open(value).read()):
            time.sleep(0.01)
    elif name == "leave":
        with open(value + ".part", "w") as file:
            file.write(str(os.getpid()))
        os.rename(value + ".part", value)
    elif name == "when":
        while not os.path.exists(value):
            time.sleep(0.01)
    elif name == "kill":
        os.kill(os.getpid(), int(value))
    elif name == "exit":
        sys.exit(int(value))
send("rank %d is ready" % rank)
while True:
    signal.pause()
'''


def rank_table(path, devices):
    path.write_text(json.dumps({"version": "1.0", "status": "completed", "server_count": "1", "server_list": [
        {"server_id": "10.0.0.1", "device": [{"device_id": str(device), "device_ip": "192.168.%d.101" % (100 + device),
                                              "rank_id": str(rank)} for rank, device in enumerate(devices)]}]}))
    return str(path)


class Launch:
    """A running launcher and the fifo that its ranks and their children keep open."""

    def __init__(self, folder, words, prelude="", variables=(), **options):
        self.folder = str(folder)
        self._fifo = str(folder / "fifo")
        os.mkfifo(self._fifo)
        self._reader = os.open(self._fifo, os.O_RDONLY | os.O_NONBLOCK)
        self._text = ""
        main = prelude + "import sys; from open_seq2seq.launch.launcher import main; sys.exit(main(sys.argv[1:]))"
        command = [sys.executable, "-c", main, "--device", "npu", "--verdict", "turing train",
                   "--log", "logs/train_{device_id}.log", "--rank_table", rank_table(folder / "table.json", [4, 5, 6, 7]), "--",
                   sys.executable, "-S", str(folder / "rank.py"), self._fifo]
        (folder / "rank.py").write_text(RANK)
        options = dict(dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE), **options)
        self.process = subprocess.Popen(command + list(words), cwd=str(folder),
                                        env=launcher_environment(**dict(variables)), text=True, **options)

    def _read(self):
        """Waits for text from the fifo; False at its end."""
        assert select.select([self._reader], [], [], PATIENCE)[0], "nothing from the ranks:\n%s" % self._text
        chunk = os.read(self._reader, 4096).decode()
        self._text += chunk
        return bool(chunk)

    def wait_until_ready(self, count):
        while self._text.count("is ready") < count:
            assert self._read(), self._text

    def wait_for(self, text):
        while text not in self._text:
            assert self._read(), self._text

    def wait_until_all_have_ended(self):
        """Waits until no rank and no child of a rank is left; returns the text of the fifo."""
        while self._read():
            pass
        return self._text

    def finish(self):
        out, err = self.process.communicate(timeout=PATIENCE)
        text = self.wait_until_all_have_ended()
        return types.SimpleNamespace(status=self.process.returncode, out=out, err=err, text=text)

    def close(self):
        self.process.kill()
        self.process.communicate()
        os.close(self._reader)


def launcher_environment(**variables):
    environment = {name: value for name, value in os.environ.items()
                   if not name.startswith(("HOROVOD_", "RANK_", "HCCL_", "JOB_ID", "DEVICE_", "ASCEND_", "POD_NAME", VARIABLE))}
    environment.update(PYTHONPATH=REPOSITORY, **variables)
    return environment


def logs_of(folder, devices=(4, 5, 6, 7)):
    return [(folder / "logs" / ("train_%d.log" % device)).read_text().splitlines() for device in devices]
