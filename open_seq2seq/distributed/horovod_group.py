"""Processes on CPUs and GPUs that train together: Horovod over Gloo."""
import collections
import contextlib
import functools
import importlib
import math
import os
import warnings
import zlib

import tensorflow.compat.v1 as tf

from open_seq2seq.distributed import shared_memory
from open_seq2seq.distributed.group import ProcessGroup
from open_seq2seq.distributed.heartbeats import Heartbeats, peer_timeout
from open_seq2seq.distributed.lost_peers import PeerWatch, end_process
from open_seq2seq.distributed.startup_barrier import remove_note, wait_for_all_ranks
from open_seq2seq.errors import DeviceError, PeerLostError
from open_seq2seq.rank_tables.fields import integer_of

# set by Horovod's own launcher and by this project's
NUMBERS = ("HOROVOD_RANK", "HOROVOD_SIZE", "HOROVOD_LOCAL_RANK", "HOROVOD_LOCAL_SIZE", "HOROVOD_CROSS_RANK",
           "HOROVOD_CROSS_SIZE")
RENDEZVOUS = ("HOROVOD_GLOO_RENDEZVOUS_ADDR", "HOROVOD_GLOO_RENDEZVOUS_PORT")
HOW_TO_START = ("Start the processes with `bash scripts/run_8p.sh --device cpu --processes N` or `python -m "
                "open_seq2seq.launch --device cpu --processes N -- python run.py ...`")
DEFAULTS = {
    "HOROVOD_CONTROLLER": "gloo", "HOROVOD_CPU_OPERATIONS": "gloo",
    # By default Horovod combines tensors that happen to be ready at the same time into one transfer, and a number's position in
    # it determines the order in which more than two ranks add it. This makes the order, and with it the rounding, reproducible.
    "HOROVOD_DISABLE_GROUP_FUSION": "1"}
CYCLE_OF_SHARED_MEMORY = "50"
"""HOROVOD_CYCLE_TIME, in milliseconds, where all that a step exchanges goes through shared memory. In each of its cycles
Horovod asks all ranks whether they have something to exchange: with its default of 1 that takes a fifth of the time of a small
network, with 10 a twentieth. What remains for Horovod is rare: first values, the sums of an evaluation, the end."""

_CHAIN = "exchanges_of_a_step"  # a graph collection

GLOO_TIMEOUT = 5.0
"""Gloo's own time limit for a peer that does not answer, as a multiple of that of the heartbeats. It ends a process that cannot
reach the rendezvous server either, and a run that was paused as a whole for longer."""


class HorovodGroup(ProcessGroup):
    """The processes of a Horovod run; the constructor connects to the others.

    Args:
      environ: mapping of the environment variables; Horovod itself reads those of the process.
      on_cpu: whether the devices are CPUs, whose ranks on the same machine exchange gradients through shared memory.

    Raises:
      DeviceError: Horovod is not installed, its variables are missing or contradict each other, or some processes did not start.
      PeerLostError: a process that has started does not run.
    """

    name = "Horovod"

    def __init__(self, environ=os.environ, on_cpu=False):
        check_environment(environ)
        rank, size = int(environ["HOROVOD_RANK"]), int(environ["HOROVOD_SIZE"])
        self._horovod = import_horovod(rank, size)
        for name, value in DEFAULTS.items():
            os.environ.setdefault(name, value)
        if on_cpu and shared_memory.is_possible(environ):
            os.environ.setdefault("HOROVOD_CYCLE_TIME", CYCLE_OF_SHARED_MEMORY)
        os.environ.setdefault("HOROVOD_GLOO_TIMEOUT_SECONDS", "%d" % math.ceil(GLOO_TIMEOUT * peer_timeout(environ)))
        self._heartbeats = Heartbeats(rank, size, environ, functools.partial(end_process, rank, size))
        # Gloo aborts the process when another one is missing, so Horovod is initialized only after all processes have started
        run = wait_for_all_ranks(rank, size, environ, before=self._heartbeats.send)
        self._heartbeats.start()
        try:
            self._horovod.init()
        except Exception as error:
            explanation = self._heartbeats.explanation()
            if explanation:
                raise PeerLostError("rank %d of %d: %s" % (rank, size, explanation))
            raise DeviceError("rank %d of %d: Horovod cannot start: %s" % (rank, size, error))
        self._memory = None
        if on_cpu and shared_memory.is_possible(environ):
            self._memory = shared_memory.connect(rank, size, environ, run)
        remove_note(rank, environ)
        self.rank, self.size = self._horovod.rank(), self._horovod.size()
        self.local_rank, self.local_size = self._horovod.local_rank(), self._horovod.local_size()
        self._watch = PeerWatch(self._horovod, self)

    def sum(self, tensors):
        return self._all_reduce(tensors, 1.0)

    def average_in_step(self, tensors):
        if self._memory is None:
            return self.average(tensors)
        return self._exchanged(tensors, 1.0 / self.size)

    def average(self, tensors):
        # divided first: in float16 the sum may overflow where the mean does not
        return self._all_reduce(tensors, 1.0 / self.size)

    def sum_in_step(self, tensors):
        if self._memory is None:
            return self.sum(tensors)
        return [self._differentiable_sum(tensor) for tensor in tensors]

    def average_gradients(self, tensors):
        tensors = [tf.convert_to_tensor(tensor) for tensor in tensors]
        if self._memory is None or any(tensor.dtype.base_dtype != tf.float32 for tensor in tensors):
            return self.average(tensors)
        return self._exchanged(tensors, 1.0 / self.size)

    @contextlib.contextmanager
    def alternative(self):
        chain = tf.get_default_graph().get_collection_ref(_CHAIN)
        before = list(chain)
        try:
            yield
        finally:
            chain[:] = before

    def _differentiable_sum(self, tensor):
        @tf.custom_gradient
        def sum_over_ranks(value):
            return self._exchanged([value], 1.0)[0], lambda gradient: self._exchanged([gradient], 1.0)[0]

        return sum_over_ranks(tensor)

    def _exchanged(self, tensors, factor):
        """Sums through shared memory. A thread waits for the other ranks, so all exchanges of a step form one chain."""
        graph = tf.get_default_graph()
        chain = graph.get_collection_ref(_CHAIN)
        checksum = zlib.crc32(repr([tensor.shape.as_list() for tensor in tensors]).encode()) + len(chain)
        memory = self._memory
        with tf.control_dependencies(chain[-1:]):
            sums = tf.py_func(lambda *arrays: memory.sum(arrays, factor, checksum), tensors, [tf.float32] * len(tensors))
        chain.append(sums[0].op)
        for total, tensor in zip(sums, tensors):
            total.set_shape(tensor.shape)
        return sums

    def _all_reduce(self, tensors, factor):
        """One fused operation for all tensors of a type, so that Horovod negotiates hundreds of gradients as one."""
        tensors = [tf.convert_to_tensor(tensor) for tensor in tensors]
        by_type = collections.OrderedDict()
        for index, tensor in enumerate(tensors):
            by_type.setdefault(tensor.dtype.base_dtype, []).append(index)
        reduced = [None] * len(tensors)
        for indices in by_type.values():
            outputs = self._horovod.grouped_allreduce([tensors[index] for index in indices], op=self._horovod.Sum,
                                                       prescale_factor=factor)
            for index, output in zip(indices, outputs):
                output.set_shape(tensors[index].shape)
                reduced[index] = output
        return reduced

    def gather(self, tensor):
        gathered = self._horovod.allgather(tf.expand_dims(tensor, 0))
        gathered.set_shape([self.size] + tensor.shape.as_list())
        return gathered

    def broadcast(self, variables):
        return tf.group(*[tf.assign(variable, self._horovod.broadcast(variable, root_rank=0)) for variable in variables])

    def start(self, session):
        self._watch.start()

    def finish(self, session):
        """Waits until all ranks finish: when one rank shuts Horovod down, it ends on all, and rank 0 may still be saving."""
        with session.graph.as_default():
            barrier = self._horovod.allreduce(tf.zeros([1]), op=self._horovod.Sum, name="finish_barrier")
        session.run(barrier)
        self._watch.stop()
        self._heartbeats.stop()
        self._horovod.shutdown()

    def silent_ranks(self):
        return self._heartbeats.explanation()


def check_environment(environ):
    """Checks the variables with which a launcher describes this process to Horovod.

    Raises:
      DeviceError: variables are missing, not numbers or contradict each other; lists all mistakes.
    """
    mistakes = ["%s is not set" % name for name in NUMBERS + RENDEZVOUS if name not in environ]
    numbers = {}
    for name in NUMBERS + RENDEZVOUS[1:]:
        text = environ.get(name, "0")
        numbers[name] = integer_of(text)
        if numbers[name] is None:
            mistakes.append('%s is "%s", expected a whole number' % (name, text[:40]))
    if not mistakes:
        mistakes += ["%s is %d, expected less than %s=%d" % (which, numbers[which], size, numbers[size]) for which, size in
                     zip(NUMBERS[::2], NUMBERS[1::2]) if numbers[which] >= numbers[size]]
        if numbers[RENDEZVOUS[1]] > 65535:
            mistakes.append("%s is %d, expected the number of a port, at most 65535" % (RENDEZVOUS[1], numbers[RENDEZVOUS[1]]))
    if mistakes:
        raise DeviceError("rank %s of %s: the variables with which Horovod finds the other processes are wrong: %s. %s" % (
            environ.get("HOROVOD_RANK", "?"), environ.get("HOROVOD_SIZE", "?"), "; ".join(mistakes), HOW_TO_START))


def import_horovod(rank, size):
    """Returns the module ``horovod.tensorflow``.

    Raises:
      DeviceError: it is not installed, or was built for another TensorFlow.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # Horovod makes the symbols of TensorFlow's libraries visible to all that is loaded later. TensorFlow 2.6.5 has a
            # function of another SQLite among them, with which Python would misread its transactions (findings/README.md)
            with contextlib.suppress(ImportError):
                importlib.import_module("sqlite3")
            import horovod.tensorflow as horovod
    except Exception as error:
        raise DeviceError("rank %d of %d: several processes on a CPU or GPU need Horovod, built for this TensorFlow (%s), but it "
                          "cannot be imported: %s: %s. Build it with `bash scripts/setup.sh --distributed`, or start only one "
                          "process" % (rank, size, tf.__version__, type(error).__name__, str(error).strip().split("\n")[0]))
    if not horovod.gloo_built():
        raise DeviceError("rank %d of %d: this Horovod was built without Gloo. Rebuild it with `bash scripts/setup.sh "
                          "--distributed`" % (rank, size))
    return horovod
