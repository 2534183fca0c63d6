"""Batches of non-finite steps, kept for ``--mode=replay``: a file for each batch, and the weights that it was computed with.

``bad_batches/step-N-batch-M.npz`` (``step-N-batch-M-rank-R.npz`` of several ranks) has the batch. The weights, which a skipped
step does not change, are the checkpoint ``step-N.weights``, written by one rank of each machine.
"""
import collections
import glob
import json
import os
import re
import shutil
import zipfile

import numpy as np
import tensorflow.compat.v1 as tf

import open_seq2seq
from open_seq2seq.data.speech2text.dataset import Batch
from open_seq2seq.data.speech2text.frame_targets import PretrainingBatch, as_batch
from open_seq2seq.data.speech2text.task_targets import TaskBatch
from open_seq2seq.data.tasks import TaskTargets
from open_seq2seq.errors import DataError, StorageError
from open_seq2seq.experiment.saving import flattened, plain
from open_seq2seq.files import replaced_file

FOLDER = "bad_batches"
_FACTS, _FIELD = "facts", "batch/"
_BATCH = re.compile(r"step-\d+-batch-\d+(-rank-\d+)?\.npz$")
_WEIGHTS = re.compile(r"step-\d+\.weights\.")
_NEEDED = ("features", "feature_lengths", "labels", "label_lengths", "utterance_indices")
# disk space that must stay free, in checkpoints of the run: a kept batch must not prevent the next checkpoint
RESERVED_CHECKPOINTS = 2

BadBatch = collections.namedtuple("BadBatch", "path batch facts weights")
BadBatch.__doc__ = """A batch of a non-finite step.

path: of its file. batch: a Batch of arrays. facts: dict of step, batch (its number in the stream of training batches), rank,
ranks, loss, loss_scale, device, half_precision, vocabulary_size, version, config (see ``computing_config``) and utterances (list
of dicts of id, duration and transcript, one for each row of the batch). weights: path of the checkpoint of the weights without
extension.
"""


class BadBatches:
    """The folder of kept batches.

    Args:
      directory: the folder. It is created with the first batch; batches of earlier processes are removed then.
      group: the ``ProcessGroup``.
      checkpoint_bytes: approximate size of a checkpoint of the run.
    """

    def __init__(self, directory, group, checkpoint_bytes):
        self._directory, self._group, self._checkpoint_bytes = directory, group, checkpoint_bytes
        self._suffix = "-rank-%d" % group.rank if group.size > 1 else ""
        self._cleared = False

    def save_weights(self, step, weights):
        """Writes the weights of step ``step``, once; on one rank of a machine, for all of its ranks.

        Args:
          step: int.
          weights: dict from names of variables to arrays.

        Raises:
          StorageError: the disk has too little space, or the folder cannot be written.
        """
        if self._group.local_rank:
            return
        path = self._weights_of(step)
        self._prepare(sum(value.nbytes for value in weights.values()))
        if not os.path.exists(path + ".index"):
            _write_checkpoint(path, weights)

    def save(self, batch, facts):
        """Writes a batch.

        Args:
          batch: a Batch of arrays.
          facts: dict, see :class:`BadBatch`.

        Returns:
          The path of the file.

        Raises:
          StorageError: the disk has too little space, or the folder cannot be written.
        """
        fields = {_FIELD + name: value for name, value in _as_arrays(batch).items() if value is not None}
        self._prepare(sum(value.nbytes for value in fields.values()))
        path = os.path.join(self._directory, "step-%d-batch-%d%s.npz" % (facts["step"], facts["batch"], self._suffix))
        text = json.dumps(dict(facts, version=open_seq2seq.__version__,
                               weights=os.path.basename(self._weights_of(facts["step"]))), ensure_ascii=False)
        with replaced_file(path, "wb") as file:
            np.savez(file, **dict(fields, **{_FACTS: np.array(text)}))
        return path

    def _weights_of(self, step):
        return os.path.join(self._directory, "step-%d.weights" % step)

    def _prepare(self, size):
        try:
            os.makedirs(self._directory, exist_ok=True)
            if not self._cleared:
                self._clear()
            free = shutil.disk_usage(self._directory).free
        except OSError as error:
            raise StorageError("cannot write %s: %s" % (self._directory, error.strerror))
        self._cleared = True
        needed = size + RESERVED_CHECKPOINTS * self._checkpoint_bytes
        if free < needed:
            raise StorageError("%s has %.1f GB free; %.1f GB are needed for the batch, its weights and the next checkpoints"
                               % (self._directory, free / 1e9, needed / 1e9))

    def _clear(self):
        """Removes the files that an earlier process of this rank has written."""
        own = re.compile(r"step-\d+-batch-\d+%s\.npz$" % self._suffix)
        for name in os.listdir(self._directory):
            if own.match(name) or (self._group.local_rank == 0 and _WEIGHTS.match(name)):
                os.remove(os.path.join(self._directory, name))


def computing_config(params):
    """The keys of a checked config that the numbers of a batch depend on: dict from a key's path to its value as text."""
    parts = tuple("%s%s" % (part, ending) for part in ("encoder", "decoder", "loss", "data_layer") for ending in ("", "_params/"))
    return {path: repr(value) for path, value in flattened(plain(params))
            if path in parts or (path.startswith(parts[1::2] + ("tasks/",)) and "dataset_files" not in path)}


def newest_bad_batch(directory):
    """Path of the newest batch in the folder ``directory``, or None."""
    files = [path for path in glob.glob(os.path.join(glob.escape(directory), "step-*.npz"))
             if _BATCH.match(os.path.basename(path))]
    return max(files, key=lambda path: (os.path.getmtime(path), path)) if files else None


def load_bad_batch(path):
    """Reads a batch.

    Returns:
      BadBatch.

    Raises:
      DataError: the file is missing, damaged, or not a kept batch.
    """
    if not os.path.isfile(path):
        raise DataError("batch %s does not exist; expected a file that a training wrote into %s/" % (path, FOLDER))
    try:
        if not zipfile.is_zipfile(path):
            raise ValueError("it is not a NumPy archive, or it is truncated")
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    # what NumPy raises depends on where a file is cut
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zipfile.zlib.error) as error:
        raise DataError("batch %s cannot be read: %s. It is damaged, or not a batch of %s/; choose another"
                        % (path, str(error).split("\n")[0] or type(error).__name__, FOLDER))
    fields = {name[len(_FIELD):]: value for name, value in arrays.items() if name.startswith(_FIELD)}
    try:
        facts = json.loads(str(arrays[_FACTS]))
        batch = _as_batch(fields)
        _check(batch, facts)
    except (KeyError, TypeError, ValueError, RecursionError, OverflowError) as error:
        raise DataError("batch %s is not a batch that a training writes into %s/: %s" % (path, FOLDER, error))
    return BadBatch(path, batch, facts, os.path.join(os.path.dirname(path), os.path.basename(facts["weights"])))


_TASK = "task_"  # followed by the number of a task and a field of its TaskTargets


def _as_arrays(batch):
    """Dict from names to the arrays of a batch; those of the tasks' targets are e.g. "task_0_labels"."""
    fields = batch._asdict()
    if isinstance(batch, TaskBatch):
        for number, targets in enumerate(fields.pop("targets")):
            fields.update(("%s%d_%s" % (_TASK, number, name), array) for name, array in targets._asdict().items())
    return fields


def _as_batch(fields):
    """The batch of which :func:`_as_arrays` made ``fields``."""
    count = sum(name.startswith(_TASK) and name.endswith("_weights") for name in fields)
    kind = TaskBatch if count else PretrainingBatch if "targets" in fields else Batch
    values = {name: fields.get(name) for name in kind._fields}
    if count:
        values["targets"] = tuple(TaskTargets(*[fields["%s%d_%s" % (_TASK, number, name)] for name in TaskTargets._fields])
                                  for number in range(count))
    return kind(**values)


def _check(batch, facts):
    missing = [name for name in _NEEDED if getattr(batch, name) is None]
    if missing:
        raise ValueError("it has no %s" % ", ".join(missing))
    rows = len(batch.features)
    wrong = [name for name, value in _as_arrays(batch).items()
             if value is not None and value.ndim and len(value) != rows]
    if batch.features.ndim != 3 or batch.labels.ndim != 2 or wrong or len(facts["utterances"]) != rows:
        raise ValueError("its arrays do not fit together")
    for name, kind in (("step", int), ("batch", int), ("rank", int), ("ranks", int), ("loss", float), ("loss_scale", float),
                       ("device", str), ("half_precision", bool), ("weights", str)):
        if not isinstance(facts[name], kind):
            raise ValueError("%s is %r" % (name, facts[name]))
    # of pre-training: the classes of each label set; of tasks: the sizes of their outputs
    sizes = facts["vocabulary_size"]
    if isinstance(batch, TaskBatch):
        sizes = list(sizes.values())
    elif not isinstance(batch, PretrainingBatch):
        sizes = [sizes]
    if not sizes or not all(type(size) is int and size > 0 for size in sizes):
        raise ValueError("vocabulary_size is %r" % (facts["vocabulary_size"],))
    for number, utterance in enumerate(facts["utterances"]):
        if [type(utterance[name]) for name in ("id", "duration", "transcript")] != [str, float, str]:
            raise ValueError("utterance %d is %r" % (number, utterance))
    if isinstance(batch, PretrainingBatch):
        _check_targets(batch, sizes)
    _check_lengths(batch, sum(sizes))


def _check_targets(batch, sizes):
    targets, mask = batch.targets, batch.mask
    if targets.dtype != np.int32 or mask is None or mask.dtype != bool or targets.ndim != 3 or targets.shape[:2] != mask.shape \
            or targets.shape[2] != len(sizes):
        raise ValueError("its targets and masks do not fit together")
    if targets.size and (targets.max((0, 1)) >= sizes).any():
        raise ValueError("it has a target that is not among the %s classes" % " and ".join(map(str, sizes)))


def _check_lengths(batch, vocabulary_size):
    types = [("features", np.float32), ("feature_lengths", np.int32), ("labels", np.int32), ("label_lengths", np.int32),
             ("utterance_indices", np.int32)]
    wrong = [name for name, dtype in types if getattr(batch, name).dtype != dtype]
    if wrong:
        raise ValueError("%s has the type %s" % (wrong[0], getattr(batch, wrong[0]).dtype))
    for lengths, most, what in ((batch.feature_lengths, batch.features.shape[1], "frames"),
                                (batch.label_lengths, batch.labels.shape[1], "labels")):
        if not batch.features.size or lengths.min() < 0 or lengths.max() > most:
            raise ValueError("the length of a row is not within 0 to %d %s" % (most, what))
    # with static shapes the labels are padded with the blank, whose number is that of the labels
    if batch.labels.size and not 0 <= batch.labels.min() <= batch.labels.max() <= vocabulary_size:
        raise ValueError("it has a label that is not among the %d of the vocabulary" % vocabulary_size)


def _write_checkpoint(path, values):
    """Writes arrays as a TensorFlow checkpoint; the index, which makes it valid, is written last."""
    with tf.Graph().as_default(), tf.Session(config=tf.ConfigProto(device_count={"GPU": 0})) as session:
        feed = {tf.placeholder(value.dtype, value.shape): value for value in values.values()}
        write = tf.raw_ops.SaveV2(prefix=path, tensor_names=list(values), shape_and_slices=[""] * len(values),
                                  tensors=list(feed))
        try:
            session.run(write, feed)
        except tf.errors.OpError as error:
            raise StorageError("cannot write %s: %s" % (path, error.message.split("\n")[0]))


def recreated_batch(data_layer, number):
    """Batch ``number`` of this rank's stream of training batches, as arrays; it follows from its position in the stream."""
    bucket = data_layer.bucket_of_batch(number) if data_layer.buckets else None
    with tf.Graph().as_default(), tf.Session(config=tf.ConfigProto(device_count={"GPU": 0})) as session:
        iterator = tf.data.make_initializable_iterator(data_layer.training_dataset(number, bucket))
        batch = as_batch(iterator.get_next())
        session.run(iterator.initializer)
        return session.run(batch)
