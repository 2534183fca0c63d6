"""Fine-tuning: a lower learning rate for the encoder than for a new output layer, or none in the first steps.

The change that the optimizer makes to the encoder's variables is multiplied by a factor, weight decay and momentum included. A
factor of the gradient would have no effect on optimizers that divide a gradient by its norm (NovoGrad, Adam). While the encoder
is frozen, the optimizer already updates the moments of its gradients.
"""
import tensorflow.compat.v1 as tf


def scales_encoder(params):
    """Whether a checked config trains the encoder with a different learning rate."""
    return params["freeze_encoder_steps"] > 0 or params["encoder_lr_scale"] != 1.0


class EncoderRate:
    """The factor of the changes of the encoder's variables.

    Args:
      params: the checked config; the keys used are freeze_encoder_steps and encoder_lr_scale.
      variables: list of the encoder's trained variables.
    """

    def __init__(self, params, variables):
        self._frozen_steps, self._scale, self._variables = params["freeze_encoder_steps"], params["encoder_lr_scale"], variables

    def factor(self, global_step):
        """float32 scalar: 0 in the first ``freeze_encoder_steps`` steps, then ``encoder_lr_scale``.

        Args:
          global_step: integer scalar, the number of updates made before this one.
        """
        return self._scale * tf.cast(global_step >= tf.cast(self._frozen_steps, global_step.dtype.base_dtype), tf.float32)

    def apply(self, update, global_step):
        """Applies an optimizer's update with the factor.

        Args:
          update: function without arguments that builds the operation of the optimizer's update.
          global_step: variable that ``update`` increments.

        Returns:
          An operation.
        """
        # sums, because an identity would share the memory of the variable, which the update changes
        factor = self.factor(tf.convert_to_tensor(global_step) + 0)
        before = [tf.convert_to_tensor(variable) + 0.0 for variable in self._variables]
        with tf.control_dependencies(before + [factor]):
            updated = update()
        with tf.control_dependencies([updated]):
            changes = [variable.read_value() - old for variable, old in zip(self._variables, before)]
        with tf.control_dependencies(changes):
            return tf.group(updated, *[variable.assign(old + change * factor, read_value=False)
                                       for variable, old, change in zip(self._variables, before, changes)])
