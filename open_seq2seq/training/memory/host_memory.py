"""How much memory this process may still take on the host, before the kernel kills a process to get some back."""
import os


def available_bytes(root="/"):
    """Bytes that are free or can be freed at once: of the machine and of every control group that this process is in.

    Swap does not count: a training that reaches for it is as good as dead.

    Args:
      root: where /proc and /sys are.

    Returns:
      An int, or None where the system does not say (no Linux).
    """
    limits = [_of_machine(root)] + [_of_group(folder, *names) for folder, names in _groups(root)]
    known = [limit for limit in limits if limit is not None]
    return max(min(known), 0) if known else None


def _of_machine(root):
    for line in _lines(root, "proc/meminfo"):
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            return int(value.split()[0]) * 1024
    return None


def _groups(root):
    """Pairs of a control group's folder and the names of its files: limit, usage, and in memory.stat what can be freed."""
    for line in _lines(root, "proc/self/cgroup"):
        _, controllers, path = line.strip().split(":", 2)
        if not controllers:
            place, names = "sys/fs/cgroup", ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            place, names = "sys/fs/cgroup/memory", ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        # the limits of the groups round it hold, too; in a container its own group may be the root of what is to be seen
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
