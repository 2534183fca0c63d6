"""Checkpoints: written by TensorFlow's Saver, restored by name with an account of what fitted and what did not.

Variables keep OpenSeq2Seq's names, so its checkpoints load here. Its mixed-precision runs saved float16 variables and their
float32 originals under ``.../FP32-master-copy/NAME``; the originals are taken where they exist.
"""
import collections
import glob
import os
import re

import tensorflow.compat.v1 as tf

from open_seq2seq.errors import CheckpointError, StorageError

MODEL_SCOPE = "ForwardPass/"
_MASTER_COPY = "FP32-master-copy/"

RestoreReport = collections.namedtuple("RestoreReport", "checkpoint restored missing surplus")


def checkpoint_step(checkpoint):
    """The step in a checkpoint's name (``model.ckpt-120`` -> 120), or -1."""
    found = re.search(r"-(\d+)$", checkpoint)
    return int(found.group(1)) if found else -1


def latest_checkpoint(directory):
    """Path without extension of the newest whole checkpoint in ``directory``, or None.

    The state file ``checkpoint`` is asked first. Where it is missing, or names files of another machine, the files
    themselves are: a directory that somebody copied is still a directory of checkpoints.
    """
    state = tf.train.get_checkpoint_state(directory) if os.path.isdir(directory) else None
    if state is not None and state.model_checkpoint_path:
        for candidate in (state.model_checkpoint_path,
                          os.path.join(directory, os.path.basename(state.model_checkpoint_path))):
            if _is_whole(candidate):
                return candidate
    found = [path[:-len(".index")] for path in glob.glob(os.path.join(glob.escape(directory), "*.index"))]
    whole = [path for path in found if _is_whole(path)]
    return max(whole, key=lambda path: (checkpoint_step(path), path)) if whole else None


def _is_whole(checkpoint):
    return os.path.exists(checkpoint + ".index") and bool(glob.glob(glob.escape(checkpoint) + ".data-*"))


class CheckpointWriter:
    """Saves all variables under ``directory/NAME-STEP`` and keeps the last ``keep``.

    Args:
      directory: where to.
      keep: how many to keep.
      name: the file name before ``-STEP``.
    """

    def __init__(self, directory, keep, name="model.ckpt"):
        self._directory, self._name = directory, name
        # relative paths in the state file: a moved directory still names its own files
        self._saver = tf.train.Saver(max_to_keep=keep, save_relative_paths=True)

    def recover(self):
        """Learns of the checkpoints of an earlier process, so that they take their turn in being deleted."""
        state = tf.train.get_checkpoint_state(self._directory)
        if state is not None:
            paths = [path for path in state.all_model_checkpoint_paths if os.path.exists(path + ".index")]
            self._saver.recover_last_checkpoints(paths)

    def save(self, session, step, name=None):
        """Writes one checkpoint and returns its path.

        Raises:
          StorageError: the disk is full or the directory not writable.
        """
        path = os.path.join(self._directory, name or self._name)
        try:
            os.makedirs(self._directory, exist_ok=True)
            return self._saver.save(session, path, global_step=step, write_meta_graph=False)
        except (OSError, tf.errors.OpError, ValueError) as error:
            for leftover in glob.glob(glob.escape("%s-%d" % (path, step)) + ".*temp*"):
                _remove(leftover)
            reason = getattr(error, "strerror", None) or getattr(error, "message", None) or str(error)
            raise StorageError("cannot save checkpoint %s-%d: %s. Free some space or mend the permissions, then go on from the "
                               "checkpoint before it with --continue_learning" % (path, step, reason.split("\n")[0]))


def _remove(path):
    if os.path.isdir(path):
        for name in os.listdir(path):
            os.remove(os.path.join(path, name))
        os.rmdir(path)
    elif os.path.exists(path):
        os.remove(path)


def open_checkpoint(checkpoint):
    """Returns TensorFlow's reader of a checkpoint.

    Raises:
      CheckpointError: it is not there, or damaged.
    """
    try:
        return tf.train.NewCheckpointReader(checkpoint)
    except (tf.errors.OpError, ValueError, RuntimeError) as error:
        raise CheckpointError("cannot read checkpoint %s: %s. Expected the files %s.index and %s.data-*; if the newest is "
                              "damaged, delete it and use the one before"
                              % (checkpoint, str(error).split("\n")[0], checkpoint, checkpoint))


def restore(session, checkpoint, variables, partial=False):
    """Restores variables by name.

    Args:
      session: the session; variables not found in the checkpoint keep what they hold.
      checkpoint: path without extension.
      variables: what to restore: list of variables.
      partial: take what fits by name and shape (transfer learning) instead of asking for the whole network.

    Returns:
      RestoreReport(checkpoint, restored, missing, surplus): lists of names. Missing is in the graph only, surplus in the
      checkpoint only.

    Raises:
      CheckpointError: a variable of the network (``ForwardPass/``) is missing or has another shape: the checkpoint is of
        another architecture. All such variables are counted, the first few named.
    """
    reader = open_checkpoint(checkpoint)
    shapes, types = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()
    sources = {variable.op.name: _source_name(variable.op.name, variable.dtype.base_dtype, types) for variable in variables}
    fits, converts, missing, mismatched = [], [], [], []
    for variable in variables:
        name = variable.op.name
        source = sources[name]
        if source is None:
            missing.append(name)
        elif shapes[source] != variable.shape.as_list():
            mismatched.append("%s is %s here, %s in the checkpoint" % (name, variable.shape.as_list(), shapes[source]))
        elif types[source] == variable.dtype.base_dtype:
            fits.append((source, variable))
        else:
            converts.append((source, variable))
    if not partial:
        _refuse_other_architecture(checkpoint, missing, mismatched, shapes, sources)
    try:
        if fits:
            tf.train.Saver(dict(fits)).restore(session, checkpoint)
        for source, variable in converts:
            variable.load(reader.get_tensor(source).astype(variable.dtype.base_dtype.as_numpy_dtype), session)
    except tf.errors.OpError as error:
        raise CheckpointError("checkpoint %s is damaged: %s. Delete it and use the one before"
                              % (checkpoint, error.message.split("\n")[0]))
    used = {source for source, _ in fits + converts}
    return RestoreReport(checkpoint, sorted(variable.op.name for _, variable in fits + converts), sorted(missing),
                         sorted(set(shapes) - used))


def _source_name(name, dtype, types):
    """The name in the checkpoint of a variable: itself, or its float32 master copy where it was saved in float16."""
    if name in types and types[name] == dtype:
        return name
    for candidate in types:
        if candidate.endswith(_MASTER_COPY + name) and types[candidate] == tf.float32:
            return candidate
    return name if name in types else None


def _refuse_other_architecture(checkpoint, missing, mismatched, shapes, sources):
    lost = [name for name in missing if name.startswith(MODEL_SCOPE)]
    if not lost and not mismatched:
        return
    surplus = sorted(name for name in set(shapes) - set(sources.values()) if name.startswith(MODEL_SCOPE))
    lines = ["checkpoint %s is of another architecture than the config:" % checkpoint]
    for title, names in (("%d variables of the network are not in the checkpoint", lost),
                         ("%d have another shape", mismatched), ("%d of the checkpoint are not in the network", surplus)):
        if names:
            lines.append("  " + title % len(names) + ": " + "; ".join(names[:4]) + ("; ..." if len(names) > 4 else ""))
    lines.append("  Use the config that it was trained with (saved beside it in logdir), or load what fits with load_model")
    raise CheckpointError("\n".join(lines))


def describe_restore(report):
    """One or two sentences for the log on what :func:`restore` did."""
    text = "Restored %d variables from %s" % (len(report.restored), report.checkpoint)
    for title, names in (("missing in it (left at their initial values)", report.missing),
                         ("surplus in it (not used)", report.surplus)):
        if names:
            text += "; %d %s: %s" % (len(names), title, ", ".join(names[:6]) + (", ..." if len(names) > 6 else ""))
    return text


class SavedState:
    """Numbers of the training loop that travel in the checkpoint, as variables under ``training_state/``.

    They are ordinary variables, so the Saver keeps them. An int is kept as int64, a float as float32 (an NPU has no float64).
    """

    def __init__(self, **initial_values):
        self._variables, self._placeholders, self._assign = {}, {}, {}
        with tf.variable_scope("training_state"):
            for name, value in initial_values.items():
                dtype = tf.int64 if isinstance(value, int) else tf.float32
                self._variables[name] = tf.get_variable(name, [], dtype, trainable=False,
                                                        initializer=tf.constant_initializer(value))
                self._placeholders[name] = tf.placeholder(dtype, [], name + "_value")
                self._assign[name] = tf.assign(self._variables[name], self._placeholders[name])

    def tensor(self, name):
        """The current value as a scalar tensor, for what the graph computes with."""
        return tf.identity(self._variables[name], name)

    def get(self, session):
        """Returns {name: value}."""
        return session.run(self._variables)

    def set(self, session, **values):
        """Stores new values; they reach the disk with the next checkpoint."""
        session.run([self._assign[name] for name in values],
                    {self._placeholders[name]: value for name, value in values.items()})
