"""Which cores each of the processes on a machine may run on."""
import os

TOPOLOGY = "/sys/devices/system/cpu/cpu%d/topology/%s"


def shares_of_cores(count):
    """Deals out the cores that this process may run on.

    TensorFlow makes as many threads as it may use cores. Processes that all see every core get in each other's way.

    Args:
      count: int, number of processes.

    Returns:
      List of ``count`` sorted lists of core numbers: fair shares of neighbouring cores, the hyperthreads of a core together.
      Where there are fewer cores than processes, processes share a core.
    """
    cores = sorted(os.sched_getaffinity(0), key=_neighbourhood)
    if len(cores) < count:
        return [[cores[index % len(cores)]] for index in range(count)]
    return [sorted(cores[index * len(cores) // count:(index + 1) * len(cores) // count]) for index in range(count)]


def _neighbourhood(core):
    """Cores of one socket, and the hyperthreads of one core, lie side by side in this order."""
    try:
        with open(TOPOLOGY % (core, "physical_package_id")) as package, open(TOPOLOGY % (core, "core_id")) as physical:
            return int(package.read()), int(physical.read()), core
    except (OSError, ValueError):
        # some containers hide it
        return 0, core, core
