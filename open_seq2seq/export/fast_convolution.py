"""Convolution over time with fewer multiplications: the fast FIR algorithm (Parker and Messerschmitt, 1997), for CPUs.

Even and odd frames of inputs x and outputs y, even and odd taps of the kernel k, are sequences of half the length:

    y0[m] = (k0 * x0)[m] + (k1 * x1)[m]          y1[m] = (k0 * x1)[m] + (k1 * x0)[m + 1]

Four convolutions of half the taps for half the frames, as much work as before. Three of them suffice, as in Karatsuba's product:

    S = (k0 + k1) * x1,   U = k0 * (x0 - x1),   V = k1 * (x0[. + 1] - x1),        y0 = U + S,   y1 = V + S

So every level leaves 3/4 of the multiplications, for 3/2 of the weights and a few sums. In float32 the result is as good as the
direct one. A product of large matrices is bound by arithmetic on a CPU, and so is gained; an NPU, whose matrix unit waits for
memory, has nothing of it.
"""
import numpy as np
import tensorflow.compat.v1 as tf

from open_seq2seq.export.inference_graph import plain_convolution

# What pays was measured on 2 cores with AVX-512: below, the sums and slices take longer than the products that they save.
FEWEST_CHANNELS = 64
FEWEST_TAPS = 5


def levels(width, channels):
    """How often a kernel is halved: 0 (not at all), 1 or 2.

    Args:
      width: taps.
      channels: the smaller of its input and output channels.
    """
    if width < FEWEST_TAPS or channels < FEWEST_CHANNELS:
        return 0
    return 2 if width >= 2 * FEWEST_TAPS - 1 and channels >= 2 * FEWEST_CHANNELS else 1


def fast_convolution(images, kernel, stride, dilation, padding, bias=None):
    """As ``inference_graph.plain_convolution``, by another way where that is the faster one.

    Args:
      images: float32 [B, 1, T, Cin].
      kernel: array [1, width, Cin, Cout].
      stride, dilation: int, in frames.
      padding: "SAME" or "VALID".
      bias: array [Cout], or None.

    Returns:
      [B, 1, T', Cout].
    """
    width, input_channels, output_channels = kernel.shape[1:]
    depth = levels(width, min(input_channels, output_channels))
    if stride > 1 or depth == 0:
        return plain_convolution(images, kernel, stride, dilation, padding, bias)
    window = (width - 1) * dilation + 1
    before, frames = 0, _frames(images)
    outputs = frames - window + 1
    if padding == "SAME":
        before, outputs = (window - 1) // 2, frames
    # every level halves the outputs, and every phase of a dilated convolution has as many
    rounded = _rounded_up(outputs, dilation << depth)
    images = _padded(images, before, rounded + window - 1 - before - frames)
    if dilation > 1:
        # the taps see only every dilation-th frame: one row of an image for each phase
        per_phase = rounded // dilation + width - 1
        images = tf.transpose(_reshaped(images, [per_phase, dilation, input_channels]), [0, 2, 1, 3])
    results = _valid(images, kernel, bias, rounded // dilation, depth)
    if dilation > 1:
        results = _reshaped(tf.transpose(results, [0, 2, 1, 3]), [1, rounded, output_channels])
    return results if _same(rounded, outputs) else _frames_from(results, 0, outputs)


def _valid(images, kernel, bias, outputs, depth):
    """Whole windows only.

    Args:
      images: [B, H, outputs + width - 1, Cin].
      kernel: [1, width, Cin, Cout].
      bias: array [Cout], or None.
      outputs: int or int32 scalar tensor, a multiple of 2 ** depth.
      depth: how often to halve.

    Returns:
      [B, H, outputs, Cout].
    """
    if depth == 0:
        return plain_convolution(images, kernel, 1, 1, "VALID", bias)
    width, input_channels, output_channels = kernel.shape[1:]
    even, odd = kernel[:, 0::2], kernel[:, 1::2]
    both = even + np.pad(odd, [(0, 0), (0, width % 2), (0, 0), (0, 0)], mode="constant")
    # frames from the first output's first tap to the last output's last tap, an even number of them
    halves, rows = outputs // 2, images.shape.as_list()[1]
    images = _padded(images, 0, 1 - width % 2)
    pairs = halves + width // 2
    even_frames, odd_frames = (
        _columns(images, 2 * input_channels, phase * input_channels, input_channels, [rows, pairs, input_channels])
        for phase in (0, 1))
    later, earlier = _frames_from(even_frames, 1, pairs - 1), _frames_from(odd_frames, 0, pairs - 1)
    if width % 2 == 0:
        even_frames, odd_frames = _frames_from(even_frames, 0, pairs - 1), earlier
    # a bias in what both have in common is one in each, and TensorFlow adds it in passing
    common = _valid(odd_frames, both, bias, halves, depth - 1)
    first = _valid(even_frames - odd_frames, even, None, halves, depth - 1) + common
    second = _valid(later - earlier, odd, None, halves, depth - 1) + common
    return _reshaped(tf.concat([first, second], 3), [rows, outputs, output_channels])


def _frames_from(images, first, count):
    """``count`` frames of [B, H, T, C] from the ``first`` on."""
    rows, _, channels = images.shape.as_list()[1:]
    return _columns(images, _frames(images) * channels, first * channels, count * channels, [rows, count, channels])


def _columns(images, width, first, count, shape):
    """``count`` columns of the matrix [..., width] from the ``first`` on, as [B] + shape.

    Of all that cuts, TensorFlow's Slice of a matrix is the one that copies whole rows; the others go value by value.
    """
    matrix = tf.reshape(images, [-1, width])
    return _reshaped(tf.slice(matrix, [0, first], [-1, count]), shape, images)


def _frames(images):
    known = images.shape.as_list()[2]
    return tf.shape(images)[2] if known is None else known


def _rounded_up(number, multiple):
    return -(-number // multiple) * multiple


def _same(number, other):
    return not tf.is_tensor(number) and not tf.is_tensor(other) and number == other


def _padded(images, before, after):
    """Zeros before and after the frames."""
    if _same(before, 0) and _same(after, 0):
        return images
    return tf.pad(images, [[0, 0], [0, 0], [before, after], [0, 0]])


def _reshaped(images, shape, like=None):
    """[B, ...] with other dimensions behind the batch's (``like``'s); these are ints or int32 scalar tensors."""
    batch_size = (images if like is None else like).shape.as_list()[0]
    reshaped = tf.reshape(images, [-1 if batch_size is None else batch_size] + shape)
    reshaped.set_shape([batch_size] + [None if tf.is_tensor(size) else size for size in shape])
    return reshaped
