"""The layout of a data set: which utterances each row of a batch holds, and the length bucket that each row belongs to."""
import numpy as np

from open_seq2seq.data.speech2text.buckets import make_buckets


class RowLayout:
    """Rows of utterances with their lengths and their length buckets.

    Args:
      rows: list of Row.
      most_frames_of: function int samples -> the most feature frames that a waveform of that length can have.
      pad_to: frames are padded to a multiple of this.
      limits: StaticShapes from which the buckets are made, or None for no buckets.
      global_batch: rows that are taken from one bucket at a time, see
        :func:`~open_seq2seq.data.speech2text.buckets.bucket_lengths`.
      name_of: function Row -> str that names the row's utterances in an error.
      is_static: whether every batch is padded to the shape of its bucket. Otherwise it is padded to its longest row.
      frames_of: function int samples -> feature frames of an unchanged waveform; None: ``most_frames_of``.
      labels_of: function index of an utterance -> list of its Labels in all tasks; None: there are none but those of the rows.

    Attributes:
      rows: the list of Row.
      first_utterances: int64 [rows], the index of each row's first utterance. It stands for the row in batches.
      most_frames, frames: int64 [rows].
      buckets: list of Bucket in order of length; None without ``limits``.
      bucket_of_row: int64 [rows], numbers of the buckets; None without ``limits``.
      is_static: bool, False without buckets.

    Raises:
      ConfigError, DataError: see :func:`~open_seq2seq.data.speech2text.buckets.make_buckets`.
    """

    def __init__(self, rows, most_frames_of, pad_to, limits=None, global_batch=1, name_of=None, is_static=True, frames_of=None,
                 labels_of=None):
        self.rows, self._pad_to = rows, max(pad_to, 1)
        self.first_utterances = np.array([row.indices[0] for row in rows], np.int64)
        self.most_frames = np.array([most_frames_of(row.num_samples) for row in rows], np.int64)
        self.frames = self.most_frames
        if frames_of is not None:
            self.frames = np.array([frames_of(row.num_samples) for row in rows], np.int64)
        self._label_lengths = np.array([len(row.labels) for row in rows], np.int64)
        self._all_labels = self._label_lengths
        if labels_of is not None:
            self._all_labels = np.array([sum(len(own.labels) for own in labels_of(row.indices[0])) for row in rows], np.int64)
        self.buckets = self.bucket_of_row = None
        self.is_static = limits is not None and is_static
        if limits is not None:
            self.buckets, self.bucket_of_row = make_buckets(self.most_frames, self._label_lengths, limits, pad_to,
                                                            global_batch, lambda row: name_of(rows[row]))
        self._number_of_first = {row.indices[0]: number for number, row in enumerate(rows)}

    def row_of(self, first_utterance):
        """The Row that begins with the utterance of this index."""
        return self.rows[self._number_of_first[first_utterance]]

    def frame_limit(self, first_utterance):
        """The most frames that the row beginning with this utterance may have where the shape of its batch is fixed."""
        number = self._number_of_first[first_utterance]
        if self.is_static:
            return self.buckets[self.bucket_of_row[number]].frames
        return self.padded(int(self.most_frames[number]))

    def padded(self, frames):
        """int frames rounded up to a multiple of ``pad_to``."""
        return -(-frames // self._pad_to) * self._pad_to

    def longest_rows(self, count, bucket=None):
        """Numbers of the rows that take the most memory as a batch: int64 [count], the longest first; repeated if too few.

        Args:
          count: int.
          bucket: number of the bucket to choose from; None: all rows.
        """
        rows = self._rows_in(bucket)
        return np.resize(rows[np.argsort(-self.most_frames[rows], kind="stable")], count)

    def row_with_most_labels(self, bucket=None):
        """Number of the row with the most labels, those of all tasks together; ``bucket`` as for :meth:`longest_rows`."""
        rows = self._rows_in(bucket)
        return rows[np.argmax(self._all_labels[rows])]

    def longest_shape(self, bucket=None):
        """(frames, labels) to which a batch of the longest rows is padded; ``bucket`` as for :meth:`longest_rows`."""
        if bucket is not None:
            return self.buckets[bucket]
        return self.padded(int(self.most_frames.max())), int(self._label_lengths.max())

    def _rows_in(self, bucket):
        return np.arange(len(self.rows)) if bucket is None else np.flatnonzero(self.bucket_of_row == bucket)
