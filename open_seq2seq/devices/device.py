"""The interface of a device: session config, data types, optimizer, checks."""
import contextlib


class Device:
    """One kind of compute device.

    Attributes:
      name: "cpu", "gpu" or "npu".
      fast_gradients: whether convolution gradients written as forward convolutions are faster on this device.
      skip_reason: why a step was not applied, for messages.
      static_shapes: whether the device compiles a graph for every shape, so that batches must have few different lengths.
      stateless_dropout: whether dropout is derived from the positions of a batch's rows in the data, so that a resumed run
        continues with the same random numbers; else it depends on the graph's seed and restarts in every session.
      threads: number of threads among which an operation is split, 0 where the device decides.
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
        """Returns the data type in which the graph computes for the config's ``dtype``, a tf.DType or "mixed"."""
        raise NotImplementedError

    def precision_note(self, dtype):
        """Returns a sentence when the device computes in another precision than ``dtype``, else None."""
        raise NotImplementedError

    def wrap_optimizer(self, optimizer, params, group):
        """Wraps ``optimizer`` in the optimizer of the device's adapter, where the adapter scales losses and sums gradients.

        Args:
          optimizer: a ``tf.train.Optimizer``.
          params: the checked config of the model, of which loss_scaling and loss_scaling_params are used.
          group: the ``ProcessGroup`` of the training, None for one process.

        Returns:
          An ``AdapterOptimizer``, or None where the device needs none.

        Raises:
          ConfigError, DeviceError: the device does not support the loss scaling of the config.
        """
        return None

    def host_scope(self):
        """Returns a context manager in which the CTC loss is built; it keeps the loss on the host if the config says so."""
        return contextlib.nullcontext()

    def check_steps(self, graph, runs):
        """Checks before the first step that the device, and not the host, will compute the steps.

        Args:
          graph: the ``tf.Graph``.
          runs: list of (name for messages, list of fetches).

        Raises:
          DeviceError: a part of a step would silently be computed on the host.
        """

    def check_session(self, session, graph, with_loss=True):
        """Checks that a session uses the device; after its variables were initialized and before the first step.

        Args:
          session: a ``tf.Session`` with :meth:`session_config`.
          graph: its graph, to which a few small operations are added.
          with_loss: whether the CTC loss is checked as well.

        Raises:
          DeviceError: the session does not use the device, or the device computes wrong numbers.
        """

    def describe(self):
        """Returns a list of lines for the log: the options that are used."""
        return []
