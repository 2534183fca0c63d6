"""Transfer: starting from another training's checkpoint. What matches is restored; what is reinitialized is listed.

Layers are counted from the output: the output layer is the first, the last convolution with its batch norm and residual branches
the second. If the vocabulary has changed, the output weights of the letters that both have are copied (shared_letters.py).
"""
import collections
import os

import tensorflow.compat.v1 as tf

from open_seq2seq.checkpoints import shared_letters
from open_seq2seq.checkpoints.description import vocabulary_of
from open_seq2seq.checkpoints.graph_variables import graph_variables
from open_seq2seq.checkpoints.manifest import fault_of
from open_seq2seq.checkpoints.moving_average import is_average, started_averages
from open_seq2seq.checkpoints.restore import MODEL_SCOPE, open_checkpoint, read_values
from open_seq2seq.checkpoints.run_directory import RunDirectory
from open_seq2seq.checkpoints.source_names import describe_lost_slots, slot_of
from open_seq2seq.errors import CheckpointError, UsageError
from open_seq2seq.log_lines import log_line
from open_seq2seq.optimizers.layer_rates import TASK
from open_seq2seq.text.vocabulary import shown_labels


def read_valid_checkpoint(source, read, best=False):
    """What ``read`` returns for the valid checkpoint that ``load_model`` names; nothing is written in its directory.

    If ``source`` is a directory whose owner deletes the checkpoint meanwhile, ``read`` is called again with the newest one.

    Args:
      source: path of a checkpoint without extension, or of a run's directory.
      read: function of a checkpoint's path without extension.
      best: the best one of a directory instead of the newest.

    Raises:
      CheckpointError: there is none, or it is damaged; and what ``read`` raises.
    """
    if os.path.exists(source + ".index"):
        fault = fault_of(source)
        if fault is not None:
            raise CheckpointError("load_model: checkpoint %s is damaged: %s. Give another one, or its directory, to use the "
                                  "newest valid one" % (source, fault.reason))
        return read(source)
    if not os.path.isdir(source):
        raise CheckpointError("load_model: there is no checkpoint %s and no such directory; expected the path of %s.index "
                              "without its extension, or the logdir of a run" % (source, os.path.basename(source)))
    return RunDirectory(source).read_checkpoint(read, best)


def valid_checkpoint(source, best=False):
    """The checkpoint that :func:`read_valid_checkpoint` reads; its owner may delete it at any time."""
    return read_valid_checkpoint(source, lambda checkpoint: checkpoint, best)


def network_layers(variables):
    """The layers of the network, the output layer first.

    Args:
      variables: the graph's, in the order of their creation.

    Returns:
      OrderedDict of a layer's scope (``ForwardPass/w2l_encoder/conv11``) -> list of its variables.
    """
    layers = collections.OrderedDict()
    for variable in variables:
        name = variable.op.name
        if name.startswith(MODEL_SCOPE) and not is_average(name):
            layers.setdefault("/".join(name.split("/")[:3]), []).append(variable)
    return collections.OrderedDict(reversed(list(layers.items())))


def transfer_into(session, checkpoint, params, characters, weights_only, state=None):
    """Restores variables from a checkpoint of another training, and prints which ones.

    ``drop_layers`` layers are reinitialized, and so is the output layer if the vocabulary has changed, except for the letters
    that both vocabularies have.

    Args:
      session: the session; variables that are not restored keep their values.
      checkpoint: path without extension.
      params: the checked config of mode "train"; used are drop_layers, evaluate_ema and copy_letters.
      characters: the vocabulary of this training, a tuple, or None if it is not known.
      weights_only: restore the network's variables that match (``load_model``); otherwise all variables, step and optimizer
        included, and the network has to match except for the reinitialized layers (``load_checkpoint_dir``).
      state: the ``SavedState`` that takes its numbers from the checkpoint unless ``weights_only``.

    Returns:
      (the ``RestoreReport``, dict of all variables' names -> the values that they were set to).

    Raises:
      UsageError: ``drop_layers`` leaves nothing.
      CheckpointError: the checkpoint is damaged or of another architecture, or nothing in it matches.
    """
    layers = network_layers(tf.global_variables())
    reinitialized = _dropped(layers, params["drop_layers"], checkpoint)  # layer -> reason
    output = next(layer for layer in layers if not _is_of_task(layer))
    reason = _other_outputs(checkpoint, layers[output], characters)
    copies = params["copy_letters"] and reason is not None and output not in reinitialized
    if reason is not None:
        reinitialized.setdefault(output, reason)
    new_weights = [variable.op.name for layer in reinitialized for variable in layers[layer]]
    wanted = [variable for variable in tf.global_variables()
              if not any(_belongs(variable.op.name, weight) for weight in new_weights)]
    if weights_only:
        wanted = [variable for variable in wanted
                  if variable.op.name.startswith(MODEL_SCOPE) and not is_average(variable.op.name)]
    report, values = read_values(checkpoint, wanted, partial=weights_only, averaged=weights_only and params["evaluate_ema"],
                                 state=None if weights_only else state)
    restored = set(report.restored)
    if not any(variable.op.name in restored for members in layers.values() for variable in members):
        raise CheckpointError(_nothing_matches(checkpoint, wanted))
    # the variables that are not restored keep their initial values
    variables = graph_variables(session.graph)
    initial, letters = variables.read(session), None
    if copies:
        letters = shared_letters.copied_letters(checkpoint, layers[output], characters, initial,
                                                weights_only and params["evaluate_ema"])
        values.update(letters.values if letters is not None else {})
    values = started_averages(dict(initial, **values), new_weights)
    variables.write(session, values)
    for line in _described(report, layers, restored, reinitialized, output if letters is not None and letters.values else None):
        log_line(line[0], offset=line[1])
    for line in shared_letters.described(letters) if letters is not None else ():
        log_line(line, offset=4)
    return report, values


def _dropped(layers, count, checkpoint):
    """OrderedDict of the layers that ``drop_layers`` reinitializes -> "drop_layers"; other tasks' decoders are output layers."""
    ordered = [layer for layer in layers if not _is_of_task(layer)]
    if count >= len(ordered):
        raise UsageError("drop_layers is %d, but the network has %d layers, including the output layer: nothing of %s would be "
                         "left. Drop fewer, or train from scratch" % (count, len(ordered), checkpoint))
    dropped = ordered[:count] + [layer for layer in layers if count and _is_of_task(layer)]
    return collections.OrderedDict((layer, "drop_layers") for layer in dropped)


def _is_of_task(layer):
    return layer.startswith(MODEL_SCOPE + TASK)


def _other_outputs(checkpoint, output_layer, characters):
    """Why the output layer cannot be restored, or None."""
    shapes = open_checkpoint(checkpoint).get_variable_to_shape_map()
    theirs = vocabulary_of(checkpoint)
    if theirs is not None and characters is not None and theirs != characters:
        return "vocabulary changed from %s to %s" % (shown_labels(theirs), shown_labels(characters))
    for variable in output_layer:
        shape = shapes.get(variable.op.name)
        if shape is not None and shape != variable.shape.as_list():
            return "vocabulary changed from %d to %d outputs" % (shape[-1], variable.shape.as_list()[-1])
    return None


def _belongs(name, weight):
    """Whether a variable is the weight itself, or a slot or an average of it."""
    return name == weight or (weight + "/") in name


def _nothing_matches(checkpoint, wanted):
    theirs = sorted(name for name in open_checkpoint(checkpoint).get_variable_to_shape_map() if name.startswith(MODEL_SCOPE))
    ours = sorted(variable.op.name for variable in wanted)
    return ("nothing in checkpoint %s matches the network: it has %d variables of a network (%s), the config's network has "
            "%d (%s). Give a checkpoint of a network like the config's" % (
                checkpoint, len(theirs), _some(theirs), len(ours), _some(ours)))


def _described(report, layers, restored, reinitialized, copied):
    """Lines for the log, each with its indentation; ``copied`` is the layer of which some weights were copied."""
    total = sum(len(members) for members in layers.values())
    taken = [name for members in layers.values() for name in (variable.op.name for variable in members) if name in restored]
    yield "Restored %d of %d variables of the network from %s" % (len(taken), total, report.checkpoint), 0
    if report.averaged:
        yield "%d of them as moving averages" % len(report.averaged), 4
    complete = [layer for layer, members in layers.items() if all(variable.op.name in restored for variable in members)]
    yield "restored layers: %s" % (", ".join(_short(layer) for layer in reversed(complete)) or "none completely"), 4
    additional = len(restored) - len(taken)
    if additional:
        yield "restored as well: %d variables of the optimizer and of the training state" % additional, 4
    for layer, reason in reinitialized.items():
        yield "%s: %s (%s)" % ("partly copied" if layer == copied else "reinitialized", _short(layer), reason), 4
    here = {variable.op.name for members in layers.values() for variable in members}
    surplus = [name for name in report.surplus if name.startswith(MODEL_SCOPE) and not is_average(name) and name not in here]
    others = [name for name in report.missing if slot_of(name) is None]
    for title, names in (("reinitialized because of another shape: ", report.reshaped),
                         ("initialized, not in the checkpoint: ", others), ("only in the checkpoint: ", surplus)):
        if names:
            yield title + "; ".join(names), 4
    for sentence in describe_lost_slots(report.missing, report.surplus):
        yield sentence, 4


def _short(layer):
    return layer[len(MODEL_SCOPE):]


def _some(names):
    return ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
