"""Selects the process group of this process from the environment variables that its launcher has set."""
import os

from open_seq2seq.distributed.group import Single
from open_seq2seq.errors import DeviceError
from open_seq2seq.rank_tables.fields import integer_of

# the number of processes in the variables of other launchers: Open MPI, MPICH and Intel MPI, srun, torchrun, the Ascend scripts
SIZES_OF_OTHER_LAUNCHERS = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS", "WORLD_SIZE", "RANK_SIZE")

REQUIRED = {True: "RANK_SIZE, RANK_ID and RANK_TABLE_FILE",
            False: "HOROVOD_RANK, HOROVOD_SIZE and the address of a rendezvous server"}


def open_group(device_name, environ=os.environ):
    """Connects to the other processes of the run, if there are any.

    Args:
      device_name: "cpu", "gpu" or "npu".
      environ: mapping of the environment variables; Horovod and HCCL themselves read those of the process.

    Returns:
      A :class:`~open_seq2seq.distributed.group.ProcessGroup`: HCCL's where RANK_SIZE names several NPUs, Horovod's where
      HOROVOD_SIZE names several processes on CPUs or GPUs, else a single process.

    Raises:
      DeviceError: the process is one of several, but the variables that its device needs are missing or wrong; or the others
        cannot be reached.
    """
    if device_name == "npu":
        if _count(environ, "RANK_SIZE") > 1:
            from open_seq2seq.distributed.hccl_group import HcclGroup
            return HcclGroup(environ)
        _require_no_peers(device_name, environ, ("HOROVOD_SIZE",) + SIZES_OF_OTHER_LAUNCHERS)
        if environ.get("RANK_TABLE_FILE"):
            _require_table_of_one_rank(environ)
        return Single()
    if "HOROVOD_SIZE" in environ or "HOROVOD_RANK" in environ:
        if environ.get("HOROVOD_SIZE") == "1":
            return Single()
        from open_seq2seq.distributed.horovod_group import HorovodGroup
        return HorovodGroup(environ, on_cpu=device_name == "cpu")
    _require_no_peers(device_name, environ, SIZES_OF_OTHER_LAUNCHERS)
    return Single()


def _require_table_of_one_rank(environ):
    """Raises DeviceError where the table has several ranks but RANK_SIZE does not: each process would train alone."""
    from open_seq2seq.rank_tables.rank_table import read_rank_table
    table = read_rank_table(environ["RANK_TABLE_FILE"])
    if table.size > 1:
        raise DeviceError(
            "rank %s: RANK_SIZE is %s, but the rank table %s has %d ranks. Start them with `bash scripts/run_8p.sh`, which sets "
            "RANK_SIZE; for a single process unset RANK_TABLE_FILE" % (
                environ.get("RANK_ID", "?"), environ.get("RANK_SIZE") or "not set", table.path, table.size))


def _count(environ, name):
    text = environ.get(name) or "1"
    count = integer_of(text)
    if not count:
        raise DeviceError("rank %s: %s is \"%s\", expected the number of processes, at least 1" % (
            environ.get("RANK_ID", "?"), name, text[:40]))
    return count


def _require_no_peers(device_name, environ, names):
    """Raises DeviceError where another launcher started several processes: all of them would write into one directory."""
    for name in names:
        count = integer_of(environ.get(name, ""))
        if count is not None and count > 1:
            raise DeviceError(
                "%s=%d: this is one of %d processes, but the variables with which they find each other with --device %s are not "
                "set (%s). Start all of them with one command: `bash scripts/run_8p.sh --device %s` or `python -m "
                "open_seq2seq.launch`; on a cluster scripts/slurm_train.sh. For a single process unset %s" % (
                    name, count, count, device_name, REQUIRED[device_name == "npu"], device_name, name))
