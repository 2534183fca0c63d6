"""The order of utterances: the endless stream of training, and the batches of an evaluation.

Every batch is computed from its number alone. So a run can resume at any batch, and the stream is the same for any number of
workers.
"""
import collections

import numpy as np

TrainingBatch = collections.namedtuple("TrainingBatch", "indices positions weights")
TrainingBatch.__doc__ = """One worker's part of a global batch.

indices: int64 [batch_size], of utterances. positions: int64 [batch_size], in the stream of all workers' training utterances; they
seed the augmentation and the dither. weights: float32 [batch_size], factors of the utterances' losses."""

# different seeds for the permutations of epochs and of pools
EPOCH_STREAM, POOL_STREAM = 1, 2


class TrainingOrder:
    """The stream of training utterances, cut into batches for the workers.

    The stream is a sequence of epochs, each a permutation drawn from (seed, epoch). It is cut into global batches of
    ``batch_size * num_workers``, across the borders of epochs; the first worker takes the first ``batch_size`` utterances of
    each, and so on. So the global batches are the same for any number of workers that share them.

    Args:
      lengths: [n] lengths of the utterances in any unit; used only with ``length_pool`` and ``sortagrad``.
      batch_size: utterances in a batch of one worker.
      shuffle: False keeps the order of the manifest in every epoch.
      shuffle_buffer: shuffles only within a buffer of that many utterances, see :func:`buffer_permutation`; 0: the whole epoch.
      seed: int.
      num_workers, worker_id: how many workers share the global batches, and which one this is.
      length_pool: that many global batches of the stream are sorted by length together and cut into batches again, in an order
        drawn from (seed, pool): batches of similar lengths need less padding. At most an epoch; 0: the stream is not sorted.
      sortagrad: the first epoch goes from the shortest utterance to the longest. Not together with ``length_pool``.
      sampling: DataSetSampling of several data sets, which decides the utterances and the order of every epoch; None: all.
    """

    def __init__(self, lengths, batch_size, shuffle=True, seed=0, num_workers=1, worker_id=0, length_pool=0, sortagrad=False,
                 sampling=None, shuffle_buffer=0):
        self.lengths = np.asarray(lengths)
        self.batch_size, self.shuffle = batch_size, shuffle
        self.seed = seed % 2 ** 32         # the range that RandomState accepts
        self.num_workers, self.worker_id = num_workers, worker_id
        self._sortagrad, self._sampling, self._shuffle_buffer = sortagrad, sampling, shuffle_buffer
        self._epoch_size = len(self.lengths) if sampling is None else sampling.size
        # a pool of several epochs would put the copies of an utterance into the same batch
        self.length_pool = min(length_pool, self._epoch_size // (batch_size * num_workers))
        self._epochs = {}
        self._pools, self._pool_epochs = {}, {}

    def batch(self, number):
        """This worker's part of global batch ``number``: a :class:`TrainingBatch`."""
        part = slice(self.worker_id * self.batch_size, (self.worker_id + 1) * self.batch_size)
        return TrainingBatch(self.global_batch(number)[part], self._positions(number)[part],
                             np.ones([self.batch_size], np.float32))

    def global_batch(self, number):
        """Indices of the utterances of all workers: int64 [batch_size * num_workers]."""
        if self.length_pool < 2:
            return self._stream(self._positions(number))
        pool, row = divmod(number, self.length_pool)
        if pool not in self._pools:
            self._pools = {pool: self._pool(pool, self.batch_size * self.num_workers)}
        return self._pools[pool][row]

    def of_workers(self, number):
        """The rows of a global batch by worker: int64 [num_workers, batch_size]."""
        return self.global_batch(number).reshape(self.num_workers, self.batch_size)

    def epoch_of(self, positions):
        """int64 [n]: the epochs that the utterances at positions of the stream belong to; positions is int64 [n]."""
        if self.length_pool < 2:
            return positions // self._epoch_size
        epochs = np.empty_like(positions)
        numbers, rows = np.divmod(positions, self.batch_size * self.num_workers)
        for number in np.unique(numbers):
            self.global_batch(number)       # computes the pool
            of_batch = self._pool_epochs[number // self.length_pool][number % self.length_pool]
            epochs[numbers == number] = of_batch[rows[numbers == number]]
        return epochs

    def _positions(self, number):
        global_size = self.batch_size * self.num_workers
        return np.arange(number * global_size, (number + 1) * global_size)

    def _pool(self, pool, global_size):
        """[length_pool, global_size] indices."""
        size = self.length_pool * global_size
        indices = self._stream(np.arange(pool * size, (pool + 1) * size))
        # the stable sort keeps equal lengths in the order of the stream, which is random already
        order = np.argsort(self.lengths[indices], kind="stable").reshape(self.length_pool, global_size)
        order = order[np.random.RandomState([self.seed, POOL_STREAM, pool]).permutation(self.length_pool)]
        self._pool_epochs = {pool: (pool * size + order) // self._epoch_size}
        return indices[order]

    def _stream(self, positions):
        epochs, places = np.divmod(positions, self._epoch_size)
        first, last = epochs[0], epochs[-1]
        self._epochs = {epoch: self._epochs[epoch] if epoch in self._epochs else self._epoch(epoch)
                        for epoch in range(first, last + 1)}
        if first == last:
            return self._epochs[first][places]
        return np.concatenate([self._epochs[epoch][places[epochs == epoch]] for epoch in range(first, last + 1)])

    def _epoch(self, epoch):
        rows = None if self._sampling is None else self._sampling.rows(epoch)
        if self._sortagrad and epoch == 0:
            rows = np.arange(len(self.lengths)) if rows is None else rows
            return rows[np.argsort(self.lengths[rows], kind="stable")]
        if rows is not None:
            return rows
        if not self.shuffle:
            return np.arange(len(self.lengths))
        return shuffled(len(self.lengths), self.seed, epoch, self._shuffle_buffer)


def shuffled(count, seed, epoch, buffer_size=0):
    """The order of the utterances 0 to ``count`` - 1 in an epoch: int64 [count].

    Args:
      count, seed, epoch: ints.
      buffer_size: see :func:`buffer_permutation`; 0: any order is equally likely.
    """
    draw = np.random.RandomState([seed, EPOCH_STREAM, epoch])
    return buffer_permutation(count, buffer_size, draw) if buffer_size else draw.permutation(count)


def buffer_permutation(count, buffer_size, draw):
    """The order in which a shuffle with a buffer emits 0 to ``count`` - 1, as Kaldi's nnet3-shuffle-egs does: int64 [count].

    Each number that is read goes to a random place of the buffer; the number that was there is emitted. The rest follows in the
    order of the places. So a number is emitted about ``buffer_size`` places after it was read: what is next to each other in the
    input is read together, and has been spread.

    Args:
      count: int.
      buffer_size: int, at least 1.
      draw: ``np.random.RandomState``.
    """
    places = draw.randint(buffer_size, size=count)
    by_place = np.argsort(places, kind="stable")
    same = places[by_place][1:] == places[by_place][:-1]
    emitted_by = np.full([count], -1, np.int64)     # the number that takes the place of each number
    emitted_by[by_place[:-1][same]] = by_place[1:][same]
    replaced, left = np.flatnonzero(emitted_by >= 0), np.flatnonzero(emitted_by < 0)
    return np.concatenate([replaced[np.argsort(emitted_by[replaced], kind="stable")],
                           left[np.argsort(places[left], kind="stable")]])


def evaluation_batches(frames, batch_size, same_length=False, pad_to=1, num_workers=1, worker_id=0):
    """Cuts a worker's share of a data set into batches of similar lengths, the longest first.

    The longest come first so that a batch that does not fit into memory fails at the start.

    Args:
      frames: [n] numbers of feature frames.
      batch_size: the most utterances in a batch.
      same_length: a batch holds only utterances that are equally long after padding to ``pad_to``. The result of a model that
        does not mask padding then does not depend on the batch size.
      pad_to: frames are padded to a multiple of this.
      num_workers, worker_id: a worker takes every ``num_workers``-th utterance of the sorted list.

    Returns:
      List of int64 arrays of indices; every utterance of the share is in exactly one.
    """
    frames = np.asarray(frames)
    share = np.argsort(-frames, kind="stable")[worker_id::num_workers]
    padded = -(-frames[share] // max(pad_to, 1))
    batches, start = [], 0
    for end in range(1, len(share) + 1):
        if end == len(share) or end - start == batch_size or (same_length and padded[end] != padded[start]):
            batches.append(share[start:end])
            start = end
    return batches
