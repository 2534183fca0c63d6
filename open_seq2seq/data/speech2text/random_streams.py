"""One seed an utterance, and an independent stream of random numbers for every use made of it."""
import tensorflow.compat.v1 as tf

STREAMS = ("dither", "speed", "noise_level", "noise", "masks")


def stream_seed(seed, stream):
    """The seed of one stream.

    The seeds of neighbouring utterances differ by one, so adding a small number for each stream would make them
    meet; drawing the streams' seeds from the utterance's seed does not.

    Args:
      seed: int32 or int64 [2] tensor.
      stream: one of ``STREAMS``.

    Returns:
      int32 [2] tensor, for ``tf.random.stateless_*``.
    """
    seeds = tf.random.stateless_uniform([len(STREAMS), 2], seed, minval=0, maxval=2 ** 31 - 1, dtype=tf.int32)
    return seeds[STREAMS.index(stream)]
