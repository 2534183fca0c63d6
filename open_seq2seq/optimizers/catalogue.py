"""The optimizers that a config can name, and their parameters.

A config has ``"optimizer": "Momentum"`` (OpenSeq2Seq's names, plus AdamW and NovoGrad) or a class: any ``tf.train.Optimizer``,
constructed as ``optimizer(learning_rate=..., **optimizer_params)``.
"""
import tensorflow.compat.v1 as tf

from open_seq2seq.config.parameters import Any, Bool, Float, Parameter, parameters_from_signature
from open_seq2seq.errors import ConfigError
from open_seq2seq.optimizers.adamw import AdamW
from open_seq2seq.optimizers.novograd import NovoGrad

OPTIMIZERS = {
    "Adagrad": tf.train.AdagradOptimizer,
    "Adam": tf.train.AdamOptimizer,
    "AdamW": AdamW,
    "Ftrl": tf.train.FtrlOptimizer,
    "Momentum": tf.train.MomentumOptimizer,
    "NovoGrad": NovoGrad,
    "RMSProp": tf.train.RMSPropOptimizer,
    "SGD": tf.train.GradientDescentOptimizer,
}


def _with_common(default_name, *parameters):
    return parameters + (
        Parameter("use_locking", Bool(), default=False, doc="lock the variables while they are updated"),
        Parameter("name", Any(), default=default_name, doc="prefix of the saved state's names"))


# TensorFlow's classes, whose signatures contain neither kinds nor ranges
_TENSORFLOW_PARAMETERS = {
    tf.train.AdagradOptimizer: _with_common(
        "Adagrad",
        Parameter("initial_accumulator_value", Float(above=0.0), default=0.1, doc="initial sum of squared gradients")),
    tf.train.AdamOptimizer: _with_common(
        "Adam",
        Parameter("beta1", Float(minimum=0.0, maximum=1.0), default=0.9, doc="decay of the first moment"),
        Parameter("beta2", Float(minimum=0.0, maximum=1.0), default=0.999, doc="decay of the second moment"),
        Parameter("epsilon", Float(minimum=0.0), default=1e-8, doc="added to the root of the second moment")),
    tf.train.FtrlOptimizer: _with_common(
        "Ftrl",
        Parameter("learning_rate_power", Float(maximum=0.0), default=-0.5, doc="exponent of the decrease of the learning rate"),
        Parameter("initial_accumulator_value", Float(minimum=0.0), default=0.1, doc="initial value of the accumulators"),
        Parameter("l1_regularization_strength", Float(minimum=0.0), default=0.0, doc="L1 penalty"),
        Parameter("l2_regularization_strength", Float(minimum=0.0), default=0.0, doc="L2 penalty of the weights"),
        Parameter("l2_shrinkage_regularization_strength", Float(minimum=0.0), default=0.0, doc="L2 penalty of the step")),
    tf.train.MomentumOptimizer: _with_common(
        "Momentum",
        Parameter("momentum", Float(minimum=0.0, maximum=1.0), doc="decay of the momentum"),
        Parameter("use_nesterov", Bool(), default=False, doc="Nesterov's momentum")),
    tf.train.RMSPropOptimizer: _with_common(
        "RMSProp",
        Parameter("decay", Float(minimum=0.0, maximum=1.0), default=0.9, doc="decay of the average of squared gradients"),
        Parameter("momentum", Float(minimum=0.0, maximum=1.0), default=0.0, doc="decay of the momentum"),
        Parameter("epsilon", Float(minimum=0.0), default=1e-10, doc="added under the root"),
        Parameter("centered", Bool(), default=False, doc="normalize by the estimated variance")),
    tf.train.GradientDescentOptimizer: _with_common("GradientDescent"),
}


def optimizer_class(optimizer):
    """The class of a config's ``optimizer``.

    Args:
      optimizer: a name in ``OPTIMIZERS`` or an optimizer class.

    Raises:
      ConfigError: an unknown name, or neither a name nor a class.
    """
    if callable(optimizer):
        return optimizer
    if optimizer not in OPTIMIZERS:
        raise ConfigError('"optimizer" is %r, expected one of %s, or an optimizer class'
                          % (optimizer, ", ".join(sorted(OPTIMIZERS))))
    return OPTIMIZERS[optimizer]


def parameters_of(optimizer):
    """Declared ``optimizer_params`` of an optimizer.

    Args:
      optimizer: a name in ``OPTIMIZERS`` or an optimizer class.

    Returns:
      A tuple of Parameter; for a class without declarations, the arguments of its constructor as ``Any``; None if that
      takes ``**kwargs`` or cannot be inspected, so that the keys it accepts are not known.

    Raises:
      ConfigError: an unknown name, or neither a name nor a class.
    """
    optimizer = optimizer_class(optimizer)
    if hasattr(optimizer, "PARAMETERS"):
        return optimizer.PARAMETERS
    if optimizer in _TENSORFLOW_PARAMETERS:
        return _TENSORFLOW_PARAMETERS[optimizer]
    return parameters_from_signature(optimizer, supplied=("learning_rate",))
