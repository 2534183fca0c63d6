"""The linear layer of all decoders."""
import tensorflow.compat.v1 as tf


def linear(inputs, size, regularizer=None, initializer=None):
    """inputs * kernel + bias, with the variables ``kernel`` and ``bias`` of the current variable scope.

    Args:
      inputs: float32 or float16 [..., C] with known C. Only the product is computed in this type, because a softmax in half
        precision loses small probabilities.
      size: int, values of an output.
      regularizer, initializer: of the kernel; initializer None: that of the variable scope.

    Returns:
      float32 [rows, size]: one row for each vector of the inputs.
    """
    channels = inputs.shape.as_list()[-1]
    kernel = tf.get_variable("kernel", [channels, size], initializer=initializer, regularizer=regularizer)
    bias = tf.get_variable("bias", [size], initializer=tf.zeros_initializer())
    # one product of two matrices, because a batched matmul would multiply each utterance separately
    rows = inputs if inputs.shape.ndims == 2 else tf.reshape(inputs, [-1, channels])
    return tf.nn.bias_add(tf.cast(tf.matmul(rows, tf.cast(kernel, inputs.dtype)), tf.float32), bias)
