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


def larc_factors(params, learning_rate, variables, gradient_norms):
    """Factors of gradients.

    Args:
      params: checked dict of ``PARAMETERS``.
      learning_rate: float32 scalar.
      variables: list of the variables of the gradients.
      gradient_norms: float32 [variables], Euclidean norms of the gradients.

    Returns:
      float32 [variables]; in clip mode at most 1. They are finite even if the learning rate (in the first step of a warm-up), the
      variable (a bias after initialization) or the gradient is zero.
    """
    variable_norms = tf.sqrt(2.0 * tf.stack([tf.nn.l2_loss(tf.cast(variable, tf.float32)) for variable in variables]))
    trusted = params["larc_eta"] * variable_norms
    if params["larc_mode"] == "clip":
        # the smallest normal float32 instead of 0: the factor of a nonzero variable is still 1, and 0 / 0 becomes min_update
        limit = tf.maximum(learning_rate * (gradient_norms + params["epsilon"]), _LEAST_POSITIVE)
        return tf.minimum(tf.maximum(trusted / limit, params["min_update"]), 1.0)
    return tf.maximum(tf.div_no_nan(trusted, gradient_norms + params["epsilon"]), params["min_update"])
