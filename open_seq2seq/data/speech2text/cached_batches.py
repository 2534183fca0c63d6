"""Batches from a complete cache of features: one call into Python for a batch, which reads every row to its place."""
import numpy as np
import tensorflow.compat.v1 as tf

from open_seq2seq.data.rejection import RejectedData
from open_seq2seq.data.speech2text.dataset import ENDLESS, PREFETCHED_BATCHES, Batch

_ALIGNMENT = 64     # bytes; TensorFlow uses an array that begins at a multiple of it without copying it


class CachedPipeline:
    """Has the interface of :class:`~open_seq2seq.data.speech2text.dataset.FeaturePipeline`, and gives the same batches.

    Args:
      cache: FeatureCache of features in which every utterance has a usable record.
      utterances: list of Utterance.
      masks: function (features [B, T, F], lengths [B], seeds [B, 2]) -> features; None: no masks.
      pad_to: the batch's frames are padded to a multiple of this; 0 or less: only to its longest utterance.
      seed: of the masks; an utterance's seed is (seed, position).
      num_parallel_calls: batches to read in parallel.
      reject: function (index, RejectedData) that reports an utterance whose record is damaged and cannot be computed again. Its
        row becomes a padding row, and is dropped in an evaluation without static shapes.
    """

    def __init__(self, cache, utterances, masks, pad_to, seed, num_parallel_calls, reject):
        self._cache, self._utterances, self._masks, self._seed, self._reject = cache, utterances, masks, seed, reject
        self._rows = cache.rows()
        self._pad_to, self._num_parallel_calls = max(pad_to, 1), num_parallel_calls

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
                lambda *request: self._read(bucket, keep_rows, *request), [indices, frames],
                [tf.as_dtype(self._cache.content.dtype)] + 5 * [tf.int32])
            usable = tf.cast(indices >= 0, tf.float32)
            weights, positions = tf.gather(weights, rows) * usable, tf.gather(positions, rows)
            features.set_shape([batch_size, None if bucket is None else bucket.frames, self._cache.content.width])
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

    def _read(self, bucket, keep_rows, indices, frames, rows=None):
        """(features [B, T, F], lengths [B], labels [B, L], label lengths [B], indices [B], rows [B]) of a request.

        rows: numbers of the request's rows that are left.
        """
        rows = np.arange(len(indices), dtype=np.int32) if rows is None else rows
        features, rejected = self._features(bucket, indices, frames)
        if rejected and not keep_rows:
            kept = np.array([row for row in range(len(indices)) if row not in rejected], np.int64)
            return self._read(bucket, keep_rows, indices[kept], frames[kept], rows[kept])
        indices = np.array([-1 if row in rejected else index for row, index in enumerate(indices)], np.int32)
        labels = [self._utterances[index].labels if index >= 0 else () for index in indices]
        label_lengths = np.array([len(of_row) for of_row in labels], np.int32)
        padded_labels = np.zeros([len(labels), label_lengths.max(initial=0) if bucket is None else bucket.labels], np.int32)
        for row, of_row in enumerate(labels):
            padded_labels[row, :len(of_row)] = of_row
        return features, self._lengths(indices), padded_labels, label_lengths, indices, rows

    def _lengths(self, indices):
        return np.where(indices >= 0, self._rows[indices], 0).astype(np.int32)

    def _features(self, bucket, indices, frames):
        """([B, T, F] in the type of the cache, set of rows that cannot be read)."""
        lengths, rejected = self._lengths(indices), set()
        length = bucket.frames if bucket is not None else max(int(lengths.max(initial=0)), int(frames.max(initial=0)))
        if bucket is None:
            length += -length % self._pad_to
        row_bytes = self._cache.content.row_bytes
        batch = _aligned_bytes(len(indices) * length * row_bytes).reshape(len(indices), length * row_bytes)
        for row, (index, end) in enumerate(zip(indices, lengths * row_bytes)):
            try:
                if index >= 0:
                    self._cache.read_into(index, batch[row, :end])
            except RejectedData as error:
                self._reject(index, error)
                rejected.add(row)
                end = 0
            batch[row, end:] = 0
        return batch.view(self._cache.content.little_endian).reshape(len(indices), length, self._cache.content.width), rejected


def _aligned_bytes(count):
    """An uninitialized uint8 array that begins at a multiple of the alignment."""
    memory = np.empty([count + _ALIGNMENT], np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    return memory[start:start + count]
