"""Initial values that depend on a variable's name only, not on how many operations were built before it.

TensorFlow numbers the operations of a graph and draws from (seed, number). A graph with one more operation, for example the sum
over the processes in a batch norm, would start from other weights, and two runs that should be equal would differ from the first
step.
"""
import copy
import inspect
import zlib

import tensorflow.compat.v1 as tf


def seeded_by_name(seed):
    """Context manager: initializers of variables made inside draw from (seed, name).

    Initializers that have a seed keep it. A plain function has no ``seed`` to set: its draws depend on TensorFlow's numbers.

    Args:
      seed: int.
    """
    def seeded(getter, name, *arguments, **options):
        initializer = options.get("initializer")
        if initializer is None:
            initializer = tf.glorot_uniform_initializer()  # TensorFlow's default
        options["initializer"] = _with_seed(initializer, zlib.crc32(name.encode()) ^ seed)
        return getter(name, *arguments, **options)

    return tf.variable_scope(tf.get_variable_scope(), custom_getter=seeded, auxiliary_name_scope=False)


def _with_seed(initializer, seed):
    if inspect.isclass(initializer) or getattr(initializer, "seed", 0) is not None:
        return initializer
    seeded = copy.copy(initializer)
    seeded.seed = seed % 2 ** 31
    return seeded
