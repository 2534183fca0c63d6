"""Pre-training and fine-tuning from a command: resumes, ranks, figures, what fine-tuning takes, moving averages."""
import contextlib
import io
import os
import re
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from open_seq2seq.checkpoints.files import latest_checkpoint
from open_seq2seq.checkpoints.restore import open_checkpoint
from open_seq2seq.errors import ConfigError, DataError
from open_seq2seq.training.metrics import read_metrics
from open_seq2seq.training.report.curves import panels
from tests.paths import REPOSITORY
from tests.training import short_runs

ENCODER = "ForwardPass/w2l_encoder/"
PRETRAINING = short_runs.CONFIG
for _old, _new in (
        ("models import Speech2Text", "models import HubertPretraining as Model"),
        ("base_model = Speech2Text", "base_model = Model"),
        ("decoders import FullyConnectedCTCDecoder", "decoders import ClusterPredictionDecoder"),
        ('"decoder": FullyConnectedCTCDecoder', '"decoder": ClusterPredictionDecoder'),
        ("data.speech2text.speech2text import Speech2TextDataLayer", "data import PretrainingDataLayer"),
        ('"data_layer": Speech2TextDataLayer', '"data_layer": PretrainingDataLayer'), ('"vocab_file": "vocab.txt", ', ""),
        ("losses import CTCLoss", "losses import MaskedPredictionLoss"), ('"loss": CTCLoss', '"loss": MaskedPredictionLoss'),
        ('"augmentation": {"speed_perturbation_ratio": 0.1, "n_freq_mask": 1, "width_freq_mask": 3}},',
         '"label_rate": 100, "mask_length": 4, "label_sets": ["km", "second"]},')):
    assert PRETRAINING.count(_old) == 1, _old
    PRETRAINING = PRETRAINING.replace(_old, _new)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """short_runs' corpus with two sets of frame labels; pretraining.py and finetuning.py are configs."""
    folder = tmp_path_factory.mktemp("corpus")
    short_runs.make_corpus(folder)
    draw = np.random.RandomState(1)
    for name, clusters in (("km", 6), ("second", 9)):
        for split, count in (("train", 10), ("dev", 3)):
            with open(str(folder / ("%s.%s" % (split, name))), "w") as file:
                for number in range(count):
                    samples = soundfile.info(str(folder / ("%s%d.wav" % (split, number)))).frames
                    # runs of labels, as of speech
                    labels = np.repeat(draw.randint(0, clusters, 60), 5)[:1 + (samples - 400) // 160]
                    file.write(" ".join(map(str, labels)) + "\n")
        (folder / ("dict.%s.txt" % name)).write_text("".join("%d 1\n" % cluster for cluster in range(clusters)))
    (folder / "finetuning.py").write_text(short_runs.CONFIG)
    (folder / "pretraining.py").write_text(PRETRAINING)
    return folder


@pytest.fixture
def train(corpus, tmp_path, monkeypatch):
    """``short_runs.train_short`` of one of the configs; returns the Run and what it printed."""
    monkeypatch.chdir(str(corpus))

    def call(config, *words, logdir="run", **options):
        (corpus / "config.py").write_text((corpus / config).read_text())
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            run = short_runs.train_short(*words, logdir=str(tmp_path / logdir), **options)
        return run, printed.getvalue()
    return call


@pytest.mark.slow
def test_pretraining_resumes_exactly_and_fine_tuning_takes_the_encoder(train, tmp_path):
    words = ("--metrics_steps=2", "--print_loss_steps=2", "--save_checkpoint_steps=3", "--eval_steps=4")
    whole, printed = train("pretraining.py", *words, mode="train_eval")
    assert sorted(whole.evaluations) == [4, 8, 9]
    first, _ = train("pretraining.py", *words, mode="train_eval", logdir="parts", stop_after=5)
    second, _ = train("pretraining.py", *words, mode="train_eval", logdir="parts", resume=True)
    assert {**first.losses, **second.losses} == whole.losses
    assert {**first.evaluations, **second.evaluations} == whole.evaluations

    assert "bits per masked frame" in printed and "Validation loss" in printed and "WER" not in printed
    entries = read_metrics(str(tmp_path / "run" / "metrics.jsonl"))
    for kind in ("step", "evaluation"):
        entry = [entry for entry in entries if entry["kind"] == kind][-1]
        assert 0.0 < entry["loss_bits"] < 10.0 and 0.3 < entry["masked_share"] < 0.8
        assert 0 <= entry["clusters_in_use"] <= entry["clusters_expected"] == 6 and entry["clusters_expected_1"] == 9
        assert 0.0 <= entry["masked_accuracy"] <= 1.0 and entry["prediction_entropy_bits"] > 0.0
    drawn = {panel.name for panel in panels(entries)}
    assert drawn > {"loss_bits", "masked_accuracy", "unmasked_accuracy", "masked_share", "prediction_entropy_bits",
                    "clusters_in_use"}
    assert os.path.exists(str(tmp_path / "run" / "report" / "index.html"))

    run, printed = train("finetuning.py", "--load_model=%s" % (tmp_path / "run"), "--freeze_encoder_steps=4", "--ema_decay=0.5",
                         "--unfreeze_at={'conv11': 7}", "--lr_decay_per_layer=0.9",
                         "--encoder_lr_scale=0.5", "--save_checkpoint_steps=2", logdir="fine")
    for name in ("mask/embedding", "cluster_prediction/projection/kernel", "cluster_prediction/label_embeddings/embeddings"):
        assert re.search("only in the checkpoint:.*%s" % name, printed)
    assert re.search("restored layers: .*conv11.*conv22", printed)
    pretrained = open_checkpoint(latest_checkpoint(str(tmp_path / "run")))
    trained = {step: open_checkpoint(str(tmp_path / "fine" / ("model.ckpt-%d" % step))) for step in (2, 4, 6, 9)}
    for name, frozen, changed in ((ENCODER + "conv11/kernel", (2, 4, 6), 9), (ENCODER + "conv22/bn/gamma", (2, 4), 6)):
        start = pretrained.get_tensor(name)
        for step in frozen:
            np.testing.assert_array_equal(trained[step].get_tensor(name), start)
            np.testing.assert_allclose(trained[step].get_tensor(name + "/ExponentialMovingAverage"), start, rtol=1e-6)
        assert np.abs(trained[changed].get_tensor(name) - start).max() > 0.0
    # batch norm's moving statistics are those of audio without masks soon, also while the weights are frozen
    name = ENCODER + "conv11/bn/moving_mean"
    assert np.abs(trained[4].get_tensor(name) - pretrained.get_tensor(name)).max() > 0.0
    output = "ForwardPass/fully_connected_ctc_decoder/fully_connected/kernel"
    assert np.abs(trained[2].get_tensor(output) - trained[4].get_tensor(output)).max() > 0.0


@pytest.mark.slow
@pytest.mark.parametrize("config, words", [
    ("pretraining.py", ("--diagnostics_utterances=0",)),
    ("finetuning.py", ("--freeze_encoder_steps=2", "--encoder_lr_scale=0.3", "--ema_decay=0.9", "--unfreeze_at={'conv11': 4}",
                       "--lr_decay_per_layer=0.8", "--lr_scale_of_layers={'decoder': 0.5}",
                       "--train_params/data_layer_params/augmentation=None"))])
def test_two_ranks_have_the_losses_of_one(config, words, corpus, tmp_path, needs_horovod):
    losses, evaluations = [], []
    for ranks in (1, 2):
        process = subprocess.run(
            [sys.executable, "-m", "open_seq2seq.launch", "--device", "cpu", "--processes", str(ranks), "--log",
             str(tmp_path / ("log%d_{rank}.txt" % ranks)), "--", sys.executable, os.path.join(REPOSITORY, "run.py"),
             "--config_file=" + config, "--mode=train_eval", "--device=cpu", "--batch_size_per_gpu=%d" % (4 // ranks),
             "--sync_batch_norm=True", "--print_loss_steps=1", "--print_samples_steps=None", "--max_steps=6", "--eval_steps=3",
             "--deterministic=False", "--data_layer_params/dither=0.0", "--encoder_params/drop_block_prob=0.0",
             "--logdir=%s" % (tmp_path / str(ranks))] + list(words),
            cwd=str(corpus), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=200,
            env=dict(os.environ, PYTHONPATH=REPOSITORY))
        log = (tmp_path / ("log%d_0.txt" % ranks)).read_text()
        assert process.returncode == 0, process.stdout + process.stderr + log
        losses.append([float(loss) for loss in re.findall(r"Train loss: (\S+)", log)])
        evaluations.append([float(loss) for loss in re.findall(r"Validation loss: (\S+)", log)])
    assert len(losses[0]) == 6 and len(evaluations[0]) == 2
    assert losses[1] == pytest.approx(losses[0], rel=2e-4) and evaluations[1] == pytest.approx(evaluations[0], rel=2e-4)


def test_labels_that_do_not_fit_are_refused(train, corpus, tmp_path):
    labels = corpus / "train.km"
    text = labels.read_text()
    try:
        lines = text.splitlines()
        labels.write_text("\n".join([lines[0] + " 0" * 40] + lines[1:]) + "\n")
        with pytest.raises(DataError) as error:
            train("pretraining.py")
        assert "train.km:1" in str(error.value) and "frames" in str(error.value)
        labels.write_text("\n".join(lines[:-1]) + "\n")
        with pytest.raises(DataError, match="train.km has 9 lines"):
            train("pretraining.py")
    finally:
        labels.write_text(text)
    for word, what in (("--best_metric=wer", "transcripts"), ("--train_params/data_layer_params/augmentation="
                                                              "{'speed_perturbation_ratio': 0.1}", "length of the audio"),
                       ("--data_layer_params/join_shorter_than=1.0", "packed")):
        with pytest.raises(ConfigError, match=what):
            train("pretraining.py", word)
    assert not (tmp_path / "run").exists() or not os.listdir(str(tmp_path / "run")) or not list((tmp_path / "run").glob("model*"))


@pytest.mark.parametrize("mode", ["align", "robustness"])
def test_modes_of_transcripts_name_the_way_out(mode, corpus, capsys):
    from open_seq2seq.modes import main
    assert main(["--config_file=%s" % (corpus / "pretraining.py"), "--mode=" + mode, "--logdir=x"]) != 0
    assert "load_model" in capsys.readouterr().err
