"""LARC: a learning rate for every tensor, from the ratio of its norm to that of its gradient (arXiv:1708.03888).

It is applied as a factor of the gradient before the optimizer. With NovoGrad, which divides by the norm of the gradient, it
nearly cancels.
"""
import numpy as np
import tensorflow.compat.v1 as tf

from open_seq2seq.config.parameters import Choice, Float, Parameter

PARAMETERS = (
    Parameter("larc_eta", Float(above=0.0), doc="trust coefficient: largest step as a fraction of the tensor's norm"),
    Parameter("larc_mode", Choice("clip", "scale"), default="clip",
              doc="clip: at most the policy's learning rate (LARC); scale: the policy's learning rate times the ratio (LARS)"),
    Parameter("min_update", Float(minimum=0.0), default=1e-7, doc="smallest factor of a gradient"),
    Parameter("epsilon", Float(minimum=0.0), default=1e-7, doc="added to the gradient's norm"),
)

_LEAST_POSITIVE = float(np.finfo(np.float32).tiny)


def larc_factor(params, learning_rate, variable, gradient_norm):
    """Factor of one gradient.

    Args:
      params: checked dict of ``PARAMETERS``.
      learning_rate: float32 scalar.
      variable: the variable of the gradient.
      gradient_norm: float32 scalar, Euclidean norm of the gradient.

    Returns:
      float32 scalar; in clip mode at most 1. It is finite even if the learning rate (in the first step of a warm-up), the
      variable (a bias after initialization) or the gradient is zero.
    """
    variable_norm = tf.sqrt(2.0 * tf.nn.l2_loss(tf.cast(variable, tf.float32)))
    trusted = params["larc_eta"] * variable_norm
    if params["larc_mode"] == "clip":
        # the smallest normal float32 instead of 0: the factor of a nonzero variable is still 1, and 0 / 0 becomes min_update
        limit = tf.maximum(learning_rate * (gradient_norm + params["epsilon"]), _LEAST_POSITIVE)
        return tf.minimum(tf.maximum(trusted / limit, params["min_update"]), 1.0)
    return tf.maximum(tf.div_no_nan(trusted, gradient_norm + params["epsilon"]), params["min_update"])
