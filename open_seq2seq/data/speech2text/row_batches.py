"""Batches whose rows are arrays of features: one call into Python for a batch, which puts every row in its place."""
import collections

import numpy as np
import tensorflow.compat.v1 as tf

from open_seq2seq.data.rejection import RejectedData
from open_seq2seq.data.speech2text.dataset import ENDLESS, PREFETCHED_BATCHES, Batch

_ALIGNMENT = 64     # bytes; TensorFlow uses an array that begins at a multiple of it without copying it

Rows = collections.namedtuple("Rows", "features lengths labels missing")
Rows.__doc__ = """The rows of a batch.

features: [B, T, F], 0 after the lengths. lengths: int32 [B]. labels: list of sequences of int. missing: set of the numbers of
rows that cannot be read; their features, length and labels are empty."""


class RowPipeline:
    """Has the interface of :class:`~open_seq2seq.data.speech2text.dataset.FeaturePipeline`, and gives the same batches.

    An utterance that has become unusable leaves a padding row, and is dropped in an evaluation without static shapes.

    Args:
      source: :class:`CachedRows` or :class:`ComputedRows`.
      masks: function (features [B, T, F], lengths [B], seeds [B, 2]) -> features; None: no masks.
      seed: of the masks; an utterance's seed is (seed, position).
      num_parallel_calls: batches to read in parallel.
    """

    def __init__(self, source, masks, seed, num_parallel_calls):
        self._source, self._masks, self._seed, self._num_parallel_calls = source, masks, seed, num_parallel_calls

    def training_dataset(self, request_of, first_batch, batch_size, keep_rows=False, end=ENDLESS):
        """See FeaturePipeline, with ``keep_rows`` True."""
        return self._dataset(tf.data.Dataset.range(first_batch, end), request_of, batch_size)

    def static_dataset(self, request_of, numbers, batch_size, bucket):
        """See FeaturePipeline."""
        first, end = numbers
        return self._dataset(tf.data.Dataset.range(first, ENDLESS if end is None else end), request_of, batch_size, bucket)

    def evaluation_dataset(self, batches, batch_size):
        """See FeaturePipeline."""
        def request_of(number):
            indices = np.asarray(batches[number], np.int64)
            return indices, np.zeros_like(indices), np.ones([len(indices)], np.float32), np.ones([len(indices)], np.int32)

        dataset = self._dataset(tf.data.Dataset.range(len(batches)), request_of, None, keep_rows=False)
        return dataset.filter(tf.autograph.experimental.do_not_convert(lambda batch: tf.size(batch.feature_lengths) > 0))

    def _dataset(self, numbers, request_of, batch_size, bucket=None, keep_rows=True):
        def requested(number):
            return tuple(tf.numpy_function(request_of, [number], [tf.int64, tf.int64, tf.float32, tf.int32]))

        def read(indices, positions, weights, frames):
            features, lengths, labels, label_lengths, indices, rows = tf.numpy_function(
                lambda *request: self._read(bucket, keep_rows, *request), [indices, positions, frames],
                [tf.as_dtype(self._source.dtype)] + 5 * [tf.int32])
            usable = tf.cast(indices >= 0, tf.float32)
            weights, positions = tf.gather(weights, rows) * usable, tf.gather(positions, rows)
            features.set_shape([batch_size, None if bucket is None else bucket.frames, self._source.width])
            labels.set_shape([batch_size, None if bucket is None else bucket.labels])
            features = tf.cast(features, tf.float32)
            if self._masks is not None:
                seeds = tf.stack([tf.fill(tf.shape(positions), tf.constant(self._seed, tf.int64)), positions], 1)
                features = self._masks(features, lengths, seeds)
            batch = Batch(features, lengths, labels, label_lengths, indices, weights, positions)
            for tensor in batch[1:2] + batch[3:]:
                tensor.set_shape([batch_size])
            return batch

        plain = tf.autograph.experimental.do_not_convert
        # requests have a state, so they are made one after the other
        return numbers.map(plain(requested)).map(plain(read), num_parallel_calls=self._num_parallel_calls).prefetch(
            PREFETCHED_BATCHES)

    def _read(self, bucket, keep_rows, indices, positions, frames, rows=None):
        """(features [B, T, F], lengths [B], labels [B, L], label lengths [B], indices [B], rows [B]) of a request.

        rows: numbers of the request's rows that are left.
        """
        rows = np.arange(len(indices), dtype=np.int32) if rows is None else rows
        read = self._source.rows(indices, positions, frames, bucket)
        if read.missing and not keep_rows:
            kept = np.array([row not in read.missing for row in range(len(indices))])
            return self._read(bucket, keep_rows, indices[kept], positions[kept], frames[kept], rows[kept])
        indices = np.array([-1 if row in read.missing else index for row, index in enumerate(indices)], np.int32)
        label_lengths = np.array([len(of_row) for of_row in read.labels], np.int32)
        labels = np.zeros([len(indices), label_lengths.max(initial=0) if bucket is None else bucket.labels], np.int32)
        for row, of_row in enumerate(read.labels):
            labels[row, :len(of_row)] = of_row
        return read.features, read.lengths, labels, label_lengths, indices, rows


class CachedRows:
    """Reads the rows from a complete cache of features.

    Args:
      cache: FeatureCache of features in which every utterance has a usable record.
      utterances: list of Utterance.
      pad_to: the batch's frames are padded to a multiple of this; 0 or less: only to its longest utterance.
      reject: function (index, RejectedData) that reports an utterance whose record is damaged and cannot be computed again.
    """

    def __init__(self, cache, utterances, pad_to, reject):
        self._cache, self._utterances, self._pad_to, self._reject = cache, utterances, pad_to, reject
        self._lengths = cache.rows()
        self.dtype, self.width = cache.content.dtype, cache.content.width

    def rows(self, indices, positions, frames, bucket):
        """The :class:`Rows` of a batch.

        Args:
          indices: int [B], of utterances; -1 for a padding row.
          positions: int [B], see ``Batch``.
          frames: int [B], the features are padded to at least that many frames.
          bucket: Bucket with the frames of the batch; None: as many as are needed.
        """
        lengths, missing = np.where(indices >= 0, self._lengths[indices], 0).astype(np.int32), set()
        length, row_bytes = _padded_length(lengths, frames, bucket, self._pad_to), self._cache.content.row_bytes
        batch = _aligned_bytes(len(indices) * length * row_bytes).reshape(len(indices), length * row_bytes)
        for row, (index, end) in enumerate(zip(indices, lengths * row_bytes)):
            try:
                if index >= 0:
                    self._cache.read_into(index, batch[row, :end])
            except RejectedData as error:
                self._reject(index, error)
                missing.add(row)
                end = lengths[row] = 0
            batch[row, end:] = 0
        labels = [self._utterances[index].labels if index >= 0 and row not in missing else ()
                  for row, index in enumerate(indices)]
        features = batch.view(self._cache.content.little_endian).reshape(len(indices), length, self.width)
        return Rows(features, lengths, labels, missing)


class ComputedRows:
    """Computes the rows from audio files.

    Args:
      load: function int index -> (float32 [samples] waveform, labels); an empty waveform means that the file has become unusable.
      features_of: function (waveform, seed [2]) -> float32 [frames, width].
      width: features per frame.
      pad_to: see :class:`CachedRows`.
      seed: an utterance's seed is (seed, position).
    """

    dtype = np.dtype(np.float32)

    def __init__(self, load, features_of, width, pad_to, seed):
        self._load, self._features_of, self.width, self._pad_to, self._seed = load, features_of, width, pad_to, seed

    def rows(self, indices, positions, frames, bucket):
        """See :class:`CachedRows`. A row of more frames than the bucket has is an error of the caller: ValueError."""
        computed, labels, missing = [], [], set()
        nothing = np.zeros([0, self.width], np.float32), ()
        for row, (index, position) in enumerate(zip(indices.tolist(), positions.tolist())):
            features, of_row = nothing
            if index >= 0:
                waveform, of_row = self._load(index)
                if len(waveform):
                    features = self._features_of(waveform, (self._seed, position))
                else:
                    missing.add(row)
            computed.append(features)
            labels.append(of_row)
        lengths = np.array([len(features) for features in computed], np.int32)
        length = _padded_length(lengths, frames, bucket, self._pad_to)
        batch = _aligned_bytes(len(indices) * length * self.width * self.dtype.itemsize).view(self.dtype)
        batch = batch.reshape(len(indices), length, self.width)
        for row, features in enumerate(computed):
            batch[row, :len(features)] = features
            batch[row, len(features):] = 0
        return Rows(batch, lengths, labels, missing)


def _padded_length(lengths, frames, bucket, pad_to):
    """The frames of a batch."""
    if bucket is not None:
        return bucket.frames
    length = max(int(lengths.max(initial=0)), int(frames.max(initial=0)))
    return length + -length % max(pad_to, 1)


def _aligned_bytes(count):
    """An uninitialized uint8 array that begins at a multiple of the alignment."""
    memory = np.empty([count + _ALIGNMENT], np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    return memory[start:start + count]
