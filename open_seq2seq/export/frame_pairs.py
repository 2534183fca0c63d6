"""A convolution of stride 2 as one of stride 1: over pairs of frames side by side, with twice the channels and half the taps."""
import numpy as np
import tensorflow.compat.v1 as tf


class FramePairs:
    """The other form of a layer.

    Args:
      layer: a ``FoldedConvolution`` of stride 2 and dilation 1 with SAME padding.

    ``layer`` is the ``FoldedConvolution`` of stride 1, and ``before`` how many pairs its first tap is back.
    """

    def __init__(self, layer):
        width, channels, outputs = layer.kernel.shape
        # what SAME pads before the frames, where they are an even number and where they are an odd one
        self._even, self._odd = (width - 2) // 2, (width - 1) // 2
        first = self._even % 2
        taps = np.zeros([-(-(first + width) // 2) * 2, channels, outputs], np.float32)
        taps[first:first + width] = layer.kernel
        self.layer = layer._replace(kernel=taps.reshape([-1, 2 * channels, outputs]), stride=1)
        self.before = (self._even + first) // 2

    def images(self, images):
        """[B, 1, T / 2, 2 C] of [B, 1, T, C]; an odd T is made even where that leaves the padding as SAME has it."""
        batch_size, _, frames, channels = images.shape.as_list()
        if frames is None or frames % 2:
            missing = tf.floormod(tf.shape(images)[2], 2) if frames is None else 1
            before = self._odd - self._even
            images = tf.pad(images, [[0, 0], [0, 0], [missing * before, missing * (1 - before)], [0, 0]])
        count = tf.shape(images)[2] // 2 if frames is None else images.shape.as_list()[2] // 2
        pairs = tf.reshape(images, [-1 if batch_size is None else batch_size, 1, count, 2 * channels])
        pairs.set_shape([batch_size, 1, None if frames is None else count, 2 * channels])
        return pairs
