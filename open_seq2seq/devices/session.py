"""Opening a session on a device."""
import tensorflow.compat.v1 as tf

from open_seq2seq.errors import UsageError
from open_seq2seq.log_lines import log_line


class DeviceSession(tf.Session):
    """A session on a device; failures of the device are raised as ``DeviceError``.

    Args:
      device: a ``Device``.
      use_xla_jit: see ``Device.session_config``.
      graph: a ``tf.Graph``, None for the default graph.
    """

    def __init__(self, device, use_xla_jit=False, graph=None):
        config = device.session_config(use_xla_jit)
        device.simplify_rewrites(config)
        super().__init__(graph=graph, config=config)
        self._of_device = device
        self._parts_of_runs = {}  # (names of the fetches, names of what is fed) -> number of graphs that the device compiled
        self._compiled_again = set()  # keys of those that it has compiled twice

    @property
    def compiled_graphs(self):
        """Number of graphs that the device has compiled for the session; None for a device that does not compile graphs."""
        if not self._of_device.static_shapes:
            return None
        return sum(self._parts_of_runs.values()) + sum(self._parts_of_runs[key] for key in self._compiled_again)

    def run(self, fetches, feed_dict=None, options=None, run_metadata=None):
        """See ``tf.Session.run``.

        Raises:
          DeviceError: the device failed; see ``Device.failure``.
        """
        try:
            if not self._of_device.static_shapes:
                return super().run(fetches, feed_dict, options, run_metadata)
            return self._counted_run(fetches, feed_dict, options, run_metadata)
        except tf.errors.OpError as error:
            failure = self._of_device.failure(error, fetches)
            if failure is None:
                raise
            raise failure from error

    def _counted_run(self, fetches, feed_dict, options, run_metadata):
        key = _names(tf.nest.flatten(fetches)), _names(feed_dict or ())
        if key in self._parts_of_runs:
            if self._of_device.compiles_again():
                self._compiled_again.add(key)
            return super().run(fetches, feed_dict, options, run_metadata)
        # the graphs that TensorFlow executes show what the device has compiled
        options_of_first, metadata = tf.RunOptions(), run_metadata or tf.RunMetadata()
        if options is not None:
            options_of_first.CopyFrom(options)
        options_of_first.output_partition_graphs = True
        values = super().run(fetches, feed_dict, options_of_first, metadata)
        self._parts_of_runs[key] = self._of_device.count_compiled(metadata.partition_graphs)
        return values


def _names(tensors):
    return frozenset(getattr(tensor, "name", str(tensor)) for tensor in tensors)


def report_compiled_graphs(session):
    """Prints how many graphs the device has compiled for a session of :func:`open_session`, if it compiles graphs."""
    count = getattr(session, "session", session).compiled_graphs  # TensorBoard's debugger wraps the session
    if count is not None:
        log_line("Graphs compiled for the device: %d" % count)


def open_session(device, use_xla_jit=False, debug_port=None):
    """Returns a session on ``device``, under TensorBoard's debugger if ``debug_port`` is given.

    Raises:
      UsageError: this TensorFlow does not contain the debugger.
    """
    session = DeviceSession(device, use_xla_jit)
    if debug_port is None:
        return session
    try:
        from tensorflow.python.debug import TensorBoardDebugWrapperSession
    except ImportError:
        session.close()
        raise UsageError("--debug_port: TensorBoard's debugger needs TensorFlow 1.15 with tensorboard and grpcio; this is "
                         "TensorFlow %s. Remove the flag" % tf.__version__)
    return TensorBoardDebugWrapperSession(session, "localhost:%d" % debug_port)
