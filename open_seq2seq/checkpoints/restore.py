"""Restores checkpoints by the variables' names and reports what matched; the training loop's numbers in checkpoints.

Variables keep OpenSeq2Seq's names, so its checkpoints load here, those of mixed precision included (source_names.py).
"""
import collections
import os

import numpy as np
import tensorflow.compat.v1 as tf

from open_seq2seq.checkpoints.graph_variables import graph_variables
from open_seq2seq.checkpoints.manifest import READING_ERRORS, fault_of, is_damaged_manifest, manifest_path
from open_seq2seq.checkpoints.moving_average import COUNTER, SUFFIX, is_average
from open_seq2seq.checkpoints.source_names import MASTER_COPY, MODEL_SCOPE, SourceNames, describe_lost_slots, slot_of
from open_seq2seq.checkpoints.tensor_reading import read_tensors
from open_seq2seq.encoders.input_transform import require_same_transform
from open_seq2seq.errors import CheckpointError
from open_seq2seq.log_lines import log_line
from open_seq2seq.optimizers.optimize import SCOPE

STATE_SCOPE = "training_state/"

# of the moving averages, of TensorFlow, and of the Ascend adapter's loss scaling
_NUMBERS = (COUNTER, "global_step", "good_steps", "bad_steps", "loss_scale")

RestoreReport = collections.namedtuple("RestoreReport", "checkpoint restored missing surplus averaged reshaped")


def open_checkpoint(checkpoint):
    """Returns TensorFlow's reader of a checkpoint, after a check of its files against the manifest, if it has one.

    Raises:
      CheckpointError: it is missing or damaged.
    """
    # without a manifest TensorFlow compares the checksum of each tensor when it is read
    fault = fault_of(checkpoint) if os.path.exists(manifest_path(checkpoint)) else None
    if fault is None and is_damaged_manifest(checkpoint):
        log_line("Note: %s is damaged, was changed or cannot be read. The checkpoint itself is valid and is used; how it was "
                 "trained, e.g. its vocabulary, may not be known" % manifest_path(checkpoint))
    if fault is not None:
        raise CheckpointError("checkpoint %s is damaged: %s. Use an earlier one" % (checkpoint, fault.reason))
    try:
        return tf.train.NewCheckpointReader(checkpoint)
    except READING_ERRORS as error:
        raise CheckpointError("cannot read checkpoint %s: %s. Expected the files %s.index and %s.data-*; if the newest is "
                              "damaged, use an earlier one"
                              % (checkpoint, str(error).split("\n")[0], checkpoint, checkpoint))


def require_finite(weights, checkpoint):
    """Raises CheckpointError where one of the (name, array) pairs is not finite: the training had diverged."""
    bad = [name for name, array in weights if not np.isfinite(array).all()]
    if bad:
        raise CheckpointError("checkpoint %s has weights that are not finite (nan or infinite) in %d variables, the first is %s. "
                              "Training cannot repair them: use an earlier checkpoint" % (checkpoint, len(bad), bad[0]))


def restore(session, checkpoint, variables, partial=False, averaged=False, finite=True):
    """Sets variables to the values of a checkpoint; see :func:`read_values` for the arguments and errors.

    Args:
      session: the session; variables not found in the checkpoint keep what they hold, for which they have to be initialized.

    Returns:
      RestoreReport.
    """
    report, values = read_values(checkpoint, variables, partial, averaged, finite)
    graph_variables(session.graph).write(session, values)
    return report


def read_values(checkpoint, variables, partial=False, averaged=False, finite=True, state=None):
    """Reads the values of variables by name, on the host.

    Args:
      checkpoint: path without extension.
      variables: what to read: list of variables.
      partial: read what matches by name and shape (transfer learning) instead of requiring the complete network.
      averaged: read the moving average of a weight instead of the weight if the checkpoint has one.
      finite: refuse a network's weights and statistics (``ForwardPass/``) that are not finite.
      state: a :class:`SavedState` that takes its numbers from the checkpoint, or None.

    Returns:
      (RestoreReport, dict of variables' names -> arrays). RestoreReport(checkpoint, restored, missing, surplus, averaged,
      reshaped) has lists of names, those of ``state`` included. missing: in the graph only. surplus: in the checkpoint only.
      averaged: those whose value is a moving average. reshaped: clauses on variables that were skipped because of their shape.

    Raises:
      CheckpointError: a variable of the network (``ForwardPass/``) is missing or has another shape, i.e. the checkpoint has
        another architecture (all such variables are counted, the first few named); or the weights are not finite.
    """
    reader = open_checkpoint(checkpoint)
    shapes, types = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()
    names = SourceNames(types)
    sources = {variable.op.name: names.find(variable.op.name, variable.dtype.base_dtype, averaged) for variable in variables}
    matching, missing, mismatched = [], [], []
    for variable in variables:
        name = variable.op.name
        source = sources[name]
        if source is None:
            missing.append(name)
        elif shapes[source] != variable.shape.as_list():
            mismatched.append("%s is %s here, %s in the checkpoint" % (name, variable.shape.as_list(), shapes[source]))
        else:
            matching.append((source, variable))
    if not partial:
        _refuse_other_architecture(checkpoint, missing, mismatched, shapes, sources)
    try:
        saved = [STATE_SCOPE + name for name in ([] if state is None else state.get()) if STATE_SCOPE + name in types]
        tensors = read_tensors(checkpoint, shapes, types, [source for source, _ in matching] + saved)
    except (tf.errors.OpError, IndexError) as error:
        raise CheckpointError("checkpoint %s is damaged: %s. Use an earlier one" % (checkpoint, str(error).split("\n")[0]))
    values = {variable.op.name: np.asarray(tensors[source], variable.dtype.base_dtype.as_numpy_dtype)
              for source, variable in matching}
    numbers = {name[len(STATE_SCOPE):]: tensors[name] for name in saved}
    if finite:
        require_finite(((source, values[variable.op.name]) for source, variable in matching
                        if variable.op.name.startswith(MODEL_SCOPE) and variable.dtype.base_dtype.is_floating), checkpoint)
    if variables:
        require_same_transform(values, checkpoint, variables[0].graph)
    if state is not None:
        missing += [STATE_SCOPE + name for name in state.get() if name not in numbers]
        state.set(**numbers)
    saved_numbers = [STATE_SCOPE + name for name in numbers]
    used = {source for source, _ in matching} | set(saved_numbers)
    return RestoreReport(checkpoint, sorted(list(values) + saved_numbers), sorted(missing), sorted(set(shapes) - used),
                         sorted(name for name, source in sources.items() if source == name + SUFFIX), mismatched), values


def _refuse_other_architecture(checkpoint, missing, mismatched, shapes, sources):
    # averages that a checkpoint lacks start at the weights
    lost = [name for name in missing if name.startswith(MODEL_SCOPE) and not is_average(name)]
    if not lost and not mismatched:
        return
    surplus = sorted(name for name in set(shapes) - set(sources.values())
                     if name.startswith(MODEL_SCOPE) and not is_average(name))
    lines = ["checkpoint %s has another architecture than the config:" % checkpoint]
    for title, names in (("%d variables of the network are not in the checkpoint", lost),
                         ("%d have another shape", mismatched), ("%d of the checkpoint are not in the network", surplus)):
        if names:
            lines.append("  " + title % len(names) + ": " + "; ".join(names[:4]) + ("; ..." if len(names) > 4 else ""))
    lines.append("  Use the config that it was trained with (saved in its logdir), or load what matches with load_model")
    raise CheckpointError("\n".join(lines))


def describe_restore(report):
    """A line for the log on what :func:`restore` did."""
    text = "Restored %d variables from %s" % (len(report.restored), report.checkpoint)
    if report.averaged:
        text += ", %d of them as moving averages" % len(report.averaged)
    others = [name for name in report.missing if slot_of(name) is None]
    expected, unexpected = _of_training(report.surplus)
    for title, names in (("not in it (they keep their initial values)", others), ("only in it (not used)", unexpected)):
        if names:
            text += "; %d %s: %s" % (len(names), title, ", ".join(names[:6]) + (", ..." if len(names) > 6 else ""))
    if expected:
        text += "; %d only in it (%s), not used" % (sum(expected.values()), ", ".join(
            title if len(expected) == 1 else "%d %s" % (count, title) for title, count in expected.items()))
    return ". ".join([text] + describe_lost_slots(report.missing, report.surplus))


def _of_training(surplus):
    """Divides names that only the checkpoint has.

    Returns:
      (OrderedDict from what a training saves in addition to the network to how many there are, list of the other names).
    """
    kinds, others = collections.Counter(), []
    for name in surplus:
        if slot_of(name) is not None or MASTER_COPY in name:
            kinds["optimizer slots"] += 1
        elif is_average(name):
            kinds["moving averages"] += 1
        elif name.startswith((STATE_SCOPE, SCOPE + "/")) or name in _NUMBERS:
            kinds["numbers of the training"] += 1
        else:
            others.append(name)
    return collections.OrderedDict(kinds.most_common()), others


class SavedState:
    """Numbers of the training loop that are saved with the checkpoint, under ``training_state/``.

    They are kept on the host: as variables, each set of them that is read or set would be another graph for a device that
    compiles graphs. An int is kept as int64, a float as float32: in checkpoints of earlier versions they were variables.
    """

    def __init__(self, **initial_values):
        self._types = {name: np.int64 if isinstance(value, int) else np.float32 for name, value in initial_values.items()}
        self._values = {}
        self.set(**initial_values)

    def get(self):
        """Returns {name: value}."""
        return dict(self._values)

    def set(self, **values):
        """Stores new values; the next checkpoint contains them."""
        self._values.update({name: self._types[name](value) for name, value in values.items()})

    def arrays(self):
        """Dict of names in a checkpoint -> arrays."""
        return {STATE_SCOPE + name: np.asarray(value) for name, value in self._values.items()}
