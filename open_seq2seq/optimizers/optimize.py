"""From a loss to the operations of one training step.

Every scalar by which a gradient has to be multiplied (loss scale, number of accumulated batches, clipping, LARC) is
collected into one factor a tensor, and the norm of every gradient is computed once, for the test that it is finite, for
clipping, LARC and NovoGrad: an update is bound by memory, and each of these done by itself is another pass over all parameters.
"""
import collections
import re

import tensorflow.compat.v1 as tf

from open_seq2seq.config.parameters import Report, check_parameters
from open_seq2seq.errors import ConfigError
from open_seq2seq.optimizers import larc, loss_scaling, lr_policies
from open_seq2seq.optimizers.accumulation import GradientAccumulator
from open_seq2seq.optimizers.catalogue import optimizer_class, parameters_of
from open_seq2seq.optimizers.control_flow import cond_with_updates
from open_seq2seq.optimizers.learning_rate import learning_rate_at
from open_seq2seq.optimizers.novograd import GradientScale, NovoGrad
from open_seq2seq.optimizers.summaries import SUMMARIES, summarize_training, summarize_variables

SCOPE = "Loss_Optimization"

TrainOperations = collections.namedtuple(
    "TrainOperations",
    "update accumulate learning_rate global_step loss_scale gradients_finite gradient_norm skipped_steps")
TrainOperations.__doc__ = """What a training loop runs.

update: operation: gradient of this batch and of those accumulated before it, one step of the optimizer.
accumulate: operation for each of the ``iter_size - 1`` batches before it; None if iter_size is 1.
learning_rate: float32 scalar, of the step that ``update`` makes.
global_step: variable, the number of updates made; fetched together with ``update`` it may be old or new.
loss_scale: float32 scalar.
gradients_finite: bool scalar, of the gradient as it is and times LARC's factors; False means that ``update`` changed no
  weight and did not count a step.
gradient_norm: float32 scalar, norm of the whole gradient before clipping and LARC.
skipped_steps: int64 variable, how often gradients_finite was False in the whole training.

gradients_finite and gradient_norm mean something only in the same ``Session.run`` as ``update``.
"""


def total_loss(loss):
    """``loss`` plus the graph's regularization losses, float32 scalar."""
    regularization = tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)
    return tf.add_n([tf.cast(term, tf.float32) for term in [loss] + regularization])


def optimize(loss, params, last_step, steps_per_epoch, all_reduce=None):
    """Builds the training operations for ``loss`` in the current graph.

    Args:
      loss: float32 scalar without regularization.
      params: the checked config of the model; used are optimizer, optimizer_params, lr_policy, lr_policy_params, num_epochs,
        larc_params, max_grad_norm, loss_scaling, loss_scaling_params, iter_size, freeze_variables_regex and summaries.
      last_step: updates in the whole training; the default end of the learning rate's decay.
      steps_per_epoch: updates in one epoch; policies count epochs only if the config has num_epochs.
      all_reduce: function from a list of gradients to a list of their means over all processes, or None.

    Returns:
      TrainOperations.

    Raises:
      ConfigError: a setting is wrong, or two of them exclude each other.
    """
    _check_settings(params)
    variables = trained_variables(params["freeze_variables_regex"])
    global_step = tf.train.get_or_create_global_step()
    learning_rate = learning_rate_at(
        global_step, params["lr_policy"],
        _checked(lr_policies.parameters_of(params["lr_policy"]), params["lr_policy_params"], "lr_policy_params"),
        last_step, steps_per_epoch if params["num_epochs"] is not None else None)
    moving_averages = tf.get_collection(tf.GraphKeys.UPDATE_OPS)

    with tf.variable_scope(SCOPE):
        optimizer = optimizer_class(params["optimizer"])(learning_rate=learning_rate, **_checked(
            parameters_of(params["optimizer"]), params["optimizer_params"], "optimizer_params"))
        scaler = _loss_scaler(params)
        pairs = _gradients(optimizer, total_loss(loss) * scaler.scale, variables)
        gradients, variables = [gradient for gradient, _ in pairs], [variable for _, variable in pairs]

        accumulate, clear = None, tf.no_op
        if params["iter_size"] > 1:
            accumulator = GradientAccumulator(variables)
            accumulate = tf.group(accumulator.add(gradients), *moving_averages)
            gradients, clear = accumulator.total(gradients), accumulator.clear
        if all_reduce is not None:
            gradients = all_reduce(gradients)

        skipped_steps = tf.get_variable("skipped_steps", shape=[], dtype=tf.int64, initializer=tf.zeros_initializer(),
                                        trainable=False, use_resource=False)
        step = _Step(params, gradients, variables, learning_rate, 1.0 / (scaler.scale * params["iter_size"]))
        applied = cond_with_updates(step.finite, lambda: step.apply(optimizer, global_step),
                                    lambda: skipped_steps.assign_add(1, use_locking=True).op)
        with tf.control_dependencies([applied]):
            largest = step.largest_gradient() if scaler.needs_largest_gradient else None
            update = tf.group(applied, clear(), scaler.update(step.finite, largest), *moving_averages)
        step.summarize(params["summaries"])
    summarize_training(params["summaries"], learning_rate, scaler.scale, step.norm)
    return TrainOperations(update, accumulate, learning_rate, global_step, scaler.scale, step.finite, step.norm, skipped_steps)


class _Step:
    """One gradient for each variable, and the factors by which they are still to be multiplied."""

    def __init__(self, params, gradients, variables, learning_rate, unscale):
        self._gradients, self._variables = gradients, variables
        self._learning_rate, self._unscale = learning_rate, unscale
        self._squared_norms = [2.0 * tf.nn.l2_loss(tf.cast(gradient, tf.float32)) for gradient in gradients]
        self.norm = tf.sqrt(tf.add_n(self._squared_norms)) * unscale
        # one number that is not finite makes the sum of all squares so
        self.finite = tf.is_finite(self.norm)
        self._norms = [tf.sqrt(squared_norm) * unscale for squared_norm in self._squared_norms]

        self._larc_factors, self._factors = None, None
        if params["larc_params"] is not None:
            larc_params = _checked(larc.PARAMETERS, params["larc_params"], "larc_params")
            self._larc_factors = [larc.larc_factor(larc_params, learning_rate, variable, norm)
                                  for variable, norm in zip(variables, self._norms)]
            self._factors = [unscale * factor for factor in self._larc_factors]
            # a factor is computed from the weights and the learning rate, and could spoil a finite gradient
            squared_products = tf.stack(self._squared_norms) * tf.square(tf.stack(self._factors))
            self.finite = tf.logical_and(self.finite, tf.is_finite(tf.reduce_sum(squared_products)))
        elif params["max_grad_norm"] is not None:
            # all gradients by the same factor, so that the direction stays (Pascanu et al., arXiv:1211.5063)
            clipping = params["max_grad_norm"] / tf.maximum(self.norm, params["max_grad_norm"])
            self._factors = [unscale * clipping] * len(gradients)
        elif params["iter_size"] > 1 or params["loss_scaling"] not in (None, 1.0):
            self._factors = [unscale] * len(gradients)

    def apply(self, optimizer, global_step):
        """Operation of the optimizer's step."""
        pairs = list(zip(self._gradients, self._variables))
        if isinstance(optimizer, NovoGrad):
            factors = self._factors or [1.0] * len(pairs)
            return optimizer.apply_gradients(pairs, global_step=global_step, scales={
                variable.name: GradientScale(factor, squared_norm)
                for variable, factor, squared_norm in zip(self._variables, factors, self._squared_norms)})
        if self._factors is not None:
            pairs = [(gradient * tf.cast(factor, gradient.dtype), variable)
                     for (gradient, variable), factor in zip(pairs, self._factors)]
        return optimizer.apply_gradients(pairs, global_step=global_step)

    def largest_gradient(self):
        """Largest absolute value in any gradient, without the loss scale; float32 scalar."""
        largest = [tf.maximum(tf.reduce_max(gradient), -tf.reduce_min(gradient)) for gradient in self._gradients]
        return tf.reduce_max(tf.stack(largest)) * self._unscale

    def summarize(self, names):
        summarize_variables(names, [(gradient, self._unscale, norm, variable) for gradient, norm, variable
                                    in zip(self._gradients, self._norms, self._variables)],
                            self._learning_rate, self._larc_factors)


def trained_variables(freeze_variables_regex):
    """The trainable variables whose names do not match from the beginning, in the order of their creation.

    Raises:
      ConfigError: the pattern is no regular expression, or leaves nothing to train.
    """
    variables = tf.trainable_variables()
    if freeze_variables_regex is None:
        return variables
    try:
        pattern = re.compile(freeze_variables_regex)
    except re.error as error:
        raise ConfigError('"freeze_variables_regex" is %r, which is no regular expression: %s' % (freeze_variables_regex, error))
    left = [variable for variable in variables if not pattern.match(variable.name)]
    if not left:
        raise ConfigError('"freeze_variables_regex" is %r, which freezes all %d variables; nothing is left to train'
                          % (freeze_variables_regex, len(variables)))
    return left


def _gradients(optimizer, loss, variables):
    """Pairs of dense gradient and variable, for those variables that the loss depends on."""
    pairs = optimizer.compute_gradients(loss, var_list=variables)
    return [(tf.convert_to_tensor(gradient), variable) for gradient, variable in pairs if gradient is not None]


def _loss_scaler(params):
    setting = params["loss_scaling"]
    if isinstance(setting, str):
        algorithm = loss_scaling.algorithm_named(setting)
        return algorithm(_checked(algorithm.PARAMETERS, params["loss_scaling_params"], "loss_scaling_params"))
    return loss_scaling.FixedScaler(1.0 if setting is None else setting)


def _check_settings(params):
    for key in ("optimizer", "lr_policy"):
        if params[key] is None:
            raise ConfigError('"%s" is missing; training needs it' % key)
    if params["larc_params"] is not None and params["max_grad_norm"] is not None:
        raise ConfigError('"larc_params" and "max_grad_norm" are both given; both limit the step, keep one of them')
    unknown = [name for name in params["summaries"] if name not in SUMMARIES]
    if unknown:
        raise ConfigError('"summaries" has %s, expected some of %s' % (
            ", ".join(repr(name) for name in unknown), ", ".join(SUMMARIES)))


def _checked(parameters, values, key):
    """``values`` with defaults filled in; those of somebody else's function as they are.

    Raises:
      ConfigError: with every mistake in ``values``.
    """
    if parameters is None:
        return dict(values or {})
    report = Report()
    checked = check_parameters(parameters, values or {}, key, report)
    if report.problems:
        raise ConfigError("\n".join(report.problems))
    return checked
