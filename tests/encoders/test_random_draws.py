import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.config.parameters import Report, check_parameters
from open_seq2seq.encoders import TDNNEncoder
from open_seq2seq.encoders.interface import Execution
from open_seq2seq.encoders.random_draws import RandomDraws

SHAPE = (4, 6, 5)
BLOCK = {"type": "conv1d", "kernel_size": [1], "num_channels": 8, "repeat": 2, "residual": True}


def draw(positions, seed=7, name="conv11", shape=SHAPE, known=True):
    """What is drawn for rows at these positions, in a separate session."""
    with tf.Graph().as_default(), tf.Session() as session:
        shape = (len(positions),) + tuple(shape[1:])
        activations = tf.zeros(shape) if known else tf.placeholder(tf.float32, [None, None, shape[2]])
        drawn = RandomDraws(seed, tf.constant(positions, tf.int64)).like(activations, name)
        return session.run(drawn, {} if known else {activations: np.zeros(shape)})


def test_the_numbers_of_a_row_depend_only_on_its_position():
    whole = draw([40, 41, 42, 43])
    # as two processes share a batch, in the order of the rows and by turns
    np.testing.assert_array_equal(draw([40, 41]), whole[:2])
    np.testing.assert_array_equal(draw([41, 43]), whole[1::2])
    assert len({row.tobytes() for row in whole}) == 4


def test_a_frame_s_numbers_do_not_depend_on_the_padding():
    np.testing.assert_array_equal(draw([5], shape=(1, 900, 17))[:, :6], draw([5], shape=(1, 6, 17)))


def test_seeds_layers_and_distant_positions_have_different_numbers():
    drawn = [draw([3], **changes) for changes in ({}, {"seed": 8}, {"name": "conv12"})] + [
        draw([position]) for position in (2, 4, 2 ** 32 + 3, 2 ** 60 + 3)]
    for number, first in enumerate(drawn):
        for second in drawn[number + 1:]:
            assert (first != second).mean() > 0.99


def test_numbers_are_uniform():
    drawn = draw(list(range(64)), shape=(64, 50, 20)).ravel()
    assert 0.0 <= drawn.min() and drawn.max() < 1.0
    # 64000 numbers: the standard deviation of a share of 0.1 is 0.0012
    np.testing.assert_allclose(np.histogram(drawn, 10, (0.0, 1.0))[0] / drawn.size, 0.1, atol=0.006)


def test_a_batch_of_unknown_size_has_the_same_numbers():
    np.testing.assert_array_equal(draw([9, 1, 5], known=False), draw([9, 1, 5]))


def outputs_of(positions, features, seed=7, session_seed=1, keep=0.5, **changes):
    """What a network computes in training at these positions, twice in one session; its initial weights are always the same."""
    params = check_parameters(TDNNEncoder.PARAMETERS, dict({
        "convnet_layers": [BLOCK], "dropout_keep_prob": keep, "activation_fn": tf.nn.relu,
        "initializer": tf.constant_initializer, "initializer_params": {"value": 0.3}}, **changes), "encoder_params", Report())
    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(session_seed)
        outputs = TDNNEncoder(params, "train", execution=Execution(random_seed=seed))(
            tf.constant(features), tf.fill([len(features)], features.shape[1]),
            positions=None if positions is None else tf.constant(positions, tf.int64)).outputs
        session.run(tf.global_variables_initializer())
        return [session.run(outputs) for _ in range(2)]


@pytest.fixture(scope="module")
def features():
    return np.abs(np.random.RandomState(0).normal(size=[4, 30, 5])).astype(np.float32)


def test_dropout_of_a_network_follows_positions_not_the_graph_s_seed_or_its_history(features):
    first, second = outputs_of([8, 9, 10, 11], features)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(first, outputs_of([8, 9, 10, 11], features, session_seed=2)[0])
    for other in (outputs_of([12, 13, 14, 15], features)[0], outputs_of([8, 9, 10, 11], features, seed=6)[0]):
        assert not np.array_equal(first == 0, other == 0)
    # without positions it is the graph's seed and what was drawn before
    first, second = outputs_of(None, features)
    assert not np.array_equal(first == 0, second == 0)


@pytest.mark.slow
def test_the_position_of_the_batch_decides_whether_a_block_is_skipped(features):
    results = [outputs_of([position, 0, 0, 0], features, keep=1.0, drop_block_prob=0.5) for position in range(16)]
    assert all(first.tobytes() == second.tobytes() for first, second in results)
    assert len({first.tobytes() for first, _ in results}) == 2


def test_a_batch_s_number_is_uniform_over_positions(graph):
    positions = tf.placeholder(tf.int64, [2])
    number = RandomDraws(7, positions).of_batch("drop block 1")
    with tf.Session() as session:
        drawn = [session.run(number, {positions: [position, 0]}) for position in range(400)]
    assert abs(np.mean(drawn) - 0.5) < 0.06  # four standard deviations
    assert len(set(drawn)) > 390
