"""Activations in the order that fast convolutions compute in: by phase, then by time, utterances side by side.

With dilation d, frame t = d (4 r + q) + p is row r of phase q, in lane p of d; a row has all utterances of all lanes. One tensor
[rows, lanes * B, C] has the four phases, each of R rows, with ``halo`` rows of zeros before, between and behind them:

    halo | phase 0 | halo | phase 1 | halo | phase 2 | halo | phase 3 | halo

So a phase, and a phase some frames on, are rows of one tensor one after the other, which TensorFlow gives out without copying,
and what is beyond an utterance's ends is there and zero.

A convolution of stride 2 as one of stride 1: over pairs of frames side by side, with twice the channels and half the taps.
"""
import numpy as np
import tensorflow.compat.v1 as tf

from open_seq2seq.export.freeze.fast_filters import PHASES


class PhaseRows:
    """An order of frames.

    Args:
      batch_size, frames: int, or int32 scalar tensor.
      dilation: frames between two taps, int.
      halo: rows of zeros, int, at least 1.
    """

    def __init__(self, batch_size, frames, dilation, halo):
        self.batch_size, self.frames, self.dilation, self.halo = batch_size, frames, dilation, halo
        self.phase_rows = -(-frames // (PHASES * dilation))
        self.rows = PHASES * self.phase_rows + (PHASES + 1) * halo
        self.lanes = dilation * batch_size
        self._slices = {}  # operations of numbers are shared: there would be thousands

    def of_images(self, images, mask):
        """From [B, 1, T, C] and a ``mask`` of :meth:`mask`, without which there would be anything in the halo."""
        channels = images.shape.as_list()[3]
        rows = tf.gather(tf.reshape(images, [-1, channels]), self._image_frames()[0])
        return self._shaped(rows, channels) * mask

    def images(self, rows):
        """Back to [B, 1, T, C]."""
        channels = rows.shape.as_list()[2]
        numbers = tf.expand_dims(self._numbers(tf.range(self.frames)), 0) * self.batch_size
        numbers += tf.expand_dims(tf.range(self.batch_size), 1)
        images = tf.expand_dims(tf.gather(tf.reshape(rows, [-1, channels]), numbers), 1)
        images.set_shape([_known(self.batch_size), 1, _known(self.frames), channels])
        return images

    def of_other(self, rows, other):
        """From the tensor that has another order of the same frames."""
        channels = rows.shape.as_list()[2]
        frames, there = self._frames()
        # a frame that is not there is a row of the halo
        numbers = tf.where(there, other._numbers(frames), tf.zeros_like(frames))
        return self._shaped(tf.gather(tf.reshape(rows, [other.rows * other.dilation, -1]), numbers), channels)

    def mask(self, mask):
        """[rows, lanes * B, 1] of float32 [B, T]: zero, too, where there is no frame."""
        numbers, there = self._image_frames()
        return self._shaped(tf.gather(tf.reshape(mask, [-1]), numbers) * tf.cast(there, mask.dtype), 1)

    def cut(self, rows, phase, first, more_rows=0):
        """R + ``more_rows`` rows [R + more_rows, lanes * B, C] from a phase's row ``first`` on, which may be one of the halo."""
        if (phase, first) not in self._slices:
            self._slices[phase, first] = self._vector(self.halo + phase * (self.phase_rows + self.halo) + first, 0)
        return self._sliced(rows, self._slices[phase, first], more_rows)

    def later(self, cut, rows, more_rows=0):
        """What :meth:`cut` returned, from ``rows`` rows on: R + ``more_rows`` of them."""
        return self._sliced(cut, [rows, 0, 0], more_rows)

    def joined(self, phases):
        """The tensor of four phases [R, lanes * B, C] with zeros around them."""
        zeros = tf.zeros([self.halo, self.lanes, phases[0].shape.as_list()[2]], phases[0].dtype)
        pieces = [zeros]
        for phase in phases:
            pieces += [phase, zeros]
        return tf.concat(pieces, 0)

    def _frames(self):
        """(frames, there): the frame number of every row and lane, int32 [rows, dilation], and whether there is one."""
        phase, row = _divided(tf.range(self.rows) - self.halo, self.phase_rows + self.halo)
        frames = self.dilation * tf.expand_dims(PHASES * row + phase, 1) + tf.expand_dims(tf.range(self.dilation), 0)
        there = tf.logical_and(tf.expand_dims(row < self.phase_rows, 1), frames < self.frames)
        return tf.where(there, frames, tf.zeros_like(frames)), there

    def _image_frames(self):
        """The same among the frames of images [B, T]: int32 and bool [rows, dilation, B]."""
        frames, there = self._frames()
        numbers = tf.expand_dims(frames, 2) + tf.range(self.batch_size) * self.frames
        return numbers, tf.logical_and(tf.expand_dims(there, 2), tf.ones_like(numbers, tf.bool))

    def _numbers(self, frames):
        """Where frames are among the rows and lanes."""
        step, lane = _divided(frames, self.dilation)
        row, phase = _divided(step, PHASES)
        return self.dilation * (self.halo + phase * (self.phase_rows + self.halo) + row) + lane

    def _sliced(self, rows, begin, more_rows):
        if more_rows not in self._slices:
            self._slices[more_rows] = self._vector(self.phase_rows + more_rows, -1)
        cut = tf.slice(rows, begin, self._slices[more_rows])
        known = None if tf.is_tensor(self.phase_rows) else self.phase_rows + more_rows
        cut.set_shape([known] + rows.shape.as_list()[1:])
        return cut

    @staticmethod
    def _vector(number, other):
        return tf.stack([number, other, other]) if tf.is_tensor(number) else [number, other, other]

    def _shaped(self, rows, channels):
        rows = tf.reshape(rows, [self.rows, self.lanes, channels])
        rows.set_shape([_known(self.rows), _known(self.lanes), channels])
        return rows


def _divided(number, divisor):
    return tf.floordiv(number, divisor), tf.floormod(number, divisor)


def _known(size):
    return None if tf.is_tensor(size) else size


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
