"""Normalizations of activations; each creates its variables in the current variable scope.

Names, shapes and numbers are those of the original OpenSeq2Seq, so that its checkpoints load.
"""
import tensorflow.compat.v1 as tf

LAYER_NORM_EPSILON = 1e-12
INSTANCE_NORM_EPSILON = 1e-6


def batch_norm(inputs, training, momentum, epsilon, regularizer=None, mask=None):
    """Batch normalization (arXiv:1502.03167) of every channel.

    Args:
      inputs: float32 [B, 1, T, C]. Rank 4 is what makes it one FusedBatchNormV3 op; on rank 3 it would be a dozen.
      training: True normalizes with the batch's statistics and adds two updates of the moving statistics to
        ``tf.GraphKeys.UPDATE_OPS``, which leave a channel as it is whose batch statistics are not finite; False
        normalizes with the moving statistics.
      momentum: share of the old moving statistic that an update keeps.
      epsilon: added to the variance.
      regularizer: applied to gamma, or None.
      mask: float32 [B, T, 1]; if given, only frames where it is 1 count in the batch's statistics. None counts all.

    Returns:
      float32 [B, 1, T, C].
    """
    channels = inputs.shape.as_list()[-1]
    gamma = tf.get_variable("gamma", [channels], initializer=tf.ones_initializer(), regularizer=regularizer)
    beta = tf.get_variable("beta", [channels], initializer=tf.zeros_initializer())
    moving_mean = tf.get_variable("moving_mean", [channels], initializer=tf.zeros_initializer(), trainable=False)
    moving_variance = tf.get_variable("moving_variance", [channels], initializer=tf.ones_initializer(), trainable=False)
    if training and mask is not None:
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
    mask = tf.expand_dims(mask, 1)
    count = tf.maximum(tf.reduce_sum(mask), 1.0)
    mean = tf.reduce_sum(inputs * mask, [0, 1, 2]) / count
    variance = tf.reduce_sum(tf.square(inputs - mean) * mask, [0, 1, 2]) / count
    scale = gamma * tf.rsqrt(variance + epsilon)
    outputs = inputs * scale + (beta - mean * scale)
    # the moving variance is the unbiased estimate, as FusedBatchNorm's is
    return outputs, mean, variance * (count / tf.maximum(count - 1.0, 1.0))


def layer_norm(inputs):
    """Layer normalization as the original has it: over all frames and channels of an utterance, padding included.

    Args:
      inputs: float32 [B, T, C].

    Returns:
      float32 [B, T, C].
    """
    return _per_utterance_norm(inputs, [1, 2], LAYER_NORM_EPSILON)


def instance_norm(inputs):
    """Instance normalization as the original has it: every channel over all frames of an utterance, padding included.

    Args:
      inputs: float32 [B, T, C].

    Returns:
      float32 [B, T, C].
    """
    return _per_utterance_norm(inputs, [1], INSTANCE_NORM_EPSILON)


def _per_utterance_norm(inputs, axes, epsilon):
    channels = inputs.shape.as_list()[-1]
    beta = tf.get_variable("beta", [channels], initializer=tf.zeros_initializer())
    gamma = tf.get_variable("gamma", [channels], initializer=tf.ones_initializer())
    mean, variance = tf.nn.moments(inputs, axes, keepdims=True)
    return tf.nn.batch_normalization(inputs, mean, variance, beta, gamma, epsilon)
