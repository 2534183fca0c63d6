"""One pass of a model without transcripts over a data set: every utterance exactly once, summed over all ranks."""
import collections

import tensorflow.compat.v1 as tf

from open_seq2seq.distributed.exchange import Exchange
from open_seq2seq.errors import DataError
from open_seq2seq.log_lines import log_line
from open_seq2seq.progress import ProgressBar

_COUNTS = ("utterances", "unscored", "audio_seconds", "interrupted")

_ShapeGraph = collections.namedtuple("_ShapeGraph", "iterator batch fetches")


class UtterancePass:
    """The operations of a model for the batches of a data layer, and what the ranks sum.

    Args:
      params: the checked config of the mode.
      data_layer: a data layer of that mode.
      group: a ``ProcessGroup``.
      fetches_of: function (batch of tensors) -> dict of tensors, among them ``indices``, the utterances' indices.
      numbers: names of the numbers of an evaluation that are summed over the ranks.

    Attributes:
      fetches_of_buckets: list with what a run fetches of a batch, a dict of tensors for each shape of batches.
    """

    def __init__(self, params, data_layer, group, fetches_of, numbers):
        self._data_layer, self._shape_graphs, self._initializers = data_layer, [], []
        # if an utterance's last frames see the padding, only equally long utterances may share a batch
        apart = params["encoder"].depends_on_padding(params["encoder_params"], params["data_layer_params"]["pad_to"])
        for bucket in range(len(data_layer.buckets)) if data_layer.buckets is not None else [None]:
            dataset = data_layer.evaluation_dataset(bucket=bucket) if bucket is not None else (
                data_layer.evaluation_dataset(same_length_batches=apart))
            iterator = tf.data.Iterator.from_structure(tf.data.get_output_types(dataset), tf.data.get_output_shapes(dataset))
            batch = iterator.get_next()
            self._shape_graphs.append(_ShapeGraph(iterator, batch, fetches_of(batch)))
            self._initializers.append(iterator.make_initializer(dataset))
        self._exchange = Exchange(group, _COUNTS + tuple(numbers))

    @property
    def fetches_of_buckets(self):
        """See the class."""
        return [shape_graph.fetches for shape_graph in self._shape_graphs]

    def runs(self, name):
        """List of (name, list of what is fetched), one for each shape of batches."""
        return [(name if self._data_layer.buckets is None else "%s, %s frames" % (
            name, shape_graph.batch.features.shape.as_list()[1]), list(shape_graph.fetches.values()))
            for shape_graph in self._shape_graphs]

    def sums(self, session, add, numbers, verbose, is_interrupted):
        """Runs through the data once.

        Args:
          session: a session whose variables are set.
          add: function that is called with the values of each batch, a dict of arrays.
          numbers: function without arguments that returns this rank's numbers at the end, a dict.
          verbose: print ``Processed k/n batches`` at intervals.
          is_interrupted: function, called after every batch, that says whether this rank has to stop.

        Returns:
          Dict of the numbers, and of utterances, unscored (those whose files have become unreadable) and audio_seconds, summed
          over the ranks; None on all ranks if one of them was interrupted.

        Raises:
          DataError: an utterance was evaluated twice or not at all, or too many files have become unreadable since the start.
        """
        layer, seen, done, interrupted = self._data_layer, set(), 0, False
        total = layer.batches_per_epoch
        session.run(self._initializers)
        with ProgressBar(total, description="evaluation") as bar:
            for shape_graph in self._shape_graphs:
                while not interrupted:
                    try:
                        values = session.run(shape_graph.fetches)
                    except tf.errors.OutOfRangeError:
                        break
                    self._see(values["indices"], seen)
                    add(values)
                    done += 1
                    bar.update(done)
                    if verbose and done % max(1, total // 10) == 0:
                        log_line("Processed %d/%d batches" % (done, total))
                    interrupted = is_interrupted()
        layer.raise_if_too_many_rejected()
        sums = self._exchange.sum(session, dict(
            numbers(), utterances=len(seen), unscored=len(layer.run_time_rejections), interrupted=int(interrupted),
            audio_seconds=sum(layer.utterances[index].duration for index in seen)))
        if sums["interrupted"]:
            return None
        layer.raise_if_too_many_rejected(elsewhere=int(sums["unscored"]) - len(layer.run_time_rejections))
        if sums["utterances"] + sums["unscored"] != len(layer.utterances):
            raise DataError("only %d of %d utterances were evaluated, and %d could not be read; the data layer lost the others. "
                            "Please report this as a bug" % (sums["utterances"], len(layer.utterances), sums["unscored"]))
        return sums

    def _see(self, indices, seen):
        for index in indices[indices >= 0].tolist():
            if index in seen:
                raise DataError("utterance %s occurred twice in one evaluation. Please report this as a bug"
                                % self._data_layer.utterances[index].id)
            seen.add(index)
