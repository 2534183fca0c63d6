"""Loss scaling: the loss is multiplied before the backward pass and the gradients divided after it.

In float16 small gradients underflow to 0; a large factor prevents this, and the factor is reduced after an overflow. A step
with a non-finite gradient is never applied, with or without scaling (``optimize.py``); here it only determines the next
scale. The state is stored in variables, so that checkpoints contain it.
"""
import tensorflow.compat.v1 as tf

from open_seq2seq.config.parameters import Float, Int, Parameter
from open_seq2seq.errors import ConfigError

_SCALE_MIN = Parameter("scale_min", Float(above=0.0), default=1.0, doc="smallest loss scale")
_SCALE_MAX = Parameter("scale_max", Float(above=0.0), default=2.0 ** 14, doc="largest loss scale")


def _state(name, value, dtype=tf.float32):
    return tf.get_variable(name, shape=[], dtype=dtype, initializer=tf.constant_initializer(value), trainable=False,
                           use_resource=False)


class BackoffScaler:
    """Divides the scale after a non-finite gradient, multiplies it after ``step_window`` consecutive finite steps.

    Args:
      params: checked dict of :attr:`PARAMETERS`.

    Attributes:
      scale: float32 scalar, of the current step.
      lowest: float, the lower bound of the scale.
    """

    PARAMETERS = (
        _SCALE_MIN, _SCALE_MAX,
        Parameter("step_factor", Float(above=1.0), default=2.0, doc="factor by which the scale is divided and multiplied"),
        Parameter("step_window", Int(minimum=1), default=2000, doc="consecutive finite steps before the scale is multiplied"),
    )
    needs_largest_gradient = False

    def __init__(self, params):
        self._params, self.lowest = params, params["scale_min"]
        self._scale = _state("loss_scale", params["scale_max"])
        self._good_steps = _state("good_steps", 0, tf.int64)
        self.scale = tf.identity(self._scale)

    def read(self):
        """The scale when the operation runs, float32 scalar."""
        return self._scale.read_value()

    def update(self, finite, largest_gradient):
        """Operation that sets the scale of the next step.

        Args:
          finite: bool scalar, whether this step's gradient is finite.
          largest_gradient: not used.
        """
        params = self._params
        good_steps = tf.where(finite, tf.convert_to_tensor(self._good_steps) + 1, tf.zeros([], tf.int64))
        rises = tf.greater_equal(good_steps, params["step_window"])
        factor = tf.where(finite, tf.where(rises, params["step_factor"], 1.0), 1.0 / params["step_factor"])
        scale = tf.clip_by_value(self._scale * factor, params["scale_min"], params["scale_max"])
        return tf.group(self._scale.assign(scale),
                        self._good_steps.assign(tf.where(rises, tf.zeros([], tf.int64), good_steps)))


class LogMaxScaler:
    """Keeps the largest gradient below ``2 ** log_max`` with a margin of ``overflow_std_dev`` standard deviations.

    The logarithm of the largest gradient is assumed to be normally distributed; its mean and variance are running averages. A
    non-finite gradient counts as ``2 ** log_max``. (OpenSeq2Seq counts it as ``2 ** 2 ** log_max``, a mistake after which its
    scale stays at the minimum for thousands of steps.)

    Args:
      params: checked dict of :attr:`PARAMETERS`.

    Attributes:
      scale: float32 scalar, of the current step.
      lowest: float, the lower bound of the scale.
    """

    PARAMETERS = (
        _SCALE_MIN, _SCALE_MAX,
        Parameter("log_max", Float(), default=16.0, doc="binary logarithm of the largest number that does not overflow"),
        Parameter("beta1", Float(minimum=0.0, maximum=1.0), default=0.99, doc="decay of the mean"),
        Parameter("beta2", Float(minimum=0.0, maximum=1.0), default=0.999, doc="decay of the moments of the variance"),
        Parameter("overflow_std_dev", Float(minimum=0.0), default=3.09,
                  doc="margin in standard deviations; 3.09 lets 1 gradient in 1000 overflow"),
    )
    needs_largest_gradient = True

    _SMALLEST = 2.0 ** -24  # smallest positive float16: smaller numbers underflow anyway, and 0 has no logarithm

    def __init__(self, params):
        self._params, self.lowest = params, params["scale_min"]
        self._scale = _state("loss_scale", min(max(1.0, params["scale_min"]), params["scale_max"]))
        self._mean = _state("log_mean", 0.0)
        self._slow_mean = _state("log_slow_mean", 0.0)
        self._square = _state("log_square", 0.0)
        self._steps = _state("steps", 0.0)
        self.scale = tf.identity(self._scale)

    def read(self):
        """The scale when the operation runs, float32 scalar."""
        return self._scale.read_value()

    def update(self, finite, largest_gradient):
        """Operation that sets the scale of the next step.

        Args:
          finite: bool scalar, whether this step's gradient is finite.
          largest_gradient: float32 scalar, largest absolute value in the gradient without the loss scale.
        """
        params = self._params
        beta1, beta2 = params["beta1"], params["beta2"]
        logarithm = tf.where(finite, tf.log(tf.maximum(largest_gradient, self._SMALLEST)) / tf.log(2.0), params["log_max"])
        mean = beta1 * self._mean + (1.0 - beta1) * logarithm
        slow_mean = beta2 * self._slow_mean + (1.0 - beta2) * logarithm
        square = beta2 * self._square + (1.0 - beta2) * tf.square(logarithm)
        steps = self._steps + 1.0

        # averages with initial value 0 are divided by the sum of their weights, as in Adam
        fast_weight, slow_weight = 1.0 - tf.pow(beta1, steps), 1.0 - tf.pow(beta2, steps)
        variance = square / slow_weight - tf.square(slow_mean / slow_weight)
        cutoff = mean / fast_weight + params["overflow_std_dev"] * tf.sqrt(tf.maximum(variance, 0.0))
        scale = tf.clip_by_value(tf.pow(2.0, params["log_max"] - cutoff), params["scale_min"], params["scale_max"])
        return tf.group(self._scale.assign(scale), self._mean.assign(mean), self._slow_mean.assign(slow_mean),
                        self._square.assign(square), self._steps.assign(steps))


class FixedScaler:
    """The same factor at every step."""

    PARAMETERS = ()
    needs_largest_gradient = False
    lowest = None

    def __init__(self, scale):
        self.scale = tf.constant(scale, tf.float32)

    def read(self):
        """The scale, float32 scalar."""
        return self.scale

    def update(self, finite, largest_gradient):
        """Does nothing."""
        return tf.no_op()


ALGORITHMS = {"Backoff": BackoffScaler, "LogMax": LogMaxScaler}


def algorithm_named(name):
    """The class of an automatic loss scaling.

    Args:
      name: str; upper and lower case are equal.

    Raises:
      ConfigError: the name is unknown.
    """
    for known, algorithm in ALGORITHMS.items():
        if name.lower().strip() == known.lower():
            return algorithm
    raise ConfigError('"loss_scaling" is %r, expected a number, "Backoff" or "LogMax"' % (name,))


def parameters_of(loss_scaling):
    """Declared ``loss_scaling_params`` for a config's ``loss_scaling``; a number has none.

    Args:
      loss_scaling: a name, a number or None.

    Raises:
      ConfigError: the name is unknown.
    """
    return algorithm_named(loss_scaling).PARAMETERS if isinstance(loss_scaling, str) else FixedScaler.PARAMETERS
