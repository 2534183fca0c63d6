"""A limit to how far one update may move the weights: of each layer, and of all of them together.

Kaldi's nnet3 trains with such limits ("max-change" of a component, ``--max-param-change`` of the network): a batch with an odd
gradient then costs one step of bounded length instead of the model. A layer's change is scaled down to its limit first; if the
norm of the whole is above the limit of the whole then, all of it is scaled down once more. What is limited is the change that
the optimizer makes, with its momentum and weight decay, not the gradient.
"""
import tensorflow.compat.v1 as tf

from open_seq2seq.optimizers.layers import by_layer
from open_seq2seq.optimizers.update_operations import cond_with_updates

COUNTER = "limited_changes"


def limits_changes(params):
    """Whether a config asks for a limit."""
    return params["max_param_change"] is not None or params["max_total_param_change"] is not None


class ChangeLimit:
    """The limits of a config for the variables that an optimizer changes.

    Args:
      params: the checked config; used are max_param_change and max_total_param_change, Euclidean norms or None.
      variables: list of the variables.

    Attributes:
      counts: int64 [layers + 1]: how often each layer was limited in the whole training, in the order of ``by_layer``, and how
        often all of them together; fetched in the run of an update it may be old or new.
    """

    def __init__(self, params, variables):
        self._of_layer, self._of_all = params["max_param_change"], params["max_total_param_change"]
        self._variables, self._layers = variables, list(by_layer(variables).values())
        self._counter = tf.get_variable(COUNTER, [len(self._layers) + 1], tf.int64, tf.zeros_initializer(), trainable=False,
                                        use_resource=False)
        self.counts = tf.identity(self._counter)

    def apply(self, update):
        """Changes the variables as an optimizer does, within the limits.

        Args:
          update: function without arguments that builds an operation, which changes them.

        Returns:
          An operation. A change that is not finite is not made at all, and counts as limited.
        """
        # a sum, since an identity would be the variable's own memory, which is about to change
        before = [tf.convert_to_tensor(variable) + 0.0 for variable in self._variables]
        with tf.control_dependencies(before):
            updated = update()
        with tf.control_dependencies([updated]):
            changes = [variable.read_value() - old for variable, old in zip(self._variables, before)]
        factors, limited = self._factors([2.0 * tf.nn.l2_loss(change) for change in changes])

        def limit():
            with tf.control_dependencies(changes):
                # zero times infinity is not zero
                finite = [tf.where(tf.is_finite(change), change, tf.zeros_like(change)) for change in changes]
                return tf.group(*[variable.assign(old + change * factor, read_value=False)
                                  for variable, old, change, factor in zip(self._variables, before, finite, factors)])

        # few updates are beyond the limits, and the others need not be written twice
        return tf.group(cond_with_updates(tf.reduce_any(limited), limit, lambda: tf.group(*changes)),
                        self._counter.assign_add(tf.cast(limited, tf.int64), use_locking=True))

    def _factors(self, squared_norms):
        """(factor of each variable's change, bool [layers + 1]: whether it and all together are limited)."""
        squared = tf.stack([tf.add_n([squared_norms[position] for position in positions]) for positions in self._layers])
        factors, limited = tf.ones_like(squared), tf.zeros_like(squared, tf.bool)
        if self._of_layer is not None:
            limited = tf.greater(squared, self._of_layer ** 2)
            factors = tf.where(limited, self._of_layer * tf.rsqrt(tf.maximum(squared, self._of_layer ** 2)), factors)
        total = tf.reduce_sum(tf.square(factors) * squared)
        of_all, all_limited = tf.ones([]), tf.logical_not(tf.is_finite(total))
        if self._of_all is not None:
            all_limited = tf.logical_or(all_limited, tf.greater(total, self._of_all ** 2))
            of_all = self._of_all * tf.rsqrt(tf.maximum(total, self._of_all ** 2))
        factors = tf.where(tf.fill(tf.shape(factors), tf.is_finite(total)), factors * of_all, tf.zeros_like(factors))
        of_variables = [None] * len(squared_norms)
        for layer, positions in enumerate(self._layers):
            for position in positions:
                of_variables[position] = factors[layer]
        return of_variables, tf.concat([limited, tf.reshape(all_limited, [1])], 0)
