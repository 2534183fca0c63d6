"""A small dense-residual Jasper on spoken digit strings, for a CPU.

For: a first run, on the digits that scripts/quickstart.sh generates or on those of the FSDD importer (7,000 steps).
Cost: 0.17 GFLOP for each second of audio in a training step; 7,000 steps take about 10 minutes on 2 cores (AMD Zen 4).
Expected WER on dev: 2.2 % on the FSDD import, 2.6 % as the mean of 28 kinds of recordings (docs/robustness.md).

Data: train.csv and dev.csv in $JASPER_DATA/digits (corpus/digits by default).
"""
import os

import tensorflow.compat.v1 as tf

from open_seq2seq.data import Speech2TextDataLayer
from open_seq2seq.decoders import FullyConnectedCTCDecoder
from open_seq2seq.encoders import TDNNEncoder
from open_seq2seq.losses import CTCLoss
from open_seq2seq.models import Speech2Text
from open_seq2seq.optimizers.lr_policies import poly_decay
from open_seq2seq.optimizers.novograd import NovoGrad

digits = os.path.join(os.environ.get("JASPER_DATA", "corpus"), "digits")


def block(repeat, kernel_size, num_channels, dropout_keep_prob, **others):
    return dict(type="conv1d", repeat=repeat, kernel_size=[kernel_size], stride=[1], num_channels=num_channels,
                padding="SAME", dilation=[1], dropout_keep_prob=dropout_keep_prob, **others)


def dense_block(kernel_size, num_channels, dropout_keep_prob):
    return block(2, kernel_size, num_channels, dropout_keep_prob, residual=True, residual_dense=True)


base_model = Speech2Text

base_params = {
    "random_seed": 0,
    "use_horovod": False,
    "max_steps": 7000,
    "batch_size_per_gpu": 16,
    "iter_size": 1,

    "logdir": "runs/jasper_mini_digits",
    "num_checkpoints": 2,
    "save_checkpoint_steps": 500,
    "save_summaries_steps": 100,
    "print_loss_steps": 50,
    "print_samples_steps": 250,
    "eval_steps": 500,
    "summaries": ["learning_rate", "global_gradient_norm"],

    "optimizer": NovoGrad,
    "optimizer_params": {
        "beta1": 0.95,
        "beta2": 0.98,
        "epsilon": 1e-8,
        "weight_decay": 0.001,
        "grad_averaging": False,
    },
    "lr_policy": poly_decay,
    "lr_policy_params": {
        "learning_rate": 0.02,
        "min_lr": 1e-5,
        "power": 2.0,
        "warmup_steps": 100,
    },
    "dtype": tf.float32,

    "encoder": TDNNEncoder,
    "encoder_params": {
        "convnet_layers": [
            # frames of 40 ms: a third of the operations of 20 ms with wider kernels, so more steps in the same time
            dict(block(1, 11, 96, 1.0), stride=[2]),
            dict(block(1, 7, 128, 1.0), stride=[2]),
            dense_block(7, 128, 0.95),
            dense_block(7, 160, 0.9),
            dict(block(1, 7, 192, 0.9), dilation=[2]),
            block(1, 1, 256, 0.8),
        ],
        "dropout_keep_prob": 0.9,
        "initializer": tf.glorot_normal_initializer,
        "normalization": "batch_norm",
        "activation_fn": tf.nn.relu,
        "data_format": "channels_last",
        "use_conv_mask": True,
    },

    "decoder": FullyConnectedCTCDecoder,
    "decoder_params": {
        "initializer": tf.glorot_uniform_initializer,
    },

    "loss": CTCLoss,

    "data_layer": Speech2TextDataLayer,
    "data_layer_params": {
        "num_audio_features": 64,
        "input_type": "logfbank",
        "vocab_file": "open_seq2seq/test_utils/toy_speech_data/vocab.txt",
        "norm_per_feature": True,
        "window": "hanning",
        "precompute_mel_basis": True,
        "sample_freq": 16000,
        "pad_to": 16,
        "dither": 1e-5,
        "backend": "librosa",
        # what nobody hears has no influence, nor have pauses on the normalization (docs/robustness.md)
        "dynamic_range": 40.0,
        "statistics_range": 20.0,
        "min_std_dev": 2.0,
    },
}

train_params = {
    "data_layer_params": {
        "dataset_files": [os.path.join(digits, "train.csv")],
        "augmentation": {
            "recipe": "robust",
            "reverberation": {"probability": 0.5},
            "speed_perturbation_ratio": 0.2,
            "n_freq_mask": 2,
            "n_time_mask": 2,
            "width_freq_mask": 12,
            "width_time_mask": 10,
        },
        "shuffle": True,
        "length_pool": 16,
    },
}

eval_params = {
    "data_layer_params": {
        "dataset_files": [os.path.join(digits, "dev.csv")],
        "shuffle": False,
    },
}

infer_params = {
    "data_layer_params": {
        "dataset_files": [os.path.join(digits, "dev.csv")],
        "shuffle": False,
    },
}
