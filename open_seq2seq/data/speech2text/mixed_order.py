"""The order of training on several data sets: how many utterances of each an epoch has, which ones, and how batches mix them.

As in multilingual training of language models, the share of a data set is its size to the power 1 / temperature, divided by the
sum over the data sets: temperature 1 takes every utterance once per epoch, a large one takes equally many of each data set.
"""
import numpy as np

from open_seq2seq.data.speech2text.bucket_order import BucketedOrder

ROW, BATCH = "row", "batch"  # values of "mix"
PASS_STREAM, OFFSET_STREAM = 5, 6  # differ from the streams of batch_order.py and bucket_order.py


def shares(sizes, temperature):
    """Share of each data set in an epoch: float64 [data sets], whose sum is 1.

    Args:
      sizes: int [data sets], their utterances; at least 1.
      temperature: number, at least 1.
    """
    # relative to the largest, so that no power overflows
    powers = (np.asarray(sizes, np.float64) / np.max(sizes)) ** (1.0 / temperature)
    return powers / powers.sum()


class DataSetSampling:
    """Which rows an epoch has if several data sets are sampled.

    An epoch has as many rows as all data sets together, up to rounding. Each data set has its share of them, and this share is
    divided among its length buckets by their sizes; every such cell has at least one row per epoch. So all epochs have equally
    many rows of each data set and bucket. A cell's rows of successive epochs are successive parts of an endless stream of
    permutations, drawn from (seed, cell, pass): no row is taken again before all others of its cell have been taken.

    Args:
      data_sets: int [rows], number of the data set of each row; every number has a row.
      temperature: number, at least 1.
      buckets: int [rows], number of the length bucket; None: one for all.
      shuffle: False takes the rows of a cell in their order.
      seed: int.

    Attributes:
      shares: float64 [data sets].
      size: rows per epoch.
      cell_of_row: int64 [rows]; the cells are in order of bucket, then data set.
      set_of_cell, bucket_of_cell, rows_of_cell: int64 [cells], rows per epoch.
    """

    def __init__(self, data_sets, temperature=1.0, buckets=None, shuffle=True, seed=0):
        data_sets = np.asarray(data_sets, np.int64)
        buckets = np.zeros_like(data_sets) if buckets is None else np.asarray(buckets, np.int64)
        self._shuffle, self._seed = shuffle, seed % 2 ** 32
        sizes = np.bincount(data_sets)
        self.shares = shares(sizes, temperature)
        cells, self.cell_of_row = np.unique(buckets * len(sizes) + data_sets, return_inverse=True)
        self.bucket_of_cell, self.set_of_cell = np.divmod(cells, len(sizes))
        self._members = [np.flatnonzero(self.cell_of_row == cell) for cell in range(len(cells))]
        exact = self.shares[self.set_of_cell] * len(data_sets) * [
            len(members) / sizes[number] for members, number in zip(self._members, self.set_of_cell)]
        # rounding removes what floating point adds: with temperature 1 these are the sizes of the cells
        self.rows_of_cell = np.maximum(np.rint(exact), 1).astype(np.int64)
        self.size = int(self.rows_of_cell.sum())

    def rows(self, epoch):
        """The rows of an epoch: int64 [size], those of each cell spread evenly over it.

        So a batch cut from it, and one cut from the rows of one bucket in it, has its share of each data set.
        """
        rows = [self._of_cell(cell, epoch) for cell in range(len(self._members))]
        offsets = np.full(len(rows), 0.5)
        if self._shuffle:
            offsets = np.random.RandomState([self._seed, OFFSET_STREAM, epoch]).random_sample(len(rows))
        places = np.concatenate([(np.arange(len(of_cell)) + offset) / len(of_cell) for of_cell, offset in zip(rows, offsets)])
        return np.concatenate(rows)[np.argsort(places, kind="stable")]

    def _of_cell(self, cell, epoch):
        """The rows of a cell in an epoch, in their order."""
        members, count = self._members[cell], int(self.rows_of_cell[cell])
        passes, places = np.divmod(np.arange(epoch * count, (epoch + 1) * count), len(members))
        if not self._shuffle:
            return members[places]
        return np.concatenate([members[np.random.RandomState([self._seed, PASS_STREAM, cell, number]).permutation(len(members))[
            places[passes == number]]] for number in range(passes[0], passes[-1] + 1)])


class DataSetBatches(BucketedOrder):
    """Training batches of one data set, and of one length bucket, each: ``mix`` "batch".

    It is a :class:`BucketedOrder` of cells, see :class:`DataSetSampling`: the last batch of a cell is completed with padding rows
    in every epoch. Buckets are those of the lengths.

    Args:
      sampling: DataSetSampling.
      batch_size: rows of a batch of one worker: an int, or one for each bucket.
      options: further arguments of BucketedOrder.
    """

    def __init__(self, sampling, batch_size, *options, **named_options):
        self._bucket_of_cell = sampling.bucket_of_cell
        sizes = np.broadcast_to(np.asarray(batch_size, np.int64), [int(sampling.bucket_of_cell.max()) + 1])
        super().__init__(sampling.cell_of_row, sizes[sampling.bucket_of_cell], *options, sampling=sampling, **named_options)

    def bucket_of_batch(self, number):
        """See BucketedOrder."""
        return int(self._bucket_of_cell[super().bucket_of_batch(number)])

    def batches_before(self, bucket, number):
        """See BucketedOrder."""
        epoch, place = divmod(int(number), self.batches_per_epoch)
        return epoch * self._per_epoch(bucket) + int(np.sum(self._bucket_of_cell[self._epoch(epoch).schedule[:place]] == bucket))

    def number_of_batch(self, bucket, count):
        """See BucketedOrder."""
        epoch, place = divmod(int(count), self._per_epoch(bucket))
        of_bucket = np.flatnonzero(self._bucket_of_cell[self._epoch(epoch).schedule] == bucket)
        return epoch * self.batches_per_epoch + int(of_bucket[place])

    def _per_epoch(self, bucket):
        return int(self.batches_of_bucket[self._bucket_of_cell == bucket].sum())
