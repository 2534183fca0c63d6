"""Short trainings of a tiny network in this process: the loss of every step to the last bit, and how to interrupt them.

The tests import it; a script that they start with several processes does so, too.
"""
import collections
import os

import numpy as np
import soundfile

CONFIG = '''
import tensorflow.compat.v1 as tf
from open_seq2seq.models import Speech2Text
from open_seq2seq.encoders import TDNNEncoder
from open_seq2seq.decoders import FullyConnectedCTCDecoder
from open_seq2seq.data.speech2text.speech2text import Speech2TextDataLayer
from open_seq2seq.losses import CTCLoss
from open_seq2seq.optimizers.lr_policies import poly_decay
from open_seq2seq.optimizers.novograd import NovoGrad

block = {"type": "conv1d", "padding": "SAME", "dilation": [1], "stride": [1], "kernel_size": [5], "num_channels": 8, "repeat": 2,
         "residual": True, "residual_dense": True}
base_model = Speech2Text
base_params = {
    "random_seed": 3, "batch_size_per_gpu": 4, "max_steps": 9, "logdir": "run", "num_checkpoints": 20, "deterministic": True,
    "diagnostics_utterances": 0, "try_worst_batch": False,
    "optimizer": NovoGrad, "optimizer_params": {"beta1": 0.95, "beta2": 0.98, "weight_decay": 0.001},
    "lr_policy": poly_decay, "lr_policy_params": {"learning_rate": 0.02, "min_lr": 1e-5, "power": 2.0},
    "encoder": TDNNEncoder,
    "encoder_params": {
        "convnet_layers": [dict(block, residual=False, residual_dense=False, repeat=1, stride=[2]), block],
        "dropout_keep_prob": 0.8, "drop_block_prob": 0.2, "initializer": tf.glorot_uniform_initializer,
        "normalization": "batch_norm", "activation_fn": tf.nn.relu, "use_conv_mask": True},
    "decoder": FullyConnectedCTCDecoder,
    "decoder_params": {"initializer": tf.glorot_uniform_initializer},
    "loss": CTCLoss, "loss_params": {},
    "data_layer": Speech2TextDataLayer,
    "data_layer_params": {
        "num_audio_features": 16, "input_type": "logfbank", "vocab_file": "vocab.txt", "norm_per_feature": True,
        "window": "hanning", "precompute_mel_basis": True, "sample_freq": 16000, "pad_to": 16, "dither": 1e-5,
        "augmentation": {"speed_perturbation_ratio": 0.1, "n_freq_mask": 1, "width_freq_mask": 3}},
}
train_params = {"data_layer_params": {"dataset_files": ["train.csv"], "shuffle": True}}
eval_params = {"data_layer_params": {"dataset_files": ["dev.csv"], "shuffle": False}}
'''

Run = collections.namedtuple("Run", "losses evaluations stop")
Run.__doc__ = """losses: dict from step to its loss. evaluations: dict from step to (loss, WER, which is None in pre-training).
stop: Request or None."""


def make_corpus(folder):
    """train.csv (10 utterances, so that an epoch ends within a batch of 4), dev.csv (3), vocab.txt and config.py."""
    draw = np.random.RandomState(0)
    for name, count in (("train", 10), ("dev", 3)):
        rows = ["wav_filename,wav_filesize,transcript"]
        for number in range(count):
            path = os.path.join(str(folder), "%s%d.wav" % (name, number))
            soundfile.write(path, draw.normal(0, 0.1, draw.randint(8000, 24000)), 16000, subtype="PCM_16")
            words = "".join("abc "[letter] for letter in draw.randint(0, 4, 6)).strip() or "a"
            rows.append("%s,%d,%s" % (path, os.path.getsize(path), words))
        with open(os.path.join(str(folder), name + ".csv"), "w") as file:
            file.write("\n".join(rows) + "\n")
    for name, text in (("vocab.txt", "\n".join(" abc") + "\n"), ("config.py", CONFIG)):
        with open(os.path.join(str(folder), name), "w") as file:
            file.write(text)


def train_short(*words, mode="train", stop_after=None, resume=False, before_step=None, group=None, logdir="run"):
    """Trains in the working directory, where :func:`make_corpus` has been.

    Args:
      words: further words of the command line.
      mode: "train" or "train_eval".
      stop_after: step after which the run is asked to stop, as by SIGTERM; or None.
      resume: resume from the latest checkpoint.
      before_step: function of the ``TrainingRun``, called before every step.
      group: a ``ProcessGroup``; None for one process.
      logdir: directory of the run.

    Returns:
      A :class:`Run`, with what this part of the training made.
    """
    from open_seq2seq.checkpoints.run_directory import RunDirectory
    from open_seq2seq.devices import select_device
    from open_seq2seq.distributed.group import Single
    from open_seq2seq.experiment.command_line import parse_command_line
    from open_seq2seq.experiment.loading import load_experiment
    from open_seq2seq.training import loop
    from open_seq2seq.training.requests import Request
    group = group or Single()
    losses, evaluations = {}, {}
    arguments, overrides = parse_command_line(
        ["--config_file=config.py", "--mode=" + mode, "--logdir=" + logdir] + ["--continue_learning"] * resume + list(words))
    experiment = load_experiment(arguments.config_file, arguments.mode, overrides)
    params = experiment.params["train"]

    class Recorded(loop.TrainingRun):
        def one_step(self):
            if before_step is not None:
                before_step(self)
            if self.step + 1 == stop_after:
                self.graph.requests.ask(Request.SIGTERM)
            loss = super().one_step()
            losses.setdefault(self.step, []).append(loss)
            return loss

        def evaluate(self):
            super().evaluate()
            if not self.evaluation_is_pending:
                rate = self.evaluation.word_error_rate
                evaluations[self.step] = (self.evaluation.loss, None if rate is None else rate.rate)

    directory = RunDirectory(params["logdir"])
    checkpoint = directory.prepare_training(resume) if group.is_first else None
    original, loop.TrainingRun = loop.TrainingRun, Recorded
    try:
        result = loop.train(experiment, directory, arguments, select_device("cpu", True, params, group), group, checkpoint)
    finally:
        loop.TrainingRun = original
    return Run(losses, evaluations, result.stop)
