"""Backstitch: a step backwards along the gradient of a batch, then a longer step forwards on the same batch.

Wang et al., "Backstitch: Counteracting Finite-sample Bias via Negative Steps", Interspeech 2017. With scale ``a`` and a plain
step ``w + delta(w)``:

    v = w - a * delta(w)
    w = v + (1 + a) * delta(v)

The details are those of Kaldi's nnet3 (src/nnet3/nnet-training.cc): both steps use the same batch and the same dropout; the
regularization losses do not enter the first gradient, and the second one only with the factor ``1 / (1 + a)``; the limits of
changes hold for ``delta``, before it is multiplied; batch norm's statistics are updated in both steps. What Kaldi freezes in the
first step, its preconditioner, is here the state of the optimizer: its momentum and moments change with the second step only.
"""
import contextlib

import tensorflow.compat.v1 as tf

from open_seq2seq.errors import ConfigError
from open_seq2seq.optimizers.update_operations import cond_with_updates


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


def optimizer_state(optimizer, variables):
    """The variables of an optimizer's state, which are created if they do not exist yet."""
    with tf.init_scope():
        optimizer._create_slots(variables)  # what apply_gradients does first
    return list(optimizer.variables())


def first_step(step, optimizer, scale, global_step, before, state):
    """Operation: ``w - scale * delta``; the optimizer's state stays as it was.

    Args:
      step: the Step of the first gradient.
      optimizer: a ``tf.train.Optimizer``.
      scale: float.
      global_step: variable, the number of updates made, which stays as it was.
      before: list of copies of the step's variables.
      state: see :func:`optimizer_state`.
    """
    kept = [variable + tf.zeros([], variable.dtype.base_dtype) for variable in state]

    def backwards():
        with tf.control_dependencies(kept):
            moved = step.apply_times(-scale, optimizer, global_step, before, counts=False)
        with tf.control_dependencies([moved]):
            return tf.group(*[variable.assign(old, read_value=False) for variable, old in zip(state, kept)])

    return cond_with_updates(step.finite, backwards, tf.no_op)
