"""Convolution blocks of the encoders: convolution, normalization, residual sum, activation, dropout.

Every function creates its variables in the current variable scope, under the names of OpenSeq2Seq. They are float32 and are
read in the type of the activations, so in half precision they are the master copy of the weights.
"""
import collections

import tensorflow.compat.v1 as tf

from open_seq2seq.encoders.convolution import conv1d
from open_seq2seq.encoders.normalization import batch_norm
from open_seq2seq.encoders.shapes import at_least, dimension, pad_frames

ConvolutionSettings = collections.namedtuple("ConvolutionSettings", "separable width channels stride dilation padding")
ConvolutionSettings.__doc__ = """One convolution: separable bool, width in frames, output channels, stride, dilation, padding."""

EncoderSettings = collections.namedtuple(
    "EncoderSettings", "training momentum epsilon regularizer execution")
EncoderSettings.__doc__ = """Settings shared by all blocks of an encoder.

training: bool; momentum, epsilon: of batch_norm; regularizer: of kernels and gammas, or None; execution: an Execution.
"""


def convolve(inputs, convolution, encoder, regularizer=None, typical_frames=None):
    """A convolution over time without bias.

    Args:
      inputs: float32 or float16 [B, T, Cin].
      convolution: a :class:`ConvolutionSettings`.
      encoder: an :class:`EncoderSettings`.
      regularizer: applied to the kernels, or None.
      typical_frames: int, T of a typical batch where the graph does not know it; None if nothing is known.

    Returns:
      Tensor of the inputs' type, [B, 1, T', channels]: rank 4, which batch norm needs.
    """
    input_channels = inputs.shape.as_list()[-1]
    width, stride, dilation, padding = convolution.width, convolution.stride, convolution.dilation, convolution.padding
    if not convolution.separable:
        kernel = _weights("kernel", [width, input_channels, convolution.channels], inputs.dtype, regularizer)
        return _convolve(inputs, kernel, stride, dilation, padding, encoder, typical_frames)
    depthwise = _weights("depthwise_kernel", [width, input_channels, 1], inputs.dtype, regularizer)
    pointwise = _weights("pointwise_kernel", [1, input_channels, convolution.channels], inputs.dtype, regularizer)
    if width == 1 and stride == 1:
        # a depthwise kernel of one tap scales every channel
        filtered = inputs * tf.reshape(depthwise, [input_channels])
    else:
        if not encoder.training and padding == "VALID":
            inputs = _at_least_one_window(inputs, width, dilation)
        filtered = tf.squeeze(tf.nn.depthwise_conv2d(
            tf.expand_dims(inputs, 1), tf.expand_dims(depthwise, 0), [1, stride, stride, 1], padding, rate=[1, dilation]), 1)
    return _convolve(filtered, pointwise, 1, 1, "VALID", encoder)


def _weights(name, shape, dtype, regularizer):
    """A float32 variable, read in ``dtype``; the regularizer receives it in float32."""
    return tf.cast(tf.get_variable(name, shape, dtype=tf.float32, regularizer=regularizer), dtype)


def _convolve(inputs, kernel, stride, dilation, padding, encoder, typical_frames=None):
    if encoder.training:
        execution, block = encoder.execution, None
        if (execution.fast_convolutions is not None and execution.fast_gradients and stride == 1 and padding == "SAME"
                and inputs.dtype == tf.float32):
            batch_size, frames, _ = inputs.shape.as_list()
            block = execution.fast_convolutions.block(
                tf.get_variable_scope().name, kernel.shape.as_list(), batch_size, typical_frames if frames is None else frames,
                dilation)
        return tf.expand_dims(conv1d(inputs, kernel, stride, dilation, padding, execution.fast_gradients, block,
                                     gradients_in_turn=execution.recompute), 1)
    if padding == "VALID":
        inputs = _at_least_one_window(inputs, kernel.shape.as_list()[0], dilation)
    # No gradients are needed here, and TensorFlow fuses the Conv2D and the FusedBatchNorm only if no op is between them.
    return tf.nn.conv2d(tf.expand_dims(inputs, 1), tf.expand_dims(kernel, 0), strides=[1, 1, stride, 1], padding=padding,
                        dilations=[1, 1, dilation, 1])


def _at_least_one_window(inputs, width, dilation):
    """``inputs``, padded with zeros at the end if they are shorter than a VALID kernel, for which TensorFlow fails.

    Training rejects such utterances; evaluation scores them like all others, with output lengths of 0.
    """
    window = (width - 1) * dilation + 1
    if window == 1:
        return inputs
    return pad_frames(inputs, 0, at_least(window - dimension(inputs, 1), 0))


def residual_sum(residual_inputs, separable, channels, names, encoder, mask):
    """The sum of all residual branches, each a 1x1 convolution followed by batch norm.

    Args:
      residual_inputs: list of float32 or float16 [B, T, Ci].
      separable: whether the 1x1 convolutions are separable, like the block's other convolutions.
      channels: output channels.
      names: list of (scope of the convolution, scope of batch norm), one for each input.
      encoder: an :class:`EncoderSettings`. Its regularizer applies to gamma; the 1x1 kernels are not regularized, as in
        OpenSeq2Seq.
      mask: see :func:`batch_norm`.

    Returns:
      Tensor of the inputs' type, [B, T, channels].
    """
    branches = []
    pointwise = ConvolutionSettings(separable, 1, channels, 1, 1, "VALID")
    for inputs, (convolution_name, norm_name) in zip(residual_inputs, names):
        with tf.variable_scope(convolution_name):
            images = convolve(inputs, pointwise, encoder)
        with tf.variable_scope(norm_name):
            branches.append(normalize(images, encoder, mask))
    return tf.squeeze(tf.add_n(branches) if len(branches) > 1 else branches[0], 1)


def normalize(images, encoder, mask):
    """:func:`batch_norm` with an encoder's settings."""
    return batch_norm(images, encoder.training, encoder.momentum, encoder.epsilon, encoder.regularizer, mask,
                      encoder.execution.sum_over_ranks, encoder.execution.observer)


def dropout(inputs, keep_probability, uniform, mask=None):
    """Dropout with inverted scaling.

    Args:
      inputs: float32 or float16 [B, T, C].
      keep_probability: float above 0, probability of keeping a value.
      uniform: float32 [B, T, C], random numbers between 0 and 1.
      mask: tensor of the same type, [B, T, 1]; if given, frames where it is 0 are set to zero in the same product.

    Returns:
      Tensor of the inputs' type, [B, T, C].
    """
    kept = tf.cast(uniform < keep_probability, inputs.dtype)
    # scale and mask are part of the factor, which needs no gradient: one product forward and one backward
    scale = 1.0 / keep_probability
    return inputs * (kept * (scale if mask is None else mask * scale))
