"""The order of utterances where every batch must come from one length bucket."""
import collections

import numpy as np

from open_seq2seq.data.speech2text.batch_order import EPOCH_STREAM, TrainingBatch

SCHEDULE_STREAM = 3     # differs from EPOCH_STREAM and POOL_STREAM

_Epoch = collections.namedtuple("_Epoch", "members schedule")
_Epoch.__doc__ = """members: for each bucket the indices of its utterances, in this epoch's order. schedule: int64
[batches_per_epoch], the bucket of each batch."""


class BucketedOrder:
    """Training batches of one bucket each; all workers take the same bucket at the same time.

    In every epoch the utterances of a bucket, in an order drawn from (seed, epoch), are cut into global batches of
    ``batch_size * num_workers``. The last batch of a bucket is completed with padding rows: other utterances of the bucket with
    weight 0, so that the batch's statistics are those of speech. The weights of the other rows are chosen so that the mean over
    all workers of sum(weight * loss) / batch_size is the mean loss of the utterances with a weight. Then the batches of all
    buckets are shuffled. So every utterance has a weight once per epoch, and every epoch has the same number of batches of each
    bucket.

    The first worker takes rows 0, num_workers, 2 * num_workers, ... of a global batch, and so on: the global batches are the same
    for any number of workers that share them, and the workers' numbers of padding rows differ by at most one.

    With packed utterances, the order is one of rows instead of utterances. The loss of a row is then the sum over its utterances,
    and the mean is still one over utterances.

    Args:
      bucket_of_utterance: int [n], numbers of the buckets; every bucket has an utterance.
      batch_size: utterances in a batch of one worker.
      shuffle: False keeps the order of the manifest within a bucket, and the batches in the order of their first utterances.
      seed: int.
      num_workers, worker_id: how many workers share the global batches, and which one this is.
      counts: int [n], the number of utterances in each row; None: one each.

    Attributes:
      batches_of_bucket: int64 [buckets], global batches per epoch.
      batches_per_epoch: their sum.
    """

    def __init__(self, bucket_of_utterance, batch_size, shuffle=True, seed=0, num_workers=1, worker_id=0,
                 counts=None):
        self._bucket_of_utterance = np.asarray(bucket_of_utterance, np.int64)
        self._counts = np.ones_like(self._bucket_of_utterance) if counts is None else np.asarray(counts)
        self._global_size, self._shuffle, self._seed = batch_size * num_workers, shuffle, seed % 2 ** 32
        self._rows = slice(worker_id, None, num_workers)
        self.batches_of_bucket = -(-np.bincount(self._bucket_of_utterance) // self._global_size)
        self.batches_per_epoch = int(self.batches_of_bucket.sum())
        self._epochs = {}

    def batch(self, number):
        """This worker's part of global batch ``number``: a :class:`TrainingBatch`."""
        epoch, place = divmod(int(number), self.batches_per_epoch)
        members, schedule = self._epoch(epoch)
        bucket = schedule[place]
        members = members[bucket]
        start = int(np.sum(schedule[:place] == bucket)) * self._global_size
        weighted = min(self._global_size, len(members) - start)
        rows = np.arange(self._global_size)
        indices = members[(start + rows) % len(members)]
        weight = self._global_size / float(self._counts[indices[:weighted]].sum())
        weights = np.where(rows < weighted, weight, 0.0).astype(np.float32)
        positions = number * self._global_size + rows
        return TrainingBatch(indices[self._rows], positions[self._rows], weights[self._rows])

    def bucket_of_batch(self, number):
        """The number of the bucket from which global batch ``number`` comes, on all workers."""
        epoch, place = divmod(int(number), self.batches_per_epoch)
        return int(self._epoch(epoch).schedule[place])

    def batches_before(self, bucket, number):
        """How many of the global batches 0 to ``number`` - 1 come from ``bucket``."""
        epoch, place = divmod(int(number), self.batches_per_epoch)
        return epoch * int(self.batches_of_bucket[bucket]) + int(np.sum(self._epoch(epoch).schedule[:place] == bucket))

    def number_of_batch(self, bucket, count):
        """The number of the global batch of ``bucket`` that has ``count`` batches of the same bucket before it."""
        epoch, place = divmod(int(count), int(self.batches_of_bucket[bucket]))
        return epoch * self.batches_per_epoch + int(np.flatnonzero(self._epoch(epoch).schedule == bucket)[place])

    def _epoch(self, epoch):
        if epoch not in self._epochs:
            # the previous epoch is kept: near the border of two epochs, both are needed
            self._epochs = {known: value for known, value in self._epochs.items() if known == epoch - 1}
            self._epochs[epoch] = self._make_epoch(epoch)
        return self._epochs[epoch]

    def _make_epoch(self, epoch):
        order = np.arange(len(self._bucket_of_utterance))
        if self._shuffle:
            order = np.random.RandomState([self._seed, EPOCH_STREAM, epoch]).permutation(len(order))
        bucket_in_order = self._bucket_of_utterance[order]
        members = [order[bucket_in_order == bucket] for bucket in range(len(self.batches_of_bucket))]
        schedule = np.repeat(np.arange(len(members)), self.batches_of_bucket)
        if self._shuffle:
            schedule = np.random.RandomState([self._seed, SCHEDULE_STREAM, epoch]).permutation(schedule)
        else:
            first_utterances = np.concatenate([indices[::self._global_size] for indices in members])
            schedule = schedule[np.argsort(first_utterances, kind="stable")]
        return _Epoch(members, schedule)


def bucketed_evaluation_batches(frames, bucket_of_utterance, num_buckets, batch_size, num_workers=1, worker_id=0):
    """Cuts a worker's share of a data set into full batches of one bucket each.

    Args:
      frames: int [n] feature frames.
      bucket_of_utterance: int [n], numbers of the buckets.
      num_buckets: int.
      batch_size: utterances in a batch.
      num_workers, worker_id: a worker takes every ``num_workers``-th utterance of the list sorted by length.

    Returns:
      For each bucket an int64 array [batches, batch_size] of indices, the longest first; padding rows of the last batch are -1.
      Every utterance of the share is in exactly one place.
    """
    share = np.argsort(-np.asarray(frames), kind="stable")[worker_id::num_workers]
    buckets = []
    for bucket in range(num_buckets):
        members = share[np.asarray(bucket_of_utterance)[share] == bucket]
        missing = -len(members) % batch_size
        buckets.append(np.concatenate([members, np.full(missing, -1, np.int64)]).reshape(-1, batch_size))
    return buckets
