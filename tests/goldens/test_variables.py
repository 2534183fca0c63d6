"""Names and shapes of all variables of the public configs, by which the original's checkpoints load."""
import json
import os

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.config.parameters import Report, check_parameters
from open_seq2seq.decoders import FullyConnectedCTCDecoder
from open_seq2seq.encoders import TDNNEncoder

pytestmark = pytest.mark.shared

DENSE = {"residual": True, "residual_dense": True}
PLAIN = {"residual": True}


def conv(kernel_size, num_channels, repeat=1, **more):
    return dict({"type": "conv1d", "kernel_size": [kernel_size], "num_channels": num_channels, "repeat": repeat}, **more)


def separable(*args, **more):
    return conv(*args, type="sep_conv1d", **more)


def blocks(function, sizes, repeat, times=1, **more):
    return [function(kernel_size, num_channels, repeat, **more) for kernel_size, num_channels in sizes for _ in range(times)]


JASPER_SIZES = [(11, 256), (13, 384), (17, 512), (21, 640), (25, 768)]
JASPER_END = [conv(29, 896, dilation=[2]), conv(1, 1024)]
JASPER_10X5 = [conv(11, 256, stride=[2])] + blocks(conv, JASPER_SIZES, 5, times=2, **DENSE) + JASPER_END
MINI_SIZES = [(11, 256), (13, 256), (17, 512), (21, 512), (25, 512)]
QUARTZNET_SIZES = [(33, 256), (39, 256), (51, 512), (63, 512), (75, 512)]

CONFIGS = {
    "jasper10x5_LibriSpeech_nvgrad_masks": JASPER_10X5,
    "jasper10x5_LibriSpeech_nvgrad": JASPER_10X5,
    "jasper5x3_LibriSpeech_nvgrad_masks_1p":
        [conv(11, 256, stride=[2])] + blocks(conv, JASPER_SIZES, 3, **DENSE) + JASPER_END,
    "w2lplus_large_8gpus": [conv(11, 256, stride=[2])] + blocks(conv, JASPER_SIZES, 3) + JASPER_END,
    "jasper-Mini-for-Jetson":
        [separable(11, 256, stride=[2])] + blocks(separable, MINI_SIZES, 3, times=2, **PLAIN)
        + [separable(29, 512, dilation=[2]), separable(1, 1024)],
    "quartznet15x5_LibriSpeech":
        [separable(33, 256, stride=[2])] + blocks(separable, QUARTZNET_SIZES, 5, times=3, **PLAIN)
        + [separable(87, 512, dilation=[2], **PLAIN), conv(1, 1024)],
}


TRAINABLE_PARAMETERS = {"jasper5x3_LibriSpeech_nvgrad_masks_1p": 109709085, "jasper10x5_LibriSpeech_nvgrad_masks": 332632349}


@pytest.mark.slow
@pytest.mark.parametrize("config", sorted(CONFIGS))
def test_names_and_shapes(goldens, graph, config):
    with open(os.path.join(goldens, "variables.json")) as file:
        expected = json.load(file)[config]
    report = Report()
    encoder_params = check_parameters(TDNNEncoder.PARAMETERS, {
        "convnet_layers": CONFIGS[config], "dropout_keep_prob": 0.7, "activation_fn": tf.nn.relu, "use_conv_mask": True,
    }, "encoder_params", report)
    decoder_params = check_parameters(FullyConnectedCTCDecoder.PARAMETERS, {}, "decoder_params", report)
    assert not report.problems
    with tf.variable_scope("ForwardPass"):
        encoded = TDNNEncoder(encoder_params, "eval")(tf.placeholder(tf.float32, [None, None, 64]),
                                                      tf.placeholder(tf.int32, [None]))
        FullyConnectedCTCDecoder(decoder_params, expected["blank_index"], "eval")(encoded)
    shapes = {variable.op.name: variable.shape.as_list() for variable in tf.trainable_variables()}
    assert shapes == expected["trainable"]
    count = sum(int(np.prod(shape)) for shape in shapes.values())
    assert count == expected["trainable_parameters"] == TRAINABLE_PARAMETERS.get(config, count)
    moving = {variable.op.name: variable.shape.as_list() for variable in tf.global_variables()
              if variable.op.name not in shapes}
    assert moving == expected["moving_statistics"]

