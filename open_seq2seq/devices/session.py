"""Opening a session on a device."""
import tensorflow.compat.v1 as tf

from open_seq2seq.errors import UsageError


def open_session(device, use_xla_jit=False, debug_port=None):
    """Returns a session on ``device``, under TensorBoard's debugger if ``debug_port`` is given.

    Raises:
      UsageError: this TensorFlow does not contain the debugger.
    """
    session = tf.Session(config=device.session_config(use_xla_jit))
    if debug_port is None:
        return session
    try:
        from tensorflow.python.debug import TensorBoardDebugWrapperSession
    except ImportError:
        session.close()
        raise UsageError("--debug_port: TensorBoard's debugger needs TensorFlow 1.15 with tensorboard and grpcio; this is "
                         "TensorFlow %s. Remove the flag" % tf.__version__)
    return TensorBoardDebugWrapperSession(session, "localhost:%d" % debug_port)
