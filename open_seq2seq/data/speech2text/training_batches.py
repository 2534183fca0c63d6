"""The batches of training: which rows each one has, how large it is, and how much of it is padding."""
import numpy as np
import tensorflow.compat.v1 as tf

from open_seq2seq.config.parameters import child_path
from open_seq2seq.data.speech2text.batch_order import TrainingOrder
from open_seq2seq.data.speech2text.bucket_order import BucketedOrder
from open_seq2seq.data.speech2text.buckets import CONFIG_KEY, BatchSizes, StaticShapes
from open_seq2seq.data.speech2text.data_sets import check_rules as check_data_set_rules
from open_seq2seq.data.speech2text.data_sets import described as described_data_sets
from open_seq2seq.data.speech2text.data_sets import sampling_of
from open_seq2seq.data.speech2text.dataset import Request
from open_seq2seq.data.speech2text.mixed_order import BATCH, DataSetBatches
from open_seq2seq.errors import ConfigError

# Batches of a bucket that are sorted by length together, where batches are padded only to their longest utterance. With 8 buckets
# of LibriSpeech 2 % of the frames are padding instead of 6 %, and a batch is still a random one of a quarter of its bucket.
WINDOW = 4
# the share of padding is computed from at most this many batches
MOST_EXAMINED = 10000


class TrainingBatches:
    """Which rows of a layout are in each batch of training.

    Every batch is computed from its number alone.

    Args:
      layout: RowLayout, with buckets where they are needed.
      params: the data layer's checked params.
      sizes: BatchSizes.
      seed: int.
      worker_id: which of the workers that share the global batches this one is.
      same_frames: whether all workers pad a batch to the longest row of the global batch.
      data_sets: DataSets that are mixed; None: one.

    Attributes:
      batches_per_epoch: int; without buckets the full batches of an epoch, else all.
      static_rows: int rows of every batch of this worker; None if the batches of the buckets have different numbers of rows.
      utterances_per_batch: float, the mean number of utterances in a batch of one worker.
      data_sets: as given.

    Raises:
      ConfigError: ``batch_frames`` is less than the longest utterance; utterances of several data sets would be packed.
    """

    def __init__(self, layout, params, sizes, seed, worker_id=0, same_frames=False, data_sets=None):
        self._layout, self._params, self._sizes, self.data_sets = layout, params, sizes, data_sets
        self._seed, self._worker_id, self._same_frames = seed, worker_id, same_frames
        if data_sets is not None and layout.is_static and params["join_shorter_than"]:
            raise ConfigError('data_layer_params["join_shorter_than"] is %g, and packed utterances may be of several data sets. '
                              "Set it to 0" % params["join_shorter_than"])
        self.static_rows, self.utterances_per_batch = sizes.most_rows, float(sizes.most_rows)
        self._rows_of_bucket = None
        if layout.buckets is None:
            self.batches_per_epoch = max(1, self._epoch_rows() // sizes.most_rows // sizes.num_workers)
            return
        longest = layout.buckets[-1].frames
        if 0 < sizes.frames < longest:
            raise ConfigError('data_layer_params["batch_frames"] is %d, but the longest utterances have %d frames after padding '
                              '(speed perturbation included). Set it to at least that, or exclude them with '
                              'data_layer_params["max_duration"]' % (sizes.frames, longest))
        self._rows_of_bucket = sizes.of_worker([bucket.frames for bucket in layout.buckets])
        self.batches_per_epoch = self.order().batches_per_epoch
        if sizes.frames:
            self.utterances_per_batch = self._epoch_rows() / self.batches_per_epoch / sizes.num_workers
        different = set(self._rows_of_bucket.tolist())
        self.static_rows = different.pop() if len(different) == 1 else None

    def order(self):
        """A new :class:`TrainingOrder` or :class:`BucketedOrder`: one object must not be used by two datasets at a time."""
        layout, params, sizes = self._layout, self._params, self._sizes
        lengths = np.array([row.num_samples for row in layout.rows], np.int64)
        sampling = self.sampling()
        if layout.buckets is None:
            return TrainingOrder(lengths, sizes.most_rows, params["shuffle"], self._seed, sizes.num_workers, self._worker_id,
                                 params["length_pool"], params["sortagrad"], sampling, params["shuffle_buffer"])
        options = (self._rows_of_bucket, params["shuffle"], self._seed, sizes.num_workers, self._worker_id,
                   [len(row.indices) for row in layout.rows], lengths, 1 if layout.is_static else WINDOW, params["sortagrad"],
                   bool(sizes.frames))
        if sampling is not None and params["mix"] == BATCH:
            return DataSetBatches(sampling, *options)
        return BucketedOrder(layout.bucket_of_row, *options, sampling=sampling, shuffle_buffer=params["shuffle_buffer"])

    def sampling(self):
        """The DataSetSampling of several data sets, or None."""
        return sampling_of(self.data_sets, self._params, self._seed, self._layout.bucket_of_row)

    def _epoch_rows(self):
        """Utterances of an epoch."""
        sampling = self.sampling()
        return sum(len(row.indices) for row in self._layout.rows) if sampling is None else sampling.size

    def rows_of(self, bucket=None):
        """Rows of this worker's batches of a bucket; None: the most rows of any batch."""
        if bucket is not None and self._rows_of_bucket is not None:
            return int(self._rows_of_bucket[bucket])
        return self._sizes.most_rows if self._rows_of_bucket is None else int(self._rows_of_bucket.max())

    def requests(self):
        """Function int number -> Request of batch ``number`` of the stream."""
        order, layout = self.order(), self._layout

        def request_of(number):
            frames = layout.most_frames[order.global_batch(number)].max() if self._same_frames else 1
            batch = order.batch(number)
            return Request(layout.first_utterances[batch.indices], batch.positions, batch.weights,
                           np.full([len(batch.indices)], frames, np.int32))

        return request_of

    def requests_of_bucket(self, bucket, first_batch, end=None):
        """(function int count -> Request of the bucket's batch number ``count``, (counts of those before ``first_batch`` and
        before ``end``, which may be None)); with ``end``, the numbers may be int64 scalars of the graph, and the counts are."""
        order, layout = self.order(), self._layout

        def request_of(count):
            batch = order.batch(order.number_of_batch(bucket, count))
            return Request(layout.first_utterances[batch.indices], batch.positions, batch.weights,
                           np.zeros([len(batch.indices)], np.int32))

        if end is None:
            return request_of, (order.batches_before(bucket, first_batch), None)
        counts = tf.numpy_function(lambda *numbers: [np.int64(order.batches_before(bucket, int(number))) for number in numbers],
                                   [first_batch, end], [tf.int64, tf.int64])
        for count in counts:
            count.set_shape([])
        return request_of, tuple(counts)

    def longest_request(self, bucket=None):
        """The Request of the training batch that takes the most memory: the longest rows, one of them that with the most labels.

        Args:
          bucket: with static shapes, the number of the bucket to choose from; None: all rows.
        """
        layout, workers, worker = self._layout, self._sizes.num_workers, self._worker_id
        chosen = self._largest_bucket() if bucket is None else bucket
        rows = self.rows_of(chosen)
        own = layout.longest_rows(rows * workers, chosen)[worker::workers].copy()
        own[-1] = layout.row_with_most_labels(chosen)
        frames = 0 if layout.is_static else self.longest_shape(bucket)[1]
        return Request(layout.first_utterances[own], np.arange(rows), np.ones([rows], np.float32),
                       np.full([rows], frames, np.int32))

    def longest_shape(self, bucket=None):
        """(rows, frames, labels) of the batch of :meth:`longest_request`, padding included."""
        chosen = self._largest_bucket() if bucket is None else bucket
        return (self.rows_of(chosen),) + tuple(self._layout.longest_shape(chosen))

    def _largest_bucket(self):
        """The bucket whose batches take the most memory: the most frames, among equals the most labels; None without buckets."""
        buckets = self._layout.buckets
        if buckets is None:
            return None
        return max(range(len(buckets)), key=lambda number: (self.rows_of(number) * buckets[number].frames,
                                                            self.rows_of(number) * buckets[number].labels))

    def padding_share(self, epoch=None):
        """The share of padding in all frames of the batches of an epoch, without speed perturbation: a float.

        Padding is the ends of rows, and rows without a weight.

        Args:
          epoch: int; None: the first one, with ``sortagrad`` the second one, because the sorted epoch has less padding than
            the others.
        """
        if epoch is None:
            epoch = int(self._params["sortagrad"])
        order, layout = self.order(), self._layout
        count = self.batches_per_epoch
        numbers = epoch * count + np.linspace(0, count - 1, min(count, MOST_EXAMINED)).astype(np.int64)
        computed, valid = 0, 0
        for number in numbers:
            rows = order.of_workers(number)
            frames = layout.frames[rows]
            if layout.is_static:
                computed += rows.size * layout.buckets[order.bucket_of_batch(number)].frames
            else:
                longest = frames.max(1) if not self._same_frames else np.full([len(rows)], frames.max())
                computed += int(layout.padded(longest).sum()) * rows.shape[1]
            valid += int(frames.sum())
            if layout.buckets is not None:
                valid -= int(frames.T.reshape(-1)[order.num_weighted(number):].sum())
        return 1.0 - valid / computed


def described(layout, params, mode, batches=None, padding_share=None):
    """Phrases for the log on the buckets and the share of padding: list of str.

    Args:
      layout: RowLayout.
      params: the data layer's checked params.
      mode: "train", "eval" or "infer".
      batches, padding_share: the TrainingBatches and their share; None in other modes.
    """
    phrases = []
    if batches is not None and batches.data_sets is not None:
        phrases.append(described_data_sets(batches.data_sets, batches.sampling(), params))
    elif batches is not None and (params["sampling_temperature"] is not None or params["mix"] == BATCH):
        phrases.append("one data set; sampling_temperature and mix have no effect")
    if layout.is_static:
        phrases.append(_described_shapes(layout, params, mode, batches))
    elif layout.buckets is not None:
        phrases.append("%d length bucket%s (frames: utterances in a batch): %s%s" % (
            len(layout.buckets), "" if len(layout.buckets) == 1 else "s",
            ", ".join("%d: %d" % (bucket.frames, batches.rows_of(number)) for number, bucket in enumerate(layout.buckets)),
            "; join_shorter_than has no effect, because the shapes are not static" if params["join_shorter_than"] else ""))
    if padding_share is not None:
        phrases.append("padding: %.1f %% of the frames" % (100.0 * padding_share))
    return phrases


def _described_shapes(layout, params, mode, batches):
    rows, training = layout.rows, mode == "train"
    several = [row for row in rows if len(row.indices) > 1]
    shapes, with_rows = ["%d x %d" % bucket for bucket in layout.buckets], training and bool(params["batch_frames"])
    if with_rows:
        shapes = ["%d x %s" % (batches.rows_of(number), shape) for number, shape in enumerate(shapes)]
    return "%d static shapes (%sframes x labels): %s%s%s" % (
        len(shapes), "utterances x " if with_rows else "", ", ".join(shapes),
        "; %d utterances are packed into %d rows" % (sum(len(row.indices) for row in several), len(several)) if several else "",
        "; length_pool has no effect" if training and params["length_pool"] else "")


def batch_sizes(params, mode, batch_size, num_workers):
    """The BatchSizes of checked data-layer params."""
    return BatchSizes(batch_size, params["batch_frames"] if mode == "train" else 0, num_workers)


def check_rules(params, path, report):
    """Reports contradictions between checked params; ``path`` names them."""
    check_data_set_rules(params, path, report)
    if params["length_pool"] and params["num_buckets"]:
        report.problem(child_path(path, "num_buckets"), "is %d and length_pool is %d; both choose the utterances of a batch: "
                       "set one of them to 0" % (params["num_buckets"], params["length_pool"]))
    if params["length_pool"] and params["sortagrad"]:
        report.problem(child_path(path, "sortagrad"), "cannot be used with length_pool, which shuffles the sorted batches of the "
                       "first epoch. Set length_pool to 0, and num_buckets (for example 8) to reduce padding in the other epochs")
    if params["shuffle_buffer"] and not params["shuffle"]:
        report.problem(child_path(path, "shuffle_buffer"), "is %d and shuffle is False; set shuffle to True, or shuffle_buffer "
                       "to 0" % params["shuffle_buffer"])
    if params["shuffle_buffer"] and params["sampling_temperature"] is not None:
        report.problem(child_path(path, "shuffle_buffer"), "is %d, and sampling_temperature has an order of its own for several "
                       "data sets; set shuffle_buffer to 0" % params["shuffle_buffer"])
    if params["batch_frames"] and not params["num_buckets"]:
        report.problem(child_path(path, "batch_frames"), "needs num_buckets: the number of utterances in a batch follows from "
                       "the length of its bucket. Set num_buckets, for example to 8 (on NPUs at most 4)")


def bucket_limits(params, mode, static_shapes, has_data_sets=False):
    """The StaticShapes from which the buckets of a data set are made, or None for no buckets.

    Args:
      params: the data layer's checked params.
      mode: "train", "eval" or "infer".
      static_shapes: the device's requirement, or None.
      has_data_sets: whether several data sets are mixed.

    Raises:
      ConfigError: ``num_buckets`` contradicts the device's requirement.
    """
    count = params["num_buckets"]
    if static_shapes is None and has_data_sets and params["mix"] == BATCH:
        # batches of one data set each need what batches of one bucket each need
        count = count or 1
    if static_shapes is None:
        return StaticShapes(None, count) if count and mode == "train" else None
    if not count:
        return static_shapes
    if count > static_shapes.max_buckets:
        raise ConfigError('data_layer_params["num_buckets"] is %d, but this device compiles a graph for each bucket; expected at '
                          "most %d. Lower num_buckets" % (count, static_shapes.max_buckets))
    lengths = static_shapes.bucket_frames
    if lengths is not None and len(lengths) != count:
        raise ConfigError('data_layer_params["num_buckets"] is %d, and %s has the lengths of %d buckets. Set num_buckets to %d, '
                          "or remove the lengths: then they are computed from the data"
                          % (count, CONFIG_KEY, len(lengths), len(lengths)))
    return static_shapes._replace(max_buckets=count)
