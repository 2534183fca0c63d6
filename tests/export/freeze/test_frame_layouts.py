import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.export.freeze.frame_layouts import PhaseRows

HALO = 2


def order_of(images, dilation):
    """A PhaseRows of images [B, 1, T, C] of static or dynamic sizes."""
    batch_size, _, frames, _ = [size if known is None else known for size, known in zip(
        tf.unstack(tf.shape(images)), images.shape.as_list())]
    return PhaseRows(batch_size, frames, dilation, HALO)


@pytest.mark.slow
@pytest.mark.parametrize("static", [True, False])
@pytest.mark.parametrize("dilation", [1, 2, 3])
def test_position_of_every_frame(graph, dilation, static):
    for frames in (1, 24, 26):
        values = np.random.RandomState(0).uniform(1, 2, [3, 1, frames, 5]).astype(np.float32)
        images = tf.placeholder(tf.float32, values.shape if static else [None, 1, None, 5])
        order, other = order_of(images, dilation), order_of(images, 4 - dilation)
        ones = tf.ones([order.batch_size, order.frames])
        rows = order.of_images(images, order.mask(ones))
        size = -(-frames // (4 * dilation))
        expected = np.zeros([4 * size + 5 * HALO, dilation, 3, 5], np.float32)
        for frame in range(frames):
            row, phase, lane = frame // (4 * dilation), frame // dilation % 4, frame % dilation
            expected[HALO + phase * (size + HALO) + row, lane] = values[:, 0, frame]
        there_and_back = other.of_other(rows, order)
        phases = [order.cut(rows, phase, 0) for phase in range(4)]
        if static:
            assert rows.shape.as_list() == [4 * size + 5 * HALO, 3 * dilation, 5]
            assert order.images(rows).shape.as_list() == [3, 1, frames, 5]
        with tf.Session() as session:
            actual, back, direct, indirect, joined = session.run(
                [rows, order.images(rows), other.of_images(images, other.mask(ones)), there_and_back, order.joined(phases)],
                {images: values})
        assert np.array_equal(actual.reshape(expected.shape), expected)
        assert np.array_equal(back, values)
        assert np.array_equal(indirect, direct)
        assert np.array_equal(joined, actual)


def test_the_mask_is_zero_where_a_row_holds_no_frame(graph):
    order = PhaseRows(2, 6, 1, 1)
    mask = order.mask(tf.constant([[1., 1, 1, 1, 1, 0], [1, 1, 0, 0, 0, 0]]))
    with tf.Session() as session:
        actual = session.run(mask)[:, :, 0]
    # two rows of each phase: frames 0 and 4, 1 and 5, 2 and (6), 3 and (7)
    assert actual.T.tolist() == [[0, 1, 1, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0], [0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]]


def test_a_cut_may_include_the_halo(graph):
    order = PhaseRows(1, 8, 1, 2)
    rows = order.of_images(tf.reshape(tf.range(1., 9.), [1, 1, 8, 1]), order.mask(tf.ones([1, 8])))
    with tf.Session() as session:
        # phase 1 has frames 1 and 5, which are the values 2 and 6
        cut = order.cut(rows, 1, -2, 4)
        assert session.run(cut).ravel().tolist() == [0, 0, 2, 6, 0, 0]
        assert session.run(order.later(cut, 1, 2)).ravel().tolist() == [0, 2, 6, 0]
