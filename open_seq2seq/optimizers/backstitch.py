"""Backstitch: a step backwards along the gradient of a batch, then a longer step forwards on the same batch.

Wang et al., "Backstitch: Counteracting Finite-sample Bias via Negative Steps", Interspeech 2017. With scale ``a`` and a plain
step ``w + delta(w)``:

    v = w - a * delta(w)
    w = v + (1 + a) * delta(v)

The details follow Kaldi's nnet3 (src/nnet3/nnet-training.cc): both steps use the same batch and the same dropout; the
regularization losses do not enter the first gradient, and the second one only with the factor ``1 / (1 + a)``; the limits of
changes hold for ``delta``, before it is multiplied; batch norm's statistics are updated in both steps. What Kaldi freezes in the
first step, its preconditioner, is here the state of the optimizer: its momentum and moments change with the second step only.
"""
import contextlib

import tensorflow.compat.v1 as tf

from open_seq2seq.errors import ConfigError
from open_seq2seq.optimizers.update_operations import cond_with_updates, unless_skipped


def is_backstitch_step(params, step):
    """Whether the update after ``step`` updates is a backstitch: one in ``backstitch_interval`` updates.

    Args:
      params: the checked config; the keys used are backstitch_scale, backstitch_interval and random_seed. The seed decides which
        of the updates it is, as in Kaldi.
      step: int, number of updates made; a resumed training continues with the same sequence.
    """
    interval = params["backstitch_interval"]
    return params["backstitch_scale"] > 0.0 and step % interval == params["random_seed"] % interval


def check_backstitch(params, optimizer, has_adapter):
    """ConfigError if backstitch cannot be computed.

    Args:
      params: the checked config.
      optimizer: a ``tf.train.Optimizer``.
      has_adapter: whether a device's adapter scales the loss and applies the gradients.
    """
    reason = None
    if params["iter_size"] > 1:
        reason = ("iter_size is %d: both gradients of a backstitch are of the same batch, and accumulation keeps only sums. Set "
                  "iter_size to 1 and raise batch_size_per_gpu" % params["iter_size"])
    elif has_adapter:
        reason = ("the adapter of this device applies the gradient of a batch once. Train on another device, or set "
                  "backstitch_scale to 0")
    elif type(optimizer).compute_gradients is not tf.train.Optimizer.compute_gradients:
        reason = ("the optimizer %s computes gradients in its own way, which the second pass cannot repeat. Choose another "
                  "optimizer, or set backstitch_scale to 0" % type(optimizer).__name__)
    if reason is not None:
        raise ConfigError('"backstitch_scale" is %g, and %s' % (params["backstitch_scale"], reason))


def check_dropout(device):
    """ConfigError if dropout is drawn again in the second pass on a ``Device``."""
    if not device.stateless_dropout:
        raise ConfigError('"backstitch_scale" is above 0, and on this device (%s) the second pass of a batch has other dropout '
                          "than the first. Train on another device, or set backstitch_scale to 0" % device.name)


class RereadWeights:
    """The weights that the second pass uses: read again after the first step.

    ``tf.get_variable`` returns the tensor that a variable's ``read`` operation makes, and all uses of a variable share one such
    operation. The second pass needs its own, which waits for the first step.

    Args:
      variables: list of the trained variables; call the constructor where the control dependencies include the first step.
    """

    def __init__(self, variables):
        self.values = [variable.read_value() for variable in variables]
        self._of_name = dict(zip((variable.name for variable in variables), self.values))
        self._losses = {}

    @contextlib.contextmanager
    def in_place_of_variables(self, scope):
        """Context in a variable scope: ``tf.get_variable`` returns the values; other variables are returned as they are.

        Regularization losses that a network adds to the graph's collection are moved to :meth:`regularization`.
        """
        def reread(getter, name, *arguments, **options):
            variable = getter(name, *arguments, **options)
            value = self._of_name.get(variable.name)
            if value is None:
                return variable
            if options.get("regularizer") is not None and name not in self._losses:
                self._losses[name] = options["regularizer"](value)
            return value

        collection = tf.get_collection_ref(tf.GraphKeys.REGULARIZATION_LOSSES)
        earlier = len(collection)
        with tf.variable_scope(scope, custom_getter=reread, auxiliary_name_scope=False):
            yield
        for term in collection[earlier:]:
            self._losses[term.name] = term
        del collection[earlier:]

    def regularization(self):
        """List of float32 scalars."""
        return [tf.cast(term, tf.float32) for term in self._losses.values() if term is not None]


class Backstitch:
    """Builds updates that are backstitches.

    Args:
      scale: float, backstitch_scale.
      optimizer: a ``tf.train.Optimizer``.
      global_step: variable, the number of updates made.
      scaler: of the loss, see ``loss_scaling``.
      skipped_steps: int64 variable, the number of skipped steps.
      reduced: function from pairs of gradient and variable to such pairs averaged over all processes.
      step: function from such pairs and the factor that undoes the loss scale to a ``Step``.
      l2_factor: float32 scalar, factor of the regularization losses; None: 1.
    """

    def __init__(self, scale, optimizer, global_step, scaler, skipped_steps, reduced, step, l2_factor=None):
        self._scale, self._optimizer, self._global_step = scale, optimizer, global_step
        self._l2_factor = 1.0 if l2_factor is None else l2_factor
        self._scaler, self._skipped_steps, self._reduced, self._step = scaler, skipped_steps, reduced, step

    def update(self, pairs, variables, moving_averages, loss_scale, second_pass, scope):
        """The operation of a backstitch; if one of its gradients is not finite, it is skipped.

        Args:
          pairs: of this process's gradient of the scaled loss and its variable.
          variables: list of the trained variables.
          moving_averages: operations to run with the first pass.
          loss_scale: float32 scalar, which is read before the update changes it.
          second_pass: function that builds the second forward pass; it returns a loss and moving averages.
          scope: the variable scope of the network.

        Returns:
          (operation, bool scalar: both gradients are finite, the Step of the first gradient).
        """
        scaler = self._scaler
        first = self._step(self._reduced(pairs), 1.0 / scaler.scale)
        # sums, because identities would share the memory of the variables
        before = {variable: tf.convert_to_tensor(variable) + 0.0 for variable in variables}
        with tf.control_dependencies([loss_scale] + list(before.values())):
            backwards = self._backwards(first, [before[variable] for _, variable in pairs], variables)
        with tf.control_dependencies([backwards]):
            backwards = tf.group(backwards, *unless_skipped(moving_averages, first.finite))
        with tf.control_dependencies([backwards]):
            weights = RereadWeights(variables)
            with weights.in_place_of_variables(scope):
                second_loss, second_averages = second_pass()
            total = tf.add_n([second_loss] + [term * self._l2_factor / (1.0 + self._scale)
                                                for term in weights.regularization()])
            gradients = tf.gradients(total * scaler.scale, weights.values)
            moved = [(tf.convert_to_tensor(gradient), variable, value + 0.0)
                     for gradient, variable, value in zip(gradients, variables, weights.values) if gradient is not None]
            # here, because LARC reads the weights
            second = self._step(self._reduced([one[:2] for one in moved]), 1.0 / scaler.scale)
        finite = tf.logical_and(first.finite, second.finite)

        def skip():
            return tf.group(self._skipped_steps.assign_add(1, use_locking=True), *[
                variable.assign(old, read_value=False) for variable, old in before.items()])

        with tf.control_dependencies([second.finite]):
            applied = cond_with_updates(finite, lambda: second.apply_times(
                1.0 + self._scale, self._optimizer, self._global_step, [value for _, _, value in moved]), skip)
        with tf.control_dependencies([applied, loss_scale]):
            largest = None
            if scaler.needs_largest_gradient:
                largest = tf.maximum(first.largest_gradient(), second.largest_gradient())
            update = tf.group(applied, scaler.update(finite, largest), *unless_skipped(second_averages, finite))
        return update, finite, first

    def _backwards(self, step, before, variables):
        """Operation: ``w - scale * delta`` unless the gradient is not finite; the optimizer's state stays as it was."""
        with tf.init_scope():
            self._optimizer._create_slots(variables)  # what apply_gradients does first
        state = list(self._optimizer.variables())
        kept = [variable + tf.zeros([], variable.dtype.base_dtype) for variable in state]

        def backwards():
            with tf.control_dependencies(kept):
                moved = step.apply_times(-self._scale, self._optimizer, self._global_step, before, counts=False)
            with tf.control_dependencies([moved]):
                return tf.group(*[variable.assign(old, read_value=False) for variable, old in zip(state, kept)])

        return cond_with_updates(step.finite, backwards, tf.no_op)
