"""From losses to the operations of a training step: gradients, loss scaling, accumulation, the optimizer."""
import collections
import re

import tensorflow.compat.v1 as tf

from open_seq2seq.config.kinds import INVALID_PATTERN
from open_seq2seq.config.parameters import checked_part, shown
from open_seq2seq.errors import ConfigError
from open_seq2seq.optimizers import layer_rates, loss_scaling, lr_policies
from open_seq2seq.optimizers.backstitch import Backstitch, check_backstitch
from open_seq2seq.optimizers.catalogue import optimizer_class, parameters_of
from open_seq2seq.optimizers.lr_policies import beyond_the_end, learning_rate_at
from open_seq2seq.optimizers.step import GradientAccumulator, Step
from open_seq2seq.optimizers.summaries import SUMMARIES, summarize_training
from open_seq2seq.optimizers.update_operations import cond_with_updates, unless_skipped

SCOPE = "Loss_Optimization"

TrainOperations = collections.namedtuple(
    "TrainOperations",
    "update accumulate learning_rate global_step loss_scale next_loss_scale gradients_finite gradient_norm skipped_steps "
    "num_skipped layers layer_gradient_norms limited_changes")
TrainOperations.__doc__ = """The operations and values that a training loop runs.

update: operation: adds the gradient of this batch to the accumulated ones and makes one step of the optimizer.
accumulate: operation for each of the ``iter_size - 1`` batches before it; None if iter_size is 1.
learning_rate: float32 scalar, of the step that ``update`` makes.
global_step: variable, the number of updates made; fetched together with ``update`` its value can be old or new.
loss_scale: float32 scalar, of the step that ``update`` makes. next_loss_scale: float32 scalar, that after ``update``.
gradients_finite: bool scalar, whether the gradient, the gradient times LARC's factors and the mean loss are finite, or whether
  the device reports no overflow; if False, ``update`` changed no weight and did not count a step.
gradient_norm: float32 scalar, Euclidean norm of the whole gradient before clipping and LARC.
skipped_steps: int64 variable, how often gradients_finite was False in the whole training. num_skipped: int64 scalar, the same
  after ``update``.
layers: list of the names of the trained layers. layer_gradient_norms: float32 [layers], the gradient_norm of each of them.
limited_changes: ``ChangeLimit.counts``; None without a limit.

next_loss_scale, gradients_finite, the norms and num_skipped are valid only in the same ``Session.run`` as ``update``.
"""

Update = collections.namedtuple("Update", "update accumulate finite norm layers layer_norms limited_changes")
Update.__doc__ = """The part of :class:`TrainOperations` that is computed from the gradients.

finite, norm and layer_norms are its gradients_finite, gradient_norm and layer_gradient_norms; the others have the same names.
"""

AdapterOptimizer = collections.namedtuple("AdapterOptimizer", "optimizer loss_scale lowest_loss_scale read_loss_scale")
AdapterOptimizer.__new__.__defaults__ = (None, None)
AdapterOptimizer.__doc__ = """The optimizer of a device's adapter, which wraps another one.

optimizer: a ``tf.train.Optimizer``. Its ``compute_gradients`` scales the loss, calls the inner optimizer's, sums over the
  processes and divides by the scale; its ``apply_gradients`` calls the inner optimizer's unless the device reported an overflow,
  and adapts the scale.
loss_scale: float32 scalar.
lowest_loss_scale: float, the lower bound of loss_scale; None where that is a constant.
read_loss_scale: function that builds a float32 scalar, the loss scale when it is computed; None where that is a constant.
"""


def total_loss(loss, factor=None):
    """``loss`` (float32 scalar) plus the graph's regularization losses, times ``factor`` if it is given; float32 scalar."""
    regularization = [tf.cast(term, tf.float32) for term in tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)]
    return tf.add_n([tf.cast(loss, tf.float32)] + [term if factor is None else term * factor for term in regularization])


def optimize(loss, params, last_step, steps_per_epoch, all_reduce=None):
    """The training operations for the graph's only loss.

    Args:
      loss: float32 scalar without regularization.
      params, last_step, steps_per_epoch, all_reduce: see :class:`Optimization`.

    Returns:
      TrainOperations.

    Raises:
      ConfigError: a setting is invalid.
    """
    return Optimization(params, last_step, steps_per_epoch, all_reduce).operations(
        loss, tf.get_collection(tf.GraphKeys.UPDATE_OPS))


class Optimization:
    """The optimizer of a training with its state, in the current graph; several losses may share it.

    Args:
      params: the checked config of the model; the keys used are optimizer, optimizer_params, lr_policy, lr_policy_params,
        num_epochs, larc_params, max_grad_norm, max_param_change, max_total_param_change, loss_scaling, loss_scaling_params,
        iter_size, freeze_variables_regex, summaries and those of ``layer_rates``.
      last_step: updates in the whole training; the default end of the learning rate's decay.
      steps_per_epoch: updates in one epoch; policies count epochs only if the config has num_epochs.
      all_reduce: function from a list of gradients to a list of their means over all processes, or None.
      wrap: for devices whose adapter scales losses, sums gradients and detects overflow: function from a
        ``tf.train.Optimizer`` to an :class:`AdapterOptimizer` that wraps it, or to None; or None.
      learning_rate_factor: float32 scalar by which the policy's learning rate is multiplied, or None.
      encoder_variables: function that returns the list of the encoder's variables, called when they exist; None: there are none.
      job: ``JobInputs`` of a parallel training, whose step the learning rate's policy uses and whose factor regularization
        losses and weight_decay are multiplied by; None: global_step, and no factor.

    Attributes:
      global_step: variable, the number of updates made.
      learning_rate: float32 scalar, of the next step.
      schedule_notes: list of str, parts of the learning-rate schedule that no step reaches and that the check of the config,
        which does not know the number of steps in an epoch, could not report.
      layer_rates: list of str, which layers are frozen at first or have another learning rate; set when operations are built.

    Raises:
      ConfigError: a setting is invalid, or two of them contradict each other.
    """

    def __init__(self, params, last_step, steps_per_epoch, all_reduce=None, wrap=None, learning_rate_factor=None,
                 encoder_variables=None, job=None):
        _check_settings(params)
        layer_rates.check_releases(params, last_step)
        self._encoder_variables = encoder_variables or (lambda: ())
        self._params, self._all_reduce = params, all_reduce
        self._accumulator = self._mean_loss = None
        self._l2_factor = None if job is None else job.l2_factor
        self.global_step = tf.train.get_or_create_global_step()
        policy, policy_params = params["lr_policy"], checked_part(
            lr_policies.parameters_of(params["lr_policy"]), params["lr_policy_params"], "lr_policy_params")
        self.learning_rate = learning_rate_at(self.global_step if job is None else job.step, policy, policy_params, last_step,
                                              steps_per_epoch if params["num_epochs"] is not None else None)
        self.schedule_notes, self.layer_rates = [], []
        if params["num_epochs"] is not None:
            self.schedule_notes = ['lr_policy_params["%s"] %s' % note for note in beyond_the_end(
                policy, policy_params, last_step, None) if note[0] != "boundaries" or policy_params.get("steps_per_epoch")]
        if learning_rate_factor is not None:
            self.learning_rate = self.learning_rate * learning_rate_factor
        # summaries are named in the name scope, which the operations open
        with tf.variable_scope(SCOPE, auxiliary_name_scope=False):
            optimizer_params = checked_part(parameters_of(params["optimizer"]), params["optimizer_params"], "optimizer_params")
            if self._l2_factor is not None and optimizer_params.get("weight_decay"):
                optimizer_params = dict(optimizer_params, weight_decay=optimizer_params["weight_decay"] * self._l2_factor)
            self._optimizer = optimizer_class(params["optimizer"])(learning_rate=self.learning_rate, **optimizer_params)
            self._inner = _InnerOptimizer(self._gradients, self._apply)
            self._adapter = wrap(self._inner) if wrap is not None else None
            self._scaler = None if self._adapter is not None else _loss_scaler(params)
            self._skipped_steps = tf.get_variable("skipped_steps", shape=[], dtype=tf.int64, trainable=False,
                                                  initializer=tf.zeros_initializer(), use_resource=False)

    @property
    def loss_scale(self):
        """float32 scalar."""
        return self._scaler.scale if self._adapter is None else self._adapter.loss_scale

    @property
    def lowest_loss_scale(self):
        """The lower bound of automatic loss scaling, a float; None where the loss scale is a constant."""
        if self._adapter is not None:
            return self._adapter.lowest_loss_scale
        return self._scaler.lowest

    def operations(self, loss, moving_averages=(), mean_loss=None, second_pass=None):
        """Builds the training operations for one loss.

        Args:
          loss: float32 scalar without regularization.
          moving_averages: operations to run with every batch, such as the updates of batch norm's statistics; see
            ``unless_skipped`` for those of a skipped step.
          mean_loss: float32 scalar, the same on all processes; if it is not finite, the step is skipped even if the gradient is
            finite, because an utterance with a non-finite loss contributes no gradient. None: the gradient alone decides.
          second_pass: function without arguments that builds the forward pass of the same batch once more, for ``update`` to be
            a backstitch with the config's backstitch_scale; it returns another ``loss`` and ``moving_averages``. None: a plain
            step.

        Returns:
          TrainOperations; all fields except update, accumulate, gradients_finite and gradient_norm are the same for every loss.

        Raises:
          ConfigError: freeze_variables_regex leaves nothing to train, or a backstitch is not possible.
        """
        variables = trained_variables(self._params["freeze_variables_regex"])
        self.layer_rates = layer_rates.described(layer_rates.rates_of(self._params, variables, self._encoder_variables()))
        self._mean_loss, scope = mean_loss, tf.get_variable_scope()
        with tf.variable_scope(SCOPE, reuse=tf.AUTO_REUSE, auxiliary_name_scope=False), tf.name_scope(SCOPE):
            build = self._own_update if self._adapter is None else self._adapter_update
            # a copy: fetched with the update, the scale itself could be the next one
            loss_scale = tf.identity(self.loss_scale + 0.0)
            if second_pass is None:
                update = build(total_loss(loss, self._l2_factor), variables, list(moving_averages), loss_scale)
            else:
                update = self._backstitch_update(loss, variables, list(moving_averages), loss_scale, second_pass, scope)
        summarize_training(self._params["summaries"], self.learning_rate, self.loss_scale)
        # fetched with the step: a run of the session for these alone would be another graph for devices that compile them
        with tf.control_dependencies([update.update]):
            next_loss_scale, num_skipped = self._read_loss_scale(), self._skipped_steps.read_value()
        return TrainOperations(update.update, update.accumulate, self.learning_rate, self.global_step, loss_scale,
                               next_loss_scale, update.finite, update.norm, self._skipped_steps, num_skipped, update.layers,
                               update.layer_norms, update.limited_changes)

    def _read_loss_scale(self):
        if self._adapter is None:
            return self._scaler.read()
        return self.loss_scale if self._adapter.read_loss_scale is None else self._adapter.read_loss_scale()

    def _own_update(self, loss, variables, moving_averages, loss_scale):
        """An :class:`Update` with our own loss scaling, where an overflow makes the gradient non-finite.

        The update waits for ``loss_scale``, which reads the scale of this step.
        """
        pairs, accumulated = self._gradients(loss * self._scaler.scale, variables)
        return self._update_with(self._reduced(pairs), accumulated, moving_averages, loss_scale)

    def _reduced(self, pairs):
        """Pairs of gradient and variable, the gradients averaged over all processes."""
        if self._all_reduce is None:
            return pairs
        reduced = self._all_reduce([gradient for gradient, _ in pairs])
        return [(gradient, variable) for gradient, (_, variable) in zip(reduced, pairs)]

    def _backstitch_update(self, loss, variables, moving_averages, loss_scale, second_pass, scope):
        """An :class:`Update` that is a backstitch; if one of its gradients is not finite, it is skipped."""
        check_backstitch(self._params, self._optimizer, self._adapter is not None)
        backstitch = Backstitch(self._params["backstitch_scale"], self._optimizer, self.global_step, self._scaler,
                                self._skipped_steps, self._reduced, self._step, self._l2_factor)
        pairs, _ = self._gradients(loss * self._scaler.scale, variables)
        update, finite, first = backstitch.update(pairs, variables, moving_averages, loss_scale, second_pass, scope)
        return self._complete(update, None, finite, first)

    def _update_with(self, pairs, accumulated, moving_averages, loss_scale):
        """An :class:`Update` with pairs of gradient and variable; nothing in it depends on the shape of the batch."""
        scaler = self._scaler
        step = self._step(pairs, 1.0 / (scaler.scale * self._params["iter_size"]))
        applied = cond_with_updates(step.finite, lambda: step.apply(self._optimizer, self.global_step),
                                    lambda: self._skipped_steps.assign_add(1, use_locking=True).op)
        with tf.control_dependencies([applied, loss_scale]):
            largest = step.largest_gradient() if scaler.needs_largest_gradient else None
            update = tf.group(applied, self._clear(), scaler.update(step.finite, largest),
                              *unless_skipped(moving_averages, step.finite))
        return self._complete(update, self._accumulate(accumulated, moving_averages), step.finite, step)

    def _adapter_update(self, loss, variables, moving_averages, loss_scale):
        """The same where the device's adapter scales the loss and reports an overflow, which no number shows."""
        pairs = self._adapter.optimizer.compute_gradients(loss, var_list=variables)
        accumulated = self._inner.accumulated
        # built here and not where it is applied: the adapter may apply it inside a condition, from which nothing can be fetched
        self._inner.step = step = self._step(pairs, 1.0 / self._params["iter_size"])
        before = tf.identity(self.global_step + 0)
        with tf.control_dependencies([before, loss_scale]):
            applied = self._adapter.optimizer.apply_gradients(pairs, global_step=self.global_step)
        # the norm reads the accumulated gradients, which are cleared even if the adapter skips the step
        with tf.control_dependencies([applied, step.norm]):
            finite = tf.greater(self.global_step + 0, before)
            skipped = self._skipped_steps.assign_add(1 - tf.cast(finite, tf.int64), use_locking=True)
            update = tf.group(applied, skipped, self._clear(), *unless_skipped(moving_averages, finite))
        return self._complete(update, self._accumulate(accumulated, moving_averages), finite, step)

    def _complete(self, update, accumulate, finite, step):
        step.summarize(self._params["summaries"])
        return Update(update, accumulate, finite, step.norm, *step.layer_norms(),
                      step.limit.counts if step.limit is not None else None)

    def _gradients(self, loss, variables):
        """(pairs of dense gradient and variable, the gradients of this batch alone)."""
        pairs = self._optimizer.compute_gradients(loss, var_list=variables)
        # the gradient is None for a variable that the loss does not depend on
        pairs = [(tf.convert_to_tensor(gradient), variable) for gradient, variable in pairs if gradient is not None]
        gradients, variables = [gradient for gradient, _ in pairs], [variable for _, variable in pairs]
        if self._params["iter_size"] > 1:
            self._accumulator = GradientAccumulator(variables)
            return list(zip(self._accumulator.total(gradients), variables)), gradients
        return pairs, gradients

    def _apply(self, pairs, global_step):
        """Operation: a step with gradients from the adapter, which are already divided by the loss scale."""
        step = self._inner.step
        if not step.is_of(pairs):
            step = self._step(pairs, 1.0 / self._params["iter_size"])
        return cond_with_updates(step.finite, lambda: step.apply(self._optimizer, global_step), tf.no_op)

    def _step(self, pairs, unscale):
        return Step(self._params, [gradient for gradient, _ in pairs], [variable for _, variable in pairs], self.learning_rate,
                    unscale, self._mean_loss, self._encoder_variables())

    def _accumulate(self, gradients, moving_averages):
        return tf.group(self._accumulator.add(gradients), *moving_averages) if self._accumulator is not None else None

    def _clear(self):
        return self._accumulator.clear() if self._accumulator is not None else tf.no_op()


class _InnerOptimizer(tf.train.Optimizer):
    """The optimizer that an adapter's optimizer wraps: it returns the accumulated gradients and makes our step.

    Attributes:
      accumulated: the gradients of its batch alone that the last ``compute_gradients`` returned.
      step: the Step that the next ``apply_gradients`` makes, if it receives the gradients that the step was built from.
    """

    def __init__(self, gradients, apply):
        super().__init__(use_locking=False, name="Jasper")
        self._gradients, self._apply = gradients, apply
        self.accumulated = self.step = None

    def compute_gradients(self, loss, var_list=None, *unused, **also_unused):
        """See ``tf.train.Optimizer.compute_gradients``; the arguments for gating and placing gradients have no effect."""
        pairs, self.accumulated = self._gradients(loss, var_list)
        return pairs

    def apply_gradients(self, grads_and_vars, global_step=None, name=None):
        """See ``tf.train.Optimizer.apply_gradients``."""
        return self._apply(list(grads_and_vars), global_step)


def trained_variables(freeze_variables_regex):
    """The trainable variables whose names do not match a pattern from their beginning, in the order of creation.

    Args:
      freeze_variables_regex: str, or None for all trainable variables.

    Raises:
      ConfigError: the pattern is not a regular expression, or no variable is left to train.
    """
    variables = tf.trainable_variables()
    if freeze_variables_regex is None:
        return variables
    try:
        pattern = re.compile(freeze_variables_regex)
    except INVALID_PATTERN as error:
        raise ConfigError('"freeze_variables_regex" is %s, which is not a regular expression: %s' % (
            shown(freeze_variables_regex), error))
    left = [variable for variable in variables if not pattern.match(variable.name)]
    if not left:
        raise ConfigError('"freeze_variables_regex" is %r, which freezes all %d variables; at least one must be trained'
                          % (freeze_variables_regex, len(variables)))
    return left


def _loss_scaler(params):
    setting = params["loss_scaling"]
    if isinstance(setting, str):
        algorithm = loss_scaling.algorithm_named(setting)
        return algorithm(checked_part(algorithm.PARAMETERS, params["loss_scaling_params"], "loss_scaling_params"))
    return loss_scaling.FixedScaler(1.0 if setting is None else setting)


def _check_settings(params):
    for key in ("optimizer", "lr_policy"):
        if params[key] is None:
            raise ConfigError('"%s" is missing; training needs it' % key)
    if params["larc_params"] is not None and params["max_grad_norm"] is not None:
        raise ConfigError('"larc_params" and "max_grad_norm" are both given; both limit the step, keep one')
    unknown = [name for name in params["summaries"] if name not in SUMMARIES]
    if unknown:
        raise ConfigError('"summaries" has %s, expected some of %s' % (
            ", ".join(repr(name) for name in unknown), ", ".join(SUMMARIES)))
