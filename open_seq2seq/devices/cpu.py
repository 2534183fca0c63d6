"""The CPU: float32 everywhere, convolution gradients as forward convolutions."""
import ctypes
import os

import tensorflow.compat.v1 as tf

from open_seq2seq.cores import usable_cores
from open_seq2seq.devices.device import Device

_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8  # of glibc's mallopt
_MAPPED_BYTES = 8 << 20


class Cpu(Device):
    """The CPU.

    Args:
      cores: number of threads; None: the cores that the process may use.
      note: a line for the log, or None.
      saves_memory: take less memory from the system, and a little more time, on TensorFlow 1: what is allocated beside the
        tensors, e.g. copies of matrices that are multiplied, is returned when it is free and comes from one heap for all threads.
    """

    name = "cpu"
    # TensorFlow's own gradient kernels run at 35-45 % of the speed of its forward convolution on a CPU
    fast_gradients = True

    def __init__(self, cores=None, note=None, saves_memory=False):
        self.threads = cores or usable_cores()
        self._note = note
        if tf.__version__.startswith("1."):
            # TensorFlow then keeps its memory between steps. By default the system maps every large tensor again, which takes a
            # fifth of a step of jasper5x3. The variable is read when the process opens its first session.
            os.environ.setdefault("TF_CPU_ALLOCATOR_USE_BFC", "true")
            if saves_memory:
                _limit_heaps()

    def session_config(self, use_xla_jit=False):
        # soft placement: users' configs may contain tf.device("/gpu:0")
        config = tf.ConfigProto(allow_soft_placement=True, device_count={"GPU": 0},
                                intra_op_parallelism_threads=self.threads, inter_op_parallelism_threads=self.threads)
        return with_xla(config, use_xla_jit)

    def describe(self):
        return [] if self._note is None else [self._note]

    def simplify_rewrites(self, config):
        """Leaves out the passes over the graph that change nothing in a training: they take half of its start."""
        # else every new set of fetches is prepared from all operations, also those of training, evaluation and diagnostics that
        # it does not need
        config.graph_options.place_pruned_graph = True
        rewrites = config.graph_options.rewrite_options
        rewrites.meta_optimizer_iterations, rewrites.memory_optimization = rewrites.ONE, rewrites.NO_MEM_OPT
        rewrites.constant_folding = rewrites.loop_optimization = rewrites.OFF

    def compute_dtype(self, dtype):
        return tf.float32

    def precision_note(self, dtype):
        if dtype == tf.float32:
            return None
        return "dtype %s is ignored: a CPU computes in float32" % (
            '"mixed"' if dtype == "mixed" else tf.as_dtype(dtype).name)


def _limit_heaps():
    """One heap of glibc's for all threads, and mappings of their own for large blocks.

    By default each thread has a heap, and blocks of up to 32 MB stay in it when they are free: more than 1 GB for jasper5x3.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return  # another C library
    mallopt(_M_ARENA_MAX, 1)
    mallopt(_M_MMAP_THRESHOLD, _MAPPED_BYTES)


def with_xla(config, use_xla_jit):
    """Enables XLA's just-in-time compiler in ``config`` if ``use_xla_jit`` is True."""
    if use_xla_jit:
        config.graph_options.optimizer_options.global_jit_level = tf.OptimizerOptions.ON_1
    return config
