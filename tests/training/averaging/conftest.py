"""A small network with its checked params, and checkpoints of it with random weights."""
import types

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.checkpoints.writer import write_checkpoint
from open_seq2seq.config.parameters import Report, check_parameters
from open_seq2seq.data.speech2text.dataset import Batch
from open_seq2seq.decoders import FullyConnectedCTCDecoder
from open_seq2seq.devices.cpu import Cpu
from open_seq2seq.encoders import TDNNEncoder
from open_seq2seq.losses import CTCLoss
from open_seq2seq.models import Speech2Text
from open_seq2seq.training.averaging.objective import FixedBatches

FEATURES, CHARACTERS = 4, " abc"
LAYERS = [{"type": "conv1d", "kernel_size": [3], "num_channels": 5, "stride": [2]},
          {"type": "conv1d", "kernel_size": [3], "num_channels": 6, "repeat": 2, "residual": True, "residual_dense": True},
          {"type": "sep_conv1d", "kernel_size": [3], "num_channels": 5},
          {"type": "conv1d", "kernel_size": [3], "num_channels": 5, "dilation": [2]}]


class Vocabulary:
    size, characters = len(CHARACTERS), tuple(CHARACTERS)

    @staticmethod
    def decode(labels):
        return "".join(CHARACTERS[label] for label in labels)


@pytest.fixture
def network():
    """Namespace of base_model, params, device, values(seed): dict name -> array, data: FixedBatches."""
    def checked(parameters, given):
        report = Report()
        found = check_parameters(parameters, given, "params", report)
        assert not report.problems, report.problems
        return found

    params = {"encoder": TDNNEncoder, "encoder_params": checked(TDNNEncoder.PARAMETERS, {
        # smooth, so that differences of the loss are its derivative
        "convnet_layers": LAYERS, "dropout_keep_prob": 0.5, "activation_fn": tf.nn.tanh, "use_conv_mask": True}),
        "decoder": FullyConnectedCTCDecoder, "decoder_params": checked(FullyConnectedCTCDecoder.PARAMETERS, {}),
        "loss": CTCLoss, "loss_params": checked(CTCLoss.PARAMETERS, {}), "initializer": None, "initializer_params": {},
        "regularizer": None, "regularizer_params": {}, "dtype": tf.float32, "random_seed": 0, "sync_batch_norm": False,
        "data_layer_params": {}}
    with tf.Graph().as_default():
        Speech2Text(params, "infer", Vocabulary.size)(Batch(
            tf.placeholder(tf.float32, [None, None, FEATURES]), tf.placeholder(tf.int32, [None]), None, None, None))
        shapes = {variable.op.name: variable.shape.as_list() for variable in tf.global_variables()}

    def values(seed):
        draw = np.random.RandomState(seed)
        return {name: (draw.uniform(0.5, 2.0, shape) if name.endswith(("variance", "gamma")) else
                       draw.normal(0.0, 0.4, shape)).astype(np.float32) for name, shape in sorted(shapes.items())}

    draw = np.random.RandomState(9)
    batches = [Batch(draw.randn(rows, frames, FEATURES).astype(np.float32), np.array(lengths, np.int32),
                     np.array(labels, np.int32), np.array(label_lengths, np.int32), np.array(indices, np.int32),
                     np.ones([rows], np.float32))
               for rows, frames, lengths, labels, label_lengths, indices in (
                   (2, 16, [16, 11], [[1, 2, 3], [2, 0, 0]], [3, 1], [0, 2]),
                   # the last cannot be aligned: four labels, three frames
                   (2, 12, [12, 6], [[3, 3, 0, 0], [1, 2, 1, 2]], [2, 4], [1, 3]))]
    return types.SimpleNamespace(
        base_model=Speech2Text, params=params, device=Cpu(), values=values,
        data=FixedBatches(batches, ["abc", "cc", "b", "abab"], Vocabulary()))


@pytest.fixture
def make_checkpoint(tmp_path, network):
    """Function (step, seed, more variables, vocabulary, folder) that writes a checkpoint and returns its path."""
    def make(step, seed, more=None, vocabulary=CHARACTERS, folder="run", change=dict):
        values = dict(change(network.values(seed)), global_step=np.int64(step), **(more or {}))
        path = str(tmp_path / folder / ("model.ckpt-%d" % step))
        write_checkpoint(path, values, {"step": step, "vocabulary": list(vocabulary), "resolved_config": {"seed": seed}})
        return path
    return make
