"""Config files for tests: small, complete, and easy to spoil."""
import textwrap

import pytest

COMPLETE = """
import tensorflow as tf
from open_seq2seq.models import Speech2Text
from open_seq2seq.encoders import TDNNEncoder
from open_seq2seq.decoders import FullyConnectedCTCDecoder
from open_seq2seq.data import Speech2TextDataLayer
from open_seq2seq.losses import CTCLoss
from open_seq2seq.optimizers.lr_policies import poly_decay

base_model = Speech2Text
base_params = {
    "batch_size_per_gpu": 4,
    "max_steps": 10,
    "logdir": "runs/test",
    "print_loss_steps": 5,
    "optimizer": "Momentum",
    "optimizer_params": {"momentum": 0.9},
    "lr_policy": poly_decay,
    "lr_policy_params": {"learning_rate": 0.1},
    "encoder": TDNNEncoder,
    "encoder_params": {
        "convnet_layers": [
            {"type": "conv1d", "repeat": 1, "kernel_size": [5], "stride": [2], "num_channels": 8},
            {"type": "conv1d", "repeat": 2, "kernel_size": [3], "stride": [1], "num_channels": 8, "residual": True},
        ],
        "dropout_keep_prob": 1.0,
        "activation_fn": tf.nn.relu,
    },
    "decoder": FullyConnectedCTCDecoder,
    "loss": CTCLoss,
    "data_layer": Speech2TextDataLayer,
    "data_layer_params": {
        "num_audio_features": 16,
        "input_type": "logfbank",
        "vocab_file": "open_seq2seq/test_utils/toy_speech_data/vocab.txt",
    },
}
train_params = {"data_layer_params": {"dataset_files": ["train.csv"]}}
eval_params = {"data_layer_params": {"dataset_files": ["dev.csv"]}}
infer_params = {"data_layer_params": {"dataset_files": ["test.csv"]}}
"""


@pytest.fixture
def write_config(tmp_path):
    """Function (text appended to a complete config, or the whole text with complete=False) -> path of a config file."""
    def write(text="", name="config.py", complete=True):
        path = tmp_path / name
        path.write_text((COMPLETE if complete else "") + textwrap.dedent(text))
        return str(path)
    return write
