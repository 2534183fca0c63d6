"""One seed per utterance, from which every use gets an independent stream of random numbers."""
import tensorflow.compat.v1 as tf

STREAMS = ("dither", "speed", "noise_level", "noise", "masks", "effects", "adaptive_masks")


def stream_seed(seed, stream):
    """The seed of one stream.

    The seeds of consecutive utterances differ by one. If each stream added a small number to the seed, streams of different
    utterances would coincide; so the streams' seeds are drawn at random from the utterance's seed.

    Args:
      seed: int32 or int64 [2] tensor.
      stream: one of ``STREAMS``.

    Returns:
      int32 [2] tensor, for ``tf.random.stateless_*``.
    """
    seeds = tf.random.stateless_uniform([len(STREAMS), 2], seed, minval=0, maxval=2 ** 31 - 1, dtype=tf.int32)
    return seeds[STREAMS.index(stream)]
