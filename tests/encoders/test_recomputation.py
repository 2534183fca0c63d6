"""The encoder with recomputed blocks equals the encoder that keeps its activations; so do its updates and random numbers."""
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.config.contrib import l2_regularizer
from open_seq2seq.config.parameters import checked_part
from open_seq2seq.encoders import Execution, TDNNEncoder

FRAMES = 48
LENGTHS = [FRAMES, 30, 17]


def layer(**changes):
    return dict(dict(type="conv1d", repeat=2, kernel_size=[5], stride=[1], num_channels=8, padding="SAME", dilation=[1],
                     dropout_keep_prob=0.7), **changes)


def params_of(**changes):
    layers = [layer(repeat=1, stride=[2]), layer(residual=True, residual_dense=True), layer(residual=True, residual_dense=True),
              layer(repeat=1, kernel_size=[1], num_channels=6)]
    params = dict(convnet_layers=layers, dropout_keep_prob=0.7, activation_fn=tf.nn.relu, use_conv_mask=True,
                  initializer=tf.glorot_normal_initializer, initializer_params={"seed": 3})
    params.update(changes)
    return checked_part(TDNNEncoder.PARAMETERS, params, "encoder_params")


def trained(params, execution, steps=3):
    """(losses of some steps, all variables after them, number of updates of moving averages, graph)."""
    with tf.Graph().as_default() as graph:
        tf.set_random_seed(0)
        generator = np.random.RandomState(0)
        features = tf.constant(generator.randn(len(LENGTHS), FRAMES, 4), tf.float32)
        encoder = TDNNEncoder(params, "train", execution=execution)
        output = encoder(features, tf.constant(LENGTHS), tf.range(5, 8, dtype=tf.int64))
        loss = tf.reduce_mean(tf.square(output.outputs - 1.0)) + tf.add_n(
            [tf.reduce_mean(outputs) for outputs, _ in output.layers.values()])
        loss += tf.add_n(tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES) or [tf.constant(0.0)])
        descent = tf.train.GradientDescentOptimizer(0.1).minimize(loss)
        updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            losses = [session.run([loss, descent] + updates)[0] for _ in range(steps)]
            values = {variable.op.name: session.run(variable) for variable in tf.global_variables()}
        return losses, values, len(updates), graph


def _doubled(tensors):
    return [2.0 * tensor for tensor in tensors]


@pytest.mark.parametrize("changes", [
    {}, {"mask_batch_norm": True, "regularizer": l2_regularizer, "regularizer_params": {"scale": 0.01}},
    {"drop_block_prob": 0.5}, {"synchronized": True},
    {"normalization": "layer_norm", "convnet_layers": [layer(), layer(dilation=[2])]},
    {"convnet_layers": [layer(type="sep_conv1d"), layer(type="sep_conv1d", residual=True)]},
], ids=["dense residual", "masked statistics, regularizer", "drop block", "statistics of all ranks", "layer norm",
        "separable, residual"])
def test_recomputed_blocks_train_equally(changes):
    changes = dict(changes)
    execution = Execution(random_seed=7, sum_over_ranks=_doubled if changes.pop("synchronized", False) else None)
    params = params_of(**changes)
    plain, values, updates, graph = trained(params, execution)
    again, values_again, updates_again, graph_again = trained(params, execution._replace(recompute=True))
    assert updates == updates_again and set(values) == set(values_again)
    np.testing.assert_allclose(again, plain, rtol=1e-6)
    for name, value in values.items():
        np.testing.assert_allclose(values_again[name], value, rtol=1e-5, atol=1e-6, err_msg=name)

    def convolutions(graph):
        return sum(operation.type in ("Conv2D", "MatMul") for operation in graph.get_operations())

    assert convolutions(graph_again) > convolutions(graph)


def test_both_copies_drop_the_same_values_out_where_the_graphs_seed_draws():
    params = params_of(drop_block_prob=0.5)
    with tf.Graph().as_default() as graph:
        features = tf.constant(np.random.RandomState(0).randn(3, FRAMES, 4), tf.float32)

        def drawn():
            return [operation.outputs[0] for operation in graph.get_operations() if operation.type == "RandomUniform"]

        found = []
        for recompute in (False, True):
            earlier = len(drawn())
            with tf.variable_scope("model", reuse=recompute):
                encoder = TDNNEncoder(params, "train", execution=Execution(recompute=recompute))
                loss = tf.reduce_sum(tf.square(encoder(features, tf.constant(LENGTHS)).outputs))
            draws = drawn()[earlier:]
            found.append((loss, tf.gradients(loss, tf.trainable_variables()), draws))
            assert len(drawn()) == earlier + len(draws), "the second copy draws again"
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            values = session.run(found[0][2])
            results = [session.run([loss, gradients], dict(zip(draws, values))) for loss, gradients, draws in found]
    assert results[0][0] == pytest.approx(results[1][0], rel=1e-6)
    for plain, again in zip(results[0][1], results[1][1]):
        np.testing.assert_allclose(again, plain, rtol=1e-4, atol=1e-4)
