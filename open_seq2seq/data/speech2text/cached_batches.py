"""Batches from a complete cache of features: one call into Python for a batch, which reads every row to its place."""
import numpy as np
import tensorflow.compat.v1 as tf

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
    """

    def __init__(self, cache, utterances, masks, pad_to, seed, num_parallel_calls):
        self._cache, self._utterances, self._masks, self._seed = cache, utterances, masks, seed
        self._pad_to, self._num_parallel_calls = max(pad_to, 1), num_parallel_calls

    def training_dataset(self, request_of, first_batch, batch_size, keep_rows=False, end=ENDLESS):
        """See FeaturePipeline; no row is unusable, so ``keep_rows`` has no effect."""
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

        return self._dataset(tf.data.Dataset.range(len(batches)), request_of, None)

    def _dataset(self, numbers, request_of, batch_size, bucket=None):
        def requested(number):
            return tuple(tf.numpy_function(request_of, [number], [tf.int64, tf.int64, tf.float32, tf.int32]))

        def read(indices, positions, weights, frames):
            features, lengths, labels, label_lengths = tf.numpy_function(
                lambda *request: self._read(bucket, *request), [indices, frames],
                [tf.as_dtype(self._cache.content.dtype), tf.int32, tf.int32, tf.int32])
            features.set_shape([batch_size, None if bucket is None else bucket.frames, self._cache.content.width])
            labels.set_shape([batch_size, None if bucket is None else bucket.labels])
            features, positions = tf.cast(features, tf.float32), tf.reshape(positions, [-1])
            if self._masks is not None:
                seeds = tf.stack([tf.fill(tf.shape(positions), tf.constant(self._seed, tf.int64)), positions], 1)
                features = self._masks(features, lengths, seeds)
            batch = Batch(features, lengths, labels, label_lengths, tf.cast(indices, tf.int32), weights, positions)
            for tensor in batch[1:2] + batch[3:]:
                tensor.set_shape([batch_size])
            return batch

        plain = tf.autograph.experimental.do_not_convert
        # requests have a state, so they are made one after the other
        return numbers.map(plain(requested)).map(plain(read), num_parallel_calls=self._num_parallel_calls).prefetch(
            PREFETCHED_BATCHES)

    def _read(self, bucket, indices, frames):
        """(features [B, T, F], lengths [B], labels [B, L], label lengths [B]) of a request."""
        labels = [self._utterances[index].labels if index >= 0 else () for index in indices]
        label_lengths = np.array([len(of_row) for of_row in labels], np.int32)
        lengths = np.array([self._cache.samples_and_rows(index)[1] if index >= 0 else 0 for index in indices], np.int32)
        if bucket is None:
            length = max(int(lengths.max()), int(frames[0]))
            length, most_labels = length + -length % self._pad_to, int(label_lengths.max())
        else:
            length, most_labels = bucket
        row_bytes = self._cache.content.row_bytes
        batch = _aligned_bytes(len(indices) * length * row_bytes).reshape(len(indices), length * row_bytes)
        padded_labels = np.zeros([len(indices), most_labels], np.int32)
        for row, (index, frames_of_row) in enumerate(zip(indices, lengths)):
            if index >= 0:
                self._cache.read_into(index, batch[row, :frames_of_row * row_bytes])
                padded_labels[row, :len(labels[row])] = labels[row]
            batch[row, frames_of_row * row_bytes:] = 0
        features = batch.view(self._cache.content.little_endian).reshape(len(indices), length, self._cache.content.width)
        return features, lengths, padded_labels, label_lengths


def _aligned_bytes(count):
    """An uninitialized uint8 array that begins at a multiple of the alignment."""
    memory = np.empty([count + _ALIGNMENT], np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    return memory[start:start + count]
