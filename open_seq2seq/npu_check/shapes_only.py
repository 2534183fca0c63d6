"""A data layer without data: batches of zeros in the shapes of given buckets, for building and checking graphs."""
import collections

import numpy as np
import tensorflow.compat.v1 as tf

from open_seq2seq.data.speech2text.buckets import LABELS_MULTIPLE, Bucket, check_bucket_frames
from open_seq2seq.data.speech2text.dataset import Batch
from open_seq2seq.data.speech2text.frame_targets import PretrainingBatch
from open_seq2seq.data.speech2text.stored_features import input_width
from open_seq2seq.data.speech2text.task_rows import ClassNames
from open_seq2seq.data.speech2text.task_targets import TaskBatch
from open_seq2seq.data.speech2text.training_batches import batch_sizes, bucket_limits
from open_seq2seq.data.tasks import FEATURES, LABEL, TRANSCRIPT, TaskTargets, class_names, data_layer_params_of
from open_seq2seq.text.vocabulary import Vocabulary

CLASSES = 504  # 500 clusters and fairseq's special symbols
_Classes = collections.namedtuple("_Classes", "size characters auxiliary")


class ShapesOnlyDataLayer:
    """Replaces ``Speech2TextDataLayer`` on a machine without the audio.

    Every given length is a bucket. Its number of labels is the maximum that CTC can align: one for each output frame.

    Args: see ``Speech2TextDataLayer``; ``static_shapes`` must have ``bucket_frames``.

    Attributes:
      vocabulary: Vocabulary.
      utterances: empty.
      buckets: list of Bucket.

    Raises:
      DataError: the vocabulary cannot be read.
      ConfigError: the lengths are invalid.
    """

    batches_per_epoch = 1

    def __init__(self, params, mode, batch_size, seed=0, num_workers=1, worker_id=0, rejected_file=None, output_frames=None,
                 static_shapes=None, same_frames_on_all_workers=False, tasks=()):
        self._tasks = tasks
        self.task_vocabularies = {task.name: _labels_of(task, params) for task in tasks}
        self.num_audio_features = input_width(params, with_teacher=mode == "train")
        self.task_outputs = {name: self.num_audio_features if labels is None else labels.size
                             for name, labels in self.task_vocabularies.items()}
        main = next((task.name for task in tasks if task.is_main), None)
        self.vocabulary = self._vocabulary(params) if main is None else self.task_vocabularies[main]
        self.mode, self.batch_size, self.utterances = mode, batch_size, []
        static_shapes = bucket_limits(params, mode, static_shapes)
        lengths = list(static_shapes.bucket_frames)
        check_bucket_frames(lengths, static_shapes.max_buckets, params["pad_to"])
        # rows of each bucket's batches
        self._rows = batch_sizes(params, mode, batch_size, num_workers).of_worker(lengths)
        self.buckets = [Bucket(frames, _rounded_up(output_frames(frames) if output_frames else frames, LABELS_MULTIPLE))
                        for frames in lengths]

    @staticmethod
    def _vocabulary(params):
        return Vocabulary.from_file(params["vocab_file"])

    def training_dataset(self, first_batch=0, bucket=None, end=None):
        """An endless ``tf.data.Dataset`` of a Batch of zeros in the shape of bucket number ``bucket``."""
        return self._zeros(bucket).repeat()

    def evaluation_dataset(self, same_length_batches=None, bucket=None):
        """One Batch of zeros in the shape of bucket number ``bucket``, as a ``tf.data.Dataset``."""
        return self._zeros(bucket)

    def subset(self, count, seed):
        """This data layer: a subset may have every length."""
        return self

    def bucket_of_batch(self, number):
        """The buckets in turn."""
        return number % len(self.buckets)

    def raise_if_too_many_rejected(self, elsewhere=0):
        """Does nothing: no utterance can be rejected."""

    def _zeros(self, number):
        rows, bucket = int(self._rows[number]), self.buckets[number]
        # created by the pipeline, so that the graph has no constant of this size
        zeros = tf.data.Dataset.from_tensors(np.int32(0)).map(tf.autograph.experimental.do_not_convert(lambda zero: Batch(
            tf.zeros([rows, bucket.frames, self.num_audio_features]), tf.zeros([rows], tf.int32),
            tf.zeros([rows, bucket.labels], tf.int32), tf.zeros([rows], tf.int32), tf.zeros([rows], tf.int32) - 1,
            tf.zeros([rows]), tf.zeros([rows], tf.int64))))
        return zeros if not self._tasks else zeros.map(tf.autograph.experimental.do_not_convert(lambda batch: TaskBatch(
            *batch, targets=tuple(self._zero_targets(task, rows, bucket.frames) for task in self._tasks))))

    def _zero_targets(self, task, rows, frames):
        """The TaskTargets of a batch of zeros."""
        shape, dtype = [rows], tf.int32
        if task.kind == TRANSCRIPT:
            shape = [rows, _rounded_up(task.output_frames(frames), LABELS_MULTIPLE)]
        elif task.kind == FEATURES:
            shape, dtype = [rows, frames, self.num_audio_features], tf.float32
        return TaskTargets(tf.zeros(shape, dtype), tf.zeros([rows], tf.int32), tf.zeros([rows]))


class ShapesOnlyPretrainingLayer(ShapesOnlyDataLayer):
    """Replaces ``PretrainingDataLayer``; every label set has :data:`CLASSES` classes."""

    def __init__(self, params, mode, batch_size, seed=0, num_workers=1, worker_id=0, rejected_file=None, output_frames=None,
                 static_shapes=None, same_frames_on_all_workers=False):
        super().__init__(params, mode, batch_size, seed, num_workers, worker_id, rejected_file, output_frames, static_shapes,
                         same_frames_on_all_workers)
        self._sets, self._output_frames = len(params["label_sets"] + params["auxiliary_sets"]), output_frames

    @staticmethod
    def _vocabulary(params):
        return _Classes((CLASSES,) * len(params["label_sets"] + params["auxiliary_sets"]), None, len(params["auxiliary_sets"]))

    def _zeros(self, number):
        rows, outputs = int(self._rows[number]), int(self._output_frames(self.buckets[number].frames))
        return super()._zeros(number).map(tf.autograph.experimental.do_not_convert(lambda batch: PretrainingBatch(
            *batch, targets=tf.zeros([rows, outputs, self._sets], tf.int32), mask=tf.zeros([rows, outputs], tf.bool))))


def _labels_of(task, params):
    """The Vocabulary or the ClassNames of a task, two classes where the training data determine them; None of features."""
    if task.kind == FEATURES:
        return None
    if task.kind == LABEL:
        return ClassNames(class_names(task.params) or ["1", "2"])
    return Vocabulary.from_file(data_layer_params_of(params, task.params)["vocab_file"])


def _rounded_up(number, multiple):
    return -(-max(number, 1) // multiple) * multiple
