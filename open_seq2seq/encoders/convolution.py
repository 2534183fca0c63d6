"""One-dimensional convolution whose gradients are forward convolutions, for CPUs.

TensorFlow's CPU kernels for the two gradients of a convolution run at about half the speed of its forward
convolution. Both gradients are themselves convolutions: the one by the input convolves the output's gradient with the
kernel reversed in time and transposed in its channels; the one by the kernel convolves the input with the output's
gradient, batch and channels exchanged. With P padded input frames, tap w, stride s and dilation d:

    outputs[b, t, o]       = sum over w, i of  padded[b, t * s + w * d, i] * kernel[w, i, o]
    d padded[b, p, i]      = sum over w, o of  d outputs[b, (p - w * d) / s, o] * kernel[w, i, o]    (of whole quotients)
    d kernel[w, i, o]      = sum over t, b of  padded[b, t * s + w * d, i] * d outputs[b, t, o]

The last is a convolution over "images" [Cin, P, B] with the kernel [T', B, Cout], of stride d and dilation s.
"""
import tensorflow.compat.v1 as tf

from open_seq2seq.encoders.fourier_convolution import fourier_conv1d
from open_seq2seq.encoders.shapes import at_least, dimension, pad_frames

# for ``tf.Graph.gradient_override_map``: the gradients of a Conv2D of height 1, with dilation too, which TensorFlow 1.15 does not
# have on a CPU
GRADIENT_NAME = "Conv1DGradientsAsForwardConvolutions"


def conv1d(inputs, kernel, stride=1, dilation=1, padding="SAME", fast_gradients=True, block=None, name=None,
           gradients_in_turn=False):
    """Convolution over time without bias, with TensorFlow's padding.

    Args:
      inputs: float32 or float16 [B, T, Cin]; B and T may be unknown while the graph is built, Cin must be known.
      kernel: of the same type, [W, Cin, Cout], of static shape.
      stride: int, step between output frames in input frames.
      dilation: int, distance between the kernel's taps in input frames; 1 if ``stride`` is above 1.
      padding: "SAME" (ceil(T / stride) output frames) or "VALID" (complete windows only).
      fast_gradients: True computes gradients as forward convolutions, which is faster on a CPU; False uses TensorFlow's
        gradients. The outputs are the same, the gradients equal up to rounding.
      block: frames of the blocks whose Fourier transforms compute the convolution, see ``fourier_conv1d``, for float32,
        "SAME", stride 1 and fast gradients; None for the direct sum. Outputs and gradients are equal up to rounding.
      name: name scope of the ops.
      gradients_in_turn: with a block, see ``fourier_conv1d``.

    Returns:
      Tensor of the inputs' type, [B, T', Cout].

    Raises:
      ValueError: stride and dilation are both above 1, or padding is neither "SAME" nor "VALID", or there is a block without
        stride 1, "SAME" and fast gradients.
    """
    if stride > 1 and dilation > 1:
        raise ValueError("stride is %d and dilation is %d, expected one of them to be 1" % (stride, dilation))
    if padding not in ("SAME", "VALID"):
        raise ValueError('padding is %r, expected "SAME" or "VALID"' % (padding,))
    if block is not None and (stride > 1 or padding != "SAME" or not fast_gradients):
        raise ValueError('block is %r, expected None with stride %d, padding "%s" and fast_gradients %s' % (
            block, stride, padding, fast_gradients))
    with tf.name_scope(name, "conv1d", [inputs, kernel]):
        if not fast_gradients:
            # on 1.15 tf.nn.convolution moves dilation into the batch dimension, because Conv2D has no dilated gradient on a CPU
            return tf.nn.convolution(inputs, kernel, padding, strides=[stride], dilation_rate=[dilation])
        if kernel.shape.as_list()[0] == 1 and stride == 1:
            return _convolve_one_tap(inputs, kernel)
        if block is not None:
            return fourier_conv1d(inputs, kernel, block, dilation, gradients_in_turn)
        with tf.get_default_graph().gradient_override_map({"Conv2D": GRADIENT_NAME}):
            return _convolve(inputs, kernel, stride, dilation, padding)


def _convolve(inputs, kernel, stride, dilation, padding):
    """conv1d as a Conv2D of height 1."""
    outputs = tf.nn.conv2d(tf.expand_dims(inputs, 1), tf.expand_dims(kernel, 0), strides=[1, 1, stride, 1],
                           padding=padding, dilations=[1, 1, dilation, 1])
    return tf.squeeze(outputs, [1])


def _convolve_one_tap(inputs, kernel):
    """conv1d of width 1 as one matrix product, whose gradients are matrix products, too."""
    _, input_channels, output_channels = kernel.shape.as_list()
    batch_size, frames = inputs.shape.as_list()[0], dimension(inputs, 1)
    products = tf.matmul(tf.reshape(inputs, [-1, input_channels]), tf.reshape(kernel, [input_channels, output_channels]))
    outputs = tf.reshape(products, [-1 if batch_size is None else batch_size, frames, output_channels])
    outputs.set_shape([batch_size, inputs.shape[1], output_channels])
    return outputs


@tf.RegisterGradient(GRADIENT_NAME)
def _gradients(operation, outputs_gradient):
    """The gradients of a Conv2D of height 1 by its input [B, 1, T, Cin] and its kernel [1, W, Cin, Cout]."""
    stride, dilation = operation.get_attr("strides")[2], operation.get_attr("dilations")[2]
    padding = operation.get_attr("padding").decode()
    images, filters = operation.inputs
    inputs, kernel = tf.squeeze(images, [1]), tf.squeeze(filters, [0])
    gradient = tf.squeeze(outputs_gradient, [1])
    if stride == 1:
        by_inputs = _gradient_by_inputs(gradient, kernel, dilation, padding)
    else:
        by_inputs = _gradient_by_inputs_of_stride(gradient, kernel, stride, padding, dimension(inputs, 1))
        by_inputs.set_shape(inputs.shape)
    by_kernel = _gradient_by_kernel(inputs, gradient, kernel.shape.as_list()[0], stride, dilation, padding)
    return tf.expand_dims(by_inputs, 1), tf.expand_dims(by_kernel, 0)


def _gradient_by_inputs(gradient, kernel, dilation, padding):
    """d inputs [B, T, Cin] from d outputs [B, T', Cout]."""
    if padding == "VALID":
        reach = (kernel.shape.as_list()[0] - 1) * dilation
        gradient = pad_frames(gradient, reach, reach)
    # Reversing the activations in time before and after is equivalent to reversing the kernel, which is larger. SAME padding
    # (with one more frame at the end if it is odd), reversed, is exactly the padding of the gradient.
    reverse = _convolve(tf.reverse(gradient, [1]), tf.transpose(kernel, [0, 2, 1]), 1, dilation, padding)
    return tf.reverse(reverse, [1])


def _gradient_by_inputs_of_stride(gradient, kernel, stride, padding, frames):
    """d inputs [B, T, Cin] from d outputs [B, T', Cout] of a convolution without dilation; ``frames`` is T.

    Padded frame q * stride + r receives gradients only through the taps m * stride + r. So one forward convolution of as many
    taps as there are m has the gradients of all r in its channels, and a reshape puts them in order. The missing taps are zeros.
    """
    width, input_channels, output_channels = kernel.shape.as_list()
    taps = -(-width // stride)
    kernel = tf.reshape(pad_frames(tf.expand_dims(tf.reshape(kernel, [width, input_channels * output_channels]), 0), 0,
                                   taps * stride - width), [taps, stride, input_channels, output_channels])
    kernel = tf.reshape(tf.transpose(tf.reverse(kernel, [0]), [0, 3, 1, 2]), [taps, output_channels, stride * input_channels])
    missing = at_least((dimension(gradient, 1) - 1) * stride + width - frames, 0)
    before = missing // 2 if padding == "SAME" else 0
    # without an output frame (T' = 0) the result has its zeros from the padding
    after = taps - 1 + at_least(1 - dimension(gradient, 1), 0)
    by_padded = _convolve(pad_frames(gradient, taps - 1, after), kernel, 1, 1, "VALID")
    covered = dimension(by_padded, 1) * stride
    by_padded = tf.reshape(by_padded, [dimension(gradient, 0), covered, input_channels])
    # frames at the end may be in no window
    return pad_frames(by_padded, 0, at_least(before + frames - covered, 0))[:, before:before + frames]


def _gradient_by_kernel(inputs, gradient, width, stride, dilation, padding):
    """d kernel [W, Cin, Cout] from inputs [B, T, Cin] and d outputs [B, T', Cout]."""
    # without a complete window (T' = 0) the kernel would have no taps, and TensorFlow 1.15 would crash in a division by zero
    gradient = pad_frames(gradient, 0, at_least(1 - dimension(gradient, 1), 0))
    covered = (dimension(gradient, 1) - 1) * stride + (width - 1) * dilation + 1
    images = tf.transpose(_pad_to_windows(inputs, covered, padding), [2, 1, 0])
    by_kernel = tf.nn.conv2d(tf.expand_dims(images, 1), tf.expand_dims(tf.transpose(gradient, [1, 0, 2]), 0),
                             strides=[1, 1, dilation, 1], padding="VALID", dilations=[1, 1, stride, 1])
    by_kernel = tf.transpose(tf.squeeze(by_kernel, [1]), [1, 0, 2])
    by_kernel.set_shape([width, inputs.shape[2], gradient.shape[2]])
    return by_kernel


def _pad_to_windows(inputs, covered, padding):
    """Pads or cuts [B, T, C] to the ``covered`` frames in the convolution's windows."""
    missing = at_least(covered - dimension(inputs, 1), 0)
    before = missing // 2 if padding == "SAME" else 0
    # with a stride, frames at the end may be in no window
    return pad_frames(inputs, before, missing - before)[:, :covered]
