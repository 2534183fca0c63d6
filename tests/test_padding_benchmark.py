"""The figures of benchmarks/padding.py, on a fiftieth of the utterances."""
import json
import subprocess
import sys

import pytest

from tests.paths import REPOSITORY


@pytest.mark.slow
def test_share_of_padding_on_librispeech_like_lengths():
    command = [sys.executable, "benchmarks/padding.py", "--one_in=50", "--workers=2", "--batch_size=8"]
    done = subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, check=True)
    shares = {row["name"]: row["padding_share"] for row in json.loads(done.stdout.splitlines()[-1])["rows"]}
    assert shares["8 buckets"] < 0.03 < 0.2 < shares["each batch to its longest"]
    assert shares["8 buckets, batch_frames 13440"] < 0.04 and shares["8 buckets"] < shares["4 buckets"]
    assert shares["8 buckets, sortagrad's first epoch"] < shares["8 buckets"]
    assert shares["all to 1664 frames (ModelZoo)"] > 0.25
    assert 0.08 < shares["6 lengths"] < shares["4 lengths"] < 0.12 < shares["2 lengths"] < shares["1 length"]
    assert shares["4 lengths, join_shorter_than 8.5"] < shares["4 lengths, join_shorter_than 7"] < 0.08
