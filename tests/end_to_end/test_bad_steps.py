"""Trainings with non-finite steps, by real commands: what is named, kept and replayed, when they end; too little memory."""
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
import soundfile
import tensorflow.compat.v1 as tf

from open_seq2seq.errors import DeviceError
from open_seq2seq.training.memory import longest_batch
from tests.paths import REPOSITORY

pytestmark = pytest.mark.slow

NAN_FEATURES = '''
class NanDataLayer(Speech2TextDataLayer):
    """The features of the longest utterance are NaN."""

    def _features_of(self, waveform, seed):
        features = super()._features_of(waveform, seed)
        return features * tf.where(tf.size(waveform) > %d, float("nan"), 1.0)

base_params["data_layer"] = NanDataLayer
base_params["data_layer_params"]["feature_engine"] = "graph"  # _features_of adds operations
'''
QUIET = ("--print_samples_steps=None", "--save_checkpoint_steps=None")


@pytest.fixture
def nan_utterance(corpus):
    """Id of the one utterance of train.csv whose features the data layer of ``nan.py`` makes NaN."""
    lengths = [soundfile.info(str(corpus / "wav" / ("train%d.wav" % number))).frames for number in range(16)]
    order = np.argsort(lengths)
    (corpus / "nan.py").write_text((corpus / "config.py").read_text() + NAN_FEATURES % lengths[order[-2]])
    assert lengths[order[-1]] > lengths[order[-2]]
    return "train.csv:%d" % (order[-1] + 2)


def test_an_utterance_with_nan_features_is_named_and_the_others_train(run_here, corpus, nan_utterance):
    trained = run_here("--mode=train", "--max_steps=6", "--iter_size=2", "--bad_batches=1", *QUIET, config="nan.py")
    assert trained.status == 0, trained.err
    skipped = re.findall(r"^\*\*\* Step \d+ skipped: the loss is not finite \(loss nan, .*utterances (.*)\)$", trained.out, re.M)
    # sixteen utterances in steps of eight: six updates take more than an epoch, so at least two steps are skipped
    assert len(skipped) >= 2
    assert tf.train.load_variable(str(corpus / "run"), "Loss_Optimization/skipped_steps") == len(skipped)
    named = re.findall(r"^\*\*\*         (train.csv:\d+): \d\.\d\d s, \d+ characters$", trained.out, re.M)
    # of the step's two batches only the one that it is in
    assert len(named) == 4 and nan_utterance in named
    assert trained.out.count("the first value that is not finite is in the features, before any layer") == 1
    assert "adds nothing to the gradient" not in trained.out
    kept = sorted(path.name for path in (corpus / "run" / "bad_batches").glob("*.npz"))
    assert len(kept) == 1

    replayed = run_here("--mode=replay", "--json", config="nan.py")
    assert replayed.status == 0, replayed.err
    result = json.loads(replayed.out)
    assert os.path.basename(result["file"]) == kept[0] and [row["id"] for row in result["utterances"]] == named
    assert (result["first"]["where"], result["first"]["layer"]) == ("forward", "features")
    assert result["loss"] == result["loss_now"] == "nan"
    assert [layer["name"] for layer in result["layers"]] == [
        "features", "conv11", "conv21", "conv22/res_0", "conv22", "fully_connected"]
    assert 0.0 < result["layers"][0]["values"]["non_finite"] < 1.0


def test_a_training_that_diverges_ends_and_says_what_to_try(run_here, corpus):
    trained = run_here("--mode=train", "--max_steps=300", "--max_bad_steps=4", "--lr_policy_params/learning_rate=1e6",
                       "--lr_policy_params/min_lr=1e6", "--logdir=diverged", *QUIET)
    assert trained.status == 3
    assert re.search(r"^NonFiniteError: 4 steps in a row were skipped \(the loss is not finite\), the last at step \d+ with "
                     r"the utterances train.csv:\d+, train.csv:\d+, train.csv:\d+, train.csv:\d+$", trained.err, re.M)
    for text in ("The learning rate is 1e+06, the loss scale 1.", "a lower learning rate", "max_grad_norm", "--mode=replay --"):
        assert text in trained.err
    files = sorted((corpus / "diverged" / "bad_batches").glob("*.npz"))
    # four bad steps in a row, of which bad_batches, 3, are kept
    assert len(files) == 3
    shown = run_here("--mode=replay", "--batch=%s" % files[0])
    assert shown.status == 0, shown.err
    assert re.search(r"^train.csv:\d+ +\d\.\d\d +\d+ +(inf|nan)$", shown.out, re.M)
    assert re.search(r"^conv22/res_0( +\S+){7,}$", shown.out, re.M)
    assert shown.out.splitlines()[-1].startswith("The ")

    assert "The config differs" not in shown.out
    dilated = run_here("--mode=replay", "--batch=%s" % files[0], "--encoder_params/convnet_layers/1/dilation=[2]")
    assert dilated.status == 0 and dilated.out.splitlines()[-1] == (
        "The config differs from that of the training: encoder_params/convnet_layers/1/dilation/0 was 1 and is 2")
    # the curves of a training that failed, with its skipped steps
    page = (corpus / "diverged" / "report" / "index.html").read_text()
    assert "Skipped steps" in page and "4, the last after step" in page

    # wrong arguments and damaged files
    other = run_here("--mode=replay", "--batch=%s" % files[0], "--encoder_params/convnet_layers/0/num_channels=8")
    assert other.status == 3 and "has another architecture than the config" in other.err
    none = run_here("--mode=replay", "--logdir=nowhere")
    assert none.status == 3 and "there is no bad batch in nowhere/bad_batches" in none.err
    files[0].write_bytes(files[0].read_bytes()[:1000])
    damaged = run_here("--mode=replay", "--batch=%s" % files[0])
    assert damaged.status == 3 and "truncated" in damaged.err
    files[1].with_name("step-%s.weights.index" % re.match(r"step-(\d+)-", files[1].name).group(1)).unlink()
    without = run_here("--mode=replay", "--batch=%s" % files[1])
    assert without.status == 3 and re.search(r"step-\d+\.weights\.index is missing. A batch is kept together", without.err)
    assert run_here("--mode=train", "--batch=%s" % files[1]).status == 2


def test_a_gradient_alone_overflows_with_a_fixed_loss_scale_and_an_automatic_one_falls(run_here, corpus):
    fixed = run_here("--mode=train", "--max_steps=3", "--loss_scaling=1e38", "--max_bad_steps=2", "--logdir=fixed", *QUIET)
    assert fixed.status == 3
    assert fixed.out.count("everything is finite in the forward pass; in the backward pass the first value that is not finite "
                           "is a gradient of layer ") == 2
    assert "2 steps in a row were skipped (the gradient is not finite)" in fixed.err and "a lower loss_scaling" in fixed.err
    falling = run_here("--mode=train", "--max_steps=3", "--loss_scaling=Backoff", "--loss_scaling_params/scale_max=1e38",
                       "--loss_scaling_params/step_factor=1e9", "--max_bad_steps=2", "--logdir=falling", *QUIET)
    assert falling.status == 0, falling.err
    assert len(re.findall(r"skipped: the gradient is not finite \(loss \d", falling.out)) >= 2
    assert not (corpus / "falling" / "bad_batches").exists()


def test_the_rank_with_the_batch_names_it_and_all_ranks_learn_of_it(corpus, nan_utterance, needs_horovod):
    process = subprocess.run(
        [sys.executable, "-m", "open_seq2seq.launch", "--device", "cpu", "--processes", "2", "--log",
         "log_{rank}.txt", "--", sys.executable, os.path.join(REPOSITORY, "run.py"), "--config_file=nan.py", "--mode=train",
         "--device=cpu", "--max_steps=3", "--max_bad_steps=2", "--bad_batches=1", "--batch_size_per_gpu=8", *QUIET],
        cwd=str(corpus), capture_output=True, text=True, timeout=300,
        env=dict(os.environ, PYTHONPATH=os.pathsep.join([str(corpus), REPOSITORY])))
    logs = [(corpus / ("log_%d.txt" % rank)).read_text() for rank in range(2)]
    # sixteen utterances in steps of sixteen: the bad one is in every step
    assert process.returncode == 3, process.stderr + logs[1]
    kept, = (corpus / "run" / "bad_batches").glob("*.npz")
    rank = int(re.search(r"-rank-(\d)\.npz$", kept.name).group(1))
    assert "of rank %d: loss nan" % rank in logs[rank] and "%s: " % nan_utterance in logs[rank]
    assert "of rank %d: loss nan" % rank not in logs[1 - rank] and "%s: " % nan_utterance not in logs[1 - rank]
    first, second = re.findall(r"^\*\*\* Step 1 skipped: the loss is not finite \(loss nan, loss scale 1, utterances (.*)\)$",
                               logs[0], re.M)
    assert first.endswith(", ... 8 in all of rank %d" % rank)
    # the second step is not examined, so its line names all utterances of the batch, which may be the other rank's
    assert re.fullmatch(r"(train.csv:\d+, ){7}train.csv:\d+ of rank [01]", second) and nan_utterance in re.split("[ ,]+", second)
    error = process.stderr
    assert "2 steps in a row were skipped (the loss is not finite), the last at step 1 with the utterances %s" % second in error
    assert "Found: the first value that is not finite is in the features, before any layer" in error
    assert "--mode=replay --batch=%s" % os.path.join("run", "bad_batches", kept.name) in error


def test_memory_that_would_not_suffice_is_refused_with_the_batch_size_that_would_fit(run_here, corpus, monkeypatch):
    available = 215 * 2 ** 20
    monkeypatch.setattr(longest_batch, "available_bytes", lambda: available)
    words = ("--mode=train", "--max_steps=1", "--try_worst_batch=True",
             "--encoder_params/convnet_layers/0/num_channels=128") + QUIET
    refused = run_here("--batch_size_per_gpu=64", *words)
    assert refused.status == 4 and DeviceError.exit_status == 4
    found = re.search(r"the longest batch \(64 utterances x 144 frames, 11 labels\) does not fit into memory: it takes about "
                      r"0\.23\d GB, and 0\.225 GB are available\. batch_size_per_gpu=(\d+) would fit\. A larger iter",
                      refused.err)
    assert found, refused.err
    fitting = int(found.group(1))
    assert not (corpus / "run").exists()
    assert run_here("--batch_size_per_gpu=%d" % (fitting + 1), *words).status == 4
    fits = run_here("--batch_size_per_gpu=%d" % fitting, *words)
    assert fits.status == 0 and "The longest batch, %d utterances x 144 frames, 11 labels" % fitting in fits.out, fits.err


SEARCH = """
import tensorflow.compat.v1 as tf
from open_seq2seq.experiment.loading import load_experiment
from open_seq2seq.devices.cpu import Cpu
from open_seq2seq.graph_analysis.step_memory import BatchShape
from open_seq2seq.distributed.group import Single
from open_seq2seq.training.graph import TrainingGraph
from open_seq2seq.training.memory.longest_batch import _by_trial

experiment = load_experiment("config.py", "train")
params = experiment.params["train"]
with tf.Graph().as_default():
    graph = TrainingGraph(experiment.base_model, params, None, Cpu(), Single(), None)
for frames in (144, 30000):
    print(_by_trial(params, graph, Cpu(), Single(), BatchShape(3, frames, 11)))
"""


def test_where_memory_runs_out_smaller_batches_are_tried(corpus):
    # the trials alone, which are fed: TensorFlow's data pipeline, in the same memory here, breaks down without it
    process = subprocess.run([sys.executable, "-c", SEARCH], cwd=str(corpus), capture_output=True, text=True, timeout=300,
                             env=dict(os.environ, PYTHONPATH=REPOSITORY, TF_CPU_ALLOCATOR_USE_BFC="true",
                                      TF_CPU_BFC_MEM_LIMIT_IN_MB="2"))
    assert process.returncode == 0, process.stderr
    lines = [line for line in process.stdout.splitlines() if "fit" in line]
    # the batches of the second shape would be larger than all the memory there is
    assert lines == ["*** A batch of 1 fits", "*** A batch of 2 fits", "batch_size_per_gpu=2 fits",
                     "*** A batch of 1 does not fit either", "Not even one utterance fits"]
