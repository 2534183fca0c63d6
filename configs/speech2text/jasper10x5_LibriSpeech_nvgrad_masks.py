"""Jasper 10x5 on LibriSpeech (960 hours): 10 dense-residual blocks of 5 convolutions, 332,632,349 parameters.

For: the network of the Jasper paper (arXiv:1904.03288, table 1) with SpecAugment masks, eight devices.
Cost: 100 GFLOP for each second of audio in a training step, 1.4e20 for 400 epochs of 960 hours; not for a CPU.
Expected WER: not measured with this code.

Data: the CSV manifests of the LibriSpeech importer in $JASPER_DATA/librispeech (corpus/librispeech by default).
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

librispeech = os.path.join(os.environ.get("JASPER_DATA", "corpus"), "librispeech")


def block(repeat, kernel_size, num_channels, dropout_keep_prob, **others):
    return dict(type="conv1d", repeat=repeat, kernel_size=[kernel_size], stride=[1], num_channels=num_channels,
                padding="SAME", dilation=[1], dropout_keep_prob=dropout_keep_prob, **others)


def dense_block(kernel_size, num_channels, dropout_keep_prob):
    return block(5, kernel_size, num_channels, dropout_keep_prob, residual=True, residual_dense=True)


base_model = Speech2Text

base_params = {
    "random_seed": 0,
    "use_horovod": True,
    "num_epochs": 400,
    "num_gpus": 8,
    "batch_size_per_gpu": 32,
    "iter_size": 1,

    "logdir": "jasper_log_folder",
    "num_checkpoints": 2,
    "save_checkpoint_steps": 1100,
    "save_summaries_steps": 100,
    "print_loss_steps": 10,
    "print_samples_steps": 2200,
    "eval_steps": 2200,
    "summaries": ["learning_rate", "global_gradient_norm", "loss_scale"],

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
    },
    "larc_params": {
        "larc_eta": 0.001,
    },
    "dtype": "mixed",
    "loss_scaling": "Backoff",

    "encoder": TDNNEncoder,
    "encoder_params": {
        "convnet_layers": [
            dict(block(1, 11, 256, 0.8), stride=[2]),
            dense_block(11, 256, 0.8),
            dense_block(11, 256, 0.8),
            dense_block(13, 384, 0.8),
            dense_block(13, 384, 0.8),
            dense_block(17, 512, 0.8),
            dense_block(17, 512, 0.8),
            dense_block(21, 640, 0.7),
            dense_block(21, 640, 0.7),
            dense_block(25, 768, 0.7),
            dense_block(25, 768, 0.7),
            dict(block(1, 29, 896, 0.6), dilation=[2]),
            block(1, 1, 1024, 0.6),
        ],
        "dropout_keep_prob": 0.7,
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
    },
}

train_params = {
    "data_layer_params": {
        "dataset_files": [
            os.path.join(librispeech, "librivox-train-clean-100.csv"),
            os.path.join(librispeech, "librivox-train-clean-360.csv"),
            os.path.join(librispeech, "librivox-train-other-500.csv"),
        ],
        # for audio unlike LibriSpeech's: "recipe": "far_field" or "robust" (docs/robustness.md)
        "augmentation": {
            "n_freq_mask": 2,
            "n_time_mask": 2,
            "width_freq_mask": 6,
            "width_time_mask": 6,
        },
        "max_duration": 16.7,
        # on an NPU, with batches of four static lengths, 6.7 % of the frames are padding, without packing 10.8 %
        "join_shorter_than": 7.0,
        "shuffle": True,
    },
}

eval_params = {
    "data_layer_params": {
        "dataset_files": [os.path.join(librispeech, "librivox-dev-clean.csv")],
        "shuffle": False,
    },
}

infer_params = {
    "data_layer_params": {
        "dataset_files": [os.path.join(librispeech, "librivox-test-clean.csv")],
        "shuffle": False,
    },
}
