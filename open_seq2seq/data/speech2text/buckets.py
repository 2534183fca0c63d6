"""Length buckets: utterances of similar lengths, from which batches are made, and the static shapes of devices that compile them.

From the lengths of all utterances, the bucket lengths with the fewest frames in total are found exactly. Sorted by length, every
bucket is a contiguous range of the utterances and as long as its last one, so the best division of the first j lengths into k
buckets follows from the best divisions of shorter prefixes into k - 1 (dynamic programming, as in optimal histograms).
"""
import collections

import numpy as np

from open_seq2seq.errors import ConfigError, DataError

StaticShapes = collections.namedtuple("StaticShapes", "bucket_frames max_buckets")
StaticShapes.__new__.__defaults__ = (None, 4)
StaticShapes.__doc__ = """A device's requirement on the data layer: every batch has one of a few static shapes.

bucket_frames: list of int, the buckets' lengths in feature frames; None: derived from the data.
max_buckets: the most buckets allowed; each is a separately compiled graph."""

Bucket = collections.namedtuple("Bucket", "frames labels")
Bucket.__doc__ = """A static shape: frames, labels: int, to which features and labels are padded."""


class BatchSizes(collections.namedtuple("BatchSizes", "most_rows frames num_workers")):
    """How many rows a batch has, given the length that its rows are padded to.

    most_rows: int, the most rows in a batch of one worker. frames: int, the most frames of such a batch, padding included; 0: no
    limit, every batch has ``most_rows``. num_workers: workers that share a global batch.
    """

    __slots__ = ()

    def of_worker(self, lengths):
        """Rows of one worker's batch, at least 1: int64, as many as ``lengths`` (int or an array, in frames)."""
        lengths = np.asarray(lengths, np.int64)
        if not self.frames:
            return np.full_like(lengths, self.most_rows)
        return np.clip(self.frames // np.maximum(lengths, 1), 1, self.most_rows)

    def of_all(self, lengths):
        """The same for the global batch of all workers."""
        return self.num_workers * self.of_worker(lengths)


# labels are few, so rounding costs little, and a slightly changed data set rarely needs a new shape
LABELS_MULTIPLE = 8
# of more different lengths than this, only some can be the end of a bucket: the time grows with the square of their number
MOST_ENDS = 4096
CONFIG_KEY = 'npu_params["bucket_frames"]'


def make_buckets(frames, label_lengths, static_shapes, pad_to=1, global_batch=1, names=None):
    """Buckets for a data set; buckets without an utterance are dropped.

    Args:
      frames: [n] the most feature frames that each utterance can have.
      label_lengths: [n] number of labels of each utterance.
      static_shapes: StaticShapes; also where the shapes are not static, and only the number of buckets is limited.
      pad_to: frames are a multiple of this.
      global_batch: see :func:`bucket_lengths`.
      names: function index -> str that names an utterance in a message.

    Returns:
      (list of Bucket in order of length, int64 [n] the number of each utterance's bucket).

    Raises:
      ConfigError: the configured lengths are invalid.
      DataError: an utterance is longer than the longest configured length.
    """
    frames, label_lengths = np.asarray(frames, np.int64), np.asarray(label_lengths, np.int64)
    pad_to = max(pad_to, 1)
    if static_shapes.bucket_frames is None:
        limits = bucket_lengths(frames, static_shapes.max_buckets, pad_to, global_batch)
    else:
        limits = list(static_shapes.bucket_frames)
        check_bucket_frames(limits, static_shapes.max_buckets, pad_to)
        _refuse_longer(frames, limits, names)
    used, numbers = np.unique(np.searchsorted(limits, frames), return_inverse=True)
    buckets = [Bucket(int(limits[bucket]), _rounded_up(max(int(label_lengths[numbers == place].max()), 1), LABELS_MULTIPLE))
               for place, bucket in enumerate(used)]
    return buckets, numbers


def bucket_lengths(frames, max_buckets, pad_to=1, global_batch=1):
    """The lengths of at most ``max_buckets`` buckets for which the batches have the fewest frames, padding included.

    Args:
      frames: [n] feature frames, n at least 1.
      max_buckets: int.
      pad_to: the lengths are multiples of this.
      global_batch: utterances in a global batch; the number of a bucket's utterances is rounded up to a multiple of it. An int,
        or a function from int64 [k] lengths of buckets to int64 [k].

    Returns:
      List of int, ascending; the last is at least the longest utterance. Of equally good results, the one with the fewest.
    """
    lengths, counts = np.unique(_rounded_up(np.maximum(np.asarray(frames, np.int64), 1), pad_to), return_counts=True)
    ends = np.cumsum(counts)                           # utterances in the first 1, 2, ... lengths
    if len(lengths) > MOST_ENDS:
        kept = np.unique(np.linspace(0, len(lengths) - 1, MOST_ENDS).astype(np.int64))
        lengths, ends = lengths[kept], ends[kept]
    starts = np.concatenate([[0], ends[:-1]])          # utterances before a bucket that begins with each length
    batch = global_batch(lengths) if callable(global_batch) else np.full_like(lengths, global_batch)
    cost = _rounded_up(ends, batch) * lengths          # of the first lengths, all in one bucket
    costs, first_lengths = [int(cost[-1])], []
    for _ in range(1, min(max_buckets, len(lengths))):
        before, cost = np.concatenate([[0], cost[:-1]]), np.empty_like(cost)
        first = np.empty(len(lengths), np.int64)
        for last, length in enumerate(lengths):
            total = before[:last + 1] + _rounded_up(ends[last] - starts[:last + 1], batch[last]) * length
            first[last] = np.argmin(total)
            cost[last] = total[first[last]]
        costs.append(int(cost[-1]))
        first_lengths.append(first)
    chosen, last = [], len(lengths) - 1
    for first in reversed(first_lengths[:int(np.argmin(costs))]):
        chosen.append(last)
        last = first[last] - 1
        if last < 0:
            break
    else:
        chosen.append(last)
    return [int(lengths[place]) for place in reversed(chosen)]


def check_bucket_frames(bucket_frames, max_buckets, pad_to=1):
    """Checks configured lengths.

    Raises:
      ConfigError: they are not ascending multiples of ``pad_to``, or too many.
    """
    if not bucket_frames or len(bucket_frames) > max_buckets:
        raise ConfigError("%s has %d lengths, expected 1 to %d; the device compiles a graph for each"
                          % (CONFIG_KEY, len(bucket_frames), max_buckets))
    for shorter, longer in zip([0] + list(bucket_frames), bucket_frames):
        if longer <= shorter:
            raise ConfigError("%s is %r, expected positive lengths in frames, in ascending order"
                              % (CONFIG_KEY, list(bucket_frames)))
        if longer % max(pad_to, 1):
            raise ConfigError('%s contains %d, which is not a multiple of data_layer_params["pad_to"] = %d; the next is %d'
                              % (CONFIG_KEY, longer, pad_to, _rounded_up(longer, pad_to)))


def _refuse_longer(frames, limits, names):
    too_long = np.flatnonzero(frames > limits[-1])
    if len(too_long):
        worst = int(too_long[np.argmax(frames[too_long])])
        raise DataError(
            "%d of %d utterances are longer than the longest bucket, %d frames; utterance %s has the most: %d frames (speed "
            'perturbation included). Increase the last length of %s to at least that, or exclude them with '
            'data_layer_params["max_feature_length"] or ["max_duration"]' % (len(too_long), len(frames), limits[-1],
                                                      names(worst) if names else worst, frames[worst], CONFIG_KEY))


def _rounded_up(number, multiple):
    return -(-number // multiple) * multiple
