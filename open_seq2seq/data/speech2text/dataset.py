"""The ``tf.data`` part of the data layer: from batches of utterance indices to batches of features."""
import collections
import os

import numpy as np
import tensorflow.compat.v1 as tf

from open_seq2seq.cores import VARIABLE as SHARE_OF_CORES
from open_seq2seq.cores import usable_cores

Batch = collections.namedtuple("Batch", "features feature_lengths labels label_lengths utterance_indices weights positions")
Batch.__new__.__defaults__ = (None, None)
Batch.__doc__ = """The input of a model.

features: float32 [B, T, F], zero-padded.
feature_lengths: int32 [B], valid lengths in frames.
labels: int32 [B, L], zero-padded.
label_lengths: int32 [B].
utterance_indices: int32 [B], into the data layer's ``utterances``; -1 in padding rows, whose lengths are 0. For packed utterances
  the index of the first one.
weights: float32 [B], factor of each row's loss; 0 in padding rows.
positions: int64 [B], which together with the seed determine everything random about a row; in training its position in the stream
  of all workers' rows, in an evaluation 0.

A model accepts None for weights that are all 1, and for positions of rows that are not part of a stream; the data layer always
provides both."""

Request = collections.namedtuple("Request", "indices positions weights frames")
Request.__doc__ = """What a batch is to contain.

indices: int64 [B] of utterances, -1 for a padding row. positions: int64 [B], see Batch. weights: float32 [B]. frames: int32 [B],
all the same number; the features are padded to at least that many frames."""

PREFETCHED_BATCHES = 4
ENDLESS = np.iinfo(np.int64).max
# more threads in one process only wait for each other; a host with 8 devices runs 8 processes
MAX_PARALLEL_CALLS = 16


def parallel_calls(num_workers):
    """The number of utterances to process in parallel, given the processes that share the machine's cores."""
    cores = usable_cores()
    if SHARE_OF_CORES not in os.environ:
        # not started by this project's launcher
        cores //= min(num_workers, cores)
    return min(MAX_PARALLEL_CALLS, cores)


class FeaturePipeline:
    """Converts indices of utterances into batches of features.

    Args:
      load: function int64 index -> (float32 [samples] waveform, int32 [labels]), called from several threads. An empty
        waveform means that the file has become unusable; the utterance is skipped.
      features_of: function (waveform tensor [samples], seed int64 [2]) -> float32 [frames, num_audio_features].
      num_audio_features: int.
      pad_to: the batch's frames are padded to a multiple of this; 0 or less: only to its longest utterance.
      seed: an utterance's seed is (seed, position), see Batch.
      num_parallel_calls: utterances to process in parallel.
    """

    def __init__(self, load, features_of, num_audio_features, pad_to, seed, num_parallel_calls):
        self.load, self.features_of, self.num_audio_features = load, features_of, num_audio_features
        self.pad_to, self.seed, self.num_parallel_calls = pad_to, seed, num_parallel_calls

    def training_dataset(self, request_of, first_batch, batch_size, keep_rows=False, end=ENDLESS):
        """A Dataset of :class:`Batch`, endless unless ``end`` is given.

        Args:
          request_of: function int number -> ``Request``.
          first_batch: the number of the first batch.
          batch_size: the static first dimension of every batch; None: every batch has as many rows as its request.
          keep_rows: for an utterance whose file has become unusable. True: its row becomes a padding row. False: the utterances
            after it move up, so the following batches differ from the requested ones; not with ``batch_size`` None.
          end: the number after the last batch.
        """
        examples = self._requested(tf.data.Dataset.range(first_batch, end), request_of, batch_size, keep_rows)
        return self._batched(examples, batch_size, drop_remainder=True)

    def static_dataset(self, request_of, numbers, batch_size, bucket):
        """A Dataset of :class:`Batch` of one static shape, one for each of ``numbers``.

        The row of an utterance whose file has become unusable becomes a padding row.

        Args:
          request_of: function int number -> ``Request``.
          numbers: (first, end), the end excluded; None for no end.
          batch_size: rows of every batch.
          bucket: Bucket, the frames and labels of every batch; an utterance with more ends the run with an error.
        """
        first, end = numbers
        numbers = tf.data.Dataset.range(first, ENDLESS if end is None else end)
        examples = self._requested(numbers, request_of, batch_size, keep_rows=True)
        return self._batched(examples, batch_size, drop_remainder=True, bucket=bucket)

    def evaluation_dataset(self, batches, batch_size):
        """A finite Dataset of :class:`Batch`, one for each of ``batches`` that still has a usable utterance.

        Args:
          batches: list of int64 arrays of utterance indices.
          batch_size: length of the longest.
        """
        def one_batch(number):
            indices = tf.numpy_function(lambda i: batches[i], [number], tf.int64)
            indices.set_shape([None])
            ones = tf.ones_like(indices, tf.int32)
            # the same dither in every utterance, wherever it is in a manifest
            rows = tf.data.Dataset.from_tensor_slices((indices, tf.zeros_like(indices), tf.cast(ones, tf.float32), ones,
                                                       tf.ones_like(indices)))
            return self._batched(self._examples(rows, keep_rows=False), batch_size, drop_remainder=False, prefetch=False)

        return _scheduled(tf.data.Dataset.range(len(batches)).flat_map(_plain(one_batch)).prefetch(PREFETCHED_BATCHES))

    def _requested(self, numbers, request_of, batch_size, keep_rows):
        """Dataset of batch numbers -> Dataset of examples, ``batch_size`` for each number."""
        def numbered(number):
            # one call per batch: a call into Python takes as long as decoding a short utterance
            request = tf.numpy_function(request_of, [number], [tf.int64, tf.int64, tf.float32, tf.int32])
            for tensor in request:
                tensor.set_shape([batch_size])
            rows = tf.fill(tf.shape(request[0]), tf.size(request[0], out_type=tf.int64))
            return tf.data.Dataset.from_tensor_slices(tuple(request) + (rows,))

        return self._examples(numbers.flat_map(_plain(numbered)), keep_rows)

    def _examples(self, rows, keep_rows):
        """Dataset of the rows of Requests, each with its request's number of rows -> Dataset of examples.

        An example is (fields of a Batch, frames, number of rows) without the batch dimension.
        """
        def loaded(index, position, weight, frames, rows):
            waveform, labels, usable = tf.numpy_function(self._load_or_nothing, [index], [tf.float32, tf.int32, tf.int32])
            usable.set_shape([])
            waveform.set_shape([None])
            labels.set_shape([None])
            return waveform, labels, usable, index, position, weight, frames, rows

        def is_usable(waveform, labels, usable, *others):
            return usable > 0

        def example(waveform, labels, usable, index, position, weight, frames, rows):
            # those of a padding row are removed again
            features = self.features_of(waveform, tf.stack([tf.constant(self.seed, tf.int64), position]))
            features, labels = features[:tf.shape(features)[0] * usable], labels[:tf.size(labels) * usable]
            features.set_shape([None, self.num_audio_features])
            return (features, tf.shape(features)[0], labels, tf.size(labels), tf.cast(index, tf.int32) * usable + usable - 1,
                    weight * tf.cast(usable, tf.float32), position, frames, rows)

        examples = rows.map(_plain(loaded), num_parallel_calls=self.num_parallel_calls)
        if not keep_rows:
            examples = examples.filter(_plain(is_usable))
        return examples.map(_plain(example), num_parallel_calls=self.num_parallel_calls)

    def _load_or_nothing(self, index):
        """(float32 [samples] waveform of at least one sample, which features need; int32 [labels]; int32, 1 if it is usable)."""
        if index >= 0:
            waveform, labels = self.load(index)
            if len(waveform):
                return waveform, labels, np.int32(1)
        return np.zeros([1], np.float32), np.zeros([0], np.int32), np.int32(0)

    def _batched(self, examples, batch_size, drop_remainder, bucket=None, prefetch=True):
        def batch(features, *others):
            fields, frames = others[:-2], others[-2]
            if bucket is None:
                batch_dimension, longest = features.shape[0], tf.shape(features)[1]
                length = tf.maximum(longest, frames[0])
                length += tf.mod(-length, max(self.pad_to, 1))
                features = tf.pad(features, [[0, 0], [0, length - longest], [0, 0]])
                features.set_shape([batch_dimension, None, self.num_audio_features])
            return Batch(features, *fields)

        frames, labels = (None, None) if bucket is None else bucket
        shapes = ([frames, self.num_audio_features], [], [labels], [], [], [], [], [], [])
        if batch_size is None:
            # the rows of a request follow each other, so a window of its size holds them all, and no others
            padded = examples.apply(tf.data.experimental.group_by_window(
                lambda *example: example[-1], lambda rows, window: window.padded_batch(rows, shapes),
                window_size_func=lambda rows: rows))
        else:
            padded = examples.padded_batch(batch_size, shapes, drop_remainder=drop_remainder)
        batches = padded.map(_plain(batch))
        return _scheduled(batches.prefetch(PREFETCHED_BATCHES)) if prefetch else batches


def _scheduled(dataset):
    """Computes every utterance in one thread: dividing each short operation between threads takes longer than it saves."""
    options = tf.data.Options()
    (options.threading if hasattr(options, "threading") else options.experimental_threading).max_intra_op_parallelism = 1
    return dataset.with_options(options)


def _plain(function):
    """Disables AutoGraph: these functions have no Python control flow over tensors, and conversion takes start-up time."""
    return tf.autograph.experimental.do_not_convert(function)
