"""The summaries of the optimizer for TensorBoard that a config's ``summaries`` selects.

The tags are those of OpenSeq2Seq, so that its runs and ours appear in the same charts: all except the learning rate and the loss
scale are in the scope ``Loss_Optimization``, and those of a variable end in ``_0``.
"""
import tensorflow.compat.v1 as tf

SUMMARIES = ("learning_rate", "gradients", "gradient_norm", "global_gradient_norm", "variables", "variable_norm",
             "larc_summaries", "loss_scale")


def summarize_training(names, learning_rate, loss_scale):
    """Adds the summaries of the learning rate and the loss scale.

    Args:
      names: the config's ``summaries``.
      learning_rate, loss_scale: float32 scalars.
    """
    for name, value in (("learning_rate", learning_rate), ("loss_scale", loss_scale)):
        if name in names:
            tf.summary.scalar(name, value)


def summarize_gradient(names, norm, max_norm):
    """Adds the summaries of the norm of the whole gradient.

    Args:
      names: the config's ``summaries``.
      norm: float32 scalar, before clipping.
      max_norm: float, the norm to which it is clipped, or None.
    """
    if "global_gradient_norm" in names:
        tf.summary.scalar("global_gradient_norm", norm)
        if max_norm is not None:
            tf.summary.scalar("global_clipped_gradient_norm", tf.minimum(norm, max_norm))


def summarize_variables(names, scaled_gradients, learning_rate, larc_factors):
    """Adds the summaries of every variable.

    Args:
      names: the config's ``summaries``.
      scaled_gradients: list of (gradient, factor that removes the loss scale, norm without the loss scale, variable).
      learning_rate: float32 scalar.
      larc_factors: a scalar for each variable, or None without LARC.
    """
    for gradient, factor, norm, variable in scaled_gradients:
        tag = _tag(variable)
        if "gradients" in names:
            # the histogram op fails for non-finite values, and a step with such a gradient is skipped without an error
            shown = tf.where(tf.is_finite(gradient), gradient * factor, tf.zeros_like(gradient))
            tf.summary.histogram("gradients/" + tag, shown)
        if "gradient_norm" in names:
            tf.summary.scalar("gradient_norm/" + tag, norm)
        if "variables" in names:
            tf.summary.histogram("variables/" + tag, variable)
        if "variable_norm" in names:
            tf.summary.scalar("variable_norm/" + tag, tf.norm(variable))
    if larc_factors is not None and "larc_summaries" in names:
        for (_, _, _, variable), larc in zip(scaled_gradients, larc_factors):
            tf.summary.scalar("larc_grad_update/" + _tag(variable), larc)
            tf.summary.scalar("larc_final_lr/" + _tag(variable), larc * learning_rate)
            tf.summary.scalar("larc_clip_on/" + _tag(variable), tf.cast(tf.less(larc, 1.0), tf.int32))


def _tag(variable):
    return variable.name.replace(":", "_")
