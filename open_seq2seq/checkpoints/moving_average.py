"""The exponential moving average of the weights during training, and its use instead of the weights in evaluation.

The averages are separate variables, named as ``tf.train.ExponentialMovingAverage`` names them, so they are in every checkpoint
and are broadcast to all ranks like the weights.
"""
import contextlib

import tensorflow.compat.v1 as tf

from open_seq2seq.optimizers.optimize import trained_variables

SUFFIX = "/ExponentialMovingAverage"
COUNTER = "moving_average_updates"


def is_average(name):
    """Whether a variable of this name is a moving average of another one."""
    return name.endswith(SUFFIX)


def started_averages(values, restarted=()):
    """Values of variables with the averages that have not been updated yet set to the weights.

    Args:
      values: dict of all variables' names -> arrays.
      restarted: names of weights whose averages start again.

    Returns:
      A dict like ``values``.
    """
    begun = COUNTER in values and values[COUNTER] > 0
    weights = {name: name[:-len(SUFFIX)] for name in values if is_average(name)}
    return dict(values, **{name: values[weight] for name, weight in weights.items()
                           if weight in values and (not begun or weight in restarted)})


class MovingAverages:
    """Exponential moving averages of all variables that are trained.

    After update n, counted from 0, ``average = decay_n * average + (1 - decay_n) * weight`` with
    ``decay_n = min(decay, (1 + n) / (10 + n))``, so the influence of the random initial weights fades quickly. The statistics of
    batch norm are moving averages already and are not averaged again.

    Args:
      decay: float between 0 and 1.
      freeze_variables_regex: see the config; frozen variables have no average.
    """

    def __init__(self, decay, freeze_variables_regex=None):
        self._decay, self._freeze_variables_regex = decay, freeze_variables_regex
        self._pairs = None
        self._updates = tf.get_variable(COUNTER, [], tf.int64, tf.zeros_initializer(), trainable=False, use_resource=False)

    def updated_after(self, update, applied):
        """A step followed by the update of the averages.

        Args:
          update: operation that changes the weights.
          applied: bool scalar, valid once ``update`` has run: whether it changed them. A skipped step leaves the averages.

        Returns:
          An operation.
        """
        with tf.control_dependencies([update]), tf.name_scope("moving_average"):
            before = tf.cast(self._updates.read_value(), tf.float32)
            # 1 - decay_n computed directly: the difference of 1 and a decay near 1 would lose half of the digits
            share = tf.where(applied, tf.maximum(1.0 - self._decay, 9.0 / (10.0 + before)), 0.0)
            moved = [average.assign_sub((average.read_value() - weight.read_value()) * share, read_value=False)
                     for weight, average in self._averages()]
            with tf.control_dependencies(moved + [before]):
                return self._updates.assign_add(tf.cast(applied, tf.int64), read_value=False)

    def start(self):
        """Operation that sets the averages to the weights, which it reads when it runs."""
        return tf.group(*[average.assign(weight.read_value(), read_value=False) for weight, average in self._averages()])

    @contextlib.contextmanager
    def in_place_of_weights(self):
        """Context manager: models built inside use the averages as their weights."""
        averages = {weight.op.name: average for weight, average in self._averages()}

        def averaged(getter, name, *arguments, **options):
            return averages[name] if name in averages else getter(name, *arguments, **options)

        with tf.variable_scope(tf.get_variable_scope(), custom_getter=averaged, auxiliary_name_scope=False):
            yield

    def _averages(self):
        """Pairs of weight and average; made at the first call, when the network exists."""
        if self._pairs is None:
            # not depending on the operations during whose construction this is first called
            with tf.control_dependencies(None):
                self._pairs = [
                    (weight, tf.get_variable(weight.op.name + SUFFIX, weight.shape, weight.dtype.base_dtype,
                                             tf.zeros_initializer(), trainable=False, use_resource=False))
                    for weight in trained_variables(self._freeze_variables_regex)]
        return self._pairs
