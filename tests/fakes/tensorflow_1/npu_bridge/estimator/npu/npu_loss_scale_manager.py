"""Loss scales: fixed, or raised after steps without overflow and lowered after overflows."""
import tensorflow.compat.v1 as tf


class FixedLossScaleManager:
    def __init__(self, loss_scale, enable_overflow_check=True):
        if loss_scale < 1:
            raise ValueError("loss scale must be at least 1.")
        self._loss_scale = tf.convert_to_tensor(loss_scale, dtype=tf.float32, name="loss_scale")
        self._enable_overflow_check = enable_overflow_check

    def get_loss_scale(self):
        return self._loss_scale

    def get_enable_overflow_check(self):
        return self._enable_overflow_check

    def update_loss_scale(self, finite_grads):
        return tf.no_op()


class ExponentialUpdateLossScaleManager:
    def __init__(self, init_loss_scale, incr_every_n_steps, decr_every_n_nan_or_inf=2, incr_ratio=2, decr_ratio=0.8):
        self._incr_every_n_steps = incr_every_n_steps
        self._decr_every_n_nan_or_inf = decr_every_n_nan_or_inf
        self._incr_ratio, self._decr_ratio = incr_ratio, decr_ratio
        self._loss_scale = tf.Variable(init_loss_scale, name="loss_scale", dtype=tf.float32, trainable=False)
        self._num_good_steps = tf.Variable(0, name="good_steps", dtype=tf.int32, trainable=False)
        self._num_bad_steps = tf.Variable(0, name="bad_steps", dtype=tf.int32, trainable=False)

    def get_loss_scale(self):
        return self._loss_scale

    def _reset(self):
        return tf.group(tf.assign(self._num_good_steps, 0), tf.assign(self._num_bad_steps, 0))

    def update_loss_scale(self, finite_grads):
        def good():
            scale = tf.where(self._loss_scale < 3.4e38 / self._incr_ratio, self._loss_scale * self._incr_ratio, self._loss_scale)
            return tf.cond(self._num_good_steps + 1 >= self._incr_every_n_steps,
                           lambda: tf.group(tf.assign(self._loss_scale, scale), self._reset()),
                           lambda: tf.group(tf.assign_add(self._num_good_steps, 1)))

        def bad():
            scale = tf.maximum(1.0, self._loss_scale * self._decr_ratio)
            return tf.cond(self._num_bad_steps + 1 >= self._decr_every_n_nan_or_inf,
                           lambda: tf.group(tf.assign(self._loss_scale, scale), self._reset()),
                           lambda: tf.group(tf.assign_add(self._num_bad_steps, 1), tf.assign(self._num_good_steps, 0)))

        return tf.cond(finite_grads, good, bad)
