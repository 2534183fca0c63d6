"""Starts one process for each device and watches them: ``python -m open_seq2seq.launch --help``.

This package does not import TensorFlow: the launcher starts without delay.
"""
import argparse
import os
import re
import shlex
import signal
import subprocess
import sys

from open_seq2seq.cli import exit_status_of
from open_seq2seq.distributed.heartbeats import peer_timeout
from open_seq2seq.errors import DeviceError, JasperError, UsageError
from open_seq2seq.launch import process_watch
from open_seq2seq.launch.launch_options import parse_options, whole_number
from open_seq2seq.launch.rank_environment import (
    DEFAULT_CONNECT_TIMEOUT,
    check_device_ids,
    plan_hccl,
    plan_horovod,
    plan_single,
    plan_single_npu,
)
from open_seq2seq.launch.rank_process import KillGuard, LogFollower, RankProcess, open_log
from open_seq2seq.launch.rendezvous import LOOPBACK, Rendezvous, import_horovod, interface_towards, wait_for_rendezvous
from open_seq2seq.rank_tables.fields import integer_of
from open_seq2seq.rank_tables.rank_table import read_rank_table
from open_seq2seq.signals import RESUME_COMMAND, continuing

PATIENCE = 1.5
"""How long a rank may be stopped, as a multiple of the time after which the other ranks notice it and end themselves."""


def resolve_device(name):
    """The device that "auto" stands for; another process asks TensorFlow, because this one does not import it."""
    if name != "auto":
        return name
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    program = "from open_seq2seq.devices import resolve_device_name; print('device', resolve_device_name('auto'))"
    result = subprocess.run([sys.executable, "-c", program], env=dict(os.environ, PYTHONPATH=path), capture_output=True,
                            encoding="utf-8", errors="replace")
    found = re.search(r"^device (cpu|gpu|npu)$", result.stdout, re.MULTILINE)
    if found is None:
        raise DeviceError("--device auto: cannot determine which device this machine has; choose it with --device. The error:\n%s"
                          % "\n".join(result.stderr.strip().splitlines()[-5:]))
    return found.group(1)


def _plan_npu(arguments, environ):
    for option in ("servers", "port"):
        if getattr(arguments, option) is not None:
            raise UsageError("--%s is for CPUs and GPUs; NPUs use a rank table (--rank_table)" % option)
    devices = arguments.devices
    if devices is None and arguments.processes is not None:
        devices = list(range(arguments.processes))
    table = arguments.rank_table or environ.get("RANK_TABLE_FILE")
    if arguments.rank_table is None and devices is not None and len(devices) == 1:
        return plan_single_npu(devices[0], environ)
    if not table:
        if devices is None:
            return plan_single_npu(0, environ)
        check_device_ids(devices)
        raise DeviceError("%d NPUs need a rank table; make one with scripts/make_rank_table.py --devices %s and name it with "
                          "--rank_table" % (len(devices), ",".join(map(str, devices))))
    timeout = arguments.connect_timeout
    if timeout is None:
        try:
            timeout = whole_number(120, 7200)(environ.get("HCCL_CONNECT_TIMEOUT", str(DEFAULT_CONNECT_TIMEOUT)))
        except argparse.ArgumentTypeError as error:
            raise UsageError("HCCL_CONNECT_TIMEOUT %s (seconds)" % error)
    return plan_hccl(read_rank_table(os.path.abspath(table)), arguments.server, devices, timeout, environ)


def _plan_horovod(device_name, arguments, environ):
    """(list of RankPlan, Rendezvous of this machine or None, list of SlotInfo of the whole run)."""
    if arguments.rank_table is not None:
        raise UsageError("--rank_table is for NPUs, but the device is the %s" % device_name.upper())
    servers, index = arguments.servers, 0
    if servers is None:
        processes = arguments.processes or len(arguments.devices or [0])
        if processes == 1:
            return plan_single(device_name, arguments.devices[0] if arguments.devices else None, environ), None, []
        servers = [(LOOPBACK, processes)]
    else:
        names = [host for host, _ in servers]
        if arguments.server in names:
            index = names.index(arguments.server)
        else:
            index = integer_of(arguments.server or "")
            if index is None or index >= len(servers):
                raise UsageError("--servers needs --server, this machine's index or name in it; expected 0 to %d or a name, "
                                 "found %s" % (len(servers) - 1, arguments.server or "no --server"))
        if arguments.port is None and len(servers) > 1:
            raise UsageError("--servers with several machines needs --port, the same on all of them")
    for given in (arguments.processes, arguments.devices and len(arguments.devices)):
        if given not in (None, servers[index][1]):
            raise UsageError("--servers gives server %d %d processes, but --processes or --devices %d; remove one of them"
                             % (index, servers[index][1], given))
    hosts = import_horovod()[0]
    slots = hosts.get_host_assignments([hosts.HostInfo(host, count) for host, count in servers], 1)
    address, rendezvous = servers[0][0], None
    if index == 0:
        rendezvous = Rendezvous(address, arguments.port)
    else:
        wait_for_rendezvous(address, arguments.port, arguments.connect_timeout or DEFAULT_CONNECT_TIMEOUT)
    here = [slot for slot in slots if slot.hostname == servers[index][0]]
    plans = plan_horovod(device_name, here, arguments.devices, (address, rendezvous.port if rendezvous else arguments.port),
                         interface_towards(address), environ)
    return plans, rendezvous, slots


def _log_paths(template, plans):
    try:
        paths = [os.path.abspath(template.format(device_id=plan.device_id, rank=plan.rank)) for plan in plans]
    except (KeyError, IndexError, ValueError, AttributeError) as error:
        raise UsageError("--log %s: %r; expected a path with {device_id} or {rank} and no other braces" % (template, error))
    if len(set(paths)) < len(paths):
        raise UsageError("--log %s is the same file for several ranks; expected {device_id} or {rank} in it" % template)
    return paths


def launch(argv, environ=None):
    """Runs the launcher's command line.

    Args:
      argv: list of str, without the program's name.
      environ: the environment from which those of the ranks are derived; this process's if None.

    Returns:
      The exit status.

    Raises:
      JasperError: nothing was started.
    """
    arguments = parse_options(argv)
    environ = dict(os.environ if environ is None else environ)
    environ.setdefault(RESUME_COMMAND, " ".join(
        ["python", "-m", "open_seq2seq.launch"] + [shlex.quote(word) for word in continuing(argv)]))
    try:
        return _launch(arguments, environ)
    except JasperError as error:
        _log_failed_start(arguments, error)
        raise


def _launch(arguments, environ):
    device_name = resolve_device(arguments.device)
    rendezvous, slots = None, []
    if device_name == "npu":
        plans = _plan_npu(arguments, environ)
    else:
        plans, rendezvous, slots = _plan_horovod(device_name, arguments, environ)
    patience = PATIENCE * peer_timeout(environ)
    logs = _log_paths(arguments.log, plans)
    for log in logs:
        open_log(log).close()
    process_watch.block_signals()
    guard = KillGuard(_crash_notice(logs, arguments.verdict))
    try:
        processes = [RankProcess(plan, arguments.command, log, guard) for plan, log in zip(plans, logs)]
        # threads only after the last fork
        if rendezvous is not None:
            rendezvous.start(slots)
        return _watch(processes, arguments.verdict, patience)
    finally:
        # kills the processes that are left, e.g. when the log of the second rank could not be opened
        guard.close()
        if rendezvous is not None:
            rendezvous.close()


def _watch(processes, verdict, patience):
    first = processes[0]
    follower = LogFollower(first.log, first.log_start, 1)
    follower.start()
    outcome = process_watch.watch(processes, patience)
    follower.finish()
    status, report = _report(outcome, processes)
    if report:
        print("\n" + report, file=sys.stderr, flush=True)
    if outcome.cause is not None and len(processes) > 1:  # the lines of a single process have just been shown
        print("The last lines of %s:\n  %s" % (outcome.cause.log, "\n  ".join(outcome.cause.last_lines())),
              file=sys.stderr, flush=True)
    _append_to_logs(processes, report, verdict and "%s %s" % (verdict, "fail" if status else "success"))
    return status


def _report(outcome, processes):
    """(exit status, a sentence on what failed or stopped the run; "" if it succeeded)."""
    stopped = [process for process in outcome.stopped if process is not outcome.cause]
    rest = "" if not stopped else "; the others (rank %s) were stopped" % ", ".join(str(each.plan.rank) for each in stopped)
    if outcome.stop_signal is not None:
        return 128 + outcome.stop_signal, "launch: stopped by %s%s" % (
            outcome.stop_signal.name,
            "; rank %s was running" % ", ".join(str(each.plan.rank) for each in stopped) if stopped else "")
    cause = outcome.cause
    if cause is None:
        return 0, ""
    if cause.lost_a_peer and cause.plan.size > len(processes):
        rest += "; it lost a rank of another server, whose launcher reports the cause"
    who = "launch: rank %d of %d (device %d)" % (cause.plan.rank, cause.plan.size, cause.plan.device_id)
    if outcome.silent:
        # it has no status if it does not even end when it is killed
        return DeviceError.exit_status, (
            "%s was killed after %.0f s: it did not run while others waited for it, because it was stopped (kill -STOP, Ctrl-Z, "
            "a suspended job or a debugger) or hung%s" % (who, cause.seconds, rest))
    if cause.status > 0:
        return cause.status, "%s failed with exit status %d after %.0f s%s" % (who, cause.status, cause.seconds, rest)
    name = signal.Signals(-cause.status).name
    memory = ", perhaps by the kernel because memory ran out (check dmesg)" if name == "SIGKILL" else ""
    return DeviceError.exit_status, "%s was killed by signal %d (%s)%s after %.0f s%s" % (
        who, -cause.status, name, memory, cause.seconds, rest)


def _append_to_logs(processes, report, verdict):
    """Appends the report and the verdict to the logs, and prints the verdict."""
    for process in processes:
        for line in filter(None, (report, verdict)):
            try:
                process.append(line)
            except (OSError, JasperError) as error:  # e.g. a full disk, which must not change the exit status
                print("launch: cannot write to %s: %s" % (process.log, error), file=sys.stderr)
    _print_verdict(verdict)


def _print_verdict(verdict):
    if verdict:
        try:
            print(verdict, flush=True)
        except OSError:
            # Python flushes stdout at exit, and would fail again
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _crash_notice(logs, verdict):
    """The text that is appended to each log when the launcher is killed: list of (path, text)."""
    return [(log, "launch: the launcher was killed, and the ranks with it\n%s fail\n" % verdict) for log in logs if verdict]


def _log_failed_start(arguments, error):
    """Writes the error and the verdict of a run that did not start; a log may end with the success of an earlier run."""
    if not arguments.verdict:
        return
    verdict = "%s fail" % arguments.verdict
    for device_id in arguments.devices or ():
        try:
            with open_log(os.path.abspath(arguments.log.format(device_id=device_id))) as log:
                log.write(("%s: %s\n%s\n" % (type(error).__name__, error, verdict)).encode())
        except (OSError, KeyError, IndexError, ValueError, AttributeError, JasperError):
            pass  # the file cannot be written, or its name depends on the rank
    _print_verdict(verdict)


def main(argv):
    """Runs the command line ``argv``; returns the exit status."""
    return exit_status_of(launch, argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
