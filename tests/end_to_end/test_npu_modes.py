"""Every mode of run.py once with --device npu on the fake adapter, one after the other as in a user's project."""
import json
import subprocess
import sys

import pytest

from open_seq2seq.decoding.language_model import is_installed
from open_seq2seq.decoding.options import COQUI, PYCTCDECODE
from open_seq2seq.experiment.flags import MODES
from tests.paths import REPOSITORY

pytestmark = pytest.mark.slow

# the first mode trains on utterances of which one has NaN features, and keeps a batch for --mode=replay
NAN_FEATURES = '''
import os
if os.environ.get("NAN_FEATURES"):
    class NanDataLayer(Speech2TextDataLayer):
        def _features_of(self, waveform, seed):
            features = super()._features_of(waveform, seed)
            return features * tf.where(tf.size(waveform) > 18500, float("nan"), 1.0)

    base_params["data_layer"] = NanDataLayer
    base_params["data_layer_params"]["feature_engine"] = "graph"  # _features_of adds operations
'''

# mode: (flags, exit status, what the command prints)
COMMANDS = [
    ("train", ["--max_steps=3", "--save_checkpoint_steps=1"], 0, "Finished training"),
    ("train_eval", ["--continue_learning", "--max_steps=4", "--eval_steps=4"], 0, "Validation WER:"),
    ("eval", [], 0, "Finished evaluation"),
    ("infer", [], 0, "Wrote 5 transcripts to infer-out.txt"),
    ("align", [], 0, "Aligned 5 utterances"),
    ("describe", [], 0, "Total trainable parameters: 4717"),
    ("npu_check", [], 0, "Compiled shapes: train 2, eval 2; unknown shapes: 0"),
    ("export", ["--export_dir=model"], 0, "Wrote model/jasper_infer_float32.pb"),
    # these compute on the CPU, with checkpoints and batches of an NPU
    ("combine", ["--device=cpu", "--last=2"], 0, "Wrote run/combined/model.ckpt-4"),
    ("replay", [], 0, "loss then nan on npu, now nan on the CPU"),
    ("report", [], 0, "Report: run/report/index.html"),
    ("robustness", [], 2, "UsageError: --mode=robustness"),
    ("tune_lm", [], 2, "UsageError: --mode=tune_lm needs a language model"),
    ("search", ["--search_space={'depth_of_nothing': [1, 2]}"], 2, "search_space: depth_of_nothing is [1, 2]"),
    ("validate_data", ["--headers"], 0, "0 errors and "),
    ("build_cache", ["--data_layer_params/cache_content=audio"], 0, "in 1 shards, 1 of them written now"),
    # of audio and text alone, without a device
    ("features", [], 0, "Wrote features/"),
    ("kmeans", ["--clusters=4"], 0, "Wrote features/clusters.npz"),
    ("labels", [], 0, "Wrote features/"),
    ("label_quality", ["--labels=features", "--reference=transcript"], 0, "Wrote features/label_quality.json"),
    ("input_transform", ["--labels=none"], 2, "none/train.km does not exist"),
    ("train_worker", [], 2, "parallel_training"),
]

if is_installed(COQUI) or is_installed(PYCTCDECODE):
    # scripts/setup.sh --decoding installs the packages
    COMMANDS += [(mode, ["--decoder=beam"], 0, "Beam search: width 64") for mode in ("eval", "align")]

DRIVER = """
import contextlib, io, json, os, sys
sys.path.insert(0, sys.argv[1])
import run
for mode, flags, _, _ in json.loads(sys.argv[2]):
    os.environ["NAN_FEATURES"] = "1" if mode == "train" else ""
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        status = run.main(["--config_file=config.py", "--device=npu", "--npu_params/bucket_frames=[96, 160]",
                           "--mode=" + mode] + flags)
    print(json.dumps([mode, status, output.getvalue()]), flush=True)
"""


def test_every_mode_runs_on_an_npu_or_names_the_device_to_use(corpus, npu_server):
    assert {command[0] for command in COMMANDS} == set(MODES)
    with open(str(corpus / "config.py"), "a") as config:
        config.write(NAN_FEATURES)
    done = subprocess.run([sys.executable, "-c", DRIVER, REPOSITORY, json.dumps(COMMANDS)], cwd=str(corpus), capture_output=True,
                          text=True, timeout=600, env=npu_server.environment())
    assert done.returncode == 0, done.stderr
    results = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('["')]
    assert [result[0] for result in results] == [command[0] for command in COMMANDS]
    for (mode, status, output), (_, _, expected, text) in zip(results, COMMANDS):
        assert status == expected and text in output, "%s: status %d\n%s" % (mode, status, output)
