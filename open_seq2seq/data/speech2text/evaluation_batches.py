"""The batches of an evaluation: every utterance of a worker's share once."""
import numpy as np

from open_seq2seq.data.speech2text.batch_order import evaluation_batches
from open_seq2seq.data.speech2text.bucket_order import bucketed_evaluation_batches
from open_seq2seq.data.speech2text.dataset import Request


class EvaluationBatches:
    """Which utterances are in each batch of an evaluation.

    Args:
      layout: RowLayout.
      params: the data layer's checked params.
      batch_size: the most utterances in a batch.
      num_workers, worker_id: how many workers share the utterances, and which one this is.
      preparation: of the waveforms, or None.
    """

    def __init__(self, layout, params, batch_size, num_workers, worker_id, preparation=None):
        self._layout, self._pad_to, self._batch_size = layout, params["pad_to"], batch_size
        self._workers, self._preparation = (num_workers, worker_id), preparation
        self._same_length, self._batches = params["same_length_batches"], None

    def __len__(self):
        return sum(map(len, self.batches())) if self._layout.is_static else len(self.batches())

    def batches(self, same_length=None):
        """List of arrays of indices; with static shapes, for each bucket an array [batches, batch_size].

        Args:
          same_length: without static shapes, whether a batch holds only utterances of equal padded length; None: as before.
        """
        if same_length is not None and same_length != self._same_length:
            self._same_length, self._batches = same_length, None
        if self._batches is None:
            layout = self._layout
            if layout.is_static:
                self._batches = bucketed_evaluation_batches(layout.most_frames, layout.bucket_of_row, len(layout.buckets),
                                                            self._batch_size, *self._workers)
            else:
                # a preparation may have made utterances of equal length unequal
                alone = self._same_length and self._preparation is not None and not self._preparation.exact
                self._batches = evaluation_batches(layout.most_frames, 1 if alone else self._batch_size, self._same_length,
                                                   self._pad_to, *self._workers)
        return self._batches

    def requests_of_bucket(self, bucket):
        """(function int number -> Request of the bucket's batch ``number``, the number of its batches)."""
        batches = self.batches()[bucket]

        def request_of(number):
            indices = batches[number]
            return Request(indices, np.zeros_like(indices), (indices >= 0).astype(np.float32),
                           np.zeros([self._batch_size], np.int32))

        return request_of, len(batches)
