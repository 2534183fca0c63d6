"""A corpus that takes a second to make, a config that takes seconds to train on it, and the two ways to run a command."""
import csv
import os
import subprocess
import sys
import types

import numpy as np
import pytest
import soundfile

from tests.paths import REPOSITORY

RATE = 16000
# each word is a pair of tones, so that a small network can learn to tell them apart
WORDS = {"one": (500, 1900), "two": (800, 2600), "six": (1200, 3400)}

CONFIG = '''
import os
import tensorflow as tf
from open_seq2seq.models import Speech2Text
from open_seq2seq.encoders import TDNNEncoder
from open_seq2seq.decoders import FullyConnectedCTCDecoder
from open_seq2seq.data.speech2text.speech2text import Speech2TextDataLayer
from open_seq2seq.losses import CTCLoss
from open_seq2seq.optimizers.lr_policies import poly_decay
from open_seq2seq.optimizers.novograd import NovoGrad

base_model = Speech2Text
base_params = {
    "random_seed": 3, "use_horovod": False, "num_gpus": 1, "batch_size_per_gpu": 4, "max_steps": 6,
    "logdir": "run", "save_checkpoint_steps": 3, "print_loss_steps": 2, "print_samples_steps": 2, "eval_steps": 3,
    # each makes a training of seconds a quarter longer; those tests that look at them ask for them
    "try_worst_batch": False, "diagnostics_utterances": 0,
    "optimizer": NovoGrad, "optimizer_params": {"beta1": 0.95, "beta2": 0.98, "epsilon": 1e-8, "weight_decay": 0.001},
    "lr_policy": poly_decay, "lr_policy_params": {"learning_rate": 0.02, "min_lr": 1e-5, "power": 2.0},
    "dtype": tf.float32,
    "encoder": TDNNEncoder,
    "encoder_params": {
        "convnet_layers": [
            {"type": "conv1d", "repeat": 1, "kernel_size": [5], "stride": [2], "num_channels": 16,
             "padding": "SAME", "dilation": [1]},
            {"type": "conv1d", "repeat": 2, "kernel_size": [5], "stride": [1], "num_channels": 16,
             "padding": "SAME", "dilation": [1], "residual": True, "residual_dense": True}],
        "dropout_keep_prob": 1.0, "initializer": tf.contrib.layers.xavier_initializer,
        "initializer_params": {"uniform": False}, "normalization": "batch_norm", "activation_fn": tf.nn.relu,
        "data_format": "channels_last", "use_conv_mask": True},
    "decoder": FullyConnectedCTCDecoder,
    "decoder_params": {"initializer": tf.contrib.layers.xavier_initializer, "use_language_model": False},
    "loss": CTCLoss, "loss_params": {},
    "data_layer": Speech2TextDataLayer,
    "data_layer_params": {"num_audio_features": 16, "input_type": "logfbank", "vocab_file": "vocab.txt",
                          "norm_per_feature": True, "window": "hanning", "precompute_mel_basis": True,
                          "sample_freq": 16000, "pad_to": 16, "dither": 1e-5, "backend": "librosa"},
}
train_params = {"data_layer_params": {"dataset_files": ["train.csv"], "shuffle": True}}
eval_params = {"data_layer_params": {"dataset_files": ["dev.csv"], "shuffle": False}}
infer_params = {"data_layer_params": {"dataset_files": ["dev.csv"], "shuffle": False}}
'''


def spoken(words, seed):
    """Tones for the words, with silence between them and a little noise."""
    noise = np.random.RandomState(seed)
    pieces = [np.zeros(1600)]
    for word in words:
        time = np.arange(int(RATE * noise.uniform(0.25, 0.35))) / RATE
        pieces += [sum(np.sin(2 * np.pi * tone * time) for tone in WORDS[word]) * 0.2, np.zeros(1600)]
    waveform = np.concatenate(pieces)
    return waveform + noise.normal(0, 0.003, len(waveform))


def write_manifest(path, rows, columns=("wav_filename", "wav_filesize", "transcript")):
    with open(str(path), "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


@pytest.fixture
def corpus(tmp_path):
    """Folder with train.csv (16 utterances), dev.csv (5), their audio, vocab.txt and config.py."""
    choose = np.random.RandomState(0)
    names = sorted(WORDS)
    os.mkdir(str(tmp_path / "wav"))
    for name, count in (("train", 16), ("dev", 5)):
        rows = []
        for i in range(count):
            words = [names[k] for k in choose.randint(0, len(names), choose.randint(1, 4))]
            wav = "wav/%s%d.wav" % (name, i)
            soundfile.write(str(tmp_path / wav), spoken(words, i), RATE, subtype="PCM_16")
            rows.append((wav, os.path.getsize(str(tmp_path / wav)), " ".join(words)))
        write_manifest(tmp_path / (name + ".csv"), rows)
    (tmp_path / "vocab.txt").write_text("\n".join(" abcdefghijklmnopqrstuvwxyz'") + "\n")
    (tmp_path / "config.py").write_text(CONFIG)
    return tmp_path


@pytest.fixture
def run_here(corpus, monkeypatch, capsys):
    """Runs ``run.py`` in this process in the corpus folder: exit status, stdout and stderr."""
    monkeypatch.chdir(str(corpus))
    monkeypatch.syspath_prepend(REPOSITORY)
    import run

    def call(*words, config="config.py"):
        capsys.readouterr()
        status = run.main(["--config_file=" + config, "--device=cpu"] + list(words))
        output = capsys.readouterr()
        return types.SimpleNamespace(status=status, out=output.out, err=output.err)
    return call


@pytest.fixture
def run_command(corpus):
    """Runs ``python run.py`` as a user does, in the corpus folder."""
    def call(*words, **options):
        process = subprocess.run([sys.executable, os.path.join(REPOSITORY, "run.py")] + list(words), cwd=str(corpus),
                                 capture_output=True, text=True, timeout=240, **options)
        return types.SimpleNamespace(status=process.returncode, out=process.stdout, err=process.stderr)
    return call
