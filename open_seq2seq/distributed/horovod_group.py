"""Processes on CPUs and GPUs that train together: Horovod, which talks through Gloo."""
import collections
import os
import warnings

import tensorflow.compat.v1 as tf

from open_seq2seq.distributed.group import ProcessGroup
from open_seq2seq.distributed.peer_watch import PeerWatch
from open_seq2seq.distributed.roll_call import answer_roll_call, leave_roll_call
from open_seq2seq.errors import DeviceError

# what Horovod's own launcher sets; ours does, too
NUMBERS = ("HOROVOD_RANK", "HOROVOD_SIZE", "HOROVOD_LOCAL_RANK", "HOROVOD_LOCAL_SIZE", "HOROVOD_CROSS_RANK",
           "HOROVOD_CROSS_SIZE")
RENDEZVOUS = ("HOROVOD_GLOO_RENDEZVOUS_ADDR", "HOROVOD_GLOO_RENDEZVOUS_PORT")
HOW_TO_START = ("Start the processes with `bash scripts/run_8p.sh --device cpu --processes N` or `python -m "
                "open_seq2seq.launch --device cpu --processes N -- python run.py ...`")
DEFAULTS = {
    "HOROVOD_CONTROLLER": "gloo", "HOROVOD_CPU_OPERATIONS": "gloo",
    # Seconds Gloo waits for a peer that is there but does not answer, when the processes meet and in each transfer. A peer
    # that died is noticed at once; this is for a machine that hangs or has been cut off.
    "HOROVOD_GLOO_TIMEOUT_SECONDS": "30",
    # What is ready at the same moment is joined into one transfer, and where a number stands in it decides in which order more
    # than two ranks add it up. Without this, chance would.
    "HOROVOD_DISABLE_GROUP_FUSION": "1"}


class HorovodGroup(ProcessGroup):
    """The processes that Horovod knows; the constructor meets the others.

    Args:
      environ: mapping of the environment variables; Horovod itself reads those of the process.

    Raises:
      DeviceError: Horovod is not installed, its variables are missing or contradict each other, or not all processes came.
    """

    name = "Horovod"

    def __init__(self, environ=os.environ):
        check_environment(environ)
        rank, size = int(environ["HOROVOD_RANK"]), int(environ["HOROVOD_SIZE"])
        self._horovod = import_horovod(rank, size)
        for name, value in DEFAULTS.items():
            os.environ.setdefault(name, value)
        # Gloo ends the process with an abort when somebody is missing, so it is asked only when all are known to be there
        answer_roll_call(rank, size, environ)
        try:
            self._horovod.init()
        except Exception as error:
            raise DeviceError("rank %d of %d: Horovod cannot start: %s" % (rank, size, error))
        leave_roll_call(rank, environ)
        self.rank, self.size = self._horovod.rank(), self._horovod.size()
        self.local_rank, self.local_size = self._horovod.local_rank(), self._horovod.local_size()
        self._watch = PeerWatch(self._horovod, self)

    def sum(self, tensors):
        return self._all_reduce(tensors, 1.0)

    def average(self, tensors):
        # divided first, so that float16 does not overflow in a sum whose mean it could hold
        return self._all_reduce(tensors, 1.0 / self.size)

    def _all_reduce(self, tensors, factor):
        """One fused operation for all tensors of a type: hundreds of gradients are negotiated as one."""
        tensors = [tf.convert_to_tensor(tensor) for tensor in tensors]
        by_type = collections.OrderedDict()
        for place, tensor in enumerate(tensors):
            by_type.setdefault(tensor.dtype.base_dtype, []).append(place)
        reduced = [None] * len(tensors)
        for places in by_type.values():
            outputs = self._horovod.grouped_allreduce([tensors[place] for place in places], op=self._horovod.Sum,
                                                       prescale_factor=factor)
            for place, output in zip(places, outputs):
                output.set_shape(tensors[place].shape)
                reduced[place] = output
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
        """Waits for the others to finish, too: when one leaves, Horovod ends on all, and rank 0 may still be saving."""
        with session.graph.as_default():
            farewell = self._horovod.allreduce(tf.zeros([1]), op=self._horovod.Sum, name="farewell")
        session.run(farewell)
        self._watch.stop()
        self._horovod.shutdown()


def check_environment(environ):
    """Checks the variables by which a launcher tells Horovod who this process is.

    Raises:
      DeviceError: a variable is missing, or is no number, or they contradict each other; all mistakes at once.
    """
    mistakes = ["%s is not set" % name for name in NUMBERS + RENDEZVOUS if name not in environ]
    numbers = {}
    for name in NUMBERS + RENDEZVOUS[1:]:
        text = environ.get(name, "0")
        if text.isdigit():
            numbers[name] = int(text)
        else:
            mistakes.append('%s is "%s", expected a whole number' % (name, text))
    if not mistakes:
        mistakes += ["%s is %d, expected less than %s=%d" % (which, numbers[which], size, numbers[size]) for which, size in
                     zip(NUMBERS[::2], NUMBERS[1::2]) if numbers[which] >= numbers[size]]
    if mistakes:
        raise DeviceError("rank %s of %s: Horovod is not told how to find the other processes: %s. %s" % (
            environ.get("HOROVOD_RANK", "?"), environ.get("HOROVOD_SIZE", "?"), "; ".join(mistakes), HOW_TO_START))


def import_horovod(rank, size):
    """Returns the module ``horovod.tensorflow``.

    Raises:
      DeviceError: it is not installed, or was built for another TensorFlow.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import horovod.tensorflow as horovod
    except Exception as error:
        raise DeviceError("rank %d of %d: several processes on a CPU or GPU need Horovod, built for this TensorFlow (%s), and "
                          "it cannot be imported: %s: %s. Build it with `bash scripts/setup.sh --distributed`, or start one "
                          "process" % (rank, size, tf.__version__, type(error).__name__, str(error).strip().split("\n")[0]))
    if not horovod.gloo_built():
        raise DeviceError("rank %d of %d: this Horovod was built without Gloo. Build it anew with `bash scripts/setup.sh "
                          "--distributed`" % (rank, size))
    return horovod
