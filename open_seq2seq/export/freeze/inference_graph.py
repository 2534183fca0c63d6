"""The graph of a folded network: images of height 1 from input to logits, and the mask as a separate input.

No operation computes a tensor's shape, so static and dynamic sizes give the same graph, and TensorFlow, ATC and tf2onnx find only
convolutions, sums and products in it.
"""
import numpy as np
import tensorflow.compat.v1 as tf

from open_seq2seq.errors import ConfigError
from open_seq2seq.export.description import LOGITS_OUTPUT

HALF_MAXIMUM = 65504.0


class InferenceGraph:
    """Builds a folded network in the current graph.

    Args:
      network: a ``FoldedNetwork``.
      dtype: tf.float32 or tf.float16, of weights and activations; input and logits are always float32.
    """

    def __init__(self, network, dtype=tf.float32):
        self._network, self._dtype = network, dtype
        self._first = network.convolutions[0]   # which determines the frames of the first mask

    def __call__(self, images, mask):
        """Adds the operations.

        Args:
          images: float32 [B, 1, T, F], zero after the valid frames.
          mask: float32 [B, M], 1.0 for valid frames of the first convolution's outputs, of the input transform's if there is one,
            0.0 for padding.

        Returns:
          The logits, float32 [B, T', V + 1], whose operation has the name in the description.
        """
        images = tf.cast(images, self._dtype)
        mask = tf.cast(tf.expand_dims(tf.expand_dims(mask, 1), 3), self._dtype)
        with tf.name_scope("ForwardPass/w2l_encoder/"):
            if self._network.input_transform is not None:
                images, mask = self._transformed(images, mask)
            activations = self._encoded(images, mask)
        with tf.name_scope("ForwardPass/fully_connected_ctc_decoder/"):
            products = self._products(activations, self._network.output_kernel[np.newaxis])
            # only the product has half precision: a softmax of float16 logits loses small probabilities
            bias = tf.constant(self._network.output_bias, name="bias")
            outputs = tf.nn.bias_add(tf.cast(products, tf.float32), bias)
            return tf.squeeze(outputs, [1], name=LOGITS_OUTPUT.split("/")[-1])

    def _transformed(self, images, mask):
        """The outputs of the input transform, zero after the valid frames if the network is masked, and the mask that
        :meth:`_encoded` takes."""
        kernel, bias = self._network.input_transform
        with tf.name_scope("input_transform"):
            images = tf.nn.conv2d(images, self._constant("kernel", kernel[np.newaxis]), strides=[1, 1, 1, 1], padding="SAME")
            images = tf.nn.bias_add(images, self._constant("bias", bias))
            if self._network.masked:
                images = images * mask
            return images, mask_after(mask, self._first)

    def _encoded(self, images, mask):
        """The last layer's activations, as :meth:`_products` takes them, of images [B, 1, T, F] and mask [B, 1, M, 1]."""
        activations, block_inputs = images, []
        for number, layer in enumerate(self._network.convolutions):
            with tf.name_scope(layer.name):
                if number > 0:
                    if self._network.masked:
                        activations = activations * mask
                    mask = mask_after(mask, layer)
                if layer.opens_block:
                    block_inputs.append(activations)
                activations = self._layer(layer, activations, [block_inputs[branch] for branch in layer.branches])
        return activations

    def _products(self, activations, kernel):
        """[B, 1, T', V + 1] of the last layer's activations and a kernel [1, C, V + 1]."""
        kernel = self._constant("kernel", kernel[np.newaxis])
        return tf.nn.conv2d(activations, kernel, strides=[1, 1, 1, 1], padding="VALID")

    def _layer(self, layer, activations, branches):
        if not branches:
            return self._activated(self._main(layer, activations, layer.bias))
        outputs = None if layer.kernel is None else self._main(layer, activations, None)
        kernel = self._constant("residual_kernel", layer.residual_kernel[np.newaxis])
        inputs = tf.concat(branches, 3) if len(branches) > 1 else branches[0]
        residual = tf.nn.conv2d(inputs, kernel, strides=[1, 1, 1, 1], padding="VALID", name="residual")
        if outputs is None:
            return self._activated(tf.nn.bias_add(residual, self._constant("bias", layer.bias)))
        # the bias is added to one of the two products, because TensorFlow fuses that addition with the convolution
        residual = residual if layer.bias is None else tf.nn.bias_add(residual, self._constant("bias", layer.bias))
        return self._activated(outputs + residual)

    def _main(self, layer, images, bias):
        width = (layer.kernel if layer.depthwise is None else layer.depthwise).shape[0]
        if layer.padding == "VALID":
            images = _at_least_one_window(images, width, layer.dilation)
        if layer.depthwise is None:
            outputs = tf.nn.conv2d(images, self._constant("kernel", layer.kernel[np.newaxis]), strides=[1, 1, layer.stride, 1],
                                   padding=layer.padding, dilations=[1, 1, layer.dilation, 1])
            return outputs if bias is None else tf.nn.bias_add(outputs, self._constant("bias", bias))
        depthwise = self._constant("depthwise_kernel", layer.depthwise[np.newaxis])
        filtered = tf.nn.depthwise_conv2d(images, depthwise, [1, layer.stride, layer.stride, 1], layer.padding,
                                          rate=[1, layer.dilation])
        kernel = self._constant("pointwise_kernel", layer.kernel[np.newaxis])
        outputs = tf.nn.conv2d(filtered, kernel, strides=[1, 1, 1, 1], padding="VALID")
        return outputs if bias is None else tf.nn.bias_add(outputs, self._constant("bias", bias))

    def _activated(self, images):
        return images if self._network.activation is None else self._network.activation(images)

    def _constant(self, name, array):
        return tf.constant(self._checked(array), name=name)

    def _checked(self, array):
        if self._dtype == tf.float32:
            return array
        largest = np.abs(array).max()
        if not largest <= HALF_MAXIMUM:
            raise ConfigError("a weight of the folded network is %g, above float16's largest number of %g; export without --fp16"
                              % (largest, HALF_MAXIMUM))
        return array.astype(self._dtype.as_numpy_dtype)


def _window(width, dilation):
    return (width - 1) * dilation + 1


def _at_least_one_window(images, width, dilation):
    """``images`` [B, 1, T, C], padded with zeros where they are shorter than a VALID kernel."""
    window, frames = _window(width, dilation), images.shape.as_list()[2]
    if window == 1 or frames is not None and frames >= window:
        return images
    missing = tf.maximum(window - tf.shape(images)[2], 0) if frames is None else window - frames
    return tf.pad(images, [[0, 0], [0, 0], [0, missing], [0, 0]])


def mask_after(mask, layer):
    """The mask [B, 1, M, 1] after a layer.

    With SAME padding, output frame t of ceil(length / stride) is valid if input frame t * stride is. With VALID padding it is
    valid if all input frames of its window are.
    """
    width = layer.depthwise.shape[0] if layer.depthwise is not None else 1 if layer.kernel is None else layer.kernel.shape[0]
    if layer.padding == "VALID":
        mask = _at_least_one_window(mask, width, layer.dilation)
    first = _window(width, layer.dilation) - 1 if layer.padding == "VALID" else 0
    if first == 0 and layer.stride == 1:
        return mask
    return mask[:, :, first::layer.stride]
