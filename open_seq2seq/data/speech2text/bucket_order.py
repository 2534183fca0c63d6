"""The order of utterances where every batch must come from one length bucket."""
import collections

import numpy as np

from open_seq2seq.data.speech2text.batch_order import TrainingBatch, shuffled

SCHEDULE_STREAM, WINDOW_STREAM = 3, 4     # differ from EPOCH_STREAM and POOL_STREAM

_Epoch = collections.namedtuple("_Epoch", "members schedule earlier")
_Epoch.__doc__ = """members: for each bucket the indices of its utterances, in this epoch's order. schedule: int64
[batches_per_epoch], the bucket of each batch. earlier: int64 [batches_per_epoch], how many batches of the same bucket come before
each batch."""


class BucketedOrder:
    """Training batches of one bucket each; all workers take the same bucket at the same time.

    In every epoch the utterances of a bucket, in an order drawn from (seed, epoch), are cut into global batches of the bucket's
    batch size times ``num_workers``. The last batch of a bucket is completed with padding rows: other utterances of the bucket
    with weight 0, so that the batch's statistics are those of speech. Then the batches of all buckets are shuffled. So every
    utterance has a weight once per epoch, and every epoch has the same number of batches of each bucket.

    The weights of the other rows are chosen so that the mean over all workers of sum(weight * loss) / batch size is the mean loss
    of the utterances with a weight. With ``equal_weights`` it is the sum of their losses, divided by the mean number of
    utterances in a global batch: then every utterance counts alike, however many others its batch has, and the mean over the
    batches of an epoch is the mean over its utterances.

    The first worker takes rows 0, num_workers, 2 * num_workers, ... of a global batch, and so on: the global batches are the same
    for any number of workers that share them, and the workers' numbers of padding rows differ by at most one.

    With packed utterances, the order is one of rows instead of utterances. The loss of a row is then the sum over its utterances,
    and the mean is still one over utterances.

    Args:
      bucket_of_utterance: int [n], numbers of the buckets; every bucket has an utterance.
      batch_size: utterances in a batch of one worker: an int, or one for each bucket.
      shuffle: False keeps the order of the manifest within a bucket, and the batches in the order of their first utterances.
      seed: int.
      num_workers, worker_id: how many workers share the global batches, and which one this is.
      counts: int [n], the number of utterances in each row; None: one each.
      lengths: [n] lengths of the utterances in any unit; needed only for the following two.
      window: that many global batches of a bucket are sorted by length together and cut into batches again: then they need less
        padding where a batch is padded only to its longest utterance. Not without ``shuffle``. 1: they are not sorted.
      sortagrad: the first epoch goes from the shortest utterance to the longest.
      equal_weights: see above.
      sampling: DataSetSampling of several data sets, which decides the utterances of every epoch; None: all, once. Its cells are
        the buckets here, or parts of them.

    Attributes:
      batches_of_bucket: int64 [buckets], global batches per epoch.
      batches_per_epoch: their sum.
    """

    def __init__(self, bucket_of_utterance, batch_size, shuffle=True, seed=0, num_workers=1, worker_id=0,
                 counts=None, lengths=None, window=1, sortagrad=False, equal_weights=False, sampling=None,
                 shuffle_buffer=0):
        self._bucket_of_utterance = np.asarray(bucket_of_utterance, np.int64)
        self._counts = np.ones_like(self._bucket_of_utterance) if counts is None else np.asarray(counts)
        self._shuffle, self._seed, self._num_workers = shuffle, seed % 2 ** 32, num_workers
        self._lengths, self._window, self._sortagrad = lengths, window, sortagrad
        self._rows = slice(worker_id, None, num_workers)
        self._shuffle_buffer = shuffle_buffer
        self._sampling, members = sampling, np.bincount(self._bucket_of_utterance)
        if sampling is not None:
            # the bucket of a cell is that of any of its rows
            _, first_rows = np.unique(sampling.cell_of_row, return_index=True)
            members = np.bincount(self._bucket_of_utterance[first_rows], sampling.rows_of_cell).astype(np.int64)
        self._global_sizes = np.broadcast_to(np.asarray(batch_size, np.int64) * num_workers, members.shape)
        self.batches_of_bucket = -(-members // self._global_sizes)
        self.batches_per_epoch = int(self.batches_of_bucket.sum())
        utterances = self._counts.sum() if sampling is None else sampling.size
        self._mean_utterances = utterances / self.batches_per_epoch if equal_weights else None
        self._epochs = {}

    def batch(self, number):
        """This worker's part of global batch ``number``: a :class:`TrainingBatch`."""
        indices, positions, weights = self._global(number)
        return TrainingBatch(indices[self._rows], positions[self._rows], weights[self._rows])

    def global_batch(self, number):
        """Indices of the utterances of all workers, those of padding rows included: int64 [rows]."""
        return self._global(number).indices

    def of_workers(self, number):
        """The rows of a global batch by worker: int64 [num_workers, rows]."""
        return self.global_batch(number).reshape(-1, self._num_workers).T

    def num_weighted(self, number):
        """Rows of a global batch that have a weight; they come first, and the padding rows follow."""
        return int(np.count_nonzero(self._global(number).weights))

    def _global(self, number):
        epoch, place = divmod(int(number), self.batches_per_epoch)
        members, schedule, earlier = self._epoch(epoch)
        bucket = schedule[place]
        members, size = members[bucket], int(self._global_sizes[bucket])
        start = int(earlier[place]) * size
        weighted = min(size, len(members) - start)
        rows = np.arange(size)
        indices = members[(start + rows) % len(members)]
        divisor = self._mean_utterances or float(self._counts[indices[:weighted]].sum())
        weights = np.where(rows < weighted, size / divisor, 0.0).astype(np.float32)
        return TrainingBatch(indices, number * int(self._global_sizes.max()) + rows, weights)

    def epoch_of(self, positions):
        """int64 [n]: the epochs that the rows at positions of the stream belong to; positions is int64 [n]."""
        return positions // int(self._global_sizes.max()) // self.batches_per_epoch

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
        by_length = self._sortagrad and epoch == 0
        order = np.arange(len(self._bucket_of_utterance)) if self._sampling is None else self._sampling.rows(epoch)
        if by_length:
            order = order[np.argsort(self._lengths[order], kind="stable")]
        elif self._shuffle and self._sampling is None:
            order = shuffled(len(order), self._seed, epoch, self._shuffle_buffer)
        bucket_in_order = self._bucket_of_utterance[order]
        members = [order[bucket_in_order == bucket] for bucket in range(len(self.batches_of_bucket))]
        schedule = np.repeat(np.arange(len(members)), self.batches_of_bucket)
        if by_length:
            pass   # the buckets are in order of length
        elif self._shuffle:
            schedule = np.random.RandomState([self._seed, SCHEDULE_STREAM, epoch]).permutation(schedule)
            if self._window > 1:
                members = [self._sorted_in_windows(indices, epoch, bucket) for bucket, indices in enumerate(members)]
        else:
            first_utterances = np.concatenate([indices[::size] for indices, size in zip(members, self._global_sizes)])
            schedule = schedule[np.argsort(first_utterances, kind="stable")]
        return _Epoch(members, schedule, _earlier(schedule))

    def _sorted_in_windows(self, indices, epoch, bucket):
        """The utterances of a bucket, rearranged so that each of its global batches has similar lengths."""
        size = int(self._global_sizes[bucket])
        count = len(indices) // size
        # the incomplete batch stays a random sample of the bucket: sorted with others, it would always have the longest
        full, rest = indices[:count * size], indices[count * size:]
        parts = [full[start:start + self._window * size] for start in range(0, len(full), self._window * size)]
        batches = np.concatenate([part[np.argsort(self._lengths[part], kind="stable")] for part in parts] or [full])
        shuffled = np.random.RandomState([self._seed, WINDOW_STREAM, epoch, bucket]).permutation(count)
        return np.concatenate([batches.reshape(count, size)[shuffled].reshape(-1), rest])


def _earlier(schedule):
    """int64 [n]: how many equal values come before each value."""
    earlier = np.empty_like(schedule)
    for bucket in np.unique(schedule):
        earlier[schedule == bucket] = np.arange(np.sum(schedule == bucket))
    return earlier


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
