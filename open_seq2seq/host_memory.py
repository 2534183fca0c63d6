"""How much memory the host has for this process, and how much of it can still be allocated before the kernel kills a process."""
import os


def available_bytes(root="/"):
    """Bytes that are free or can be freed at once, within the limits of the machine and of every control group of this process.

    Swap does not count: a training that swaps hardly proceeds.

    Args:
      root: the directory of /proc and /sys.

    Returns:
      An int, or None if the system does not report it (it is not Linux).
    """
    limits = [_of_machine(root)] + [_of_group(folder, *names) for folder, names in _groups(root)]
    known = [limit for limit in limits if limit is not None]
    return max(min(known), 0) if known else None


def total_bytes(root="/"):
    """Bytes of the machine or of the smallest limit of a control group of this process, used or not; see :func:`available_bytes`.

    Unlike the available memory it is the same when a run is resumed.
    """
    limits = [_of_machine(root, "MemTotal")] + [_number(folder, names[0]) for folder, names in _groups(root)]
    return min((limit for limit in limits if limit is not None), default=None)


def _of_machine(root, field="MemAvailable"):
    for line in _lines(root, "proc/meminfo"):
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) * 1024
    return None


def _groups(root):
    """Pairs of the folder of a control group and names: files of its limit and usage, and freeable bytes in memory.stat."""
    for line in _lines(root, "proc/self/cgroup"):
        _, controllers, path = line.strip().split(":", 2)
        if not controllers:
            place, names = "sys/fs/cgroup", ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            place, names = "sys/fs/cgroup/memory", ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        # the limits of the parent groups hold, too; in a container its own group may be the root of what is visible
        steps = [step for step in path.split("/") if step]
        for length in range(len(steps), -1, -1):
            yield os.path.join(root, place, *steps[:length]), names


def _of_group(folder, limit_name, usage_name, freeable_name):
    limit, usage = _number(folder, limit_name), _number(folder, usage_name)
    if limit is None or usage is None:
        return None
    freeable = [int(line.split()[1]) for line in _lines(folder, "memory.stat") if line.startswith(freeable_name + " ")]
    return limit - usage + sum(freeable)


def _number(folder, name):
    text = "".join(_lines(folder, name)).strip()
    return int(text) if text.isdigit() else None  # "max": no limit


def _lines(*path):
    try:
        with open(os.path.join(*path), encoding="ascii", errors="replace") as file:
            return file.readlines()
    except OSError:
        return []
