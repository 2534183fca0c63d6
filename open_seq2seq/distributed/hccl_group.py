"""Ascend NPUs that train together: HCCL, through the adapter's operators."""
import os

import tensorflow.compat.v1 as tf

from open_seq2seq.devices.npu_adapter import load_adapter
from open_seq2seq.distributed.group import ProcessGroup
from open_seq2seq.errors import DeviceError
from open_seq2seq.rank_tables.rank_table import check_against_environment, read_rank_table

WORLD = "hccl_world_group"
# How the graph engine may combine all-reduces into one transfer: not at all, or together with others, as for gradients.
NOT_FUSED, FUSED = 0, 1

# HcomBroadcast does not support these types; they are sent as another one
_SENT_AS = {tf.bool: tf.int8, tf.uint8: tf.int32, tf.uint16: tf.int32, tf.uint32: tf.int64}


class HcclGroup(ProcessGroup):
    """The processes of a rank table; :meth:`start` connects them.

    Args:
      environ: mapping of the environment variables; the adapter itself reads those of the process.

    Raises:
      DeviceError: the rank table cannot be read, has mistakes or contradicts RANK_ID, RANK_SIZE or DEVICE_ID.
    """

    name = "HCCL"

    def __init__(self, environ=os.environ):
        missing = [name for name in ("RANK_TABLE_FILE", "RANK_ID") if not environ.get(name)]
        if missing:
            raise DeviceError("rank %s of %s: %s %s not set; this process cannot find the others. Start the processes with "
                              "scripts/run_8p.sh" % (environ.get("RANK_ID") or "?", environ.get("RANK_SIZE", "?"),
                                                     " and ".join(missing), "is" if len(missing) == 1 else "are"))
        table = read_rank_table(environ["RANK_TABLE_FILE"])
        device = check_against_environment(table, environ)
        devices = table.devices_of_server(device.server_id)
        self.rank, self.size = device.rank, table.size
        self.local_rank, self.local_size = devices.index(device), len(devices)
        adapter = load_adapter()
        self._operators = adapter.module("hccl.hccl_ops")
        self._system = adapter.module("estimator.npu_ops")

    def start(self, session):
        """Connects the devices; waits up to HCCL_CONNECT_TIMEOUT seconds for the others.

        Raises:
          DeviceError: they could not be connected.
        """
        with session.graph.as_default():
            initialize = self._system.initialize_system()
        try:
            session.run(initialize)
        except (tf.errors.OpError, DeviceError) as error:
            raise DeviceError("rank %d of %d: HCCL could not connect the devices of %s (HCCL_CONNECT_TIMEOUT is %s s): %s. "
                              "All ranks have to be started at the same time, and each device_ip has to be reachable from the "
                              "other devices (`hccn_tool -i 0 -netdetect -g`)" % (
                                  self.rank, self.size, os.environ.get("RANK_TABLE_FILE"),
                                  os.environ.get("HCCL_CONNECT_TIMEOUT", 120), getattr(error, "message", None) or error))

    def finish(self, session):
        with session.graph.as_default():
            shutdown = self._system.shutdown_system()
        session.run(shutdown)

    def sum(self, tensors):
        return [self._differentiable_sum(tf.convert_to_tensor(tensor)) for tensor in tensors]

    def _differentiable_sum(self, tensor):
        # versions of the adapter differ in whether HcomAllReduce has a gradient, and which; this is the gradient of a sum
        @tf.custom_gradient
        def sum_over_ranks(value):
            return self._all_reduce(value, NOT_FUSED), lambda gradient: self._all_reduce(gradient, NOT_FUSED)
        return sum_over_ranks(tensor)

    def average(self, tensors):
        # divided first: in float16 the sum may overflow where the mean does not
        return [self._all_reduce(tensor / tf.cast(self.size, tensor.dtype), FUSED)
                for tensor in map(tf.convert_to_tensor, tensors)]

    def _all_reduce(self, tensor, fusion):
        return self._operators.allreduce(tensor, "sum", fusion=fusion)

    def gather(self, tensor):
        gathered = self._operators.allgather(tensor, rank_size=self.size, group=WORLD)
        return tf.reshape(gathered, [self.size] + tensor.shape.as_list())

    def broadcast(self, variables):
        return tf.group(*[self._assign_first_ranks(variable) for variable in variables])

    def _assign_first_ranks(self, variable):
        kind = variable.dtype.base_dtype
        value = tf.cast(tf.convert_to_tensor(variable), _SENT_AS.get(kind, kind))
        sent, = self._operators.broadcast([value], root_rank=0)
        return tf.assign(variable, tf.cast(sent, kind))
