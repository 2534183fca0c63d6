"""How many of a machine's cores a process may use.

TensorFlow starts as many threads as the machine has cores. If every process of a run did so, they would slow each other down, so
the launcher passes each one its share of the cores in an environment variable. It does not bind processes to certain cores: a
core that another program keeps busy would slow down the whole run.
"""
import os

VARIABLE = "JASPER_CORES"


def usable_cores(environ=os.environ):
    """Number of cores for this process: its share, or all that it may run on, which in a container may be few."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    share = environ.get(VARIABLE, "")
    return min(int(share), allowed) if share.isdigit() and int(share) else allowed


def shares_of_cores(count):
    """Divides the cores that this process may use between several processes.

    Args:
      count: int, number of processes.

    Returns:
      List of ``count`` int, each at least 1: if there are fewer cores than processes, processes share a core.
    """
    cores = usable_cores()
    return [max(1, (index + 1) * cores // count - index * cores // count) for index in range(count)]
