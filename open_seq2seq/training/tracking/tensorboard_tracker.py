"""Event files for TensorBoard, next to the checkpoints."""
import tensorflow.compat.v1 as tf

from open_seq2seq.training.tracking.tracker import Tracker

# numbers of an evaluation that are not figures of its model
_OTHERS = ("utterances", "seconds", "data_set", "task")
_OF_TASKS = ("loss", "accuracy", "word_error_rate")


class TensorBoardTracker(Tracker):
    """Writes the graph, its summaries and the results of evaluations.

    Args:
      directory: where event files are.
    """

    def __init__(self, directory):
        self._directory, self._writer, self._graph = directory, None, None

    def start(self, step, graph):
        """See :meth:`Tracker.start`.

        The first event is a session start at the first step that this run makes: TensorBoard then drops what an earlier part of
        the run wrote from that step on, before it was killed. Without it a resumed curve doubles back.
        """
        with tf.Graph().as_default():  # TensorFlow 2 allows the writer only where operations are not run at once
            self._writer, self._graph = tf.summary.FileWriter(self._directory), graph
        self._writer.add_session_log(tf.SessionLog(status=tf.SessionLog.START), step + 1)

    def metrics(self, kind, step, seconds, numbers):
        scores = {}
        if kind == "evaluation":
            scores["eval_loss"] = numbers["loss"]
            if "word_error_rate" in numbers:
                scores["eval_WER"] = numbers["word_error_rate"]
            else:
                scores.update(("eval_" + name, value) for name, value in numbers.items() if name not in ("loss",) + _OTHERS)
        elif kind == "task_evaluation":
            scores.update(("eval_%s/%s" % (name, numbers["task"]), numbers[name]) for name in _OF_TASKS
                          if numbers.get(name) is not None)
        if scores:
            self.add_summary(tf.Summary(value=[
                tf.Summary.Value(tag=tag, simple_value=value) for tag, value in scores.items()]), step)

    def add_summary(self, summary, step):
        if self._graph is not None:
            # after the first step, which does not wait for it; add_graph would also write it as a MetaGraphDef, for which
            # TensorFlow 1.15 builds the graph once more
            self._writer.add_event(tf.Event(graph_def=self._graph.as_graph_def(add_shapes=True).SerializeToString()))
            self._graph = None
        self._writer.add_summary(summary, step)

    def finish(self, status):
        if self._writer is not None:
            self._writer.close()
