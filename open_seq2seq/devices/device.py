"""The interface of a device: session config, data types, optimizer, checks, errors."""
import contextlib

import tensorflow.compat.v1 as tf

from open_seq2seq.errors import DeviceError

_MOST_NAMED = 3  # fetches in a message
_ASSIGNMENTS = ("Assign", "AssignVariableOp")
# runs that read and set all variables, as ``GraphVariables`` makes them
READING, SETTING = "reading all variables", "setting all variables"


class Device:
    """One kind of compute device.

    Attributes:
      name: "cpu", "gpu" or "npu".
      fast_gradients: whether convolution gradients written as forward convolutions are faster on this device.
      skip_reason: why a step was not applied, for messages.
      keeps_overflows: whether the device keeps an overflow until a training step reads it, even one of an evaluation.
      static_shapes: whether the device compiles a graph for every shape, so that batches must have few different lengths.
      stateless_dropout: whether dropout is derived from the positions of a batch's rows in the data, so that a resumed run
        continues with the same random numbers; else it depends on the graph's seed and restarts in every session.
      graph_memory: assumed bytes that the operations of one compiled graph can use; None for a device without such a limit.
      half_precision: whether ``graph_memory`` is for tensors that the device computes in half precision.
      threads: number of threads among which an operation is split, 0 where the device decides.
    """

    name = None
    fast_gradients = False
    static_shapes = False
    stateless_dropout = True
    graph_memory = None
    half_precision = False
    threads = 0
    skip_reason = "the gradient is not finite"
    keeps_overflows = False
    _names_of_fetches = {}
    _names_without_batch = frozenset()

    def session_config(self, use_xla_jit=False):
        """Returns the ``tf.ConfigProto`` for sessions on this device."""
        raise NotImplementedError

    def simplify_rewrites(self, config):
        """Changes the ``tf.ConfigProto`` of a session of a training or an evaluation so that TensorFlow prepares its large graphs
        faster; by default nothing is changed."""

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
        """Checks before the first step that the device, and not the host, will compute the steps, and keeps their names.

        Args:
          graph: the ``tf.Graph``.
          runs: list of (name for messages, list of fetches).

        Raises:
          DeviceError: a part of a step would silently be computed on the host.
        """
        self.name_runs(runs)

    def name_runs(self, runs, with_batch=True):
        """Keeps what runs of a session are called in messages.

        Args:
          runs: as in :meth:`check_steps`.
          with_batch: whether the runs process a batch, so that a smaller batch takes less memory.
        """
        names = dict(self._names_of_fetches)
        if not with_batch:
            self._names_without_batch = self._names_without_batch.union(name for name, _ in runs)
        for name, fetches in runs:
            for fetch in tf.nest.flatten(fetches):
                # what several runs fetch tells nothing
                names[fetch.name] = name if names.get(fetch.name, name) == name else None
        self._names_of_fetches = names

    def name_of_run(self, fetches):
        """A phrase on what a session runs, for messages.

        Args:
          fetches: as for ``Session.run``.
        """
        fetches = tf.nest.flatten(fetches)
        fetched = [getattr(fetch, "name", str(fetch)) for fetch in fetches]
        found = {self._names_of_fetches.get(name) for name in fetched} - {None}
        if len(found) == 1:
            return found.pop()
        if fetches and all(isinstance(fetch, tf.Variable) for fetch in fetches):
            return READING
        if fetches and all(getattr(fetch, "type", None) in _ASSIGNMENTS for fetch in fetches):
            return SETTING
        return "the run of " + ", ".join(fetched[:_MOST_NAMED]) + (", ..." if len(fetched) > _MOST_NAMED else "")

    def has_batch(self, run_name):
        """Whether a run of this name (:meth:`name_of_run`) takes less memory with a smaller batch."""
        return run_name not in self._names_without_batch | {READING, SETTING}

    def before_step(self, step, last_step, loss):
        """Tells the device, before a training step, how far the training is.

        Args:
          step: updates made so far.
          last_step: the training's last step.
          loss: float, the last finite loss; None before the first one.
        """

    def failure(self, error, fetches):
        """The error to raise instead of one of TensorFlow's that the device caused.

        Args:
          error: a ``tf.errors.OpError`` from ``Session.run``.
          fetches: what was run.

        Returns:
          A DeviceError, whose ``out_of_memory`` is set if the memory does not suffice; None for other errors.
        """
        if not isinstance(error, tf.errors.ResourceExhaustedError):
            return None
        reported = (error.message or "").split("\n")[0]
        name = self.name_of_run(fetches)
        failure = DeviceError("out of memory in %s: %s. %s" % (
            name, reported, "Lower the batch size" if self.has_batch(name) else "Stop other processes on the device"))
        failure.out_of_memory = reported
        return failure

    def start_session(self, session, graph, operations, feed_dict=None, with_loss=True):
        """Runs the operations that set the variables, and :meth:`check_session` in the same run.

        Args:
          session, graph, with_loss: see :meth:`check_session`.
          operations: what to run, None for nothing.
          feed_dict: what to feed to them.

        Raises:
          DeviceError: see :meth:`check_session`.
        """
        if operations is not None:
            session.run(operations, feed_dict)

    def count_compiled(self, partition_graphs):
        """Number of graphs that a device with ``static_shapes`` compiled for a run.

        Args:
          partition_graphs: list of the GraphDefs that TensorFlow executed.
        """
        return 0

    def compiles_again(self):
        """Whether a device with ``static_shapes`` compiles a graph that has run before once more, at its next run."""
        return False

    def clear_overflows(self):
        """Builds an operation that makes a device with ``keeps_overflows`` forget earlier overflows."""
        raise NotImplementedError

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
