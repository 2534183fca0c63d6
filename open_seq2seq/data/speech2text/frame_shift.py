"""Other alignments of the sub-sampling: in every epoch an utterance's features begin with another frame.

An encoder with stride 2 computes outputs for frames 0, 2, 4, ... of an utterance. Without its first frame they are those for 1,
3, 5, ...: other inputs for the same transcript. Kaldi trains on all alignments in turn ("frame shift" of its examples).
"""
import itertools
import threading

import numpy as np
import tensorflow.compat.v1 as tf

from open_seq2seq.data.speech2text.selection import Labels, frames_to_align


class FrameShifts:
    """Removes frames at the beginning of the utterances of training batches: the number of the epoch modulo ``count``.

    A shift depends only on an utterance's position in the stream, so a resumed run and any number of workers have the same ones.

    Args:
      count: int, the number of alignments, at least 2.
      epoch_of: function int64 [B] positions -> int64 [B], the epochs that the rows belong to; it may keep a state.
      row_of: function of a row's value in ``utterance_indices`` -> the Row.
      output_frames: function int feature frames -> int encoder frames; None: equally many.
      labels_of: function of a row's value in ``utterance_indices`` -> list of all Labels that must still be aligned; None:
        those of the row.
    """

    def __init__(self, count, epoch_of, row_of, output_frames=None, labels_of=None):
        self._count, self._epoch_of = count, epoch_of
        self._labels_of = labels_of or (lambda index: [Labels(row_of(index).labels, output_frames)])
        self._needed, self._lock = {}, threading.Lock()

    def _frames_needed(self, index):
        """The fewest frames that the transcripts of a row need."""
        return max([1] + [self._fewest(frames_to_align(own.labels), own.output_frames) for own in self._labels_of(index)])

    def _fewest(self, labels, output_frames):
        if output_frames is None:
            return labels
        key = labels, output_frames
        if key not in self._needed:
            self._needed[key] = next(frames for frames in itertools.count(max(labels, 1)) if output_frames(frames) >= labels)
        return self._needed[key]

    def of_rows(self, positions, lengths, indices):
        """int32 [B]: the frames to remove from the rows of a batch.

        Args:
          positions, lengths, indices: [B], see ``Batch``. An utterance that would be too short for its transcript, and a padding
            row, is not changed.
        """
        with self._lock:
            shifts = (self._epoch_of(np.asarray(positions, np.int64)) % self._count).astype(np.int32)
        for row in np.flatnonzero(shifts):
            if indices[row] < 0 or lengths[row] - shifts[row] < self._frames_needed(int(indices[row])):
                shifts[row] = 0
        return shifts

    def applied(self, dataset):
        """A ``tf.data.Dataset`` of training Batch -> the same with shifted features; shapes do not change."""
        return dataset.map(tf.autograph.experimental.do_not_convert(self._shifted), num_parallel_calls=1).prefetch(1)

    def _shifted(self, batch):
        shifts = tf.numpy_function(self.of_rows, [batch.positions, batch.feature_lengths, batch.utterance_indices], tf.int32)
        shifts.set_shape(batch.feature_lengths.shape)
        targets = tuple(self._of_task(target, shifts) for target in getattr(batch, "targets", ()))
        batch = batch._replace(features=self._moved(batch.features, shifts), feature_lengths=batch.feature_lengths - shifts)
        return batch._replace(targets=targets) if targets else batch

    def _of_task(self, target, shifts):
        """Targets that are features begin with the same frame."""
        if target.labels.shape.ndims != 3:
            return target
        return target._replace(labels=self._moved(target.labels, shifts), label_lengths=target.label_lengths - shifts * tf.cast(
            target.label_lengths > 0, tf.int32))

    def _moved(self, features, shifts):
        moved = features
        for shift in range(1, self._count):
            without = tf.pad(features[:, shift:], [[0, 0], [0, tf.minimum(shift, tf.shape(features)[1])], [0, 0]])
            without.set_shape(features.shape)
            moved = tf.where(tf.equal(shifts, shift), without, moved)
        return moved
