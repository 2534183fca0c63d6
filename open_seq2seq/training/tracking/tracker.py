"""What every tracker offers, and several trackers as one."""
from open_seq2seq.errors import JasperError
from open_seq2seq.log_lines import log_line

FINISHED, FAILED, STOPPED = "finished", "failed", "stopped"


class Tracker:
    """Records one training. The methods are called on the first rank only, in the order in which they are declared.

    A tracker never waits for anything but the local disk before :meth:`finish`.
    """

    def start(self, step, graph):
        """Begins to record.

        Args:
          step: updates made before; more than 0 in a resumed run.
          graph: the ``tf.Graph`` of the training.
        """

    def parameters(self, values):
        """Records the settings of the run.

        Args:
          values: dict of str -> None, bool, int, float or str: the config, flattened.
        """

    def metrics(self, kind, step, seconds, numbers):
        """Records measurements, see :meth:`open_seq2seq.training.metrics.Metrics.write`.

        Args:
          kind: what was measured, e.g. "step" or "evaluation".
          step: updates made before.
          seconds: time since 1970.
          numbers: dict of name -> number (also NumPy's and non-finite ones), str, None, or lists or dicts of these.
        """

    def add_summary(self, summary, step):
        """Records what the graph computed for TensorBoard.

        Args:
          summary: a ``tf.Summary``, or its bytes.
          step: updates made.
        """

    def artifact(self, path, folder):
        """Records a file, or everything in a folder.

        Args:
          path: path of the file or the folder.
          folder: name of the group that it belongs to: "config", "report" or "best_model".
        """

    def finish(self, status):
        """Ends the recording.

        Args:
          status: FINISHED, FAILED (an error ended the training) or STOPPED (a signal did; it can be resumed).
        """


class Trackers(Tracker):
    """Several trackers. One that fails is not called again, with a line in the log: the training continues.

    Args:
      trackers: list of ``Tracker``.
    """

    def __init__(self, trackers=()):
        self._trackers = list(trackers)

    def _all(self, method, *arguments):
        for tracker in list(self._trackers):
            try:
                getattr(tracker, method)(*arguments)
            except (JasperError, OSError) as error:
                self._trackers.remove(tracker)
                log_line("%s: %s. The training continues and is no longer recorded there" % (type(tracker).__name__, error))

    def start(self, step, graph):
        self._all("start", step, graph)

    def parameters(self, values):
        self._all("parameters", values)

    def metrics(self, kind, step, seconds, numbers):
        self._all("metrics", kind, step, seconds, numbers)

    def add_summary(self, summary, step):
        self._all("add_summary", summary, step)

    def artifact(self, path, folder):
        self._all("artifact", path, folder)

    def finish(self, status):
        """See :meth:`Tracker.finish`; a second call does nothing."""
        self._all("finish", status)
        self._trackers = []
