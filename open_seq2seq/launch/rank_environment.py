"""The environment variables with which each rank of a run is started."""
import collections

from open_seq2seq.cores import VARIABLE as CORES
from open_seq2seq.cores import shares_of_cores
from open_seq2seq.errors import DeviceError
from open_seq2seq.rank_tables.fields import integer_of
from open_seq2seq.rank_tables.rank_table import DEVICES_OF_A_SERVER, LEGAL_DEVICES, VERSION, can_be_connected

DEFAULT_JOB_ID = "10087"
DEFAULT_CONNECT_TIMEOUT = 600
"""Seconds HCCL waits for all ranks. Its own default, 120, is too short where ranks compile a large model at different speeds."""

_HOROVOD = ("HOROVOD_RANK", "HOROVOD_SIZE", "HOROVOD_LOCAL_RANK", "HOROVOD_LOCAL_SIZE", "HOROVOD_CROSS_RANK",
            "HOROVOD_CROSS_SIZE", "HOROVOD_HOSTNAME")
_HCCL = ("RANK_ID", "RANK_SIZE", "RANK_TABLE_FILE")


class RankPlan(collections.namedtuple("RankPlan", "rank size device_id environment")):
    """How to start one process.

    Attributes:
      rank: int, its number in the whole run.
      size: int, number of processes of the whole run.
      device_id: int, its device's number on this machine; on a CPU it only numbers the log files.
      environment: dict, its complete environment.
    """


def _without(environ, names):
    environment = {name: value for name, value in environ.items() if name not in names}
    # the launcher shows the log while it is written
    environment["PYTHONUNBUFFERED"] = "1"
    return environment


def plan_single(device_name, device_id, environ):
    """A single process on a CPU or GPU.

    Args:
      device_name: "cpu" or "gpu".
      device_id: int, or None for any.
      environ: the environment to start from.

    Returns:
      List of one :class:`RankPlan`.
    """
    environment = _without(environ, _HOROVOD + _HCCL)
    if device_name == "gpu" and device_id is not None:
        environment["CUDA_VISIBLE_DEVICES"] = str(device_id)
    return [RankPlan(0, 1, device_id or 0, environment)]


def plan_horovod(device_name, slots, device_ids, rendezvous, interface, environ):
    """Processes on CPUs or GPUs that communicate through Horovod and Gloo.

    Args:
      device_name: "cpu" or "gpu".
      slots: list of Horovod's ``SlotInfo`` of this machine.
      device_ids: list of int of the same length, or None for the first devices.
      rendezvous: (address, port) of the rendezvous server.
      interface: name of the network interface to use.
      environ: the environment to start from.

    Returns:
      List of :class:`RankPlan`.
    """
    plans = []
    for slot, share, device_id in zip(slots, shares_of_cores(len(slots)), device_ids or range(len(slots))):
        environment = _without(environ, _HOROVOD + _HCCL)
        environment.update(
            HOROVOD_HOSTNAME=slot.hostname, HOROVOD_RANK=str(slot.rank), HOROVOD_SIZE=str(slot.size),
            HOROVOD_LOCAL_RANK=str(slot.local_rank), HOROVOD_LOCAL_SIZE=str(slot.local_size),
            HOROVOD_CROSS_RANK=str(slot.cross_rank), HOROVOD_CROSS_SIZE=str(slot.cross_size),
            HOROVOD_CONTROLLER="gloo", HOROVOD_CPU_OPERATIONS="gloo", HOROVOD_GLOO_IFACE=interface,
            HOROVOD_GLOO_RENDEZVOUS_ADDR=rendezvous[0], HOROVOD_GLOO_RENDEZVOUS_PORT=str(rendezvous[1]))
        if device_name == "gpu" and device_ids is not None:
            # every rank sees all of these devices and uses the one of its local rank
            environment["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, device_ids))
        environment.update(_cores(share))
        plans.append(RankPlan(slot.rank, slot.size, device_id, environment))
    return plans


def plan_single_npu(device_id, environ):
    """A single process on an NPU; without a rank table, because the adapter would start HCCL with it.

    Returns:
      List of one :class:`RankPlan`.
    """
    check_device_ids([device_id])
    environment = _npu_environment(environ, 0, 1, device_id, 0)
    return [RankPlan(0, 1, device_id, environment)]


def plan_hccl(table, server, device_ids, connect_timeout, environ):
    """Processes on the NPUs of one server that communicate through HCCL.

    Args:
      table: :class:`~open_seq2seq.rank_tables.rank_table.RankTable`.
      server: int or str, this server's index in the table or its server_id; None where the table has only one server.
      device_ids: list of int that has to agree with the table, or None for the devices of the table.
      connect_timeout: seconds HCCL waits for all ranks.
      environ: the environment to start from.

    Returns:
      List of :class:`RankPlan`, in the order of the ranks.

    Raises:
      DeviceError: the table has another server, other devices or another number of ranks than RANK_SIZE.
    """
    if environ.get("RANK_SIZE") not in (None, "", str(table.size)):
        raise DeviceError('RANK_SIZE is "%s" in the environment, but rank table %s has %d ranks (0 to %d). Unset RANK_SIZE, '
                          "which the launcher sets for each rank, or use the table of all ranks" % (
                              environ["RANK_SIZE"], table.path, table.size, table.size - 1))
    index = _server_index(table, server)
    devices = table.devices_of_server(table.servers[index])
    if device_ids is not None:
        check_device_ids(device_ids)
        in_table = sorted(device.device_id for device in devices)
        if sorted(device_ids) != in_table:
            raise DeviceError("rank table %s has the devices %s on server %s, but the devices %s were requested. All ranks of a "
                              "table have to run: make a table of these devices with scripts/make_rank_table.py --devices %s"
                              % (table.path, _listed(in_table), table.servers[index], _listed(device_ids), _listed(device_ids)))
    plans = []
    for device, share in zip(devices, shares_of_cores(len(devices))):
        environment = _npu_environment(environ, device.rank, table.size, device.device_id, index)
        environment.update(_cores(share))
        environment["HCCL_CONNECT_TIMEOUT"] = str(connect_timeout)
        if table.size > 1:
            environment["RANK_TABLE_FILE"] = table.path
        if table.version == VERSION:
            # the adapter would use it instead of RANK_ID, and only tables of the older form name pods
            environment.pop("POD_NAME", None)
        plans.append(RankPlan(device.rank, table.size, device.device_id, environment))
    return plans


def _cores(share):
    """Variables that limit a process to its share of the cores."""
    return {CORES: str(share), "OMP_NUM_THREADS": str(share)}


def _npu_environment(environ, rank, size, device_id, server_index):
    environment = _without(environ, _HOROVOD + _HCCL)
    environment.update(RANK_ID=str(rank), RANK_SIZE=str(size), DEVICE_ID=str(device_id), ASCEND_DEVICE_ID=str(device_id),
                       DEVICE_INDEX=str(device_id + DEVICES_OF_A_SERVER * server_index))
    # only errors, in Ascend's own log files and not in the training log
    for name, value in (("JOB_ID", DEFAULT_JOB_ID), ("ASCEND_GLOBAL_LOG_LEVEL", "3"), ("ASCEND_SLOG_PRINT_TO_STDOUT", "0"),
                        ("ASCEND_GLOBAL_EVENT_ENABLE", "0")):
        environment.setdefault(name, value)
    return environment


def _server_index(table, server):
    if server is None:
        if len(table.servers) > 1:
            raise DeviceError("rank table %s has %d servers (%s); --server has to say which of them this is, by its index from 0 "
                              "or its name" % (table.path, len(table.servers), ", ".join(table.servers)))
        return 0
    if server in table.servers:
        return table.servers.index(server)
    index = integer_of(str(server))
    if index is not None and index < len(table.servers):
        return index
    raise DeviceError("--server %s is not in rank table %s; expected 0 to %d or one of %s"
                      % (server, table.path, len(table.servers) - 1, ", ".join(table.servers)))


def check_device_ids(device_ids):
    """Raises DeviceError if a device is not one of an Ascend 910 server, or HCCL cannot connect the devices."""
    wrong = [device_id for device_id in device_ids if not 0 <= device_id < DEVICES_OF_A_SERVER]
    if wrong:
        raise DeviceError("device %s is out of range; an Ascend 910 server has the devices 0 to %d. Correct --devices"
                          % (_listed(wrong), DEVICES_OF_A_SERVER - 1))
    if not can_be_connected(device_ids):
        raise DeviceError("the devices %s cannot train together; %s. Correct --devices" % (_listed(device_ids), LEGAL_DEVICES))


def _listed(numbers):
    return ",".join(map(str, numbers))
