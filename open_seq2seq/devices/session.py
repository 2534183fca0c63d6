"""Opening a session on a device."""
import tensorflow.compat.v1 as tf

from open_seq2seq.errors import UsageError


class DeviceSession(tf.Session):
    """A session on a device; failures of the device are raised as ``DeviceError``.

    Args:
      device: a ``Device``.
      use_xla_jit: see ``Device.session_config``.
      graph: a ``tf.Graph``, None for the default graph.
    """

    def __init__(self, device, use_xla_jit=False, graph=None):
        super().__init__(graph=graph, config=device.session_config(use_xla_jit))
        self._of_device = device

    def run(self, fetches, feed_dict=None, options=None, run_metadata=None):
        """See ``tf.Session.run``.

        Raises:
          DeviceError: the device failed; see ``Device.failure``.
        """
        try:
            return super().run(fetches, feed_dict, options, run_metadata)
        except tf.errors.OpError as error:
            failure = self._of_device.failure(error, fetches)
            if failure is None:
                raise
            raise failure from error


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
