"""Atomic, durable writing of checkpoints: no reader sees half of one, whatever happens to the process, the disk or the power.

A checkpoint is written into a folder of its own, ``NAME-STEP.tmp``, and brought to the disk there. Then its files are moved out,
the index last: without it no reader takes them for a checkpoint. Then the state file names it, and after that older ones are
deleted. The format is that of ``tf.train.Saver``.
"""
import json
import os
import shutil

import tensorflow.compat.v1 as tf

from open_seq2seq.checkpoints.files import (
    ORDINARY,
    STATE_FILES,
    TEMPORARY,
    checkpoint_step,
    checkpoints_in,
    read_state,
    remove_checkpoint,
    write_state,
)
from open_seq2seq.checkpoints.graph_variables import graph_variables
from open_seq2seq.checkpoints.manifest import data_files, make_manifest, manifest_path
from open_seq2seq.checkpoints.subword_model import KEY, keep_model
from open_seq2seq.errors import StorageError
from open_seq2seq.files import sync


class TensorFiles:
    """Writes named arrays into the files of a TensorFlow checkpoint, on the CPU and in a session of its own."""

    def __init__(self):
        self._names, self._session, self._placeholders, self._prefix, self._write = None, None, None, None, None

    def write(self, prefix, values):
        """Writes ``prefix.index`` and ``prefix.data-00000-of-00001``.

        Args:
          prefix: path without extension.
          values: dict name -> array.

        Raises:
          tf.errors.OpError: TensorFlow cannot write them.
        """
        kinds = [(name, values[name].dtype) for name in sorted(values)]
        if kinds != self._names:
            self._build(kinds)
        feeds = {placeholder: values[name] for placeholder, (name, _) in zip(self._placeholders, kinds)}
        feeds[self._prefix] = prefix
        self._session.run(self._write, feeds)

    def _build(self, kinds):
        self.close()
        with tf.Graph().as_default() as graph:
            self._prefix = tf.placeholder(tf.string, [])
            self._placeholders = [tf.placeholder(tf.as_dtype(dtype)) for _, dtype in kinds]
            self._write = tf.raw_ops.SaveV2(prefix=self._prefix, tensor_names=[name for name, _ in kinds],
                                            shape_and_slices=[""] * len(kinds), tensors=self._placeholders)
        # a thread of its own: writing takes none of the training's
        self._session = tf.Session(graph=graph, config=tf.ConfigProto(
            device_count={"CPU": 1, "GPU": 0}, inter_op_parallelism_threads=1, intra_op_parallelism_threads=1,
            use_per_session_threads=True))
        self._names = kinds

    def close(self):
        if self._session is not None:
            self._session.close()
            self._session = self._names = None


def write_checkpoint(checkpoint, values, facts, files=None):
    """Writes a checkpoint with its manifest. When this returns it is on the disk; before, no checkpoint of that name exists.

    Args:
      checkpoint: path without extension, ``DIRECTORY/NAME-STEP``; the directory is made.
      values: dict of variables' names -> arrays.
      facts: dict for JSON, what the manifest contains in addition to sizes and checksums.
      files: the :class:`TensorFiles` to use again for checkpoints of the same variables.

    Returns:
      Number of bytes written.

    Raises:
      StorageError: the disk is full, or the directory cannot be written. What was there before is unchanged.
    """
    directory, temporary = os.path.dirname(checkpoint) or ".", checkpoint + TEMPORARY
    try:
        os.makedirs(directory, exist_ok=True)
        if os.path.isdir(temporary):
            shutil.rmtree(temporary)
        os.mkdir(temporary)
        prefix = os.path.join(temporary, os.path.basename(checkpoint))
        (files or TensorFiles()).write(prefix, values)
        with open(manifest_path(prefix), "w", encoding="utf-8") as file:
            json.dump(make_manifest(prefix, facts), file, indent=1, sort_keys=True)
            file.write("\n")
        written = [manifest_path(prefix)] + data_files(prefix)
        size = sum(os.path.getsize(path) for path in written)
        for path in written:
            sync(path)
        if os.path.exists(checkpoint + ".index"):
            remove_checkpoint(checkpoint)  # of the same step, from an earlier run with --no_dir_check
        for path in written:
            os.replace(path, os.path.join(directory, os.path.basename(path)))
        sync(directory)
        os.rmdir(temporary)
        return size
    except (OSError, tf.errors.OpError, ValueError) as error:
        if os.path.isdir(temporary):
            _remove_incomplete(checkpoint, temporary)
        raise StorageError("cannot save checkpoint %s: %s. Free some space or fix the permissions" % (checkpoint, _reason(error)))


def _remove_incomplete(checkpoint, temporary):
    """Removes what was written of a checkpoint, as far as that is possible; the next training removes the rest."""
    try:
        if not os.path.exists(checkpoint + ".index"):
            remove_checkpoint(checkpoint)
        shutil.rmtree(temporary)
    except OSError:
        pass


def _reason(error):
    return (getattr(error, "strerror", None) or getattr(error, "message", None) or str(error)).split("\n")[0]


class CheckpointWriter:
    """The checkpoints ``directory/NAME-STEP`` of a training, of which the last ``keep`` are kept.

    Args:
      directory: where to.
      keep: how many to keep.
      name: the file name before ``-STEP``, ORDINARY or BEST.
      confirm: function that raises an exception if the directory belongs to another training; called before every write.
    """

    def __init__(self, directory, keep, name=ORDINARY, confirm=lambda: None):
        self._directory, self._keep, self._name, self._confirm = directory, keep, name, confirm
        self._kept, self._files = [], TensorFiles()

    def recover(self):
        """Finds the checkpoints of an earlier process, which are deleted in turn like this one's."""
        named = [path for path in read_state(self._directory, STATE_FILES[self._name]) if os.path.exists(path + ".index")]
        # not in the state file: the earlier process was killed before it wrote the entry, or the state file is damaged
        unnamed = [path for path in checkpoints_in(self._directory, best=self._name != ORDINARY)
                   if path not in named and os.path.basename(path).startswith(self._name + "-")
                   and os.path.exists(manifest_path(path))
                   and (not named or checkpoint_step(path) > checkpoint_step(named[-1]))]
        self._kept = sorted(unnamed, key=checkpoint_step) + named

    def write(self, step, values, facts, subword_model=None):
        """Writes one checkpoint, adds it to the state file, and deletes the oldest ones beyond ``keep``.

        Args:
          step: int.
          values: dict of variables' names -> arrays.
          facts: dict for JSON for the manifest.
          subword_model: bytes of the SentencePiece model, whose digest is among the facts; None without one.

        Returns:
          (path without extension, bytes written).

        Raises:
          StorageError: the disk is full or the directory not writable.
          DirectoryInUse: the directory belongs to another training; nothing was written.
        """
        self._confirm()
        checkpoint = os.path.join(self._directory, "%s-%d" % (self._name, step))
        try:
            if subword_model is not None:
                keep_model(checkpoint, subword_model, facts[KEY])
            size = write_checkpoint(checkpoint, values, dict(facts, step=step), self._files)
        except StorageError as error:
            raise StorageError("%s, then resume from the previous checkpoint with --continue_learning" % error)
        self._kept = [path for path in self._kept if path != checkpoint] + [checkpoint]
        # surplus ones are listed until they are deleted: after a kill in between, the next process deletes them
        write_state(self._directory, STATE_FILES[self._name], self._kept)
        surplus, self._kept = self._kept[:-self._keep], self._kept[-self._keep:]
        for path in surplus:
            try:
                remove_checkpoint(path)
            except OSError as error:
                raise StorageError("cannot delete the old checkpoint %s: %s. Fix the permissions, then resume from %s with "
                                   "--continue_learning" % (path, _reason(error), checkpoint))
        if surplus:
            write_state(self._directory, STATE_FILES[self._name], self._kept)
        return checkpoint, size

    def save(self, session, step):
        """Writes all variables of the session's graph as ``session`` holds them; returns the path without extension."""
        return self.write(step, graph_variables(session.graph).read(session), {})[0]

    def close(self):
        self._files.close()
