import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.export import fast_convolution as fast
from open_seq2seq.export.inference_graph import plain_convolution


@pytest.mark.parametrize("static", [True, False])
@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("dilation", [1, 2, 3])
def test_the_same_sums_as_tensorflow_s(graph, monkeypatch, static, padding, dilation):
    monkeypatch.setattr(fast, "FEWEST_CHANNELS", 1)
    monkeypatch.setattr(fast, "FEWEST_TAPS", 3)
    generator = np.random.RandomState(0)
    pairs, feeds, depths = [], {}, set()
    for width in (2, 3, 4, 6, 7, 8):
        for frames in (40, 43):
            kernel = generator.randn(1, width, 4, 5).astype(np.float32)
            images = generator.randn(2, 1, frames, 4).astype(np.float32)
            placeholder = tf.placeholder(tf.float32, images.shape if static else [None, 1, None, 4])
            pair = [convolve(placeholder, kernel, 1, dilation, padding)
                    for convolve in (plain_convolution, fast.fast_convolution)]
            if static:
                assert pair[0].shape.as_list() == pair[1].shape.as_list()
            pairs.append(pair)
            feeds[placeholder] = images
            depths.add(fast.levels(width, 4))
    assert depths == {0, 1, 2}
    with tf.Session() as session:
        for expected, actual in session.run(pairs, feeds):
            assert expected.shape == actual.shape
            np.testing.assert_allclose(actual, expected, atol=3e-5)


def test_multiplications(graph):
    """One level leaves 3/4 of them, two levels 9/16, but for what an odd number of taps adds."""
    def per_output(width, channels):
        with tf.Graph().as_default() as own:
            kernel = np.zeros([1, width, channels, channels], np.float32)
            fast.fast_convolution(tf.zeros([1, 1, 64, channels]), kernel, 1, 1, "SAME")
            products = [operation for operation in own.get_operations() if operation.type == "Conv2D"]
            return sum(operation.outputs[0].shape.as_list()[2] * operation.inputs[1].shape.as_list()[1]
                       for operation in products) / 64

    assert per_output(4, 256) == 4 and per_output(11, 32) == 11
    assert per_output(8, 64) == 6.0
    assert per_output(12, 256) == 12 * 9 / 16
    # 13 = 7 + 6 taps: 7, 7, 6, and of these 4, 4, 3; 4, 4, 3; 3, 3, 3
    assert per_output(13, 256) == (4 + 4 + 3 + 4 + 4 + 3 + 3 + 3 + 3) / 4


def test_a_stride_is_left_to_tensorflow(graph):
    kernel = np.ones([1, 11, 256, 256], np.float32)
    outputs = fast.fast_convolution(tf.zeros([1, 1, 64, 256]), kernel, 2, 1, "SAME")
    assert outputs.op.type == "Conv2D" and outputs.shape.as_list() == [1, 1, 32, 256]
