"""Convolution over time by short Fourier transforms, for CPUs: several times fewer multiplications than the direct sum.

The input is cut into blocks of N frames which overlap by the kernel's W - 1 frames, so each block gives M = N - W + 1 output
frames (overlap-save). In a block the convolution is a product for each frequency f: with X, H, Y the discrete Fourier transforms
over time,

    Y[f] [blocks, Cout] = X[f] [blocks, Cin] @ conj(H[f]) [Cin, Cout]

For real numbers the N frequencies are 2 real ones and N / 2 - 1 complex ones. A complex product takes three real ones (Gauss):

    P1 = Hr (Xr + Xi)    P2 = (Hi - Hr) Xr    P3 = (Hr + Hi) Xi        Yr = P1 - P3    Yi = P1 + P2

The sums belong to the transforms. So the convolution is a bilinear algorithm with three constant matrices and R = 3 N / 2 - 1
products of matrices of the channels:

    output = A @ ((G @ kernel) * (B @ block))        A [M, R], G [R, W], B [R, N]

Each output frame takes R / M products instead of W: 2.4 instead of 25 with N = 64. Its two gradients have the same structure with
the transposed matrices. All transforms are matrix products with small constants. Rounding is that of a Fourier transform with
orthogonal matrices: about 1e-6 of the largest output in float32, as in the direct sum.
"""
import functools

import numpy as np
import tensorflow.compat.v1 as tf

from open_seq2seq.encoders.shapes import at_least, dimension


def transforms(block, width):
    """The three constant matrices.

    Args:
      block: int, frames N of a block, even and at least ``width``.
      width: int, taps W of the kernel.

    Returns:
      (inputs [R, N], kernel [R, W], outputs [N - W + 1, R]), float64 arrays, R = 3 N / 2 - 1.
    """
    of_inputs, of_kernel, of_outputs = [], [], []
    frames, taps, output_frames = np.arange(block), np.arange(width), np.arange(block - width + 1)
    for frequency in range(block // 2 + 1):
        omega = 2.0 * np.pi * frequency / block
        real, imaginary = np.cos(omega * frames), -np.sin(omega * frames)
        # the conjugate: networks compute correlations, sum over w of kernel[w] * input[t + w]
        kernel_real, kernel_imaginary = np.cos(omega * taps), np.sin(omega * taps)
        if frequency in (0, block // 2):
            of_inputs.append(real)
            of_kernel.append(kernel_real)
            of_outputs.append(np.cos(omega * output_frames) / block)
        else:
            of_inputs += [real + imaginary, real, imaginary]
            of_kernel += [kernel_real, kernel_imaginary - kernel_real, kernel_real + kernel_imaginary]
            # twice, for the frequency and its conjugate
            cosine, sine = (2.0 * function(omega * output_frames) / block for function in (np.cos, np.sin))
            of_outputs += [cosine - sine, -sine, -cosine]
    return np.array(of_inputs), np.array(of_kernel), np.array(of_outputs).T


def products_of(block):
    """R, the number of products of matrices that blocks of ``block`` frames take."""
    return 3 * block // 2 - 1


def fourier_conv1d(inputs, kernel, block, dilation=1, gradients_in_turn=False):
    """Convolution of stride 1 with SAME padding, without bias.

    Outputs and gradients are those of ``conv1d`` up to rounding. Nothing but inputs and kernel is kept for the gradients: the
    transforms, which take little time, are computed again.

    Args:
      inputs: float32 [B, T, Cin]; B and T may be unknown while the graph is built, Cin must be known.
      kernel: float32 [W, Cin, Cout], of static shape.
      block: int, frames of a block: even, at least W + 1.
      dilation: int, distance between the kernel's taps in frames.
      gradients_in_turn: compute the two gradients one after the other. The transforms of a wide layer's kernel and of its
        gradient take 200 to 300 MB each, and are then not needed at the same time; small batches take a tenth longer.

    Returns:
      float32 [B, T, Cout].
    """
    convolution = _Convolution(inputs, kernel.shape.as_list(), block, dilation)

    @tf.custom_gradient
    def convolve(inputs, kernel):
        def gradients(outputs_gradient):
            # without the dependency TensorFlow would compute the transforms in the forward pass and keep them
            with tf.control_dependencies([outputs_gradient]):
                again = tf.identity(inputs), tf.identity(kernel)
            return convolution.gradients(*again, outputs_gradient, gradients_in_turn)

        # without this dependency TensorFlow would transform the kernels of all layers at the beginning of a step and keep them
        with tf.control_dependencies([inputs]):
            kernel = tf.identity(kernel)
        return convolution.outputs(inputs, kernel), gradients

    outputs = convolve(inputs, kernel)
    outputs.set_shape([inputs.shape[0], inputs.shape[1], kernel.shape[2]])
    return outputs


def transformed_kernel(kernel, block):
    """The transform of a kernel, for :func:`convolve_with_transformed`.

    Args:
      kernel: array [W, Cin, Cout].
      block: int, see :func:`fourier_conv1d`.

    Returns:
      float32 array [R, Cin, Cout].
    """
    _, of_kernel, _ = transforms(block, len(kernel))
    return np.tensordot(of_kernel, kernel.astype(np.float64), 1).astype(np.float32)


def kernel_of_transformed(transformed, width):
    """The kernel whose transform is given, up to rounding: the inverse of :func:`transformed_kernel`.

    Args:
      transformed: array [R, Cin, Cout].
      width: int, taps W of the kernel.

    Returns:
      float32 array [W, Cin, Cout].

    Raises:
      ValueError: R is not the number of products of any block, or of one that is too short for the kernel.
    """
    block = 2 * (len(transformed) + 1) // 3
    if block % 2 or products_of(block) != len(transformed) or not 0 < width <= block:
        raise ValueError("%d matrices are not the transform of a kernel with %d taps" % (len(transformed), width))
    _, of_kernel, _ = transforms(block, width)
    return np.tensordot(np.linalg.pinv(of_kernel).astype(np.float32), transformed, 1)


def convolve_with_transformed(inputs, kernel, width, block, dilation=1):
    """:func:`fourier_conv1d` for inference: the kernel is transformed once, when the graph is built.

    Args:
      inputs: float32 [B, T, Cin].
      kernel: float32 [R, Cin, Cout], see :func:`transformed_kernel`.
      width: int, taps of the kernel before the transform.
      block, dilation: see :func:`fourier_conv1d`.

    Returns:
      float32 [B, T, Cout].
    """
    shape = [width] + kernel.shape.as_list()[1:]
    outputs = _Convolution(inputs, shape, block, dilation).outputs_of_transformed(inputs, kernel)
    outputs.set_shape([inputs.shape[0], inputs.shape[1], shape[2]])
    return outputs


class _Convolution:
    """Shapes and constants of one convolution.

    Rows of blocks are ordered by utterance, phase of the dilation, and block: ``B * dilation * blocks`` rows.
    """

    def __init__(self, inputs, kernel_shape, block, dilation):
        self._width, self._input_channels, self._output_channels = kernel_shape
        self._block, self._dilation = block, dilation
        self._step = block - self._width + 1  # output frames of a block
        self._of_inputs, self._of_kernel, self._of_outputs = _constants(block, self._width)
        self._products = self._of_inputs.shape[0]
        self._batch_size, self._frames = dimension(inputs, 0), dimension(inputs, 1)
        # rounded up twice; without frames there is one block, because TensorFlow 1.15 fails on some empty products
        self._blocks = at_least(-(-self._frames // (self._step * dilation)), 1)
        self._before = dilation * (self._width - 1) // 2
        self._rows = self._batch_size * dilation * self._blocks

    def outputs(self, inputs, kernel):
        """[B, T, Cout]."""
        return self.outputs_of_transformed(inputs, self._transformed_kernel(kernel))

    def outputs_of_transformed(self, inputs, kernel):
        """[B, T, Cout] from the transformed kernel [R, Cin, Cout]."""
        products = tf.matmul(self._transformed_inputs(inputs), kernel)
        frames = tf.matmul(self._of_outputs, tf.reshape(products, [self._products, -1]))
        return self._as_frames(frames, self._step, self._output_channels)[:, :self._frames]

    def gradients(self, inputs, kernel, gradient, in_turn):
        """The gradients by inputs [B, T, Cin] and kernel [W, Cin, Cout] from the one by the outputs [B, T, Cout]."""
        gradient = tf.matmul(self._of_outputs, self._as_blocks(gradient), transpose_a=True)
        gradient = tf.reshape(gradient, [self._products, self._rows, self._output_channels])
        by_inputs = tf.matmul(gradient, self._transformed_kernel(kernel), transpose_b=True)
        by_inputs = tf.matmul(self._of_inputs, tf.reshape(by_inputs, [self._products, -1]), transpose_a=True)
        with tf.control_dependencies([by_inputs] if in_turn else []):
            inputs = tf.identity(inputs)
        by_kernel = tf.matmul(self._transformed_inputs(inputs), gradient, transpose_a=True)
        by_kernel = tf.matmul(self._of_kernel, tf.reshape(by_kernel, [self._products, -1]), transpose_a=True)
        return self._sum_of_blocks(by_inputs), tf.reshape(by_kernel, kernel.shape)

    def _transformed_inputs(self, inputs):
        """[R, rows, Cin]."""
        blocks = self._overlapping_blocks(inputs)
        return tf.reshape(tf.matmul(self._of_inputs, blocks), [self._products, self._rows, self._input_channels])

    def _transformed_kernel(self, kernel):
        """[R, Cin, Cout]."""
        transformed = tf.matmul(self._of_kernel, tf.reshape(kernel, [self._width, -1]))
        return tf.reshape(transformed, [self._products, self._input_channels, self._output_channels])

    def _overlapping_blocks(self, inputs):
        """The frames of the blocks, [N, rows * Cin]."""
        padded_frames = (self._blocks * self._step + self._width - 1) * self._dilation
        padded = tf.pad(inputs, [[0, 0], [self._before, padded_frames - self._before - self._frames], [0, 0]])
        frame, utterance, phase, block = tf.meshgrid(
            *map(tf.range, (self._block, self._batch_size, self._dilation, self._blocks)), indexing="ij")
        positions = utterance * padded_frames + (block * self._step + frame) * self._dilation + phase
        blocks = tf.gather(tf.reshape(padded, [-1, self._input_channels]), tf.reshape(positions, [-1]))
        return tf.reshape(blocks, [self._block, self._rows * self._input_channels])

    def _as_blocks(self, outputs):
        """[B, T, Cout] as blocks without overlap, [M, rows * Cout]."""
        frames = self._blocks * self._step * self._dilation
        padded = tf.pad(outputs, [[0, 0], [0, frames - self._frames], [0, 0]])
        padded = tf.reshape(padded, [self._batch_size, self._blocks, self._step, self._dilation, self._output_channels])
        return tf.reshape(tf.transpose(padded, [2, 0, 3, 1, 4]), [self._step, self._rows * self._output_channels])

    def _as_frames(self, blocks, frames, channels):
        """[frames, rows * channels] in the order of time, [B, blocks * frames * dilation, channels]."""
        blocks = tf.reshape(blocks, [frames, self._batch_size, self._dilation, self._blocks, channels])
        return tf.reshape(tf.transpose(blocks, [1, 3, 0, 2, 4]), [self._batch_size, -1, channels])

    def _sum_of_blocks(self, blocks):
        """Overlapping blocks [N, rows * Cin], added up where they overlap, as [B, T, Cin]."""
        total, parts = None, -(-self._block // self._step)
        for part in range(parts):
            # step by step, because parts of one step do not overlap
            frames = blocks[part * self._step:(part + 1) * self._step]
            missing = (part + 1) * self._step - self._block
            frames = tf.pad(frames, [[0, missing], [0, 0]]) if missing > 0 else frames
            frames = self._as_frames(frames, self._step, self._input_channels)
            shift = self._step * self._dilation
            frames = tf.pad(frames, [[0, 0], [part * shift, (parts - 1 - part) * shift], [0, 0]])
            # not tf.add_n: TensorFlow 1.15 plans its memory with a cost model that aborts where sizes are unknown
            total = frames if total is None else total + frames
        # the padding before the inputs is cut off, and what reaches beyond the last frame, too
        return total[:, self._before:self._before + self._frames]


@functools.lru_cache(maxsize=None)
def _constants(block, width):
    return [matrix.astype(np.float32) for matrix in transforms(block, width)]
