"""FullyConnectedCTCDecoder: one linear layer per frame, under the original's names."""
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.config.parameters import Report, check_parameters
from open_seq2seq.decoders import FullyConnectedCTCDecoder
from open_seq2seq.encoders import EncoderOutput
from open_seq2seq.encoders.shapes import IncompatibleDtypeError, IncompatibleShapeError


def checked(**params):
    report = Report()
    params = check_parameters(FullyConnectedCTCDecoder.PARAMETERS, params, "decoder_params", report)
    assert not report.problems, report.problems
    return params, report


def test_logits_by_hand(graph):
    outputs = np.random.RandomState(0).randn(2, 3, 4).astype(np.float32)
    decoder = FullyConnectedCTCDecoder(checked()[0], 5, "infer")
    logits, lengths = decoder(EncoderOutput(tf.constant(outputs), tf.constant([3, 2])))
    kernel, bias = tf.global_variables()
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(tf.assign(bias, np.arange(6, dtype=np.float32)))
        logits_value, lengths_value, kernel_value = session.run([logits, lengths, kernel])
    np.testing.assert_allclose(logits_value, outputs.dot(kernel_value) + np.arange(6), atol=1e-5)
    assert lengths_value.tolist() == [3, 2]


def test_variables_and_unknown_shapes(graph):
    decoder = FullyConnectedCTCDecoder(checked()[0], 28, "train")
    with tf.variable_scope("ForwardPass"):
        logits, _ = decoder(EncoderOutput(tf.placeholder(tf.float32, [None, None, 7]), tf.placeholder(tf.int32, [None])))
    assert logits.shape.as_list() == [None, None, 29]
    assert {variable.op.name: variable.shape.as_list() for variable in tf.trainable_variables()} == {
        "ForwardPass/fully_connected_ctc_decoder/fully_connected/kernel": [7, 29],
        "ForwardPass/fully_connected_ctc_decoder/fully_connected/bias": [29]}


def test_regularizer_covers_the_kernel_only(graph):
    params, _ = checked(regularizer=lambda: tf.nn.l2_loss)
    FullyConnectedCTCDecoder(params, 5, "train")(EncoderOutput(tf.zeros([1, 3, 4]), tf.constant([3])))
    losses = tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)
    assert [loss.op.name.split("/Regularizer")[0] for loss in losses] == ["fully_connected_ctc_decoder/fully_connected/kernel"]


def test_wrong_inputs_are_refused(graph):
    decoder = FullyConnectedCTCDecoder(checked()[0], 5, "infer")
    with pytest.raises(IncompatibleShapeError, match="outputs"):
        decoder(EncoderOutput(tf.zeros([3, 4]), tf.constant([3])))
    with pytest.raises(IncompatibleDtypeError, match="output_lengths"):
        decoder(EncoderOutput(tf.zeros([1, 3, 4]), tf.constant([3.0])))
