"""The launcher's command line."""
import argparse
import re
import shutil

from open_seq2seq.cli import Parser, file_path
from open_seq2seq.distributed.heartbeats import VARIABLE
from open_seq2seq.errors import UsageError
from open_seq2seq.launch.rank_environment import DEFAULT_CONNECT_TIMEOUT

_DESCRIPTION = """Starts COMMAND once for each device and sets the environment variables that each process (rank) needs: HOROVOD_*
and a rendezvous server for several processes on CPUs or GPUs; RANK_ID, RANK_TABLE_FILE, DEVICE_ID and others for NPUs. The
terminal shows the output of the first rank on this machine; the output of each rank goes to its own log. When a rank fails, the
others are stopped within 10 s, and the last lines of the log of the rank that was the cause are printed. The same happens
when a rank does not run for a minute (kill -STOP, a suspended job) while others wait for it; $%s sets this time in seconds.
Ctrl-Z pauses the launcher and its ranks, and `fg` continues them.""" % VARIABLE

_EXAMPLES = """examples:
  python -m open_seq2seq.launch --device cpu --processes 2 -- python run.py --device=cpu ...
  python -m open_seq2seq.launch --device npu --rank_table scripts/8p.json -- python run.py --device=npu ...
  two machines (the same --servers and --port on both, --server 1 on the second):
  python -m open_seq2seq.launch --device gpu --servers node1:8,node2:8 --server 0 --port 29400 -- python run.py ...

exit status: that of the rank that failed first, 4 if a signal killed it; 143, 130 or 129 after SIGTERM, SIGINT or SIGHUP;
2 command line, 3 a log that cannot be written, 4 devices, rank table or port"""


def whole_number(minimum, maximum):
    """An argparse type: an integer from ``minimum`` to ``maximum``."""
    def parse(text):
        if not re.match(r"\d{1,9}\Z", text, re.ASCII) or not minimum <= int(text) <= maximum:
            raise argparse.ArgumentTypeError("is %r, expected a whole number from %d to %d" % (text, minimum, maximum))
        return int(text)
    return parse


def _devices(text):
    if not re.match(r"\d{1,4}(,\d{1,4})*\Z", text, re.ASCII):
        raise argparse.ArgumentTypeError("is %r, expected device numbers separated by commas, e.g. 0,1" % text)
    devices = [int(number) for number in text.split(",")]
    if len(set(devices)) < len(devices):
        raise argparse.ArgumentTypeError("is %r, in which a device occurs twice" % text)
    return devices


def _servers(text):
    """List of (host, number of processes)."""
    servers = re.findall(r"([\w.-]+):(\d{1,4})(?:,|$)", text)
    if ",".join("%s:%s" % server for server in servers) != text or any(int(slots) < 1 for _, slots in servers):
        raise argparse.ArgumentTypeError("is %r, expected HOST:PROCESSES separated by commas, e.g. node1:8,node2:8" % text)
    if len({host for host, _ in servers}) < len(servers):
        raise argparse.ArgumentTypeError("is %r, in which a host occurs twice" % text)
    return [(host, int(slots)) for host, slots in servers]


def _parser():
    parser = Parser(prog="python -m open_seq2seq.launch", usage="%(prog)s [options] -- COMMAND ...",
                    description=_DESCRIPTION, epilog=_EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("auto", "cpu", "gpu", "npu"), default="auto",
                        help="auto (the default): NPUs if there are any, else GPUs, else the CPU")
    parser.add_argument("--processes", type=whole_number(1, 4096), metavar="N",
                        help="number of processes on this machine (default: one for each device of --devices or of the rank "
                             "table, or as --servers says, else 1)")
    parser.add_argument("--devices", type=_devices, metavar="0,1", help="numbers of the devices (default: 0 to N-1)")
    parser.add_argument("--rank_table", type=file_path, metavar="FILE",
                        help="NPU: assigns ranks to devices (default: $RANK_TABLE_FILE)")
    parser.add_argument("--servers", type=_servers, metavar="HOST:N,HOST:N",
                        help="CPU, GPU: all machines of the run and the number of processes on each")
    parser.add_argument("--server", metavar="K", help="this machine's index (from 0) or name in --servers or the rank table")
    parser.add_argument("--port", type=whole_number(1, 65535),
                        help="CPU, GPU: port of the rendezvous server (default: a free one)")
    parser.add_argument("--connect_timeout", type=whole_number(120, 7200), metavar="S",
                        help="seconds that ranks wait for each other at the start (default: $HCCL_CONNECT_TIMEOUT or %d)"
                             % DEFAULT_CONNECT_TIMEOUT)
    parser.add_argument("--log", type=file_path, default="train_{device_id}.log", metavar="PATH",
                        help="log of each rank, which is appended to; {device_id} and {rank} are replaced by its numbers "
                             "(default: %(default)s)")
    parser.add_argument("--verdict", metavar="TEXT", help='end each log and the output with "TEXT success" or "TEXT fail"')
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="-- COMMAND", help="the command to start")
    return parser


def parse_options(argv):
    """Parses the launcher's command line.

    Args:
      argv: list of str, without the program's name.

    Returns:
      ``argparse.Namespace`` of device, processes, devices, rank_table, servers, server, port, connect_timeout, log, verdict,
      command; an option that was not given is None.

    Raises:
      UsageError: an option is wrong or contradicts another, or there is no command.
      SystemExit: after ``--help``, with status 0.
    """
    arguments = _parser().parse_args(argv)
    if arguments.command[:1] == ["--"]:
        arguments.command = arguments.command[1:]
    if not arguments.command:
        raise UsageError("the command is missing; expected it after --, e.g. -- python run.py --config_file=FILE")
    if shutil.which(arguments.command[0]) is None:
        raise UsageError("the command %s was not found; expected a program on PATH or its path" % arguments.command[0])
    if None not in (arguments.processes, arguments.devices) and len(arguments.devices) != arguments.processes:
        raise UsageError("--processes %d and --devices %s (%d) contradict each other; one of them is enough"
                         % (arguments.processes, ",".join(map(str, arguments.devices)), len(arguments.devices)))
    return arguments
