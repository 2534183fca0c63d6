"""The random numbers of dropout: of every row of a batch by itself, from where the row stands in the stream of training.

So they depend neither on what was drawn before, and a resumed run goes on with the same ones, nor on how many processes share a
global batch. TensorFlow's ordinary generators begin anew with every session.
"""
import zlib

import tensorflow.compat.v1 as tf


class RandomDraws:
    """Uniform random numbers between 0 and 1.

    Args:
      seed: int of the training; None draws from the graph's seed instead, whatever the positions.
      positions: int64 [B], of the rows in the stream of all training utterances; None draws from the graph's seed.
    """

    def __init__(self, seed=None, positions=None):
        self._seed, self._positions = seed, positions
        self._stateless = seed is not None and positions is not None

    def like(self, activations, name):
        """One number for every activation.

        Args:
          activations: [B, T, C]. Where B is unknown while the graph is built, the first row's position stands for all of them.
          name: of the layer; every layer has numbers of its own.

        Returns:
          float32 [B, T, C]. Those of a frame do not depend on T.
        """
        shape, batch_size = tf.shape(activations), activations.shape.as_list()[0]
        if not self._stateless:
            return tf.random_uniform(shape)
        if batch_size is None:
            return self._draw(shape, name, 0)
        # as fast as a single draw of the whole batch
        return tf.stack([self._draw(shape[1:], name, row) for row in range(batch_size)])

    def of_batch(self, name):
        """One number, float32 scalar, for the whole batch: the first row's."""
        return self._draw([], name, 0) if self._stateless else tf.random_uniform([])

    def _draw(self, shape, name, row):
        # The data draw from (seed, position). These seeds are beyond all of a config's, and the layer's name is part of them.
        seed = (1 << 62) | (self._seed % 2 ** 29 << 32) | zlib.crc32(name.encode())
        # tf.random.stateless_uniform multiplies by a range of 1 and adds 0, two more passes over memory
        return tf.raw_ops.StatelessRandomUniform(shape=shape, seed=tf.stack([tf.constant(seed, tf.int64), self._positions[row]]),
                                                 dtype=tf.float32)
