"""One training owns a directory: a second one is refused, other commands work, a killed owner is replaced."""
import json
import os
import re
import signal
import subprocess
import sys
import threading

import pytest

from tests.paths import REPOSITORY

pytestmark = pytest.mark.slow
PATIENCE = 400


@pytest.fixture
def endless(corpus):
    """Starts a training without end that saves every 20 steps; returns the process after its first checkpoint."""
    processes = []

    def start(*words):
        process = subprocess.Popen(
            [sys.executable, os.path.join(REPOSITORY, "run.py"), "--config_file=config.py", "--device=cpu", "--mode=train",
             "--max_steps=1000000", "--save_checkpoint_steps=20", "--num_checkpoints=2", "--print_loss_steps=20",
             "--print_samples_steps=None"] + list(words),
            cwd=str(corpus), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        processes.append(process)
        guard = threading.Timer(PATIENCE, process.kill)
        guard.start()
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "Saved checkpoint" in line:
                break
        guard.cancel()
        assert lines and "Saved checkpoint" in lines[-1], "".join(lines)
        # what follows is not read, but must not block it either
        threading.Thread(target=process.stdout.read, daemon=True).start()
        return process, "".join(lines)
    yield start
    for process in processes:
        process.kill()
        process.wait()


def test_a_second_training_is_refused_while_evaluation_and_export_work(endless, run_command, corpus):
    first, _ = endless()
    base = ("--config_file=config.py", "--device=cpu")
    for words in (("--continue_learning",), ("--no_dir_check",), ("--logdir=other", "--checkpoint_dir=run")):
        refused = run_command(*(base + ("--mode=train",) + words))
        assert refused.status == 2, refused.err
        assert re.search(r'DirectoryInUse: (logdir|checkpoint_dir) "run" is in use by a training that is running \(host \S+, '
                         r"process %d, started \d{4}-" % first.pid, refused.err), refused.err
        assert not (corpus / "other").exists()
    evaluated = run_command(*base, "--mode=eval")
    assert evaluated.status == 0 and "Validation WER" in evaluated.out, evaluated.err
    exported = run_command("--config_file=config.py", "--mode=export", "--export_dir=exported")
    assert exported.status == 0 and "Finished export" in exported.out, exported.err
    assert first.poll() is None

    # stopped by a signal it gives the directory back
    first.send_signal(signal.SIGTERM)
    assert first.wait() == 143 and not (corpus / "run" / "run_owner.json").exists()
    second, _ = endless("--continue_learning")
    second.kill()
    second.wait()
    third, out = endless("--continue_learning")
    assert "is taken over from a training that is not running any more" in out and "process %d, " % second.pid in out
    assert third.poll() is None


def test_trainings_evaluations_and_exports_at_random_moments(tmp_path):
    done = subprocess.run([sys.executable, os.path.join(REPOSITORY, "benchmarks", "shared_directory.py"), "--minutes", "0.4"],
                          cwd=str(tmp_path), env=dict(os.environ, TMPDIR=str(tmp_path)), capture_output=True, text=True,
                          timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["problems"] == [] and result["saved"] > 0
