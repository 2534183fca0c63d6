"""The gradients of one update: sums over batches, and the factors that are applied before the optimizer receives them."""
import tensorflow.compat.v1 as tf

from open_seq2seq.config.parameters import checked_part
from open_seq2seq.optimizers import larc, layer_rates
from open_seq2seq.optimizers.layers import by_layer
from open_seq2seq.optimizers.max_change import ChangeLimit, limits_changes
from open_seq2seq.optimizers.novograd import GradientScale, NovoGrad
from open_seq2seq.optimizers.summaries import summarize_gradient, summarize_variables


class GradientAccumulator:
    """Sums of the gradients of ``iter_size`` batches, one for each variable.

    They are local variables: between updates they are zero, so a checkpoint does not contain them and
    ``tf.local_variables_initializer`` initializes them.

    Args:
      variables: list of the trained variables.
    """

    def __init__(self, variables):
        self._sums = [
            tf.get_variable(variable.op.name + "/gradient_sum", shape=variable.shape, dtype=variable.dtype.base_dtype,
                            initializer=tf.zeros_initializer(), trainable=False, use_resource=False,
                            collections=[tf.GraphKeys.LOCAL_VARIABLES])
            for variable in variables]

    def add(self, gradients):
        """Operation that adds the gradients of one batch."""
        return tf.group(*[total.assign_add(gradient, read_value=False) for total, gradient in zip(self._sums, gradients)])

    def total(self, gradients):
        """List of tensors: the sums so far plus ``gradients``."""
        return [gradient + total for total, gradient in zip(self._sums, gradients)]

    def clear(self):
        """Operation that sets the sums to zero, non-finite ones included."""
        return tf.group(*[total.assign(tf.zeros(total.shape, total.dtype.base_dtype), read_value=False)
                          for total in self._sums])


class Step:
    """The gradients of one update of the weights.

    All scalars by which a gradient is multiplied (loss scale, number of accumulated batches, clipping, LARC) are combined into
    one factor per tensor, and the norm of every gradient is computed once, for the test that it is finite, for clipping, LARC
    and NovoGrad. An update is bound by memory bandwidth, and each of these alone would be another pass over all parameters.

    Args:
      params: the checked config of the model; used are larc_params, max_grad_norm, iter_size, loss_scaling, max_param_change,
        max_total_param_change, and those of ``layer_rates``.
      gradients, variables: lists of the same length, of dense tensors and variables.
      learning_rate: float32 scalar.
      unscale: float or float32 scalar, factor of all gradients.
      loss: float32 scalar; a step whose loss is not finite is not finite either. None: the gradient alone decides.
      encoder_variables: the encoder's, to which freeze_encoder_steps and encoder_lr_scale apply.

    Attributes:
      norm: float32 scalar, Euclidean norm of the whole gradient before clipping and LARC.
      finite: bool scalar, whether the gradient, the gradient times LARC's factors and the loss are all finite.
      limit: a ``ChangeLimit``, or None.
    """

    def __init__(self, params, gradients, variables, learning_rate, unscale, loss=None, encoder_variables=()):
        self._gradients, self._variables = gradients, variables
        self._learning_rate, self._unscale = learning_rate, unscale
        halves = [tf.nn.l2_loss(tf.cast(gradient, tf.float32)) for gradient in gradients]
        total = 2.0 * tf.add_n(halves)
        # vectors of all variables: operations on hundreds of single numbers take longer to build and to prepare than a step
        self._squared_norms = 2.0 * tf.stack(halves)
        self.norm = tf.sqrt(total) * unscale
        # one non-finite number makes the sum of all squares non-finite; without unscale, which can underflow to 0
        self.finite = tf.is_finite(total if loss is None else total + loss)
        self._norms = tf.sqrt(self._squared_norms) * unscale

        self.limit = ChangeLimit(params, variables) if limits_changes(params) else None
        self._rates = None
        if layer_rates.settings_of(params) != layer_rates.DEFAULTS:
            self._rates = layer_rates.LayerRates(params, variables, encoder_variables)

        self._larc_factors, self._factors, self._max_norm = None, None, params["max_grad_norm"]
        if params["larc_params"] is not None:
            larc_params = checked_part(larc.PARAMETERS, params["larc_params"], "larc_params")
            self._larc_factors = larc.larc_factors(larc_params, learning_rate, variables, self._norms)
            self._factors = unscale * self._larc_factors
            # a factor depends on the weights and the learning rate, and could make a finite gradient non-finite
            squared_products = self._squared_norms * tf.square(self._factors)
            self.finite = tf.logical_and(self.finite, tf.is_finite(tf.reduce_sum(squared_products)))
        elif params["max_grad_norm"] is not None:
            # the same factor for all gradients keeps the direction (Pascanu et al., arXiv:1211.5063)
            clipping = params["max_grad_norm"] / tf.maximum(self.norm, params["max_grad_norm"])
            self._factors = unscale * clipping
        elif params["iter_size"] > 1 or params["loss_scaling"] not in (None, 1.0):
            self._factors = tf.convert_to_tensor(unscale, tf.float32)

    def is_of(self, pairs):
        """Whether ``pairs`` are the gradients and variables of this step."""
        return len(pairs) == len(self._gradients) and all(
            gradient is own_gradient and variable is own_variable for (gradient, variable), own_gradient, own_variable
            in zip(pairs, self._gradients, self._variables))

    def apply(self, optimizer, global_step):
        """Operation of the optimizer's step, reduced where it exceeds the limit of changes.

        Args:
          optimizer: a ``tf.train.Optimizer``.
          global_step: variable to increment.
        """
        if self.limit is not None:
            return self.limit.apply(lambda: self._scaled(optimizer, global_step))
        return self._scaled(optimizer, global_step)

    def _scaled(self, optimizer, global_step, counts=True):
        counted = global_step if counts else None
        if self._rates is not None:
            return self._rates.apply(lambda: self._apply(optimizer, counted), global_step)
        return self._apply(optimizer, counted)

    def apply_times(self, factor, optimizer, global_step, before, counts=True):
        """Operation of the optimizer's step with its change of the weights, within the limit, multiplied by a factor.

        Args:
          factor: float.
          optimizer: a ``tf.train.Optimizer``.
          global_step: variable, the number of updates made.
          before: list of copies of the variables before the step.
          counts: whether to increment ``global_step``.
        """
        with tf.control_dependencies(before):
            updated = self._scaled(optimizer, global_step, counts)
        with tf.control_dependencies([updated]):
            changes = [variable.read_value() - old for variable, old in zip(self._variables, before)]
        counted = tf.no_op()
        if self.limit is not None:
            changes, counted = self.limit.limited(changes)
        with tf.control_dependencies(changes):
            return tf.group(counted, *[variable.assign(old + factor * change, read_value=False)
                                       for variable, old, change in zip(self._variables, before, changes)])

    def _apply(self, optimizer, global_step):
        pairs = list(zip(self._gradients, self._variables))
        if isinstance(optimizer, NovoGrad):
            return optimizer.apply_gradients(pairs, global_step=global_step, scale=GradientScale(
                1.0 if self._factors is None else self._factors, self._squared_norms))
        if self._factors is not None:
            factors = tf.unstack(self._factors) if self._factors.shape.ndims else [self._factors] * len(pairs)
            pairs = [(gradient * tf.cast(factor, gradient.dtype), variable)
                     for (gradient, variable), factor in zip(pairs, factors)]
        return optimizer.apply_gradients(pairs, global_step=global_step)

    def layer_norms(self):
        """Names of the layers, and float32 [layers], the norms of their gradients before clipping and LARC."""
        layers = by_layer(self._variables)
        layer_of_variable = {position: number for number, positions in enumerate(layers.values()) for position in positions}
        squared_norms = tf.math.unsorted_segment_sum(
            self._squared_norms, [layer_of_variable[position] for position in range(len(self._variables))], len(layers))
        return list(layers), tf.sqrt(squared_norms) * self._unscale

    def largest_gradient(self):
        """Largest absolute value in any gradient, without the loss scale; float32 scalar."""
        largest = [tf.maximum(tf.reduce_max(gradient), -tf.reduce_min(gradient)) for gradient in self._gradients]
        return tf.reduce_max(tf.stack(largest)) * self._unscale

    def summarize(self, names):
        """Adds the summaries of the gradients and variables; ``names`` is the config's ``summaries``."""
        summarize_gradient(names, self.norm, self._max_norm)
        summarize_variables(names, [(gradient, self._unscale, norm, variable) for gradient, norm, variable
                                    in zip(self._gradients, tf.unstack(self._norms), self._variables)],
                            self._learning_rate, None if self._larc_factors is None else tf.unstack(self._larc_factors))
