"""Pre-training of the encoder of jasper_mini_digits.py without transcripts (HuBERT), for a CPU.

For: a corpus with much audio and few transcripts; jasper_mini_digits_finetune.py trains the result with transcripts.
Cost: about that of a step of jasper_mini_digits.py.
Expected WER: none, it has no transcripts.

Data: train.csv and dev.csv (or .tsv) in $JASPER_DATA/digits (corpus/digits by default), next to them the cluster labels train.km,
dev.km and dict.km.txt, which --mode=labels writes (docs/pretraining.md).
"""
import os

import tensorflow.compat.v1 as tf

from open_seq2seq.data import PretrainingDataLayer
from open_seq2seq.decoders import ClusterPredictionDecoder
from open_seq2seq.encoders import TDNNEncoder
from open_seq2seq.losses import MaskedPredictionLoss
from open_seq2seq.models import HubertPretraining
from open_seq2seq.optimizers.lr_policies import poly_decay
from open_seq2seq.optimizers.novograd import NovoGrad

digits = os.path.join(os.environ.get("JASPER_DATA", "corpus"), "digits")


def block(repeat, kernel_size, num_channels, dropout_keep_prob, **others):
    return dict(type="conv1d", repeat=repeat, kernel_size=[kernel_size], stride=[1], num_channels=num_channels,
                padding="SAME", dilation=[1], dropout_keep_prob=dropout_keep_prob, **others)


def dense_block(kernel_size, num_channels, dropout_keep_prob):
    return block(2, kernel_size, num_channels, dropout_keep_prob, residual=True, residual_dense=True)


base_model = HubertPretraining

base_params = {
    "random_seed": 0,
    "use_horovod": False,
    "max_steps": 5000,
    "batch_size_per_gpu": 16,
    "iter_size": 1,

    "logdir": "runs/jasper_mini_digits_hubert",
    "num_checkpoints": 2,
    "save_checkpoint_steps": 500,
    "save_summaries_steps": 100,
    "print_loss_steps": 50,
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

    "decoder": ClusterPredictionDecoder,
    "decoder_params": {
        "final_dim": 128,
        "initializer": tf.glorot_uniform_initializer,
    },

    "loss": MaskedPredictionLoss,

    "data_layer": PretrainingDataLayer,
    "data_layer_params": {
        "num_audio_features": 64,
        "input_type": "logfbank",
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
        "label_sets": ["km"],
        "label_rate": 100,
        # spans of 200 ms, as in HuBERT: 5 frames of 40 ms
        "mask_prob": 0.8,
        "mask_length": 5,
    },
}

train_params = {
    "data_layer_params": {
        "dataset_files": [os.path.join(digits, "train.csv")],
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
