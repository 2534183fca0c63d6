"""From batches of utterance numbers to batches of features: the ``tf.data`` part of the data layer."""
import collections
import os

import numpy as np
import tensorflow.compat.v1 as tf

Batch = collections.namedtuple("Batch", "features feature_lengths labels label_lengths utterance_indices weights")
Batch.__new__.__defaults__ = (None,)
Batch.__doc__ = """What a model reads: features float32 [B, T, F], zero-padded; feature_lengths int32 [B], true lengths in
frames; labels int32 [B, L], zero-padded; label_lengths int32 [B]; utterance_indices int32 [B], into the data layer's
``utterances``, -1 in rows that only fill up an evaluation batch; weights float32 [B] by which each utterance's loss counts, None:
all are 1."""

PREFETCHED_BATCHES = 4
# beyond this many the threads of one process only wait for each other; a host with 8 devices runs 8 processes
MAX_PARALLEL_CALLS = 16


def parallel_calls(num_workers):
    """Utterances to work on at a time, given the processes that share the machine's cores."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(MAX_PARALLEL_CALLS, cores // min(num_workers, cores)))


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

    def training_dataset(self, batch_of, first_batch, batch_size):
        """An endless Dataset of :class:`Batch`.

        Args:
          batch_of: function int number -> ``TrainingBatch``.
          first_batch: the number to begin with.
          batch_size: the static first dimension of every batch.
        """
        def numbered(number):
            # a batch at a time, since a call into Python costs as much as decoding a short utterance
            indices, positions = tf.numpy_function(batch_of, [number], [tf.int64, tf.int64])
            indices.set_shape([batch_size])
            positions.set_shape([batch_size])
            return tf.data.Dataset.from_tensor_slices((indices, positions))

        examples = self._examples(tf.data.Dataset.range(first_batch, np.iinfo(np.int64).max).flat_map(_plain(numbered)))
        return self._batched(examples, batch_size, drop_remainder=True).prefetch(PREFETCHED_BATCHES)

    def evaluation_dataset(self, batches, batch_size):
        """A finite Dataset of :class:`Batch`, one for each of ``batches`` (those with an utterance left, that is).

        Args:
          batches: list of int64 arrays of utterance indices.
          batch_size: length of the longest.
        """
        def one_batch(number):
            indices = tf.numpy_function(lambda i: batches[i], [number], tf.int64)
            indices.set_shape([None])
            examples = self._examples(tf.data.Dataset.from_tensor_slices((indices, indices)))
            return self._batched(examples, batch_size, drop_remainder=False)

        return tf.data.Dataset.range(len(batches)).flat_map(_plain(one_batch)).prefetch(PREFETCHED_BATCHES)

    def _examples(self, numbers):
        """Dataset of (index, number) -> Dataset of the fields of a Batch, without its first dimension."""
        def loaded(index, number):
            waveform, labels = tf.numpy_function(self.load, [index], [tf.float32, tf.int32])
            waveform.set_shape([None])
            labels.set_shape([None])
            return waveform, labels, index, number

        def example(waveform, labels, index, number):
            features = self.features_of(waveform, tf.stack([tf.constant(self.seed, tf.int64), number]))
            features.set_shape([None, self.num_audio_features])
            return features, tf.shape(features)[0], labels, tf.shape(labels)[0], tf.cast(index, tf.int32), tf.ones([])

        def is_there(waveform, labels, index, number):
            return tf.size(waveform) > 0

        return (numbers.map(_plain(loaded), num_parallel_calls=self.num_parallel_calls).filter(_plain(is_there))
                .map(_plain(example), num_parallel_calls=self.num_parallel_calls))

    def _batched(self, examples, batch_size, drop_remainder):
        def padded(features, *others):
            if self.pad_to > 1:
                batch_dimension, missing = features.shape[0], tf.mod(-tf.shape(features)[1], self.pad_to)
                features = tf.pad(features, [[0, 0], [0, missing], [0, 0]])
                features.set_shape([batch_dimension, None, self.num_audio_features])
            return Batch(features, *others)

        shapes = ([None, self.num_audio_features], [], [None], [], [], [])
        return examples.padded_batch(batch_size, shapes, drop_remainder=drop_remainder).map(_plain(padded))


def _plain(function):
    """Keeps AutoGraph away: these functions hold no Python control flow over tensors, and conversion costs start-up time."""
    return tf.autograph.experimental.do_not_convert(function)
