"""scripts/pretrain.sh on audio files without transcripts: two iterations, then a run that finds them complete."""
import subprocess

import numpy as np
import pytest
import soundfile

from tests.fixtures.processes import linked_clone

FLAGS = ["--ext=wav", "--valid_percent=0.3", "--output=out", "--clusters=6", "--layer_clusters=9", "--nshard=2", "--"]
KEYS = ["--max_steps=4", "--eval_steps=4", "--save_checkpoint_steps=4", "--batch_size_per_gpu=4", "--width_multiplier=0.25",
        "--try_worst_batch=False", "--diagnostics_utterances=0"]


@pytest.fixture
def folder(tmp_path):
    """A folder with 16 recordings of different tones, and a copy of the repository whose environment is that of this test."""
    random = np.random.RandomState(1)
    (tmp_path / "audio").mkdir()
    for number in range(16):
        samples = 0.3 * np.sin(np.arange(16000 + 500 * number) * (0.05 + 0.02 * number))
        samples += 0.01 * random.randn(len(samples))
        soundfile.write(str(tmp_path / "audio" / ("%02d.wav" % number)), samples, 16000, subtype="PCM_16")
    linked_clone(tmp_path / "a clone")
    return tmp_path


@pytest.mark.slow
def test_two_iterations_and_a_run_that_skips_them(folder):
    def pretrain(iterations):
        done = subprocess.run(["bash", str(folder / "a clone" / "scripts" / "pretrain.sh"), "--data=audio", "--iterations=%d" % (
            iterations)] + FLAGS + KEYS, cwd=str(folder), capture_output=True, text=True, stdin=subprocess.DEVNULL)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    pretrain(1)
    second = pretrain(2)
    assert "iteration_1/model is trained" in second and "iteration_2/model is trained" not in second
    labels = folder / "out" / "iteration_2" / "labels"
    assert len((labels / "dict.km.txt").read_text().splitlines()) == 9
    # one line for each recording, in the order of the lists
    for split in ("train", "valid"):
        assert len((labels / (split + ".km")).read_text().splitlines()) == len(
            (folder / "out" / (split + ".tsv")).read_text().splitlines()) - 1 > 0
    third = pretrain(2)
    assert third.count("model is trained") == 2 and third.count("exists and is complete; skipped") == 8
    assert third.count("exists and has these labels; skipped") == 4 and "lists" in third
