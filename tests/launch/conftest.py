"""Fixtures that run the launcher as a command."""
import subprocess
import sys
import types

import pytest

from tests.launch.launcher_runs import PATIENCE, Launch, launcher_environment


@pytest.fixture
def start(tmp_path):
    started = []

    def call(*words, **options):
        started.append(Launch(tmp_path, words, **options))
        return started[-1]
    yield call
    for launch in started:
        launch.close()


@pytest.fixture
def launch(tmp_path):
    """Runs the launcher to its end."""
    def call(*words, **variables):
        done = subprocess.run([sys.executable, "-m", "open_seq2seq.launch"] + list(words), cwd=str(tmp_path),
                              env=launcher_environment(**variables), capture_output=True, text=True, timeout=PATIENCE)
        return types.SimpleNamespace(status=done.returncode, out=done.stdout, err=done.stderr)
    return call
