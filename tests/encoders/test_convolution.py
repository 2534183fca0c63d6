"""conv1d: outputs and gradients against TensorFlow's own and against the definition."""
import itertools

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.encoders.convolution import conv1d

STEPS = [(1, 1), (2, 1), (3, 1), (1, 2), (1, 3)]  # (stride, dilation)
FRAMES = {"SAME": [1, 2, 5, 12, 13, 14], "VALID": [13, 14, 15, 20]}


def reference(inputs, kernel, stride, dilation, padding):
    """Outputs by the definition, in float64."""
    batch, frames, _ = inputs.shape
    width, _, channels = kernel.shape
    reach = (width - 1) * dilation + 1
    before = 0
    if padding == "SAME":
        output_frames = -(-frames // stride)
        missing = max((output_frames - 1) * stride + reach - frames, 0)
        before = missing // 2
    else:
        output_frames = (frames - reach) // stride + 1
    outputs = np.zeros([batch, output_frames, channels])
    for t, w in itertools.product(range(output_frames), range(width)):
        source = t * stride + w * dilation - before
        if 0 <= source < frames:
            outputs[:, t] += inputs[:, source] @ kernel[w]
    return outputs


def reference_gradients(inputs, kernel, weights, stride, dilation, padding):
    """Gradients of sum(outputs * weights): the convolution is linear in either argument, so differences are exact."""
    results = []
    for which in range(2):
        arguments = [inputs.astype(np.float64), kernel.astype(np.float64)]
        gradient = np.zeros(arguments[which].shape)
        for index in np.ndindex(*gradient.shape):
            unit = np.zeros_like(gradient)
            unit[index] = 1.0
            gradient[index] = np.sum(weights * reference(
                unit if which == 0 else arguments[0], unit if which == 1 else arguments[1], stride, dilation, padding))
        results.append(gradient)
    return results


def assert_close(ours, theirs):
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5 * max(np.abs(theirs).max(), 1e-3))


def draw(frames, width, batch=3, input_channels=5, channels=4):
    generator = np.random.RandomState(100 * frames + width)
    return (generator.randn(batch, frames, input_channels).astype(np.float32),
            generator.randn(width, input_channels, channels).astype(np.float32))


@pytest.mark.slow
@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("width", [1, 2, 3, 4, 5])
def test_outputs_and_gradients_equal_tensorflows_own(graph, width, padding):
    for stride, dilation in STEPS:
        # T and B are unknown to the graph, so one graph serves every length
        inputs = tf.placeholder(tf.float32, [None, None, 5])
        kernel = tf.placeholder(tf.float32, [width, 5, 4])
        weights = tf.placeholder(tf.float32, [None, None, 4])
        fetches = []
        for fast in (True, False):
            outputs = conv1d(inputs, kernel, stride, dilation, padding, fast_gradients=fast)
            assert outputs.shape.as_list() == [None, None, 4]
            fetches.append([outputs] + tf.gradients(tf.reduce_sum(tf.square(outputs) * weights), [inputs, kernel]))
        with tf.Session() as session:
            for frames in FRAMES[padding]:
                values, taps = draw(frames, width)
                output_frames = reference(values, taps, stride, dilation, padding).shape[1]
                feed = {inputs: values, kernel: taps,
                        weights: np.random.RandomState(7).randn(3, output_frames, 4).astype(np.float32)}
                for ours, theirs in zip(*session.run(fetches, feed)):
                    assert_close(ours, theirs)


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("stride, dilation", STEPS)
@pytest.mark.parametrize("width", [1, 2, 3])
def test_outputs_and_gradients_equal_the_definition(graph, width, stride, dilation, padding):
    values, taps = draw(8, width, batch=2, input_channels=2, channels=3)
    expected = reference(values, taps, stride, dilation, padding)
    weights = np.random.RandomState(3).randn(*expected.shape).astype(np.float32)
    inputs, kernel = tf.constant(values), tf.constant(taps)
    outputs = conv1d(inputs, kernel, stride, dilation, padding)
    assert outputs.shape.as_list() == list(expected.shape)
    gradients = tf.gradients(outputs * weights, [inputs, kernel])
    with tf.Session() as session:
        results = session.run([outputs] + gradients)
    for ours, theirs in zip(results, [expected] + reference_gradients(values, taps, weights, stride, dilation, padding)):
        assert_close(ours, theirs)


@pytest.mark.skipif(not tf.__version__.startswith("1."), reason="current TensorFlow's Conv2D itself answers with a wrong shape")
@pytest.mark.parametrize("stride", [1, 2])
def test_without_a_complete_window_there_are_no_frames_and_zero_gradients(graph, stride):
    inputs, kernel = tf.placeholder(tf.float32, [None, None, 2]), tf.ones([4, 2, 3])
    outputs = conv1d(inputs, kernel, stride, 1, "VALID")
    gradients = tf.gradients(outputs, [inputs, kernel])
    with tf.Session() as session:
        results = session.run([outputs] + gradients, {inputs: np.ones([1, 3, 2])})
    assert [result.shape for result in results] == [(1, 0, 3), (1, 3, 2), (4, 2, 3)]
    assert not np.any(results[1]) and not np.any(results[2])


def test_fast_gradients_run_no_gradient_operator_of_tensorflow(graph):
    inputs = tf.get_variable("inputs", [2, 20, 5], use_resource=False)
    kernel = tf.get_variable("kernel", [3, 5, 4], use_resource=False)
    for stride, dilation in STEPS:
        tf.gradients(conv1d(inputs, kernel, stride, dilation), [inputs, kernel])
    operations = {operation.type for operation in graph.get_operations()}
    assert not [name for name in operations if "Backprop" in name or "SpaceToBatch" in name], operations


def test_gradients_of_a_stack_of_layers_equal_tensorflows_own(graph):
    """Dilated, even and one-tap layers on each other, from variables, with a residual branch."""
    values, _ = draw(30, 1)
    variables = [tf.get_variable("kernel%d" % index, shape, use_resource=False, initializer=tf.glorot_uniform_initializer(seed=1))
                 for index, shape in enumerate([[11, 5, 8], [4, 8, 8], [7, 8, 8], [1, 8, 8]])]
    gradients = []
    for fast in (True, False):
        hidden = tf.nn.relu(conv1d(tf.constant(values), variables[0], stride=2, fast_gradients=fast))
        branch = conv1d(hidden, variables[3], fast_gradients=fast)
        hidden = tf.nn.relu(conv1d(hidden, variables[1], fast_gradients=fast))
        hidden = conv1d(hidden, variables[2], dilation=2, fast_gradients=fast) + branch
        gradients.append(tf.gradients(tf.reduce_mean(tf.square(hidden)), variables))
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for ours, theirs in zip(*session.run(gradients)):
            assert_close(ours, theirs)


@pytest.mark.parametrize("stride, dilation, padding, message", [
    (2, 2, "SAME", "stride is 2 and dilation is 2"), (1, 1, "same", "padding is 'same'")])
def test_impossible_arguments_are_refused(graph, stride, dilation, padding, message):
    with pytest.raises(ValueError, match=message):
        conv1d(tf.zeros([1, 9, 2]), tf.zeros([3, 2, 2]), stride, dilation, padding)
