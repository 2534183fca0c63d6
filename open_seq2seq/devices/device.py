"""What the rest of the code may ask of a device."""
import contextlib


class Device:
    """One kind of compute device.

    Attributes:
      name: "cpu", "gpu" or "npu".
      fast_gradients: whether convolution gradients written as forward convolutions are the faster ones here.
      skip_reason: what it means that a step was not applied.
      static_shapes: whether the device compiles a graph for every shape, so that batches come in few lengths.
      stateless_dropout: whether dropout is drawn from the places of a batch's rows in the data, so that a resumed run goes on
        with the same draws; else from the graph's seed, from its beginning in every session.
      threads: among how many threads an operation is split, 0 where that is the device's own affair.
    """

    name = None
    fast_gradients = False
    static_shapes = False
    stateless_dropout = True
    threads = 0
    skip_reason = "the gradient is not finite"

    def session_config(self, use_xla_jit=False):
        """Returns the ``tf.ConfigProto`` for sessions on this device."""
        raise NotImplementedError

    def compute_dtype(self, dtype):
        """Returns the data type in which the graph computes where the config says ``dtype``, a tf.DType or "mixed"."""
        raise NotImplementedError

    def precision_note(self, dtype):
        """Returns a sentence when the device computes in another precision than ``dtype`` asks for, else None."""
        raise NotImplementedError

    def wrap_optimizer(self, optimizer, params, group):
        """The optimizer of the device's adapter round ``optimizer``, where the adapter scales losses and sums up gradients.

        Args:
          optimizer: a ``tf.train.Optimizer``.
          params: the checked config of the model; used are loss_scaling and loss_scaling_params.
          group: the ``ProcessGroup`` that trains, None for one process.

        Returns:
          None, or an ``AdapterOptimizer``.

        Raises:
          ConfigError, DeviceError: the loss scaling asked for is none that the device can do.
        """
        return None

    def host_scope(self):
        """Returns a context manager for the CTC loss, which it keeps on the host where the config asks for that."""
        return contextlib.nullcontext()

    def check_steps(self, graph, runs):
        """Makes sure that the device computes what a session is going to run again and again; before it does.

        Args:
          graph: the ``tf.Graph``.
          runs: list of (name for messages, list of what is fetched).

        Raises:
          DeviceError: something of it would be computed elsewhere, without a message.
        """

    def check_session(self, session, graph, with_loss=True):
        """Makes sure that a session really uses the device; after its variables were initialised, before the first step.

        Args:
          session: a ``tf.Session`` with :meth:`session_config`.
          graph: its graph, to which a few small operations are added.
          with_loss: whether a CTC loss will be computed, which is checked then.

        Raises:
          DeviceError: it would run elsewhere, or computes something wrong.
        """

    def describe(self):
        """Returns a list of lines for the log: the options in force."""
        return []
