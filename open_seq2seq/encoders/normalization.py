"""Normalizations of activations; each creates its variables in the current variable scope.

Names, shapes and numbers are those of OpenSeq2Seq, so that its checkpoints load.
"""
import tensorflow.compat.v1 as tf

from open_seq2seq.encoders.shapes import dimensions

LAYER_NORM_EPSILON = 1e-12
INSTANCE_NORM_EPSILON = 1e-6


def batch_norm(inputs, training, momentum, epsilon, regularizer=None, mask=None, sum_over_ranks=None, observer=None):
    """Batch normalization (arXiv:1502.03167) of every channel. Statistics and variables are float32 for inputs of either type.

    Args:
      inputs: float32 or float16 [B, 1, T, C]. Rank 4 makes it one FusedBatchNormV3 op; rank 3 would need a dozen ops.
      training: True normalizes with the batch's statistics and adds two updates of the moving statistics to
        ``tf.GraphKeys.UPDATE_OPS``, which do not change channels with non-finite batch statistics; False normalizes with the
        moving statistics.
      momentum: share of the old moving statistic that an update keeps.
      epsilon: added to the variance.
      regularizer: applied to gamma, or None.
      mask: float32 [B, T, 1]; the batch's statistics include only frames where it is 1. None includes all frames.
      sum_over_ranks: see ``Execution``; used in training only.
      observer: see ``Execution``.

    Returns:
      Tensor of the inputs' type, [B, 1, T, C].
    """
    channels = inputs.shape.as_list()[-1]
    gamma = tf.get_variable("gamma", [channels], initializer=tf.ones_initializer(), regularizer=regularizer)
    beta = tf.get_variable("beta", [channels], initializer=tf.zeros_initializer())
    moving_mean = tf.get_variable("moving_mean", [channels], initializer=tf.zeros_initializer(), trainable=False)
    moving_variance = tf.get_variable("moving_variance", [channels], initializer=tf.ones_initializer(), trainable=False)
    if observer is not None and not training:
        observer.normalization(tf.get_variable_scope().name, inputs, mask, moving_mean, moving_variance)
    if training and sum_over_ranks is not None:
        outputs, mean, variance = _synchronized_normalization(inputs, mask, gamma, beta, epsilon, moving_mean, sum_over_ranks)
    elif training and mask is not None:
        outputs, mean, variance = _masked_normalization(inputs, mask, gamma, beta, epsilon)
    else:
        statistics = {} if training else {"mean": moving_mean, "variance": moving_variance}
        outputs, mean, variance = tf.nn.fused_batch_norm(
            inputs, gamma, beta, epsilon=epsilon, is_training=training, **statistics)
    if training:
        # the weights are not updated after an overflow, but a moving average would keep its NaN forever
        finite = tf.is_finite(mean + variance)
        for moving, batch in ((moving_mean, mean), (moving_variance, variance)):
            change = tf.where(finite, (moving - batch) * (1.0 - momentum), tf.zeros([channels]))
            tf.add_to_collection(tf.GraphKeys.UPDATE_OPS, tf.assign_sub(moving, change))
    return outputs


def _masked_normalization(inputs, mask, gamma, beta, epsilon):
    images, mask = tf.cast(inputs, tf.float32), tf.expand_dims(mask, 1)
    count = tf.maximum(tf.reduce_sum(mask), 1.0)
    share = 1.0 / count  # the gradient of a division has no static shapes on TensorFlow 1.15
    mean = tf.reduce_sum(images * mask, [0, 1, 2]) * share
    variance = tf.reduce_sum(tf.square(images - mean) * mask, [0, 1, 2]) * share
    scale = gamma * tf.rsqrt(variance + epsilon)
    outputs = images * scale + (beta - mean * scale)
    return tf.cast(outputs, inputs.dtype), mean, _unbiased(variance, count)


def _synchronized_normalization(inputs, mask, gamma, beta, epsilon, moving_mean, sum_over_ranks):
    """Normalization with the statistics of all ranks, whose batches may have different numbers of frames.

    One sum over the ranks is enough: count, sum and sum of squares. The variance is the difference of mean square and squared
    mean, which is inaccurate for a mean far from zero, so both are computed relative to the moving mean, which is the same on
    all ranks. The remaining error of the variance is 1e-7 times the squared distance of the two means, negligible compared with
    epsilon.
    """
    channels = inputs.shape.as_list()[-1]
    deviations = tf.cast(inputs, tf.float32) - moving_mean
    if mask is None:
        counted = deviations
        batch_size, _, frames, _ = dimensions(inputs)
        count = tf.cast(batch_size * frames, tf.float32)
    else:
        mask = tf.expand_dims(mask, 1)
        counted = deviations * mask
        count = tf.reduce_sum(mask)
    total, = sum_over_ranks([tf.concat([
        tf.reduce_sum(counted, [0, 1, 2]), tf.reduce_sum(counted * deviations, [0, 1, 2]), tf.reshape(count, [1])], 0)])
    sums, sums_of_squares, count = tf.split(total, [channels, channels, 1])
    count = tf.maximum(tf.stop_gradient(count), 1.0)
    share = 1.0 / count  # as above
    distance = sums * share
    # tf.nn.relu, because rounding can make the variance of a constant channel negative
    variance = tf.nn.relu(sums_of_squares * share - tf.square(distance))
    scale = gamma * tf.rsqrt(variance + epsilon)
    outputs = deviations * scale + (beta - distance * scale)
    return tf.cast(outputs, inputs.dtype), moving_mean + distance, _unbiased(variance, count)


def _unbiased(variance, count):
    """The unbiased estimate of the variance, which the moving variance averages, as in FusedBatchNorm."""
    return variance * (count / tf.maximum(count - 1.0, 1.0))


def layer_norm(inputs):
    """Layer normalization as in OpenSeq2Seq: over all frames and channels of an utterance, padding included.

    Args:
      inputs: float32 or float16 [B, T, C].

    Returns:
      Tensor of the inputs' type, [B, T, C]; statistics are computed in float32.
    """
    return _per_utterance_norm(inputs, [1, 2], LAYER_NORM_EPSILON)


def instance_norm(inputs):
    """Instance normalization as in OpenSeq2Seq: every channel over all frames of an utterance, padding included.

    Args:
      inputs: float32 or float16 [B, T, C].

    Returns:
      Tensor of the inputs' type, [B, T, C]; statistics are computed in float32.
    """
    return _per_utterance_norm(inputs, [1], INSTANCE_NORM_EPSILON)


def _per_utterance_norm(inputs, axes, epsilon):
    channels = inputs.shape.as_list()[-1]
    beta = tf.get_variable("beta", [channels], initializer=tf.zeros_initializer())
    gamma = tf.get_variable("gamma", [channels], initializer=tf.ones_initializer())
    activations = tf.cast(inputs, tf.float32)
    mean, variance = tf.nn.moments(activations, axes, keepdims=True)
    return tf.cast(tf.nn.batch_normalization(activations, mean, variance, beta, gamma, epsilon), inputs.dtype)
