"""A process that kills what a launcher leaves behind when the launcher itself is killed.

The kernel ends the processes that the launcher started (``PR_SET_PDEATHSIG``), but not the processes that those have started,
e.g. the Python that a shell script runs. The guard does: it hears of the launcher's end by the end of a pipe.
"""
import os
import signal


class KillGuard:
    """Kills process groups when this process ends without having released them.

    Has to be made while the process has a single thread, since it forks.

    Args:
      crash_notice: list of (path, text): what is then added to files.
    """

    def __init__(self, crash_notice=()):
        reader, self._writer = os.pipe()
        self._process_id = os.fork()
        if self._process_id == 0:
            try:
                os.close(self._writer)
                _stand_guard(reader, crash_notice)
            finally:
                os._exit(0)
        os.close(reader)

    def watch(self, group):
        """Adds a process group."""
        self._tell("+%d\n" % group)

    def release(self, group):
        """Takes a process group away, before its number can be used again."""
        self._tell("-%d\n" % group)

    def _tell(self, line):
        try:
            os.write(self._writer, line.encode())
        except BrokenPipeError:
            # somebody killed the guard; the kernel's part of the protection remains
            pass

    def close(self):
        """Ends the guard, which kills the groups that were not released."""
        os.close(self._writer)
        os.waitpid(self._process_id, 0)


def _stand_guard(reader, crash_notice):
    # out of reach of what is sent to the launcher's group or terminal, and no reader of its output waits for it
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    groups = set()
    with open(reader) as lines:
        for line in lines:
            (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
    for group in groups:
        try:
            os.killpg(group, signal.SIGKILL)
        except OSError:
            pass
    for path, text in crash_notice if groups else ():
        try:
            with open(path, "a", encoding="utf-8") as file:
                file.write(text)
        except OSError:
            pass
