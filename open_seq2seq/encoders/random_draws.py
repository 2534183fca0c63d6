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
    """

    def __init__(self, seed=None, positions=None):
        self._seed, self._positions = seed, positions
        self._stateless = seed is not None and positions is not None

    def like(self, activations, name):
        """One number for every activation.

        Args:
          activations: [B, T, C].
          name: of the layer; every layer has different numbers.

        Returns:
          float32 [B, T, C]. The numbers of a frame do not depend on T.
        """
        shape, batch_size = tf.shape(activations), activations.shape.as_list()[0]
        if not self._stateless:
            return tf.random_uniform(shape)
        if batch_size is None:
            # a loop at run time, two to three times slower
            drawn = tf.map_fn(lambda row: self._draw(shape[1:], name, row), tf.range(shape[0]), dtype=tf.float32, back_prop=False)
            drawn.set_shape(activations.shape)
            return drawn
        # as fast as a single draw for the whole batch
        return tf.stack([self._draw(shape[1:], name, row) for row in range(batch_size)])

    def of_batch(self, name):
        """One number for the whole batch, that of the first row; float32 scalar. ``name``: see :meth:`like`."""
        return self._draw([], name, 0) if self._stateless else tf.random_uniform([])

    def _draw(self, shape, name, row):
        # The data pipeline uses (seed, position). These seeds are larger than any seed of a config, and contain the layer's name.
        seed = (1 << 62) | (self._seed % 2 ** 29 << 32) | zlib.crc32(name.encode())
        # tf.random.stateless_uniform would multiply by a range of 1 and add 0, two more passes over memory
        return tf.raw_ops.StatelessRandomUniform(shape=shape, seed=tf.stack([tf.constant(seed, tf.int64), self._positions[row]]),
                                                 dtype=tf.float32)
