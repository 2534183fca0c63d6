"""Limits of the change of the weights in one update: for each layer, and for all layers together.

Kaldi's nnet3 trains with such limits ("max-change" of a component, ``--max-param-change`` of the network): a batch with an
unusual gradient then causes one step of bounded length instead of damaging the model. The change of each layer is scaled down to
its limit first; if the norm of the total change still exceeds the total limit, all changes are scaled down once more. The limits
apply to the change that the optimizer makes, including momentum and weight decay, not to the gradient.
"""
import tensorflow.compat.v1 as tf

from open_seq2seq.optimizers.layers import by_layer
from open_seq2seq.optimizers.update_operations import cond_with_updates

COUNTER = "limited_changes"


def limits_changes(params):
    """Whether a checked config sets a limit."""
    return params["max_param_change"] is not None or params["max_total_param_change"] is not None


class ChangeLimit:
    """The limits of a config for the variables that an optimizer changes.

    Args:
      params: the checked config; the keys used are max_param_change and max_total_param_change, Euclidean norms or None.
      variables: list of the variables.

    Attributes:
      counts: int64 [layers + 1]: how often the limit reduced the change of each layer in the whole training, in the order of
        ``by_layer``, and how often the total change; fetched together with an update its value can be old or new.
    """

    def __init__(self, params, variables):
        self._of_layer, self._of_all = params["max_param_change"], params["max_total_param_change"]
        self._variables, self._layers = variables, list(by_layer(variables).values())
        self._counter = tf.get_variable(COUNTER, [len(self._layers) + 1], tf.int64, tf.zeros_initializer(), trainable=False,
                                        use_resource=False)
        self.counts = tf.identity(self._counter)

    def apply(self, update):
        """Applies an optimizer's update within the limits.

        Args:
          update: function without arguments that builds the operation of the optimizer's update.

        Returns:
          An operation. If the change is not finite, the variables keep their values, and it counts as limited.
        """
        # a sum, because an identity would share the memory of the variable, which the update changes
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

        # few updates exceed the limits, and the others need not be written twice
        return tf.group(cond_with_updates(tf.reduce_any(limited), limit, lambda: tf.group(*changes)),
                        self._counter.assign_add(tf.cast(limited, tf.int64), use_locking=True))

    def limited(self, changes):
        """Changes within the limits.

        Args:
          changes: list of tensors, a change of each variable.

        Returns:
          (list of tensors; operation that counts which limits were reached). If a change is not finite, all are 0.
        """
        factors, limited = self._factors([2.0 * tf.nn.l2_loss(change) for change in changes])
        # zero times infinity is not zero
        finite = [tf.where(tf.is_finite(change), change, tf.zeros_like(change)) for change in changes]
        counted = self._counter.assign_add(tf.cast(limited, tf.int64), use_locking=True)
        return [change * factor for change, factor in zip(finite, factors)], counted.op

    def _factors(self, squared_norms):
        """(list of the factors of each variable's change, bool [layers + 1]: whether each layer and the total are limited)."""
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
