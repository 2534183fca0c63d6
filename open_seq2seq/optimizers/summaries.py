"""What a config's ``summaries`` can show of the optimizer in TensorBoard."""
import tensorflow.compat.v1 as tf

SUMMARIES = ("learning_rate", "gradients", "gradient_norm", "global_gradient_norm", "variables", "variable_norm",
             "larc_summaries", "loss_scale")


def summarize_training(names, learning_rate, loss_scale, gradient_norm):
    """Scalars of the whole step; ``names`` is the config's ``summaries``."""
    for name, value in (("learning_rate", learning_rate), ("loss_scale", loss_scale), ("global_gradient_norm", gradient_norm)):
        if name in names:
            tf.summary.scalar(name, value)


def summarize_variables(names, scaled_gradients, learning_rate, larc_factors):
    """Scalars and histograms of every variable.

    Args:
      names: the config's ``summaries``.
      scaled_gradients: list of (gradient, factor that takes out the loss scale, norm without the loss scale, variable).
      learning_rate: float32 scalar.
      larc_factors: a scalar for each variable, or None without LARC.
    """
    for gradient, factor, norm, variable in scaled_gradients:
        if "gradients" in names:
            # a histogram refuses what is not finite, and such a gradient is skipped, not the end of the training
            shown = tf.where(tf.is_finite(gradient), gradient * factor, tf.zeros_like(gradient))
            tf.summary.histogram("gradients/" + variable.op.name, shown)
        if "gradient_norm" in names:
            tf.summary.scalar("gradient_norm/" + variable.op.name, norm)
        if "variables" in names:
            tf.summary.histogram("variables/" + variable.op.name, variable)
        if "variable_norm" in names:
            tf.summary.scalar("variable_norm/" + variable.op.name, tf.norm(variable))
    if larc_factors is not None and "larc_summaries" in names:
        for (_, _, _, variable), larc in zip(scaled_gradients, larc_factors):
            tf.summary.scalar("larc_grad_update/" + variable.op.name, larc)
            tf.summary.scalar("larc_final_lr/" + variable.op.name, larc * learning_rate)
            tf.summary.scalar("larc_clip_on/" + variable.op.name, tf.cast(tf.less(larc, 1.0), tf.int32))
