"""What an encoder is given besides its params, :class:`Execution`, and what it returns, :class:`EncoderOutput`."""
import collections
import contextlib

import tensorflow.compat.v1 as tf

Execution = collections.namedtuple("Execution", "fast_gradients dtype sum_over_ranks host_scope random_seed observer "
                                                "mean_over_ranks fast_convolutions recompute")
Execution.__new__.__defaults__ = (True, tf.float32, None, contextlib.suppress, None, None, None, None, False)
Execution.__doc__ = """Settings of the device and the process group that change how a model is computed, but not its result.

fast_gradients: compute convolution gradients as forward convolutions, see ``encoders/convolution.py``. It works for both dtypes,
  but is faster only on CPUs.
dtype: tf.float32, or tf.float16 for products and activations in half precision; variables are float32 in both cases.
sum_over_ranks: differentiable function from a list of float32 tensors to a list of their sums over all processes; batch norm
  then computes statistics over the global batch. None: every process uses its own statistics.
host_scope: function without arguments that returns a context manager; operations that the device cannot run are built in it.
random_seed: int; together with the positions of a batch's rows it determines the random numbers of dropout, see
  ``encoders/random_draws.py``. None: dropout uses the graph's seed.
observer: an object whose methods are called while the graph is built, see ``training/diagnostics/layer_observer.py``; None: no
  calls. ``normalization(scope, inputs [B, 1, T, C], mask [B, T, 1] or None, moving_mean [C], moving_variance [C])`` receives the
  inputs of a batch norm that uses moving statistics, ``activation(scope, outputs [B, T, C], lengths [B])`` the outputs of an
  activation function; scope is the variable scope.
mean_over_ranks: function from a list of float32 tensors to a list of their means over all processes, for losses that are divided
  by a number that differs between the processes. None: one process.
fast_convolutions: a ``FastConvolutions``, which chooses the convolutions of a training that use Fourier transforms, float32 with
  fast gradients only; None: no convolution does.
recompute: in training, keep only the inputs of each block for the backward pass and compute its activations again, see
  ``encoders/recomputation.py``: less memory, more time.
"""

ALONE = Execution()  # one process, float32

EncoderOutput = collections.namedtuple("EncoderOutput", "outputs output_lengths layers")
EncoderOutput.__new__.__defaults__ = ((),)
EncoderOutput.__doc__ = """The output of an encoder.

outputs: float32 or, in half precision, float16 [B, T', C], not masked.
output_lengths: int32 [B], valid lengths in encoder frames.
layers: dict from the names of the encoder's blocks to their (outputs, output_lengths), of the same types; empty if the encoder
  does not name them.
"""

ENCODER_VARIABLES = "encoder_variables"  # a graph collection: the trained variables of encoders


def connected(encoder, *inputs, **options):
    """Calls an encoder, and adds the trained variables that it creates to the collection :data:`ENCODER_VARIABLES`."""
    earlier = len(tf.trainable_variables())
    output = encoder(*inputs, **options)
    for variable in tf.trainable_variables()[earlier:]:
        tf.add_to_collection(ENCODER_VARIABLES, variable)
    return output
