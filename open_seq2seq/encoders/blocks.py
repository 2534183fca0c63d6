"""Convolution blocks of the encoders: convolution, normalization, residual sum, activation, dropout.

Every function creates its variables in the current variable scope, under the names of the original OpenSeq2Seq.
"""
import collections

import tensorflow.compat.v1 as tf

from open_seq2seq.encoders.convolution import conv1d
from open_seq2seq.encoders.normalization import batch_norm

ConvolutionSettings = collections.namedtuple("ConvolutionSettings", "separable width channels stride dilation padding")
ConvolutionSettings.__doc__ = """One convolution: separable bool, width in frames, output channels, stride, dilation, padding."""

BatchNormSettings = collections.namedtuple("BatchNormSettings", "training momentum epsilon regularizer")
BatchNormSettings.__doc__ = """What all batch normalizations of an encoder have in common; see batch_norm."""


def convolve(inputs, settings, regularizer, fast_gradients):
    """A convolution over time without bias.

    Args:
      inputs: float32 [B, T, Cin].
      settings: a :class:`ConvolutionSettings`.
      regularizer: applied to the kernels, or None.
      fast_gradients: see :func:`open_seq2seq.encoders.convolution.conv1d`.

    Returns:
      float32 [B, T', settings.channels].
    """
    input_channels = inputs.shape.as_list()[-1]
    stride, dilation, padding = settings.stride, settings.dilation, settings.padding
    if not settings.separable:
        kernel = tf.get_variable("kernel", [settings.width, input_channels, settings.channels], regularizer=regularizer)
        return conv1d(inputs, kernel, stride, dilation, padding, fast_gradients)
    depthwise = tf.get_variable("depthwise_kernel", [settings.width, input_channels, 1], regularizer=regularizer)
    pointwise = tf.get_variable("pointwise_kernel", [1, input_channels, settings.channels], regularizer=regularizer)
    if settings.width == 1 and stride == 1:
        # a depthwise kernel of one tap is a scale of every channel
        filtered = inputs * tf.reshape(depthwise, [input_channels])
    else:
        filtered = tf.squeeze(tf.nn.depthwise_conv2d(
            tf.expand_dims(inputs, 1), tf.expand_dims(depthwise, 0), [1, stride, stride, 1], padding, rate=[1, dilation]), 1)
    return conv1d(filtered, pointwise, 1, 1, "VALID", fast_gradients)


def residual_sum(residual_inputs, separable, channels, names, settings, fast_gradients, mask):
    """The sum of all residual branches: each input through a 1x1 convolution and batch norm.

    Args:
      residual_inputs: list of float32 [B, T, Ci].
      separable: whether the 1x1 convolutions are separable, as the block's others are.
      channels: output channels.
      names: one (convolution's scope, batch norm's scope) an input.
      settings: a :class:`BatchNormSettings`. Its regularizer covers gamma; the 1x1 kernels are not regularized,
        as in the original.
      fast_gradients: see :func:`open_seq2seq.encoders.convolution.conv1d`.
      mask: as in :func:`batch_norm`.

    Returns:
      float32 [B, T, channels].
    """
    branches = []
    pointwise = ConvolutionSettings(separable, 1, channels, 1, 1, "VALID")
    for inputs, (convolution_name, norm_name) in zip(residual_inputs, names):
        with tf.variable_scope(convolution_name):
            branch = convolve(inputs, pointwise, None, fast_gradients)
        with tf.variable_scope(norm_name):
            branches.append(batch_norm(branch, mask=mask, **settings._asdict()))
    return tf.add_n(branches) if len(branches) > 1 else branches[0]


def dropout(inputs, keep_probability):
    """Dropout with inverted scaling, seeded through the graph's seed; identity at keep probability 1."""
    if keep_probability == 1.0:
        return inputs
    return tf.nn.dropout(inputs, rate=1.0 - keep_probability)
