"""Fine-tuning: other learning rates for some layers, or none until a step.

The change that the optimizer makes to a layer's variables is multiplied by a factor, weight decay and momentum included. A
factor of the gradient would have no effect on optimizers that divide a gradient by its norm (NovoGrad, Adam). While a layer is
frozen, the optimizer already updates the moments of its gradients, and batch norm its moving statistics.

The factor of an encoder layer is 0 before its release, which is the later of ``freeze_encoder_steps`` and its step in
``unfreeze_at``; then it is ``encoder_lr_scale`` times its value in ``lr_scale_of_layers``, or times ``lr_decay_per_layer`` to
the power of its depth: 1 for the last layer of the encoder, 2 for the one before (discriminative fine-tuning and gradual
unfreezing, arXiv:1801.06146). ``unfreeze_at`` and ``lr_scale_of_layers`` apply to decoders, too.
"""
import collections
import fnmatch

import tensorflow.compat.v1 as tf

from open_seq2seq.cli import closest
from open_seq2seq.errors import ConfigError
from open_seq2seq.optimizers.parallel_schedule import schedule_step

DECODER = "decoder"
TASK = "task_"  # the scope of the decoder of another task
UNCHANGED = (0, 1.0)  # (first step with changes, factor)
DEFAULTS = {"freeze_encoder_steps": 0, "encoder_lr_scale": 1.0, "lr_decay_per_layer": 1.0, "unfreeze_at": {},
            "lr_scale_of_layers": {}}


def settings_of(params):
    """The part of a config that this module reads; a custom model need not declare these keys."""
    return {key: params.get(key, default) for key, default in DEFAULTS.items()}


def check_releases(params, last_step):
    """Raises ConfigError where ``unfreeze_at`` releases a layer at a step that the training does not reach."""
    late = {name: step for name, step in settings_of(params)["unfreeze_at"].items() if step >= last_step}
    if late:
        raise ConfigError('"unfreeze_at" is beyond the last step for %s: the training ends after step %d, and would never train '
                          "them. Give earlier steps, or exclude them from the whole training with freeze_variables_regex" % (
                              ", ".join("%s (%d)" % item for item in late.items()), last_step))


def rates_of(params, variables, encoder_variables):
    """The release and the factor of every layer.

    Args:
      params: the checked config; used are the keys of :data:`DEFAULTS`.
      variables: list of the trained variables, in the order of their creation.
      encoder_variables: those of the encoder among all variables.

    Returns:
      OrderedDict of layer -> (step of its first change, factor, list of its variables): layers of the encoder as ``--layer``
      names them (``conv42``), ``decoder``, and ``task_NAME`` for the decoder of another task.

    Raises:
      ConfigError: a key of unfreeze_at or lr_scale_of_layers is not a layer.
    """
    params = settings_of(params)
    of_encoder = {variable.op.name for variable in encoder_variables}
    layers = collections.OrderedDict()
    for variable in variables:
        name = variable.op.name
        layers.setdefault(_layer_of(name, name in of_encoder), []).append(variable)
    encoder = [layer for layer, members in layers.items() if members[0].op.name in of_encoder]
    steps = _by_layer("unfreeze_at", params["unfreeze_at"], list(layers), encoder)
    scales = _by_layer("lr_scale_of_layers", params["lr_scale_of_layers"], list(layers), encoder)
    rates = collections.OrderedDict()
    for layer, members in layers.items():
        step, scale = steps.get(layer, 0), scales.get(layer, 1.0)
        if layer in encoder:
            if layer not in scales:
                scale = params["lr_decay_per_layer"] ** (len(encoder) - encoder.index(layer))
            step, scale = max(step, params["freeze_encoder_steps"]), scale * params["encoder_lr_scale"]
        rates[layer] = step, scale, members
    return rates


def _layer_of(name, is_encoder):
    scopes = name.split("/")[1:]
    if is_encoder:
        # ForwardPass/w2l_encoder/conv42/res_0/kernel
        return scopes[1] if len(scopes) > 1 else name
    return scopes[0] if scopes and scopes[0].startswith(TASK) else DECODER


def _by_layer(key, values, layers, encoder):
    """Dict of layer -> value; of several patterns that match a layer, the last one in the dict applies."""
    found = {}
    for pattern, value in values.items():
        matching = encoder if pattern == "encoder" else [layer for layer in layers if fnmatch.fnmatchcase(layer, pattern)]
        if not matching:
            close = closest(pattern, layers)
            raise ConfigError('"%s" has the layer %r, which the network does not have%s; its layers are %s. "encoder" stands for '
                              "all of the encoder's, and a pattern for several: conv4*" % (
                                  key, pattern, "" if close is None else " (did you mean %r?)" % close, ", ".join(layers)))
        found.update({layer: value for layer in matching})
    return found


def described(rates):
    """Sentences about layers that are not trained like the others; for the result of :func:`rates_of`."""
    lines = []
    for title, position, usual in (("Frozen before step", 0, 0), ("Learning rate times", 1, 1.0)):
        groups = collections.OrderedDict()
        for layer, rate in rates.items():
            groups.setdefault(rate[position], []).append(layer)
        lines += ["%s %s: %s" % (title, "%.4g" % value if position else value, ", ".join(groups[value]))
                  for value in sorted(groups) if value != usual]
    return lines


class LayerRates:
    """The factors of the changes of variables.

    Args: see :func:`rates_of`.
    """

    def __init__(self, params, variables, encoder_variables):
        self._groups = collections.OrderedDict()  # (release, scale) -> variables
        for step, scale, members in rates_of(params, variables, encoder_variables).values():
            if (step, scale) != UNCHANGED:
                self._groups.setdefault((step, scale), []).extend(members)

    def apply(self, update, global_step):
        """Applies an optimizer's update with the factors.

        Args:
          update: function without arguments that builds the operation of the optimizer's update.
          global_step: variable that ``update`` increments.

        Returns:
          An operation.
        """
        # sums, because an identity would share the memory of the variable, which the update changes
        of_schedule = schedule_step()
        step_before = tf.convert_to_tensor(global_step if of_schedule is None else of_schedule) + 0
        factors, old_values = [], []
        for (release, scale), members in self._groups.items():
            factor = scale * tf.cast(step_before >= tf.cast(release, step_before.dtype), tf.float32)
            factors += [factor] * len(members)
            old_values += [tf.convert_to_tensor(variable) + 0.0 for variable in members]
        variables = [variable for members in self._groups.values() for variable in members]
        with tf.control_dependencies(old_values + factors):
            updated = update()
        with tf.control_dependencies([updated]):
            changes = [variable.read_value() - old for variable, old in zip(variables, old_values)]
        with tf.control_dependencies(changes):
            return tf.group(updated, *[variable.assign(old + change * factor, read_value=False)
                                       for variable, old, change, factor in zip(variables, old_values, changes, factors)])
