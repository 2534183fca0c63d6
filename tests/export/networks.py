"""Small networks with random weights in a checkpoint."""
import os

import numpy as np
import tensorflow.compat.v1 as tf

from open_seq2seq.config.parameters import Report, check_parameters
from open_seq2seq.data.speech2text.feature_graph import FeatureGraph
from open_seq2seq.decoders import FullyConnectedCTCDecoder
from open_seq2seq.encoders import TDNNEncoder
from open_seq2seq.export.freeze.trained_model import TrainedModel, evaluation_network
from open_seq2seq.models import Speech2Text

VOCABULARY = tuple(" abc'")
FEATURES = 8


def layer(**changes):
    return dict({"type": "conv1d", "kernel_size": [5], "num_channels": 6}, **changes)


DENSE = [layer(stride=[2]), layer(repeat=2, residual=True, residual_dense=True, kernel_size=[4]),
         layer(repeat=3, residual=True, residual_dense=True), layer(dilation=[2], num_channels=7), layer(kernel_size=[1])]


def checked(parameters, values):
    report = Report()
    params = check_parameters(parameters, values, "params", report)
    assert not report.problems, report.problems
    return params


def trained_model(folder, layers=None, data=None, vocabulary=VOCABULARY, step=7, **encoder_changes):
    """A TrainedModel with random weights and statistics; its checkpoint is in ``folder``."""
    encoder_params = checked(TDNNEncoder.PARAMETERS, dict(
        {"convnet_layers": layers or DENSE, "dropout_keep_prob": 0.9, "activation_fn": tf.nn.relu, "use_conv_mask": True},
        **encoder_changes))
    data_params = checked(FeatureGraph.PARAMETERS, dict(
        {"num_audio_features": FEATURES, "input_type": "logfbank", "backend": "librosa", "norm_per_feature": True, "pad_to": 16,
         "dither": 1e-5}, **(data or {})))
    params = {"encoder": TDNNEncoder, "encoder_params": encoder_params, "decoder": FullyConnectedCTCDecoder,
              "decoder_params": checked(FullyConnectedCTCDecoder.PARAMETERS, {}), "loss": None, "loss_params": {},
              "initializer": None, "initializer_params": {}, "regularizer": None, "regularizer_params": {},
              "data_layer_params": data_params}
    trained = TrainedModel(Speech2Text, params, vocabulary, None, "0" * 64)
    generator = np.random.RandomState(5)
    with tf.Graph().as_default():
        evaluation_network(trained, tf.placeholder(tf.float32, [None, None, data_params["num_audio_features"]]),
                           tf.placeholder(tf.int32, [None]))
        with tf.Session() as session:
            for variable in tf.global_variables():
                variable.load(random_value(generator, variable.op.name, variable.shape.as_list()), session)
            saver = tf.train.Saver(save_relative_paths=True)  # like a training
            checkpoint = saver.save(session, os.path.join(str(folder), "model.ckpt"), step, write_meta_graph=False)
    return trained._replace(checkpoint=checkpoint)


def random_value(generator, name, shape):
    """Random values; variances differ from 1 and scales have both signs, so an error in the folding changes the logits."""
    if name.endswith("moving_variance"):
        return generator.uniform(0.2, 3.0, shape).astype(np.float32)
    if name.endswith("gamma"):
        return generator.uniform(-1.5, 1.5, shape).astype(np.float32)
    if name.endswith("/fully_connected/bias"):
        # small, so that the transcripts depend on the input
        return generator.uniform(-0.01, 0.01, shape).astype(np.float32)
    fan_in = np.prod(shape[:-1]) if name.endswith("kernel") else 1.0
    return (generator.randn(*shape) / np.sqrt(fan_in)).astype(np.float32)


def batch(frames=48, lengths=(48, 37, 2), num_features=FEATURES, seed=0):
    """Features [B, T, F] that are not zero after the valid lengths, and these lengths."""
    return np.random.RandomState(seed).randn(len(lengths), frames, num_features).astype(np.float32), np.array(lengths)


def write(trained, options, path):
    """Freezes into ``path``, with the JSON next to it; returns the path and the description."""
    from open_seq2seq.export.description import write_description
    from open_seq2seq.export.freeze.frozen_graph import freeze
    graph_def, description = freeze(trained, options)
    with open(str(path), "wb") as file:
        file.write(graph_def.SerializeToString())
    return str(path), write_description(description, str(path))


def largest_difference(expected, actual):
    """The largest difference in valid frames of two (logits, lengths), relative to the largest logit."""
    (logits, lengths), (others, other_lengths) = expected, actual
    assert lengths.tolist() == other_lengths.tolist()
    assert logits.shape == others.shape
    # without valid frames nothing would be compared
    assert lengths.sum() > 0
    return max(np.abs(logits[row, :length] - others[row, :length]).max()
               for row, length in enumerate(lengths) if length) / np.abs(logits).max()
