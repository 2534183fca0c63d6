"""How a network is computed, apart from what it computes: its device and its fellow processes decide.

What every encoder returns.
"""
import collections
import contextlib

import tensorflow.compat.v1 as tf

Execution = collections.namedtuple("Execution", "fast_gradients dtype sum_over_ranks host_scope random_seed observer")
Execution.__new__.__defaults__ = (True, tf.float32, None, contextlib.suppress, None, None)
Execution.__doc__ = """What a model is told about where it runs.

fast_gradients: compute convolution gradients as forward convolutions, see ``encoders/convolution.py``; works in either dtype, but
  is faster on CPUs only, and these have no use for float16.
dtype: tf.float32, or tf.float16 for products and activations in half precision; variables are float32 either way.
sum_over_ranks: function from a list of float32 tensors to a list of their sums over all processes, through which gradients
  flow; batch norm then takes its statistics over the whole global batch. None: every process by itself.
host_scope: function without arguments that returns a context manager; operations that the device cannot run are built in it.
random_seed: int; with the positions of a batch's rows it decides what dropout draws, see ``encoders/random_draws.py``. None:
  dropout draws from the graph's seed.
observer: an object whose methods are called while the graph is built, with what a layer computes:
  ``normalization(scope, inputs [B, 1, T, C], mask [B, T, 1] or None, moving_mean [C], moving_variance [C])`` with what goes into
  a batch norm that takes the moving statistics, ``activation(scope, outputs [B, T, C], lengths [B])`` with what comes out of an
  activation function; scope is that of the variables. None: nobody looks. See ``training/diagnostics/layer_observer.py``.
"""

ALONE = Execution()  # one process, float32


EncoderOutput = collections.namedtuple("EncoderOutput", "outputs output_lengths")
EncoderOutput.__doc__ = """outputs: float32 or, in half precision, float16 [B, T', C], not masked; output_lengths: int32 [B],
true lengths in encoder frames."""
