"""Which checkpoints a directory holds: their names, the state files that point at them, the damaged ones set aside."""
import glob
import os
import re
import shutil

import tensorflow.compat.v1 as tf

from open_seq2seq.checkpoints.manifest import data_files, fault_of, manifest_path
from open_seq2seq.files import replaced_file
from open_seq2seq.log_lines import log_line

ORDINARY, BEST = "model.ckpt", "best_dev"
# TensorFlow's tools look into the first; the second is called as in Coqui STT
STATE_FILES = {ORDINARY: "checkpoint", BEST: "best_dev_checkpoint"}
# where OpenSeq2Seq kept its best models, and this project once
BEST_MODELS = "best_models"
DAMAGED = "damaged"
# the folder of a checkpoint that is being written; an index whose data are being deleted
TEMPORARY, REMOVED = ".tmp", ".index.removed"
_LEFTOVER_FOLDER = re.compile(r".+-\d+\.tmp$")
_LEFTOVER_FILE = re.compile(r"(%s)\.\d+\.tmp$|.+\.(index|data-\d{5}-of-\d{5})\.tempstate\d+$|.+\.index\.removed$"
                            % "|".join(STATE_FILES.values()))


def checkpoint_step(checkpoint):
    """The step in a checkpoint's name (``model.ckpt-120`` -> 120), or -1."""
    found = re.search(r"-(\d+)$", checkpoint)
    return int(found.group(1)) if found else -1


def is_best(checkpoint):
    """Whether a checkpoint's name says that it is a best one."""
    return os.path.basename(checkpoint).startswith(BEST + "-")


def is_leftover(name):
    """Whether a file's or folder's name is one that a killed process leaves of a checkpoint it was writing or deleting."""
    return bool(_LEFTOVER_FOLDER.match(name) or _LEFTOVER_FILE.match(name))


def read_state(directory, state_file):
    """The checkpoints that a state file names and that ``directory`` holds, the current one last; [] without such a file.

    Those of another machine's directory are looked for in this one by their names: a copied directory is still a directory of
    checkpoints.
    """
    try:
        state = tf.train.get_checkpoint_state(directory, state_file)
    except (tf.errors.OpError, ValueError):  # not UTF-8, or no text
        state = None
    if state is None or not state.model_checkpoint_path:
        return []
    current = state.model_checkpoint_path
    found = []
    for path in [other for other in state.all_model_checkpoint_paths if other != current] + [current]:
        here = os.path.join(directory, os.path.basename(path))
        found += [here if os.path.exists(here + ".index") or not os.path.exists(path + ".index") else path]
    return found


def write_state(directory, state_file, checkpoints):
    """Makes a state file name ``checkpoints``, of which the last one is the current; durable when this returns.

    Raises:
      StorageError: it cannot be written; what it said before stays.
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
    """The checkpoints of a directory by their names, the one to be taken first at the beginning: no file is read.

    That is the current one of the state file, then the others by their steps. Best ones are not ordinary ones.

    Args:
      directory: where.
      best: those that were the best on the dev set instead.

    Returns:
      List of paths without extension.
    """
    if not os.path.isdir(directory):
        return []
    found = {path[:-len(".index")] for path in glob.glob(os.path.join(glob.escape(directory), "*.index"))}
    # one that has lost its index is damaged; one that is being written or deleted is not
    found |= {path for path in {re.sub(r"\.data-\d{5}-of-\d{5}$", "", data) for data in glob.glob(
        os.path.join(glob.escape(directory), "*.data-*-of-*[0-9]"))}
        if not os.path.exists(path + TEMPORARY) and not os.path.exists(path + REMOVED)}
    kind = [path for path in found if is_best(path) == best]
    state = read_state(directory, STATE_FILES[BEST if best else ORDINARY])
    current = [path for path in state[-1:] if os.path.exists(path + ".index") or path in kind]
    return current + sorted((path for path in kind if path not in current),
                            key=lambda path: (checkpoint_step(path), path), reverse=True)


def latest_checkpoint(directory, best=False, may_move=False):
    """The newest whole checkpoint of a directory; damaged ones are passed over with a line in the log.

    Args:
      directory: where; in its ``best_models`` lie ordinary names that are best ones.
      best: the newest of the best ones instead.
      may_move: whether damaged ones are moved into ``directory/damaged``.

    Returns:
      Path without extension, or None.
    """
    for checkpoint in checkpoints_in(directory, best):
        fault = fault_of(checkpoint)
        if fault is None:
            return checkpoint
        moved = set_aside(checkpoint) if may_move and fault.is_damage else None
        log_line("Checkpoint %s is damaged: %s. %s; the one before it is taken, if there is one" % (
            checkpoint, fault.reason, "It was moved to %s" % moved if moved else "It is passed over"))
    return None


def set_aside(checkpoint):
    """Moves the files of a checkpoint into ``damaged`` beside it, so that nothing takes them for a model.

    Returns:
      The folder that they are in, or None where they cannot be moved.
    """
    folder = os.path.join(os.path.dirname(checkpoint), DAMAGED)
    files = data_files(checkpoint) + [path for path in [manifest_path(checkpoint)] if os.path.exists(path)]
    number = 1
    while os.path.exists(os.path.join(folder, os.path.basename(files[0]))):
        number += 1
        folder = os.path.join(os.path.dirname(checkpoint), "%s_%d" % (DAMAGED, number))
    try:
        os.makedirs(folder, exist_ok=True)
        # the index first: what is left of a move that is cut short is no checkpoint
        for path in reversed(files):
            os.replace(path, os.path.join(folder, os.path.basename(path)))
        return folder
    except OSError:
        return None


def remove_checkpoint(checkpoint):
    """Deletes a checkpoint's files; one that is deleted by half is no checkpoint, and the rest goes at the next start."""
    index, removed = checkpoint + ".index", checkpoint + REMOVED
    if os.path.exists(index):
        os.replace(index, removed)
    for path in data_files(checkpoint) + [manifest_path(checkpoint), removed]:
        if os.path.exists(path):
            os.remove(path)


def remove_leftovers(directory):
    """Deletes what a killed process left of checkpoints that it was writing or deleting in ``directory``.

    Returns:
      The names of what was unfinished.
    """
    names = sorted(filter(is_leftover, os.listdir(directory))) if os.path.isdir(directory) else []
    for name in names:
        path = os.path.join(directory, name)
        if os.path.isdir(path):
            checkpoint = path[:-len(TEMPORARY)]
            if not os.path.exists(checkpoint + ".index"):
                # its files had been moved here but for the last one
                remove_checkpoint(checkpoint)
            shutil.rmtree(path)
        elif name.endswith(REMOVED):
            remove_checkpoint(path[:-len(REMOVED)])
        else:
            os.remove(path)
    return names
