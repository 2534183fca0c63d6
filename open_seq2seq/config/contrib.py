"""The names of ``tf.contrib`` that public configs use; their results are those of contrib.

TensorFlow 2 has no contrib, and on 1.15 importing it takes seconds and prints pages of warnings. So configs receive these
functions; on 1.15 any other name comes from the real contrib. The source is TensorFlow 1.15's
contrib/layers/python/layers/{initializers,regularizers}.py; a test on 1.15 compares the numbers.
"""
import contextlib
import importlib
import math
import numbers
import sys
import types

import tensorflow.compat.v1 as tf

from open_seq2seq.errors import ConfigError


def variance_scaling_initializer(factor=2.0, mode="FAN_IN", uniform=False, seed=None, dtype=tf.float32):
    """Random weights whose variance is ``factor`` divided by the number of connections (He et al., arXiv:1502.01852).

    Args:
      factor: 2.0 for layers followed by a ReLU, 1.0 for Xavier.
      mode: "FAN_IN", "FAN_OUT" or "FAN_AVG": the connections that are counted.
      uniform: True for a uniform distribution, False for a normal one truncated at two standard deviations.
      seed: int of the random operation, or None.
      dtype: floating-point type.

    Returns:
      A callable (shape, dtype, partition_info) -> tensor.

    Raises:
      ValueError: the mode is unknown.
      TypeError: the type is not floating-point.
    """
    if mode not in ("FAN_IN", "FAN_OUT", "FAN_AVG"):
        raise ValueError("Unknown mode %s [FAN_IN, FAN_OUT, FAN_AVG]" % mode)
    if not tf.as_dtype(dtype).is_floating:
        raise TypeError("Cannot create initializer for non-floating point type %s." % dtype)

    return _VarianceScaling(factor, mode, uniform, seed, dtype)


class _VarianceScaling:
    """The result of :func:`variance_scaling_initializer`. Like TensorFlow's initializers it has an attribute ``seed``."""

    def __init__(self, factor, mode, uniform, seed, dtype):
        self.factor, self.mode, self.uniform, self.seed, self.dtype = factor, mode, uniform, seed, dtype

    def __call__(self, shape, dtype=None, partition_info=None):
        dtype = dtype or self.dtype
        sizes = [float(size) for size in (shape.as_list() if isinstance(shape, tf.TensorShape) else shape)]
        window = 1.0
        for size in sizes[:-2]:
            window *= size
        fan_in = window * (sizes[-2] if len(sizes) > 1 else sizes[-1] if sizes else 1.0)
        fan_out = window * (sizes[-1] if sizes else 1.0)
        connections = {"FAN_IN": fan_in, "FAN_OUT": fan_out, "FAN_AVG": (fan_in + fan_out) / 2.0}[self.mode]
        if self.uniform:
            limit = math.sqrt(3.0 * self.factor / connections)
            return tf.random_uniform(shape, -limit, limit, dtype, seed=self.seed)
        # the truncation reduces the variance, for which 1.3 compensates
        return tf.truncated_normal(shape, 0.0, math.sqrt(1.3 * self.factor / connections), dtype, seed=self.seed)


def xavier_initializer(uniform=True, seed=None, dtype=tf.float32):
    """Xavier initialization (Glorot and Bengio, 2010): variance 2 / (fan in + fan out).

    For the arguments see :func:`variance_scaling_initializer`.
    """
    return variance_scaling_initializer(factor=1.0, mode="FAN_AVG", uniform=uniform, seed=seed, dtype=dtype)


def _checked_scale(scale):
    if isinstance(scale, numbers.Integral):
        raise ValueError("scale cannot be an integer: %s" % (scale,))
    if isinstance(scale, numbers.Real) and scale < 0.0:
        raise ValueError("Setting a scale less than 0 on a regularizer: %g" % scale)
    return scale


def l2_regularizer(scale, scope=None):
    """A function from weights to ``scale`` times half the sum of their squares; for a scale of 0.0, it returns None.

    Raises:
      ValueError: the scale is an integer or negative.
    """
    if _checked_scale(scale) == 0.0:
        return lambda _: None

    def l2(weights):
        with tf.name_scope(scope, "l2_regularizer", [weights]):
            return tf.multiply(tf.convert_to_tensor(scale, dtype=weights.dtype.base_dtype), tf.nn.l2_loss(weights), name="l2")

    return l2


def l1_regularizer(scale, scope=None):
    """A function from weights to ``scale`` times the sum of their absolute values; for a scale of 0.0, it returns None.

    Raises:
      ValueError: the scale is an integer or negative.
    """
    if _checked_scale(scale) == 0.0:
        return lambda _: None

    def l1(weights):
        with tf.name_scope(scope, "l1_regularizer", [weights]):
            return tf.multiply(tf.convert_to_tensor(scale, dtype=weights.dtype.base_dtype),
                               tf.reduce_sum(tf.abs(weights)), name="l1")

    return l1


STAND_INS = {
    "layers": {
        "variance_scaling_initializer": variance_scaling_initializer,
        "xavier_initializer": xavier_initializer,
        "xavier_initializer_conv2d": xavier_initializer,
        "l1_regularizer": l1_regularizer,
        "l2_regularizer": l2_regularizer,
    },
}


class _ContribModule(types.ModuleType):
    """``tf.contrib`` or a part of it: the functions of this module, then the real ones if this TensorFlow has them.

    Args:
      name: e.g. ``tensorflow.contrib.layers``.
      attributes: dict name -> object.
      real_attribute: function (module name, attribute name) -> object; raises ImportError or AttributeError.
    """

    def __init__(self, name, attributes, real_attribute):
        super().__init__(name)
        self.__path__ = []
        self.__dict__.update(attributes)
        self._real_attribute = real_attribute

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        try:
            return self._real_attribute(self.__name__, name)
        except (ImportError, AttributeError):
            raise ConfigError(
                "%s.%s is not in TensorFlow %s. The names of tf.contrib there are: %s. Use one of tensorflow.compat.v1 instead"
                % (self.__name__, name, tf.__version__,
                   ", ".join("%s.%s" % (part, known) for part in sorted(STAND_INS) for known in sorted(STAND_INS[part]))))


class ConfigTensorFlow(types.ModuleType):
    """What ``import tensorflow as tf`` imports in a config: the names of TensorFlow 1, and a contrib that loads fast."""

    def __init__(self, real):
        super().__init__("tensorflow")
        self.__path__ = getattr(real, "__path__", [])
        self.__file__ = getattr(real, "__file__", None)
        self.__version__ = tf.__version__
        self.__spec__ = real.__spec__
        self._real = real
        # tensorflow.compat.v1.compat is not tensorflow.compat, from which code imports compat.v1
        self.compat = real.compat
        self._stand_ins, self._real_modules = {}, {}
        parts = {part: _ContribModule("tensorflow.contrib." + part, names, self._real_attribute)
                 for part, names in STAND_INS.items()}
        self.contrib = _ContribModule("tensorflow.contrib", parts, self._real_attribute)

    def __getattr__(self, name):
        if hasattr(tf, name):
            return getattr(tf, name)
        return getattr(self._real, name)

    @contextlib.contextmanager
    def installed(self):
        """While active, import statements find these modules; afterwards ``sys.modules`` has the real modules again."""
        stand_ins = {"tensorflow": self, "tensorflow.contrib": self.contrib}
        for part in STAND_INS:
            stand_ins["tensorflow.contrib." + part] = getattr(self.contrib, part)
        self._real_modules = {name: sys.modules.pop(name) for name in stand_ins if name in sys.modules}
        self._stand_ins = stand_ins
        sys.modules.update(stand_ins)
        try:
            yield
        finally:
            for name in stand_ins:
                sys.modules.pop(name, None)
            sys.modules.update(self._real_modules)
            self._stand_ins = {}

    def _real_attribute(self, module, name):
        """An attribute of a real module, which 1.15 imports at the first access."""
        with self.real_modules():
            return getattr(importlib.import_module(module), name)

    @contextlib.contextmanager
    def real_modules(self):
        """While active, import statements find the real modules, also within :meth:`installed`."""
        for stand_in in self._stand_ins:
            sys.modules.pop(stand_in, None)
        sys.modules.update(self._real_modules)
        try:
            yield
        finally:
            # imported twice, contrib would register its operations twice: keep the modules for the next access
            self._real_modules.update({known: sys.modules[known] for known in self._stand_ins if known in sys.modules})
            sys.modules.update(self._stand_ins)
