"""How many of a machine's cores a process may use.

TensorFlow makes as many threads as it thinks it has cores. Processes that all count the whole machine get in each other's way,
so the launcher tells each its share, in the environment. It does not bind them to certain cores: one that something else
keeps busy would hold up the whole run.
"""
import os

VARIABLE = "JASPER_CORES"


def usable_cores(environ=os.environ):
    """Number of cores for this process: its share of them, or all that it may run on; in a container that may be few."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    share = environ.get(VARIABLE, "")
    return min(int(share), allowed) if share.isdigit() and int(share) else allowed


def shares_of_cores(count):
    """Deals out the cores that this process may use to others.

    Args:
      count: int, number of processes.

    Returns:
      List of ``count`` int, each at least 1: where there are fewer cores than processes, they share.
    """
    cores = usable_cores()
    return [max(1, (index + 1) * cores // count - index * cores // count) for index in range(count)]
