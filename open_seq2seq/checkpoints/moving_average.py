"""The exponential moving average of the weights during training, and how an evaluation takes it in place of the weights.

The averages are variables of their own, named as ``tf.train.ExponentialMovingAverage`` names them, so they are in every
checkpoint and are broadcast to all ranks like the weights.
"""
import contextlib

import tensorflow.compat.v1 as tf

from open_seq2seq.optimizers.optimize import trained_variables

SUFFIX = "/ExponentialMovingAverage"
COUNTER = "moving_average_updates"


def is_average(name):
    """Whether a variable of this name is a moving average of another one."""
    return name.endswith(SUFFIX)


class MovingAverages:
    """Exponential moving averages of all variables that are trained.

    After update n, counted from 0, ``average = decay_n * average + (1 - decay_n) * weight`` with
    ``decay_n = min(decay, (1 + n) / (10 + n))``: the first weights, which are random, are soon forgotten. The statistics of
    batch norm are moving averages already and stay as they are.

    Args:
      decay: float between 0 and 1.
      freeze_variables_regex: as of the config; what is frozen needs no average.
    """

    def __init__(self, decay, freeze_variables_regex=None):
        self._decay, self._freeze_variables_regex = decay, freeze_variables_regex
        self._pairs = None
        self._updates = tf.get_variable(COUNTER, [], tf.int64, tf.zeros_initializer(), trainable=False, use_resource=False)

    def updated_after(self, update, applied):
        """A step and the update of the averages behind it.

        Args:
          update: operation that changes the weights.
          applied: bool scalar, valid once ``update`` has run: whether it did. A skipped step leaves the averages alone, too.

        Returns:
          An operation.
        """
        with tf.control_dependencies([update]), tf.name_scope("moving_average"):
            before = tf.cast(self._updates.read_value(), tf.float32)
            # 1 - decay_n as it stands: taken from a decay near 1 it would have lost half its digits
            share = tf.where(applied, tf.maximum(1.0 - self._decay, 9.0 / (10.0 + before)), 0.0)
            moved = [average.assign_sub((average.read_value() - weight.read_value()) * share, read_value=False)
                     for weight, average in self._averages()]
            with tf.control_dependencies(moved + [before]):
                return self._updates.assign_add(tf.cast(applied, tf.int64), read_value=False)

    def start(self):
        """Operation that begins the averages at the weights as they are, unless a checkpoint has brought averages along."""
        begun = tf.greater(self._updates, 0)
        return tf.group(*[average.assign(tf.where(begun, average.read_value(), weight.read_value()), read_value=False)
                          for weight, average in self._averages()])

    @contextlib.contextmanager
    def in_place_of_weights(self):
        """Context manager: models built inside share the averages where they would share the weights."""
        averages = {weight.op.name: average for weight, average in self._averages()}

        def averaged(getter, name, *arguments, **options):
            return averages[name] if name in averages else getter(name, *arguments, **options)

        with tf.variable_scope(tf.get_variable_scope(), custom_getter=averaged, auxiliary_name_scope=False):
            yield

    def _averages(self):
        """Pairs of weight and average; made when the network is there."""
        if self._pairs is None:
            # outside of the operations that the averages are first asked for
            with tf.control_dependencies(None):
                self._pairs = [
                    (weight, tf.get_variable(weight.op.name + SUFFIX, weight.shape, weight.dtype.base_dtype,
                                             tf.zeros_initializer(), trainable=False, use_resource=False))
                    for weight in trained_variables(self._freeze_variables_regex)]
        return self._pairs
