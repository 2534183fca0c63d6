"""HCCL on Horovod with Gloo: ranks from RANK_ID and RANK_SIZE, started by initialize_system, ended by shutdown_system."""
import json
import os

import tensorflow.compat.v1 as tf

from fake_ascend import process, standins
from fake_ascend.rendezvous import meet

ALLREDUCE_TYPES = (tf.int8, tf.int16, tf.int32, tf.float16, tf.float32)
BROADCAST_TYPES = ALLREDUCE_TYPES + (tf.int64, tf.uint64)
REDUCTIONS = ("min", "max", "prod", "sum")
WORLD = "hccl_world_group"
_state = {"started": False, "environment": ()}


def started():
    return _state["started"]


def start():
    """Implements the operator NPUInit: reads the rank table and connects to the other ranks.

    Raises:
      tf.errors.InternalError: the rank table or this rank's number is wrong, or the others did not come.
    """
    process.initialize()
    if _state["started"] or not process.hcom_enabled():
        return
    devices = _devices_of_rank_table()
    rank = _rank(len(devices))
    environment = _horovod_environment(rank, devices)
    previous = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    import horovod.tensorflow as hvd
    _state["environment"] = previous
    try:
        hvd.init()
    except Exception as error:
        _restore()
        raise tf.errors.InternalError(None, None, "EI0006: Getting socket times out. rank %d of %d: %s" % (
            rank, len(devices), error))
    _state["started"] = True


def stop():
    """Implements the operator NPUShutdown."""
    if _state["started"]:
        import horovod.tensorflow as hvd
        hvd.shutdown()
        _restore()
        _state["started"] = False


def _restore():
    for name, value in dict(_state["environment"]).items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    _state["environment"] = ()


def _devices_of_rank_table():
    """The server of each rank, in the order of ranks."""
    path = os.environ["RANK_TABLE_FILE"]
    try:
        with open(path, encoding="utf-8") as file:
            table = json.load(file)
        servers = {int(device["rank_id"]): server["server_id"] for server in table["server_list"] for device in server["device"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise tf.errors.InternalError(None, None, "EI0004: The ranktable or rank is invalid, rank table %s: %r" % (path, error))
    if sorted(servers) != list(range(len(servers))):
        raise tf.errors.InternalError(None, None, "EI0004: The ranktable or rank is invalid, ranks %s" % sorted(servers))
    return [servers[rank] for rank in range(len(servers))]


def _rank(size):
    text = os.environ.get("RANK_ID", "")
    if not text.isdigit() or int(text) >= size:
        raise tf.errors.InternalError(
            None, None, "EI0004: The ranktable or rank is invalid, RANK_ID %r with %d devices in the rank table" % (text, size))
    if process.rank_size() != size:
        raise tf.errors.InternalError(
            None, None, "EI0004: The ranktable or rank is invalid, RANK_SIZE %r with %d devices in the rank table" % (
                os.environ.get("RANK_SIZE"), size))
    return int(text)


def _horovod_environment(rank, servers):
    mine = [other for other, server in enumerate(servers) if server == servers[rank]]
    names = sorted(set(servers), key=servers.index)
    environment = {
        "HOROVOD_RANK": rank, "HOROVOD_SIZE": len(servers), "HOROVOD_LOCAL_RANK": mine.index(rank),
        "HOROVOD_LOCAL_SIZE": len(mine), "HOROVOD_CROSS_RANK": names.index(servers[rank]), "HOROVOD_CROSS_SIZE": len(names),
        "HOROVOD_HOSTNAME": "fake-server-%d" % names.index(servers[rank]), "HOROVOD_CONTROLLER": "gloo",
        "HOROVOD_CPU_OPERATIONS": "gloo", "HOROVOD_GLOO_TIMEOUT_SECONDS": os.environ.get("HCCL_CONNECT_TIMEOUT", "120"),
        "HOROVOD_GLOO_IFACE": os.environ.get("HOROVOD_GLOO_IFACE", "lo")}
    if len(servers) > 1 and "HOROVOD_GLOO_RENDEZVOUS_PORT" not in os.environ:
        environment["HOROVOD_GLOO_RENDEZVOUS_ADDR"] = "127.0.0.1"
        environment["HOROVOD_GLOO_RENDEZVOUS_PORT"] = meet(rank, servers, float(environment["HOROVOD_GLOO_TIMEOUT_SECONDS"]))
    return {name: str(value) for name, value in environment.items()}


def check_ready(operator_type):
    """Raises the device's error for a collective before initialize_system or after shutdown_system."""
    if not _state["started"]:
        raise tf.errors.InternalError(
            None, None, "%s: HCCL is not initialized: %s" % (
                operator_type, "run npu_ops.initialize_system() first, and shutdown_system() last" if process.hcom_enabled()
                else "ge.exec.isUseHcom is 0, since RANK_TABLE_FILE is not set or fights another variable"))


def _checked(tensor, types, group):
    if group != WORLD:
        raise ValueError("the fake adapter has the group %r only, not %r" % (WORLD, group))
    tensor = tf.convert_to_tensor(tensor)
    if tensor.dtype.base_dtype not in types:
        raise TypeError("Value passed to parameter 'input' has DataType %s not in list of allowed values: %s" % (
            tensor.dtype.name, ", ".join(allowed.name for allowed in types)))
    return tensor


def _horovod():
    import horovod.tensorflow.mpi_ops as mpi_ops
    return mpi_ops


def allreduce(tensor, reduction, group):
    """HcomAllReduce: ``tensor`` reduced over all ranks; its gradient is the sum of the gradients."""
    tensor = _checked(tensor, ALLREDUCE_TYPES, group)
    if reduction not in REDUCTIONS:
        raise ValueError("Value for attr 'reduction' of \"%s\" is not in the list of allowed values: \"min\", \"max\", \"prod\", "
                         "\"sum\"" % reduction)
    mpi_ops = _horovod()
    kind = {"sum": mpi_ops.Sum, "min": mpi_ops.Min, "max": mpi_ops.Max, "prod": mpi_ops.Product}[reduction]
    reduced = mpi_ops._allreduce(tensor, name="HcomAllReduce", op=kind)
    reduced.set_shape(tensor.shape)
    standins.mark(reduced.op, "HcomAllReduce")
    return reduced


def broadcast(tensors, root_rank, group):
    """HcomBroadcast: the value of every tensor of the list on rank ``root_rank``."""
    if not isinstance(tensors, (list, tuple)):
        raise TypeError("Expected list for 'input' argument to 'HcomBroadcast' Op, not %s." % tensors)
    outputs = []
    for tensor in tensors:
        tensor = _checked(tensor, BROADCAST_TYPES, group)
        output = _horovod().broadcast(tensor, root_rank, name="HcomBroadcast")
        output.set_shape(tensor.shape)
        standins.mark(output.op, "HcomBroadcast")
        outputs.append(output)
    return outputs


def allgather(tensor, rank_size, group):
    """HcomAllGather: [rank_size * K, ...] from every rank's ``tensor`` [K, ...]."""
    if rank_size < 1:
        raise ValueError("rank_size should be greater than 0.")
    tensor = _checked(tensor, BROADCAST_TYPES, group)
    if tensor.shape.rank == 0:
        raise ValueError("Shape must be at least rank 1 but is rank 0 for 'HcomAllGather'")
    gathered = _horovod().allgather(tensor, name="HcomAllGather")
    shape = tensor.shape.as_list() if tensor.shape.rank is not None else None
    if shape is not None:
        gathered.set_shape([None if shape[0] is None else shape[0] * rank_size] + shape[1:])
    standins.mark(gathered.op, "HcomAllGather")
    return gathered
