"""Dimensions that are numbers where the graph knows them and tensors where it does not."""
import numpy as np
import tensorflow.compat.v1 as tf

from open_seq2seq.encoders.shapes import at_least, dimension, dimensions, pad_frames


def test_known_dimensions_are_numbers_and_make_no_operation(graph):
    tensor = tf.placeholder(tf.float32, [2, 7, 3])
    before = len(graph.get_operations())
    assert dimensions(tensor) == [2, 7, 3] and dimension(tensor, -2) == 7
    assert at_least(dimension(tensor, 1), 9) == 9 and at_least(9, 7) == 9
    assert pad_frames(tensor, 0, 0) is tensor
    assert len(graph.get_operations()) == before
    assert pad_frames(tensor, 1, 2).shape.as_list() == [2, 10, 3]


def test_unknown_dimensions_are_what_the_session_has(graph):
    tensor = tf.placeholder(tf.float32, [2, None, 3])
    batch_size, frames, channels = dimensions(tensor)
    assert (batch_size, channels) == (2, 3) and frames.dtype == tf.int32
    padded = pad_frames(tensor, 1, at_least(4 - frames, 0))
    assert padded.shape.as_list() == [2, None, 3]
    with tf.Session() as session:
        for given, largest, length in ((3, 4, 5), (6, 6, 7)):
            values = np.ones([2, given, 3])
            assert session.run([frames, at_least(frames, 4)], {tensor: values}) == [given, largest]
            result = session.run(padded, {tensor: values})
            assert result.shape == (2, length, 3)
            assert result.sum() == values.sum() and not result[:, 0].any() and not result[:, 1 + given:].any()
