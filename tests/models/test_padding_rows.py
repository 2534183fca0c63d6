"""Padding rows of length 0 change neither the other rows of a batch nor the variables."""
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.config.parameters import Report, check_parameters
from open_seq2seq.data.speech2text.dataset import Batch
from open_seq2seq.decoders import FullyConnectedCTCDecoder
from open_seq2seq.encoders import TDNNEncoder
from open_seq2seq.losses import CTCLoss
from open_seq2seq.models import Speech2Text

FRAMES, FEATURES, LABELS, VOCABULARY_SIZE = 24, 6, 8, 5
LAYERS = [{"type": "conv1d", "kernel_size": [5], "num_channels": 8, "stride": [2]},
          {"type": "conv1d", "kernel_size": [3], "num_channels": 8, "repeat": 2, "residual": True},
          {"type": "sep_conv1d", "kernel_size": [3], "num_channels": 8}]


def model_of(mode, masked):
    report = Report()
    params = check_parameters(Speech2Text.PARAMETERS, {
        "batch_size_per_gpu": 2, "data_layer": object, "encoder": TDNNEncoder, "decoder": FullyConnectedCTCDecoder,
        "loss": CTCLoss, "encoder_params": {"convnet_layers": LAYERS, "dropout_keep_prob": 1.0, "activation_fn": tf.nn.relu,
                                            "use_conv_mask": masked, "mask_batch_norm": masked}}, "base_params", report)
    for part in ("encoder", "decoder", "loss"):
        params[part + "_params"] = check_parameters(params[part].PARAMETERS, params[part + "_params"], part, report)
    assert not report.problems, report.problems
    return Speech2Text(params, mode, VOCABULARY_SIZE)


def run(lengths, mode, masked=True):
    """Per row: features of that many frames and two labels, or nothing for 0 frames, then with weight 0.

    Returns (logits, losses, loss, gradients, moving averages after the step)."""
    rng, rows = np.random.RandomState(0), len(lengths)
    features = rng.randn(rows, FRAMES, FEATURES).astype(np.float32)
    there = np.array(lengths) > 0
    for row, length in enumerate(lengths):
        features[row, length:] = 0.0
    labels = np.zeros([rows, LABELS], np.int32)
    labels[there, :2] = [1, 3]
    with tf.Graph().as_default():
        tf.set_random_seed(3)
        output = model_of(mode, masked)(Batch(
            tf.constant(features), tf.constant(lengths), tf.constant(labels), tf.constant(2 * there.astype(np.int32)),
            tf.constant(np.where(there, np.arange(rows), -1).astype(np.int32)), tf.constant(there.astype(np.float32))))
        gradients = tf.gradients(output.loss.loss, tf.trainable_variables())
        fetches = [output.logits, output.loss.per_utterance, output.loss.loss, gradients]
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            values = session.run(fetches + [tf.get_collection(tf.GraphKeys.UPDATE_OPS)])[:4]
            averages = session.run([variable for variable in tf.global_variables() if "moving" in variable.name])
    return values + [averages]


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["train", "eval"])
def test_padding_rows_do_not_change_other_rows(mode):
    whole, alone = run([24, 17, 0, 0], mode), run([24, 17], mode)
    for row, length in enumerate((12, 9)):
        np.testing.assert_allclose(whole[0][row, :length], alone[0][row, :length], atol=1e-5)
    np.testing.assert_allclose(whole[1], list(alone[1]) + [0.0, 0.0], rtol=1e-5)
    # the mean is over all rows of the batch
    np.testing.assert_allclose(whole[2] * 2, alone[2], rtol=1e-5)
    largest = max(np.abs(gradient).max() for gradient in alone[3])
    for with_them, without in zip(whole[3], alone[3]):
        np.testing.assert_allclose(2 * with_them, without, atol=1e-5 * largest)
    for with_them, without in zip(whole[4], alone[4]):
        np.testing.assert_allclose(with_them, without, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("lengths", [[0, 0], [20, 0]])
def test_nothing_becomes_nan(lengths, mode, masked):
    logits, losses, loss, gradients, averages = run(lengths, mode, masked)
    for values in [logits, losses, loss] + gradients + averages:
        assert np.isfinite(values).all()
    assert losses[1] == 0.0 and (losses[0] > 0.0) == (lengths[0] > 0)
    assert any(gradient.any() for gradient in gradients) == (lengths[0] > 0)
