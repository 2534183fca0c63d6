"""Layouts of frames that fast convolutions compute in.

:class:`PhaseRows` orders frames by phase, then by time, with the utterances next to each other. With dilation d, frame
t = d (4 r + q) + p is row r of phase q, in lane p of d; a row has all utterances of all lanes. One tensor [rows, lanes * B, C]
has the four phases, each of R rows, with ``halo`` rows of zeros before, between and after them:

    halo | phase 0 | halo | phase 1 | halo | phase 2 | halo | phase 3 | halo

So a phase, also moved by some frames, is a range of consecutive rows of one tensor, which TensorFlow slices without copying; and
rows beyond an utterance's ends exist and are zero.

:class:`FramePairs` concatenates pairs of frames, with which a convolution of stride 2 is one of stride 1 with twice the channels
and half the taps.
"""
import numpy as np
import tensorflow.compat.v1 as tf

from open_seq2seq.export.freeze.fast_filters import PHASES


class PhaseRows:
    """The layout of the frames of a batch for one dilation.

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
        self._slices = {}  # the operations that compute begins and sizes are shared, or there would be thousands

    def of_images(self, images, mask):
        """Converts [B, 1, T, C]; ``mask`` is a :meth:`mask`, which sets the halo to zero."""
        channels = images.shape.as_list()[3]
        rows = tf.gather(tf.reshape(images, [-1, channels]), self._image_frames()[0])
        return self._shaped(rows, channels) * mask

    def images(self, rows):
        """Converts rows back to [B, 1, T, C]."""
        channels = rows.shape.as_list()[2]
        numbers = tf.expand_dims(self._numbers(tf.range(self.frames)), 0) * self.batch_size
        numbers += tf.expand_dims(tf.range(self.batch_size), 1)
        images = tf.expand_dims(tf.gather(tf.reshape(rows, [-1, channels]), numbers), 1)
        images.set_shape([_known(self.batch_size), 1, _known(self.frames), channels])
        return images

    def of_other(self, rows, other):
        """Converts rows in another layout of the same frames."""
        channels = rows.shape.as_list()[2]
        frames, there = self._frames()
        # row 0 is in the halo: zero, for rows that hold no frame
        numbers = tf.where(there, other._numbers(frames), tf.zeros_like(frames))
        return self._shaped(tf.gather(tf.reshape(rows, [other.rows * other.dilation, -1]), numbers), channels)

    def mask(self, mask):
        """float32 [B, T] as [rows, lanes * B, 1], zero where a row holds no frame."""
        numbers, there = self._image_frames()
        return self._shaped(tf.gather(tf.reshape(mask, [-1]), numbers) * tf.cast(there, mask.dtype), 1)

    def cut(self, rows, phase, first, more_rows=0):
        """R + ``more_rows`` rows of a phase, [R + more_rows, lanes * B, C], from row ``first``, which may be in the halo."""
        if (phase, first) not in self._slices:
            self._slices[phase, first] = self._vector(self.halo + phase * (self.phase_rows + self.halo) + first, 0)
        return self._sliced(rows, self._slices[phase, first], more_rows)

    def later(self, cut, rows, more_rows=0):
        """R + ``more_rows`` rows of a result of :meth:`cut`, from row ``rows``."""
        return self._sliced(cut, [rows, 0, 0], more_rows)

    def joined(self, phases):
        """Joins four phases [R, lanes * B, C], with the zeros of the halo around them."""
        zeros = tf.zeros([self.halo, self.lanes, phases[0].shape.as_list()[2]], phases[0].dtype)
        pieces = [zeros]
        for phase in phases:
            pieces += [phase, zeros]
        return tf.concat(pieces, 0)

    def _frames(self):
        """(frames, there): the frame number of every row and lane, int32 [rows, dilation], and whether it exists."""
        phase, row = _divided(tf.range(self.rows) - self.halo, self.phase_rows + self.halo)
        frames = self.dilation * tf.expand_dims(PHASES * row + phase, 1) + tf.expand_dims(tf.range(self.dilation), 0)
        there = tf.logical_and(tf.expand_dims(row < self.phase_rows, 1), frames < self.frames)
        return tf.where(there, frames, tf.zeros_like(frames)), there

    def _image_frames(self):
        """The same as indices into the frames of images [B, T]: int32 and bool [rows, dilation, B]."""
        frames, there = self._frames()
        numbers = tf.expand_dims(frames, 2) + tf.range(self.batch_size) * self.frames
        return numbers, tf.logical_and(tf.expand_dims(there, 2), tf.ones_like(numbers, tf.bool))

    def _numbers(self, frames):
        """Indices of frames among the rows and lanes."""
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
    """A convolution of stride 2 as one of stride 1 over pairs of frames.

    Args:
      layer: a ``FoldedConvolution`` of stride 2 and dilation 1 with SAME padding.

    Attributes:
      layer: the ``FoldedConvolution`` of stride 1.
      before: number of pairs between its first tap and the output's pair.
    """

    def __init__(self, layer):
        width, channels, outputs = layer.kernel.shape
        # SAME padding before the frames, for an even and for an odd number of frames
        self._even, self._odd = (width - 2) // 2, (width - 1) // 2
        first = self._even % 2
        taps = np.zeros([-(-(first + width) // 2) * 2, channels, outputs], np.float32)
        taps[first:first + width] = layer.kernel
        self.layer = layer._replace(kernel=taps.reshape([-1, 2 * channels, outputs]), stride=1)
        self.before = (self._even + first) // 2

    def images(self, images):
        """[B, 1, T / 2, 2 C] of [B, 1, T, C]; an odd T is padded to an even one at the end that keeps the padding SAME."""
        batch_size, _, frames, channels = images.shape.as_list()
        if frames is None or frames % 2:
            missing = tf.floormod(tf.shape(images)[2], 2) if frames is None else 1
            before = self._odd - self._even
            images = tf.pad(images, [[0, 0], [0, 0], [missing * before, missing * (1 - before)], [0, 0]])
        count = tf.shape(images)[2] // 2 if frames is None else images.shape.as_list()[2] // 2
        pairs = tf.reshape(images, [-1 if batch_size is None else batch_size, 1, count, 2 * channels])
        pairs.set_shape([batch_size, 1, None if frames is None else count, 2 * channels])
        return pairs
