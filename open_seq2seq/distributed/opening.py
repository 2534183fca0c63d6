"""Which process group a process belongs to, from what its launcher told it in the environment."""
import os

from open_seq2seq.distributed.group import Single
from open_seq2seq.errors import DeviceError

# how many processes other launchers say they started: Open MPI, MPICH and Intel MPI, srun, torchrun, the Ascend scripts
SIZES_OF_OTHERS = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS", "WORLD_SIZE", "RANK_SIZE")

NEEDED = {True: "RANK_SIZE, RANK_ID and RANK_TABLE_FILE",
          False: "HOROVOD_RANK, HOROVOD_SIZE and the address of a rendezvous server"}


def open_group(device_name, environ=os.environ):
    """Meets the other processes of the run, if there are any.

    Args:
      device_name: "cpu", "gpu" or "npu".
      environ: mapping of the environment variables; Horovod and HCCL themselves read those of the process.

    Returns:
      A :class:`~open_seq2seq.distributed.group.ProcessGroup`: HCCL's where RANK_SIZE says that several NPUs train, Horovod's
      where HOROVOD_SIZE says so for CPUs or GPUs, else a single process.

    Raises:
      DeviceError: the process is one of several and is not told of the others in the way that the device needs, or they could
        not be met.
    """
    if device_name == "npu":
        if _count(environ, "RANK_SIZE") > 1:
            from open_seq2seq.distributed.hccl_group import HcclGroup
            return HcclGroup(environ)
        _refuse_unknown_peers(device_name, environ, ("HOROVOD_SIZE",) + SIZES_OF_OTHERS)
        if environ.get("RANK_TABLE_FILE"):
            _refuse_larger_table(environ)
        return Single()
    if "HOROVOD_SIZE" in environ or "HOROVOD_RANK" in environ:
        if environ.get("HOROVOD_SIZE") == "1":
            return Single()
        from open_seq2seq.distributed.horovod_group import HorovodGroup
        return HorovodGroup(environ)
    _refuse_unknown_peers(device_name, environ, SIZES_OF_OTHERS)
    return Single()


def _refuse_larger_table(environ):
    """A process that is told of other ranks by its table and of none by RANK_SIZE would train by itself, beside them."""
    from open_seq2seq.rank_tables.rank_table import read_rank_table
    table = read_rank_table(environ["RANK_TABLE_FILE"])
    if table.size > 1:
        raise DeviceError(
            "rank %s: RANK_SIZE is %s, but the rank table %s has %d ranks. Start them with `bash scripts/run_8p.sh`, which sets "
            "RANK_SIZE; for a process by itself unset RANK_TABLE_FILE" % (
                environ.get("RANK_ID", "?"), environ.get("RANK_SIZE") or "not set", table.path, table.size))


def _count(environ, name):
    text = environ.get(name) or "1"
    if not text.isdigit() or int(text) < 1:
        raise DeviceError("rank %s: %s is \"%s\", expected the number of processes, at least 1" % (
            environ.get("RANK_ID", "?"), name, text))
    return int(text)


def _refuse_unknown_peers(device_name, environ, names):
    """Processes that know nothing of each other would all write into one directory."""
    for name in names:
        text = environ.get(name, "")
        if text.isdigit() and int(text) > 1:
            raise DeviceError(
                "%s=%s: started as one of %s processes, without what they need to find each other with --device %s (%s). Start "
                "one process that starts the others: `bash scripts/run_8p.sh --device %s`, or `python -m "
                "open_seq2seq.launch`; on a cluster scripts/slurm_train.sh. For a process by itself unset %s" % (
                    name, text, text, device_name, NEEDED[device_name == "npu"], device_name, name))
