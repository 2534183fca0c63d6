"""Signals to real trainings: what they leave behind, their exit status, and that the printed command resumes the run."""
import os
import re
import shlex
import signal
import subprocess
import sys
import threading

import pytest

from open_seq2seq.checkpoints.files import latest_checkpoint
from tests.paths import REPOSITORY

PATIENCE = 400
ENDLESS = ("--max_steps=1000000", "--save_checkpoint_steps=None", "--eval_steps=1000000", "--print_loss_steps=2")
pytestmark = pytest.mark.slow


class Process:
    """A command in the corpus folder, whose output is read as it comes."""

    def __init__(self, command, folder):
        self.process = subprocess.Popen(command, cwd=str(folder), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                        env=dict(os.environ, PYTHONPATH=REPOSITORY))
        self.text = ""
        self._guard = threading.Timer(PATIENCE, self.process.kill)
        self._guard.start()

    def wait_for(self, pattern):
        for line in self.process.stdout:
            self.text += line
            if re.search(pattern, line):
                return
        raise AssertionError("%r did not come:\n%s" % (pattern, self.text))

    def send(self, number):
        self.process.send_signal(number)

    def end(self):
        """Waits for its end; the exit status and all that it printed."""
        self.text += self.process.stdout.read()
        self._guard.cancel()
        return self.process.wait(), self.text


@pytest.fixture
def start(corpus):
    processes = []

    def call(command):
        processes.append(Process(command, corpus))
        return processes[-1]
    yield call
    for process in processes:
        process.process.kill()
        process.end()


def train(*words):
    return [sys.executable, os.path.join(REPOSITORY, "run.py"), "--config_file=config.py", "--device=cpu"] + list(words)


def printed_command(text):
    """The printed command that resumes the run, with this Python instead of ``python``."""
    words = shlex.split(re.search(r"Resume with:\n  (.*)\n", text).group(1))
    assert words[0] == "python"
    return [sys.executable] + words[1:]


def test_a_training_saves_and_stops_on_signals_and_the_printed_command_resumes_it(start, corpus):
    run = start(train("--mode=train_eval", *ENDLESS))
    run.wait_for("Global step 2:")
    run.send(signal.SIGUSR1)
    run.wait_for("Saved checkpoint")
    run.wait_for("Global step")  # it continues
    run.send(signal.SIGTERM)
    status, text = run.end()
    assert status == 143 and "Traceback" not in text and "Finished training" not in text
    step = int(re.search(r"Stopped by SIGTERM after step (\d+), which is saved", text).group(1))
    assert latest_checkpoint(str(corpus / "run")) == str(corpus / "run" / ("model.ckpt-%d" % step))

    again = start(printed_command(text))
    again.wait_for("Restored .*model.ckpt-%d" % step)
    again.wait_for("Global step")
    again.send(signal.SIGINT)
    status, text = again.end()
    assert status == 130 and "Traceback" not in text
    assert int(re.search(r"Stopped by SIGINT after step (\d+), which is saved", text).group(1)) > step


def test_before_the_first_step_nothing_is_left_behind(start, corpus):
    run = start(train("--enable_logs"))
    run.wait_for("Config config.py")
    run.send(signal.SIGTERM)
    status, text = run.end()
    assert status == 143 and "Traceback" not in text
    assert "Stopped by SIGTERM before the first step; nothing was changed" in text
    assert not (corpus / "run").exists()


def test_a_launcher_passes_signals_on_and_its_command_resumes_the_run(start, corpus, needs_horovod):
    launch = start([sys.executable, "-m", "open_seq2seq.launch", "--device", "cpu", "--processes", "2", "--log",
                    "log_{rank}.txt", "--verdict", "turing train", "--"] + train("--mode=train_eval", *ENDLESS))
    launch.wait_for("Global step 2:")
    launch.send(signal.SIGTERM)
    status, text = launch.end()
    assert status == 143 and "launch: stopped by SIGTERM" in text and text.endswith("turing train fail\n")
    step = int(re.search(r"Stopped by SIGTERM after step (\d+), which is saved", text).group(1))
    assert "Stopped by SIGTERM after step %d\n" % step in (corpus / "log_1.txt").read_text()
    command = printed_command(text)
    assert command[1:4] == ["-m", "open_seq2seq.launch", "--device"]
    # enough steps to see that it resumes
    again = start(command + ["--max_steps=%d" % (step + 1)])
    status, text = again.end()
    assert status == 0 and "Restored" in text and "Global step" not in text.partition("Restored")[0]
    assert latest_checkpoint(str(corpus / "run")).endswith("model.ckpt-%d" % (step + 1))
