"""A small kill test: ten trainings are killed, one has a full disk, one a directory that becomes read-only."""
import json
import os
import subprocess
import sys

import pytest

from tests.paths import REPOSITORY

pytestmark = pytest.mark.slow


def test_killed_trainings_resume_from_their_last_checkpoint_with_the_same_losses(tmp_path):
    environment = dict(os.environ, TMPDIR=str(tmp_path))
    killed = subprocess.run([sys.executable, os.path.join(REPOSITORY, "benchmarks", "kill_resume.py"), "--kills", "10",
                             "--commands", "1", "--seconds", "3"], cwd=str(tmp_path), env=environment,
                            capture_output=True, text=True, timeout=900)
    assert killed.returncode == 0, killed.stdout + killed.stderr
    result = json.loads(killed.stdout.splitlines()[-1])
    kills = result["kills"]
    assert result["problems"] == [] and len(kills) == 10
    assert sum(kill["moment"].startswith("writing") for kill in kills) == 6 and kills[-1]["complete_command"]
    # each resumed from what the previous one had left
    assert all(after["found"] >= before["found"] for before, after in zip(kills, kills[1:])) and kills[-1]["found"] > 0
    assert result["losses_compared"] > 0
    for name in ("full disk", "read-only directory"):
        assert "%s: status 3, " % name in killed.stdout
