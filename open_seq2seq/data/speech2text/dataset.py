"""From batches of utterance numbers to batches of features: the ``tf.data`` part of the data layer."""
import collections
import os

import numpy as np
import tensorflow.compat.v1 as tf

from open_seq2seq.cores import VARIABLE as SHARE_OF_CORES
from open_seq2seq.cores import usable_cores

Batch = collections.namedtuple("Batch", "features feature_lengths labels label_lengths utterance_indices weights positions")
Batch.__new__.__defaults__ = (None, None)
Batch.__doc__ = """What a model reads: features float32 [B, T, F], zero-padded; feature_lengths int32 [B], true lengths in
frames; labels int32 [B, L], zero-padded; label_lengths int32 [B]; utterance_indices int32 [B], into the data layer's
``utterances``, -1 in rows that only fill up a batch, whose lengths are 0; weights float32 [B] by which each utterance's loss
counts, 0 in rows that only fill up a batch; positions int64 [B] that with the seed decide what is random about a row: in training
where it stands in the stream of all workers' rows. A model takes None for weights that are all 1, and for positions of rows that
are of no stream; the data layer always yields both."""

Request = collections.namedtuple("Request", "indices positions weights frames")
Request.__doc__ = """What a batch is made of: indices int64 [B] of utterances, -1 for a row without one; positions int64 [B] as of
Batch; weights float32 [B]; frames int32 [B]: the features are padded to at least the
first of these (all are the same number)."""

PREFETCHED_BATCHES = 4
ENDLESS = np.iinfo(np.int64).max
# beyond this many the threads of one process only wait for each other; a host with 8 devices runs 8 processes
MAX_PARALLEL_CALLS = 16


def parallel_calls(num_workers):
    """Utterances to work on at a time, given the processes that share the machine's cores."""
    cores = usable_cores()
    if SHARE_OF_CORES not in os.environ:
        # started by another launcher than ours
        cores //= min(num_workers, cores)
    return min(MAX_PARALLEL_CALLS, cores)


class FeaturePipeline:
    """Turns numbers of utterances into batches of features.

    Args:
      load: function int64 index -> (float32 [samples] waveform, int32 [labels]), called from several threads. An empty
        waveform means that the file has turned bad and the utterance is left out.
      features_of: function (waveform tensor [samples], seed int64 [2]) -> float32 [frames, num_audio_features].
      num_audio_features: int.
      pad_to: the batch's frames are padded to a multiple of this; 0 or less: only to its longest utterance.
      seed: seeds are (seed, number), the number being the position in the stream or the index of the utterance.
      num_parallel_calls: utterances to work on at a time.
    """

    def __init__(self, load, features_of, num_audio_features, pad_to, seed, num_parallel_calls):
        self.load, self.features_of, self.num_audio_features = load, features_of, num_audio_features
        self.pad_to, self.seed, self.num_parallel_calls = pad_to, seed, num_parallel_calls

    def training_dataset(self, request_of, first_batch, batch_size, keep_rows=False, end=ENDLESS):
        """A Dataset of :class:`Batch`, endless unless ``end`` is given.

        Args:
          request_of: function int number -> ``Request``.
          first_batch: the number to begin with.
          batch_size: the static first dimension of every batch.
          keep_rows: what becomes of an utterance whose file has turned bad. True: its row stays, without an utterance. False:
            the utterances after it move up, so that the batches to come are others than were asked for.
          end: the number to end before.
        """
        examples = self._requested(tf.data.Dataset.range(first_batch, end), request_of, batch_size, keep_rows)
        return self._batched(examples, batch_size, drop_remainder=True)

    def static_dataset(self, request_of, numbers, batch_size, bucket):
        """A Dataset of :class:`Batch` of one static shape, one for each of ``numbers``.

        The row of an utterance whose file has turned bad stays, without an utterance.

        Args:
          request_of: function int number -> ``Request``.
          numbers: (first, end), the end not included; None for no end.
          batch_size: rows of every batch.
          bucket: Bucket, the frames and labels of every batch; more in an utterance end the run with an error.
        """
        first, end = numbers
        numbers = tf.data.Dataset.range(first, ENDLESS if end is None else end)
        examples = self._requested(numbers, request_of, batch_size, keep_rows=True)
        return self._batched(examples, batch_size, drop_remainder=True, bucket=bucket)

    def evaluation_dataset(self, batches, batch_size):
        """A finite Dataset of :class:`Batch`, one for each of ``batches`` (those with an utterance left, that is).

        Args:
          batches: list of int64 arrays of utterance indices.
          batch_size: length of the longest.
        """
        def one_batch(number):
            indices = tf.numpy_function(lambda i: batches[i], [number], tf.int64)
            indices.set_shape([None])
            ones = tf.ones_like(indices, tf.int32)
            rows = tf.data.Dataset.from_tensor_slices((indices, indices, tf.cast(ones, tf.float32), ones))
            return self._batched(self._examples(rows, keep_rows=False), batch_size, drop_remainder=False, prefetch=False)

        return tf.data.Dataset.range(len(batches)).flat_map(_plain(one_batch)).prefetch(PREFETCHED_BATCHES)

    def _requested(self, numbers, request_of, batch_size, keep_rows):
        """Dataset of numbers -> Dataset of examples, ``batch_size`` for each."""
        def numbered(number):
            # a batch at a time, since a call into Python costs as much as decoding a short utterance
            request = tf.numpy_function(request_of, [number], [tf.int64, tf.int64, tf.float32, tf.int32])
            for tensor in request:
                tensor.set_shape([batch_size])
            return tf.data.Dataset.from_tensor_slices(tuple(request))

        return self._examples(numbers.flat_map(_plain(numbered)), keep_rows)

    def _examples(self, rows, keep_rows):
        """Dataset of Request, without its first dimension -> Dataset of the fields of a Batch and frames, without theirs."""
        def loaded(index, position, weight, frames):
            waveform, labels = tf.numpy_function(self._load_or_nothing, [index], [tf.float32, tf.int32])
            waveform.set_shape([None])
            labels.set_shape([None])
            return waveform, labels, index, position, weight, frames

        def is_there(waveform, *others):
            return tf.size(waveform) > 0

        def example(waveform, labels, index, position, weight, frames):
            there = tf.cast(tf.size(waveform) > 0, tf.int32)
            # features need a sample at least; those of a row without an utterance are cut off again
            waveform = tf.pad(waveform, [[0, 1 - there]])
            features = self.features_of(waveform, tf.stack([tf.constant(self.seed, tf.int64), position]))
            features, labels = features[:tf.shape(features)[0] * there], labels[:tf.size(labels) * there]
            features.set_shape([None, self.num_audio_features])
            return (features, tf.shape(features)[0], labels, tf.size(labels), tf.cast(index, tf.int32) * there + there - 1,
                    weight * tf.cast(there, tf.float32), position, frames)

        examples = rows.map(_plain(loaded), num_parallel_calls=self.num_parallel_calls)
        if not keep_rows:
            examples = examples.filter(_plain(is_there))
        return examples.map(_plain(example), num_parallel_calls=self.num_parallel_calls)

    def _load_or_nothing(self, index):
        if index < 0:
            return np.zeros([0], np.float32), np.zeros([0], np.int32)
        return self.load(index)

    def _batched(self, examples, batch_size, drop_remainder, bucket=None, prefetch=True):
        def batch(features, *others):
            fields, frames = others[:-1], others[-1]
            if bucket is None:
                batch_dimension, longest = features.shape[0], tf.shape(features)[1]
                length = tf.maximum(longest, frames[0])
                length += tf.mod(-length, max(self.pad_to, 1))
                features = tf.pad(features, [[0, 0], [0, length - longest], [0, 0]])
                features.set_shape([batch_dimension, None, self.num_audio_features])
            return Batch(features, *fields)

        frames, labels = (None, None) if bucket is None else bucket
        shapes = ([frames, self.num_audio_features], [], [labels], [], [], [], [], [])
        batches = examples.padded_batch(batch_size, shapes, drop_remainder=drop_remainder).map(_plain(batch))
        return batches.prefetch(PREFETCHED_BATCHES) if prefetch else batches


def _plain(function):
    """Keeps AutoGraph away: these functions hold no Python control flow over tensors, and conversion costs start-up time."""
    return tf.autograph.experimental.do_not_convert(function)
