"""Which checkpoints a directory holds: their names, the state files that point to them, damaged ones moved aside."""
import glob
import os
import re
import shutil

import tensorflow.compat.v1 as tf

from open_seq2seq.checkpoints.manifest import data_files, fault_of, manifest_path
from open_seq2seq.files import replaced_file
from open_seq2seq.log_lines import log_line

ORDINARY, BEST = "model.ckpt", "best_dev"
# TensorFlow's tools read the first; the second is named as in Coqui STT
STATE_FILES = {ORDINARY: "checkpoint", BEST: "best_dev_checkpoint"}
# where OpenSeq2Seq and earlier versions of this project kept the best models
BEST_MODELS = "best_models"
DAMAGED = "damaged"
# the folder of a checkpoint that is being written; an index whose data are being deleted
TEMPORARY, REMOVED = ".tmp", ".index.removed"
_LEFTOVER_FOLDER = re.compile(r".+-\d+\.tmp$")
_LEFTOVER_FILE = re.compile(r"(%s)\.\d+(-[0-9a-f]+)?\.tmp$|.+\.(index|data-\d{5}-of-\d{5})\.tempstate\d+$|.+\.index\.removed$"
                            % "|".join(STATE_FILES.values()))


def checkpoint_step(checkpoint):
    """The step in a checkpoint's name (``model.ckpt-120`` -> 120), or -1."""
    found = re.search(r"-(\d+)$", checkpoint)
    return int(found.group(1)) if found else -1


def is_vanishing(checkpoint):
    """Whether a checkpoint (path without extension) has been deleted, or is being deleted or written."""
    return not data_files(checkpoint) or any(os.path.exists(checkpoint + suffix) for suffix in (TEMPORARY, REMOVED))


def is_best(checkpoint):
    """Whether a checkpoint's name is that of a best model."""
    return os.path.basename(checkpoint).startswith(BEST + "-")


def is_leftover(name):
    """Whether a file or folder of this name is left by a process that was killed while it wrote or deleted a checkpoint."""
    return bool(_LEFTOVER_FOLDER.match(name) or _LEFTOVER_FILE.match(name))


def read_state(directory, state_file):
    """The checkpoints that a state file names, the current one last; [] if there is no such file, or it is damaged.

    A path of another machine is replaced by the file of the same name in ``directory``, so a copied directory works.
    """
    try:
        state = tf.train.get_checkpoint_state(directory, state_file)
    except (tf.errors.OpError, ValueError, RecursionError):  # not UTF-8, or not text
        state = None
    if state is None or not state.model_checkpoint_path:
        return []
    current = state.model_checkpoint_path
    found = []
    for path in [other for other in state.all_model_checkpoint_paths if other != current] + [current]:
        if "\0" in path:
            continue
        here = os.path.join(directory, os.path.basename(path))
        found += [here if os.path.exists(here + ".index") or not os.path.exists(path + ".index") else path]
    return found


def write_state(directory, state_file, checkpoints):
    """Writes a state file that names ``checkpoints``, the last one as the current one; durable when this returns.

    Raises:
      StorageError: it cannot be written; the previous content stays.
    """
    # relative paths: a moved directory still names its own files
    names = [os.path.relpath(path, directory) for path in checkpoints]
    state = tf.train.generate_checkpoint_state_proto(os.sep, os.sep + names[-1])
    state.model_checkpoint_path = names[-1]
    state.ClearField("all_model_checkpoint_paths")
    state.all_model_checkpoint_paths.extend(names)
    with replaced_file(os.path.join(directory, state_file)) as file:
        file.write(str(state))


def checkpoints_in(directory, best=False):
    """The checkpoints of a directory by their file names, in the order of preference; their content is not checked.

    The first is the state file's current one; the others follow by step, the newest first.

    Args:
      directory: where.
      best: list the best models on the dev set instead of the ordinary checkpoints.

    Returns:
      List of paths without extension.
    """
    if not os.path.isdir(directory):
        return []
    found = {path[:-len(".index")] for path in glob.glob(os.path.join(glob.escape(directory), "*.index"))}
    # data without an index: damaged, unless the checkpoint is being written or deleted
    found |= {path for path in {re.sub(r"\.data-\d{5}-of-\d{5}$", "", data) for data in glob.glob(
        os.path.join(glob.escape(directory), "*.data-*-of-*[0-9]"))} if not is_vanishing(path)}
    kind = [path for path in found if is_best(path) == best]
    state = read_state(directory, STATE_FILES[BEST if best else ORDINARY])
    current = [path for path in state[-1:] if os.path.exists(path + ".index") or path in kind]
    return current + sorted((path for path in kind if path not in current),
                            key=lambda path: (checkpoint_step(path), path), reverse=True)


def latest_checkpoint(directory, best=False, may_move=False):
    """The newest valid checkpoint of a directory; damaged ones are skipped, with a line in the log.

    A training may be writing and deleting checkpoints in the directory at the same time.

    Args:
      directory: where.
      best: the newest of the best models instead.
      may_move: whether damaged ones are moved into ``directory/damaged``; only the process that owns the directory may.

    Returns:
      Path without extension, or None.
    """
    examined = set()
    while True:
        # listed again after each one that is not valid: a training may have replaced it by a newer one
        left = [checkpoint for checkpoint in checkpoints_in(directory, best) if checkpoint not in examined]
        if not left:
            return None
        checkpoint = left[0]
        examined.add(checkpoint)
        fault = fault_of(checkpoint)
        if fault is None:
            return checkpoint
        if is_vanishing(checkpoint):
            continue
        moved = set_aside(checkpoint) if may_move and fault.is_damage else None
        log_line("Checkpoint %s is damaged: %s. It is %s; the previous one is used, if there is one" % (
            checkpoint, fault.reason, "moved to %s" % moved if moved else "skipped"))


def set_aside(checkpoint):
    """Moves the files of a checkpoint into ``damaged`` next to it, where nothing takes them for a model.

    Returns:
      The folder that they are in, or None if they cannot be moved.
    """
    folder = os.path.join(os.path.dirname(checkpoint), DAMAGED)
    files = data_files(checkpoint) + [path for path in [manifest_path(checkpoint)] if os.path.exists(path)]
    number = 1
    while os.path.exists(os.path.join(folder, os.path.basename(files[0]))):
        number += 1
        folder = os.path.join(os.path.dirname(checkpoint), "%s_%d" % (DAMAGED, number))
    try:
        os.makedirs(folder, exist_ok=True)
        # the index first: after an interrupted move the rest is not taken for a checkpoint
        for path in reversed(files):
            os.replace(path, os.path.join(folder, os.path.basename(path)))
        return folder
    except OSError:
        return None


def remove_checkpoint(checkpoint):
    """Deletes a checkpoint's files, the index first; after an interruption the next training deletes the rest."""
    index, removed = checkpoint + ".index", checkpoint + REMOVED
    if os.path.exists(index):
        os.replace(index, removed)
    for path in data_files(checkpoint) + [manifest_path(checkpoint), removed]:
        if os.path.exists(path):
            os.remove(path)


def remove_leftovers(directory):
    """Deletes what a killed process left of checkpoints that it was writing or deleting in ``directory``, which the caller owns.

    Returns:
      The names of what was unfinished.
    """
    names = sorted(filter(is_leftover, os.listdir(directory))) if os.path.isdir(directory) else []
    for name in names:
        path = os.path.join(directory, name)
        if os.path.isdir(path):
            checkpoint = path[:-len(TEMPORARY)]
            if not os.path.exists(checkpoint + ".index"):
                # the process was killed while it moved the files out; the index is the last
                remove_checkpoint(checkpoint)
            shutil.rmtree(path)
        elif name.endswith(REMOVED):
            remove_checkpoint(path[:-len(REMOVED)])
        else:
            os.remove(path)
    return names
