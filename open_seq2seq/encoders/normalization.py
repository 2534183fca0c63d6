"""Normalizations of activations; each creates its variables in the current variable scope.

Names, shapes and numbers are those of the original OpenSeq2Seq, so that its checkpoints load.
"""
import tensorflow.compat.v1 as tf

from open_seq2seq.encoders.shapes import dimensions

LAYER_NORM_EPSILON = 1e-12
INSTANCE_NORM_EPSILON = 1e-6


def batch_norm(inputs, training, momentum, epsilon, regularizer=None, mask=None, sum_over_ranks=None, observer=None):
    """Batch normalization (arXiv:1502.03167) of every channel. Statistics and variables are float32 whatever the inputs are.

    Args:
      inputs: float32 or float16 [B, 1, T, C]. Rank 4 is what makes it one FusedBatchNormV3 op; on rank 3 it would be a dozen.
      training: True normalizes with the batch's statistics and adds two updates of the moving statistics to
        ``tf.GraphKeys.UPDATE_OPS``, which leave a channel as it is whose batch statistics are not finite; False
        normalizes with the moving statistics.
      momentum: share of the old moving statistic that an update keeps.
      epsilon: added to the variance.
      regularizer: applied to gamma, or None.
      mask: float32 [B, T, 1]; if given, only frames where it is 1 count in the batch's statistics. None counts all.
      sum_over_ranks: in training, function from a list of float32 tensors to their sums over all processes, through which
        gradients flow: statistics are then those of all processes' batches together. None: of this process's alone.
      observer: as of ``Execution``.

    Returns:
      Of the inputs' type, [B, 1, T, C].
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
        # a batch that overflows changes no weight; a moving average would keep its nan for good
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
    """Normalization with the statistics of all ranks, whose batches may differ in the number of their frames.

    One sum over the ranks suffices: count, sum and sum of squares. Taken from zero, the difference of mean square and
    squared mean would lose a mean far from zero to rounding, so they are taken from the moving mean, which all ranks have
    in common. The error left in the variance is 1e-7 times the squared distance of the two means: nothing beside epsilon.
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
    # tf.nn.relu, since rounding can leave a constant channel a variance below zero
    variance = tf.nn.relu(sums_of_squares * share - tf.square(distance))
    scale = gamma * tf.rsqrt(variance + epsilon)
    outputs = deviations * scale + (beta - distance * scale)
    return tf.cast(outputs, inputs.dtype), moving_mean + distance, _unbiased(variance, count)


def _unbiased(variance, count):
    """What the moving variance averages: the unbiased estimate, as FusedBatchNorm's is."""
    return variance * (count / tf.maximum(count - 1.0, 1.0))


def layer_norm(inputs):
    """Layer normalization as the original has it: over all frames and channels of an utterance, padding included.

    Args:
      inputs: float32 or float16 [B, T, C].

    Returns:
      Of the inputs' type, [B, T, C]; statistics are taken in float32.
    """
    return _per_utterance_norm(inputs, [1, 2], LAYER_NORM_EPSILON)


def instance_norm(inputs):
    """Instance normalization as the original has it: every channel over all frames of an utterance, padding included.

    Args:
      inputs: float32 or float16 [B, T, C].

    Returns:
      Of the inputs' type, [B, T, C]; statistics are taken in float32.
    """
    return _per_utterance_norm(inputs, [1], INSTANCE_NORM_EPSILON)


def _per_utterance_norm(inputs, axes, epsilon):
    channels = inputs.shape.as_list()[-1]
    beta = tf.get_variable("beta", [channels], initializer=tf.zeros_initializer())
    gamma = tf.get_variable("gamma", [channels], initializer=tf.ones_initializer())
    activations = tf.cast(inputs, tf.float32)
    mean, variance = tf.nn.moments(activations, axes, keepdims=True)
    return tf.cast(tf.nn.batch_normalization(activations, mean, variance, beta, gamma, epsilon), inputs.dtype)
