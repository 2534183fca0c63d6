"""The targets of tasks in batches: what is added to a Batch of any pipeline."""
import collections

import numpy as np
import tensorflow.compat.v1 as tf

from open_seq2seq.data.speech2text.buckets import LABELS_MULTIPLE
from open_seq2seq.data.speech2text.dataset import Batch
from open_seq2seq.data.tasks import FEATURES, LABEL, TRANSCRIPT, TaskTargets

TaskBatch = collections.namedtuple("TaskBatch", Batch._fields + ("targets",))
TaskBatch.__doc__ = """The input of a model with tasks: the fields of a Batch, whose labels are those of the main task, and

targets: tuple of TaskTargets, in the order of the tasks."""

_COMPLETED = 2  # batches that wait with targets


class BatchTargets:
    """Makes TaskBatches of Batches.

    They are found by the utterances' indices, with one call into Python for a batch. Targets of kind "features" come with the
    batch: its features are followed by those of the clean audio, [B, T, 2 F].

    Args:
      utterance_set: TaskUtterances.
      layout: RowLayout, without packed utterances.
      num_features: F.
    """

    def __init__(self, utterance_set, layout, num_features):
        self._kinds = [task.kind for task in utterance_set.tasks]
        self._num_features, self._layout = num_features, layout
        self._targets = utterance_set.targets

    def completed(self, dataset, bucket=None):
        """A Dataset of Batch -> a Dataset of TaskBatch.

        Args:
          dataset: the Dataset.
          bucket: with static shapes, the number of the bucket; all dimensions of the targets are static then.
        """
        sequences = [number for number, kind in enumerate(self._kinds) if kind == TRANSCRIPT]
        lengths = [None if bucket is None else self._most_labels(number, bucket) for number in sequences]
        num_features = self._num_features

        def complete(batch):
            arrays = tf.numpy_function(lambda indices: self._arrays(indices, lengths), [batch.utterance_indices],
                                       [tf.float32, tf.int32, tf.int32] + [tf.int32] * len(sequences))
            weights, label_lengths, classes = arrays[:3]
            rows, features, clean, targets = batch.features.shape.as_list()[0], batch.features, None, []
            if FEATURES in self._kinds:
                features, clean = features[:, :, :num_features], features[:, :, num_features:]
            for number, kind in enumerate(self._kinds):
                own_weights, own_lengths = weights[:, number] * batch.weights, label_lengths[:, number]
                if kind == FEATURES:
                    labels, own_lengths = clean, batch.feature_lengths
                elif kind == LABEL:
                    labels = classes[:, number]
                    labels.set_shape([rows])
                else:
                    place = sequences.index(number)
                    labels = arrays[3 + place]
                    labels.set_shape([rows, lengths[place]])
                own_weights.set_shape([rows])
                own_lengths.set_shape([rows])
                targets.append(TaskTargets(labels, own_lengths, own_weights))
            return TaskBatch(*batch._replace(features=features), targets=tuple(targets))

        return dataset.map(tf.autograph.experimental.do_not_convert(complete), num_parallel_calls=1).prefetch(_COMPLETED)

    def _arrays(self, indices, lengths):
        """(weights [B, tasks], label lengths [B, tasks], classes [B, tasks], for each transcript the labels [B, L])."""
        shape = len(indices), len(self._kinds)
        weights, label_lengths, classes = np.zeros(shape, np.float32), np.zeros(shape, np.int32), np.zeros(shape, np.int32)
        sequences = []
        for number, (kind, targets) in enumerate(zip(self._kinds, self._targets)):
            own = [targets[index] if index >= 0 else None for index in indices]
            weights[:, number] = [target is not None for target in own]
            if kind == LABEL:
                classes[:, number] = [target or 0 for target in own]
            elif kind == TRANSCRIPT:
                own = [target or () for target in own]
                label_lengths[:, number] = [len(target) for target in own]
                length = lengths[len(sequences)]
                labels = np.zeros([len(own), label_lengths[:, number].max(initial=1) if length is None else length], np.int32)
                for row, target in zip(labels, own):
                    row[:len(target)] = target
                sequences.append(labels)
        return tuple([weights, label_lengths, classes] + sequences)

    def _most_labels(self, number, bucket):
        """The labels to which a transcript is padded in a bucket."""
        rows = self._layout.first_utterances[self._layout.bucket_of_row == bucket]
        longest = max([len(self._targets[number][index] or ()) for index in rows] + [1])
        return -(-longest // LABELS_MULTIPLE) * LABELS_MULTIPLE
