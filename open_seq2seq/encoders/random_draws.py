"""The random numbers of dropout, derived for every row of a batch from the row's position in the stream of training.

They do not depend on earlier draws, so a resumed run continues with the same numbers, nor on how many processes share a global
batch. TensorFlow's ordinary generators restart with every session.
"""
import zlib

import tensorflow.compat.v1 as tf


class RandomDraws:
    """Uniform random numbers between 0 and 1.

    Args:
      seed: int, seed of the training; None uses the graph's seed and ignores the positions.
      positions: int64 [B], positions of the rows in the stream of all training utterances; None uses the graph's seed.
      late: draw when the activations are computed. TensorFlow otherwise draws for all layers at the beginning of a step, because
        nothing else is needed for it, and keeps the numbers: as much memory as the activations.
    """

    def __init__(self, seed=None, positions=None, late=False):
        self._seed, self._positions = seed, positions
        self._late = late
        self._drawn = {}  # the graph's seed gives other numbers when a part is built a second time (encoders/recomputation.py)
        self._stateless = seed is not None and positions is not None

    def like(self, activations, name):
        """One number for every activation.

        Args:
          activations: [B, T, C].
          name: of the layer; every layer has different numbers.

        Returns:
          float32 [B, T, C]. The numbers of a frame do not depend on T.
        """
        with tf.control_dependencies([activations] if self._late else []):
            return self._like(activations, name)

    def _like(self, activations, name):
        shape, batch_size = tf.shape(activations), activations.shape.as_list()[0]
        if not self._stateless:
            if name not in self._drawn:
                self._drawn[name] = tf.random_uniform(shape)
            return self._drawn[name]
        if batch_size is None:
            # a loop at run time, two to three times slower
            drawn = tf.map_fn(lambda row: self._draw(shape[1:], name, row), tf.range(shape[0]), dtype=tf.float32, back_prop=False)
            drawn.set_shape(activations.shape)
            return drawn
        # as fast as a single draw for the whole batch
        return tf.stack([self._draw(shape[1:], name, row) for row in range(batch_size)])

    def of_batch(self, name):
        """One number for the whole batch, that of the first row; float32 scalar. ``name``: see :meth:`like`."""
        if self._stateless:
            return self._draw([], name, 0)
        if name not in self._drawn:
            self._drawn[name] = tf.random_uniform([])
        return self._drawn[name]

    def _draw(self, shape, name, row):
        # The data pipeline uses (seed, position). These seeds are larger than any seed of a config, and contain the layer's name.
        seed = (1 << 62) | (self._seed % 2 ** 29 << 32) | zlib.crc32(name.encode())
        # tf.random.stateless_uniform would multiply by a range of 1 and add 0, two more passes over memory
        return tf.raw_ops.StatelessRandomUniform(shape=shape, seed=tf.stack([tf.constant(seed, tf.int64), self._positions[row]]),
                                                 dtype=tf.float32)
