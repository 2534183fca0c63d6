"""The pre-training model: what is hidden stays hidden, masks and losses do not depend on resumes and ranks."""
import types

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.config.parameters import checked_part
from open_seq2seq.data.speech2text.frame_targets import FrameGeometry, PretrainingBatch
from open_seq2seq.data.speech2text.span_masks import SpanMasks
from open_seq2seq.decoders import ClusterPredictionDecoder
from open_seq2seq.encoders import Execution, TDNNEncoder
from open_seq2seq.evaluation.pretraining_figures import PretrainingFigures
from open_seq2seq.losses import MaskedPredictionLoss
from open_seq2seq.models import HubertPretraining

ROWS, FRAMES, FEATURES, CLASSES = 4, 48, 8, 14


def layer(**others):
    return dict({"type": "conv1d", "repeat": 1, "kernel_size": [5], "stride": [1], "num_channels": 16, "padding": "SAME",
                 "dilation": [1]}, **others)


def params_of(auxiliary=(), **loss):
    encoder = checked_part(TDNNEncoder.PARAMETERS, {
        "convnet_layers": [layer(stride=[2]), layer(repeat=2, residual=True)], "dropout_keep_prob": 1.0,
        "activation_fn": tf.nn.relu, "use_conv_mask": True}, "encoder_params")
    return {"encoder": TDNNEncoder, "encoder_params": encoder, "decoder": ClusterPredictionDecoder,
            "decoder_params": checked_part(ClusterPredictionDecoder.PARAMETERS, {"final_dim": 6}, "decoder_params"),
            "loss": MaskedPredictionLoss, "loss_params": checked_part(MaskedPredictionLoss.PARAMETERS, loss, "loss_params"),
            "initializer": None, "initializer_params": {}, "regularizer": None, "regularizer_params": {},
            "max_steps": 10, "data_layer_params": {"normalize_visible": False, "auxiliary_sets": list(auxiliary)}}


def batch_of(seed=0, rows=ROWS):
    random = np.random.RandomState(seed)
    lengths = np.int32([48, 40, 33, 48][:rows])
    outputs = -(-lengths // 2)
    features = random.randn(rows, FRAMES, FEATURES).astype(np.float32) * (np.arange(FRAMES) < lengths[:, np.newaxis])[:, :, None]
    mask = SpanMasks(3, 0.5, 4, 1).of_batch(outputs, np.arange(rows), np.arange(rows), FRAMES // 2)
    targets = np.where(np.arange(FRAMES // 2)[:, np.newaxis] < outputs[:, np.newaxis, np.newaxis],
                       random.randint(4, CLASSES, [rows, FRAMES // 2, 1]), -1).astype(np.int32)
    return PretrainingBatch(features, lengths, np.zeros([rows, 0], np.int32), np.zeros([rows], np.int32),
                            np.arange(rows, dtype=np.int32), np.ones([rows], np.float32), np.arange(rows), targets, mask)


def built(params, batch, execution=None):
    """(placeholders, output) of a training model; variables are equal in every call."""
    inputs = PretrainingBatch(*[tf.placeholder(value.dtype, value.shape) for value in batch])
    tf.set_random_seed(1)
    return inputs, HubertPretraining(params, "train", (CLASSES,), execution or Execution(dtype=tf.float32))(inputs)


@pytest.mark.parametrize("normalize_visible", [False, True])
def test_nothing_depends_on_what_was_hidden(graph, normalize_visible):
    params, batch = params_of(), batch_of()
    params["data_layer_params"]["normalize_visible"] = normalize_visible
    inputs, output = built(params, batch)
    statistics = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
    moving = [variable for variable in tf.global_variables() if "moving" in variable.op.name]
    assert statistics and moving
    hidden = np.repeat(batch.mask, 2, 1)[:, :, np.newaxis]
    assert 0.2 < hidden.mean() < 0.8
    results = []
    for other in (0.0, 1000.0):
        features = np.where(hidden, batch.features * other + other, batch.features)
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            feed = dict(zip(inputs, batch._replace(features=features.astype(np.float32))))
            values = session.run([output.encoder_output.outputs, output.loss.loss, output.loss.per_utterance,
                                  tf.gradients(output.loss.loss, tf.trainable_variables())], feed)
            session.run(statistics, feed)
            results.append(values + [session.run(moving)])
    first, second = (tf.nest.flatten(result) for result in results)
    assert len(first) > 20
    for own, others in zip(first, second):
        np.testing.assert_array_equal(own, others)
    # and what is visible matters
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        changed = np.where(hidden, batch.features, batch.features + 1.0 * (np.arange(FRAMES) % 3 == 0)[:, np.newaxis])
        assert np.abs(session.run(output.loss.loss, dict(zip(inputs, batch._replace(features=changed.astype(np.float32)))))
                      - results[0][1]) > 1e-6


def test_masked_frames_hold_the_embedding_and_get_a_gradient(graph):
    batch = batch_of()
    inputs, output = built(params_of(), batch)
    embedding, = [variable for variable in tf.trainable_variables() if variable.op.name == "ForwardPass/mask/embedding"]
    gradient, = tf.gradients(output.loss.loss, [embedding])
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        with_mask = session.run([output.loss.loss, gradient], dict(zip(inputs, batch)))
        replaced = np.where(np.repeat(batch.mask, 2, 1)[:, :, None], session.run(embedding), batch.features)
        # beyond its length an utterance is padded
        replaced[np.arange(FRAMES) >= batch.feature_lengths[:, np.newaxis]] = 0.0
        in_place = session.run(output.loss.loss, dict(zip(inputs, batch._replace(features=replaced))))
    assert np.abs(with_mask[1]).max() > 0.0
    np.testing.assert_allclose(with_mask[0], in_place, rtol=1e-6)


def test_the_mean_of_the_ranks_losses_is_that_of_one_process(graph):
    batch, params = batch_of(), params_of(pred_nomask_weight=0.5)
    params["encoder_params"]["normalization"] = None
    params["encoder_params"]["convnet_layers"][1]["residual"] = False
    inputs, whole = built(params, batch)
    counts, halves = [], []
    for begin in (0, 2):
        half = PretrainingBatch(*[tensor[begin:begin + 2] for tensor in inputs])

        def mean(tensors):
            counts.extend(tensors)
            # what the ranks together would find
            return [tf.reduce_sum(tf.cast((inputs.feature_lengths + 1) // 2, tf.float32)) / 2.0]

        model = HubertPretraining(params, "train", (CLASSES,), Execution(dtype=tf.float32, mean_over_ranks=mean))
        halves.append(model(half).loss.loss)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        one, parts, own = session.run([whole.loss.loss, halves, counts], dict(zip(inputs, batch)))
    # frames of each rank, which the ranks average
    assert own == [(48 + 40) / 2, np.ceil(33 / 2) + 24]
    np.testing.assert_allclose(np.mean(parts), one, rtol=1e-6)


@pytest.mark.parametrize("layers, stride, offset", [
    ([layer(stride=[2]), layer(stride=[2])], 4, 0), ([layer(), layer()], 1, 0), ([layer(padding="VALID"), layer()], 1, 2)])
def test_which_feature_frames_belong_to_an_encoder_frame(layers, stride, offset):
    params = checked_part(TDNNEncoder.PARAMETERS, {"convnet_layers": layers, "dropout_keep_prob": 1.0,
                                                   "activation_fn": tf.nn.relu}, "encoder_params")
    geometry = FrameGeometry(lambda frames: TDNNEncoder.output_frames(params, frames), 0.01)
    assert (geometry.stride, geometry.offset) == (stride, offset)
    assert geometry.labels_per_frame(100) == stride


def test_a_mask_depends_on_seed_position_and_utterance_only():
    lengths, indices, positions = np.int32([90, 70, 50]), np.int32([5, 6, 7]), np.int64([11, 2 ** 40, 13])
    masks = SpanMasks(1).of_batch(lengths, indices, positions, 90)
    alone = [SpanMasks(1).of_batch(lengths[row:row + 1], indices[row:row + 1], positions[row:row + 1], 90)[0] for row in range(3)]
    np.testing.assert_array_equal(masks, alone)
    assert not masks[1, 70:].any() and not masks[2, 50:].any()
    for others in (SpanMasks(2).of_batch(lengths, indices, positions, 90),
                   SpanMasks(1).of_batch(lengths, indices + 1, positions, 90),
                   SpanMasks(1).of_batch(lengths, indices, positions + 1, 90)):
        assert all((masks[row] != others[row]).any() for row in range(3))
    same = SpanMasks(1, require_same_masks=True).of_batch(lengths, indices, positions, 90)
    assert len(set(same.sum(1))) == 1 and not (same & ~masks).any()


def test_collapsed_predictions_are_named_with_what_to_try():
    classes = types.SimpleNamespace(size=(20,), auxiliary=0)
    figures = PretrainingFigures(classes)
    sums, expected = np.ones([1, 7]), np.full([20], 5.0)
    figures.add(sums, np.eye(20)[3] * 100.0, expected)
    assert "collapsed" in figures.collapse() and "1 of the 20" in figures.collapse() and "learning rate" in figures.collapse()
    assert figures.figures()["clusters_in_use"] == 1
    figures.restart()
    figures.add(sums, expected, expected)
    assert figures.collapse() is None
    # never more than there are: a class that does not occur may be predicted
    figures.restart()
    figures.add(sums, expected, np.where(np.arange(20) < 4, 0.0, expected))
    assert figures.figures()["clusters_in_use"] == figures.figures()["clusters_expected"] == 16
    numbers = figures.numbers()
    restored = PretrainingFigures(classes)
    restored.set_numbers(numbers)
    assert restored.figures() == figures.figures()


@pytest.mark.parametrize("weight", [0.5, -0.5])
def test_an_auxiliary_head_helps_or_opposes_the_encoder(graph, weight):
    batch = batch_of()
    speakers = np.where(batch.targets >= 0, 4 + np.arange(ROWS)[:, np.newaxis, np.newaxis] % 2, -1).astype(np.int32)
    with_head = batch._replace(targets=np.concatenate([batch.targets, speakers], 2))
    step = tf.train.get_or_create_global_step()
    params = params_of(("speaker",), pred_masked_weight=0.0, auxiliary_weights={"speaker": weight})
    inputs = PretrainingBatch(*[tf.placeholder(value.dtype, value.shape) for value in with_head])
    output = HubertPretraining(params, "train", (CLASSES, 6), Execution(dtype=tf.float32))(inputs)
    encoder, = [variable for variable in tf.trainable_variables() if variable.op.name.endswith("conv11/kernel")]
    head, = [variable for variable in tf.trainable_variables() if variable.op.name.endswith("auxiliary_heads/speaker/kernel")]
    gradients, losses = tf.gradients(output.loss.loss, [encoder, head]), []
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        feed = dict(zip(inputs, with_head))
        # the strength of an adversary rises from 0
        step.load(0, session)
        at_start = session.run(gradients, feed)
        step.load(10, session)
        value, at_end, sums = session.run([output.loss.loss, gradients, output.loss.sums], feed)
        assert sums[1, 0] + sums[1, 1] == (speakers >= 0).sum()
        for variable, gradient in ((encoder, at_end[0]), (head, at_end[1])):
            before = session.run(variable)
            variable.load(before - 1e-3 * gradient / np.abs(gradient).max(), session)
            losses.append(session.run(output.loss.loss, feed) - value)
            variable.load(before, session)
    assert np.abs(at_end[0]).max() > 0.0
    np.testing.assert_allclose(at_start[1], at_end[1], rtol=1e-4, atol=1e-7)
    assert losses[1] < 0.0
    if weight > 0.0:
        assert losses[0] < 0.0
        np.testing.assert_array_equal(at_start[0], at_end[0])
    else:
        assert losses[0] > 0.0
        # up to rounding of the reversal itself
        assert np.abs(at_start[0]).max() < 1e-6 * np.abs(at_end[0]).max()
