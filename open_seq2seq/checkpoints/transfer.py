"""Starting from another training's checkpoint: what fits is taken, and what begins anew is listed.

Layers are counted as convolutions, from the output: the output layer is the first, the last convolution with its batch norm and
residual branches the second.
"""
import collections
import os

import tensorflow.compat.v1 as tf

from open_seq2seq.checkpoints.description import vocabulary_of
from open_seq2seq.checkpoints.manifest import fault_of
from open_seq2seq.checkpoints.moving_average import SUFFIX, is_average
from open_seq2seq.checkpoints.restore import MODEL_SCOPE, open_checkpoint, restore
from open_seq2seq.checkpoints.run_directory import RunDirectory
from open_seq2seq.errors import CheckpointError, UsageError
from open_seq2seq.log_lines import log_line


def whole_checkpoint(source, best=False):
    """The checkpoint that ``load_model`` names; nothing is written there.

    Args:
      source: path of a checkpoint without extension, or of a run's directory.
      best: of a directory the best instead of the newest.

    Raises:
      CheckpointError: there is none, or it is damaged.
    """
    if os.path.exists(source + ".index"):
        fault = fault_of(source)
        if fault is not None:
            raise CheckpointError("load_model: checkpoint %s is damaged: %s. Give another one, or its directory, of which the "
                                  "newest whole one is taken" % (source, fault.reason))
        return source
    if not os.path.isdir(source):
        raise CheckpointError("load_model: there is no checkpoint %s and no such directory; expected a path without extension, "
                              "of which %s.index is there, or the logdir of a run" % (source, os.path.basename(source)))
    return RunDirectory(source).require_checkpoint(best)


def network_layers(variables):
    """The layers of the network, the output layer first.

    Args:
      variables: the graph's, in the order they were made.

    Returns:
      OrderedDict of a layer's scope (``ForwardPass/w2l_encoder/conv11``) -> list of its variables.
    """
    layers = collections.OrderedDict()
    for variable in variables:
        name = variable.op.name
        if name.startswith(MODEL_SCOPE) and not is_average(name):
            layers.setdefault("/".join(name.split("/")[:3]), []).append(variable)
    return collections.OrderedDict(reversed(list(layers.items())))


def transfer_into(session, checkpoint, params, characters, weights_only):
    """Sets the variables that a checkpoint of another training has, and prints which they are.

    The output layer keeps its initial values where the vocabulary is another one, and so do ``drop_layers`` layers.

    Args:
      session: the session; variables that are not taken keep what they hold.
      checkpoint: path without extension.
      params: the checked config of mode "train"; used are drop_layers and evaluate_ema.
      characters: the vocabulary of this training, a tuple, or None where it is not known.
      weights_only: the network's variables as far as they fit (``load_model``); otherwise all there are, step and optimizer
        included, and the network has to fit but for the layers that begin anew (``load_checkpoint_dir``).

    Returns:
      The ``RestoreReport``.

    Raises:
      UsageError: ``drop_layers`` leaves nothing.
      CheckpointError: the checkpoint is damaged, of another architecture, or nothing of it fits.
    """
    layers = network_layers(tf.global_variables())
    anew = collections.OrderedDict()  # layer -> why
    if params["drop_layers"] >= len(layers):
        raise UsageError("drop_layers is %d, and the network has %d layers, the output layer included: nothing of %s would be "
                         "left. Drop fewer, or train from scratch" % (params["drop_layers"], len(layers), checkpoint))
    for layer in list(layers)[:params["drop_layers"]]:
        anew[layer] = "drop_layers"
    output = next(iter(layers))
    reason = _other_outputs(checkpoint, layers[output], characters)
    if reason is not None:
        anew.setdefault(output, reason)
    weights_anew = [variable.op.name for layer in anew for variable in layers[layer]]
    wanted = [variable for variable in tf.global_variables()
              if not any(_belongs(variable.op.name, weight) for weight in weights_anew)]
    if weights_only:
        wanted = [variable for variable in wanted
                  if variable.op.name.startswith(MODEL_SCOPE) and not is_average(variable.op.name)]
    report = restore(session, checkpoint, wanted, partial=weights_only, averaged=weights_only and params["evaluate_ema"])
    restored = set(report.restored)
    if not any(variable.op.name in restored for members in layers.values() for variable in members):
        raise CheckpointError(_nothing_fits(checkpoint, wanted))
    _restart_averages(session, weights_anew)
    for line in _described(report, layers, restored, anew):
        log_line(line[0], offset=line[1])
    return report


def _other_outputs(checkpoint, output_layer, characters):
    """Why the output layer cannot be taken over, or None."""
    shapes = open_checkpoint(checkpoint).get_variable_to_shape_map()
    theirs = vocabulary_of(checkpoint)
    if theirs is not None and characters is not None and theirs != characters:
        return "another vocabulary: %r before, %r now" % ("".join(theirs), "".join(characters))
    for variable in output_layer:
        shape = shapes.get(variable.op.name)
        if shape is not None and shape != variable.shape.as_list():
            return "another vocabulary: %d outputs before, %d now" % (shape[-1], variable.shape.as_list()[-1])
    return None


def _belongs(name, weight):
    """Whether a variable is a weight, or a slot or an average of it."""
    return name == weight or (weight + "/") in name


def _restart_averages(session, weights_anew):
    """The moving averages of weights that begin anew begin there, too."""
    variables = {variable.op.name: variable for variable in tf.global_variables()}
    pairs = [(variables[name + SUFFIX], variables[name]) for name in weights_anew if name + SUFFIX in variables]
    session.run([tf.assign(average, weight) for average, weight in pairs])


def _nothing_fits(checkpoint, wanted):
    theirs = sorted(name for name in open_checkpoint(checkpoint).get_variable_to_shape_map() if name.startswith(MODEL_SCOPE))
    ours = sorted(variable.op.name for variable in wanted)
    return ("nothing of checkpoint %s fits the network: it has %d variables of a network (%s), here there are %d (%s). Give a "
            "checkpoint of a network like that of the config" % (
                checkpoint, len(theirs), _some(theirs), len(ours), _some(ours)))


def _described(report, layers, restored, anew):
    """Lines for the log, each with its indentation."""
    total = sum(len(members) for members in layers.values())
    taken = [name for members in layers.values() for name in (variable.op.name for variable in members) if name in restored]
    yield "Took %d of %d variables of the network from %s" % (len(taken), total, report.checkpoint), 0
    if report.averaged:
        yield "%d of them as moving averages" % len(report.averaged), 4
    whole = [layer for layer, members in layers.items() if all(variable.op.name in restored for variable in members)]
    yield "restored: %s" % (", ".join(_short(layer) for layer in reversed(whole)) or "no layer whole"), 4
    others = len(restored) - len(taken)
    if others:
        yield "and %d variables of the optimizer and of the training's state" % others, 4
    for layer, reason in anew.items():
        yield "begins anew: %s (%s)" % (_short(layer), reason), 4
    here = {variable.op.name for members in layers.values() for variable in members}
    surplus = [name for name in report.surplus if name.startswith(MODEL_SCOPE) and not is_average(name) and name not in here]
    for title, names in (("begins anew, of another shape: ", report.reshaped),
                         ("begins anew, not in the checkpoint: ", report.missing), ("in the checkpoint only: ", surplus)):
        if names:
            yield title + "; ".join(names), 4


def _short(layer):
    return layer[len(MODEL_SCOPE):]


def _some(names):
    return ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
