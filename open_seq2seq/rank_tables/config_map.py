"""The rank table of a Kubernetes job: waits until the Ascend device plugin has completed it, then runs a command with it.

    python -m open_seq2seq.rank_tables.config_map --output /tmp/rank_table.json -- \\
        bash scripts/run_8p.sh --rank_table {rank_table} --devices {devices}

The config map ``rings-config-JOB`` is mounted with ``{"status": "initializing"}``; hccl-controller completes it when every pod
of the job has its devices. It writes either version 1.0 or the older form with a ``group_list`` and no rank numbers; the
command gets version 1.0 in both cases. In its arguments ``{rank_table}`` stands for the file, ``{server_id}`` for this node's
address, ``{devices}`` for its device numbers (0,1,...), ``{first_rank}`` for its first rank and ``{size}`` for the number of
ranks of the job. ``POD_NAME`` is removed from its environment because the adapter would use it instead of ``RANK_ID``.
"""
import argparse
import collections
import json
import os
import sys
import time

from open_seq2seq.cli import exit_status_of, file_path, make_parser, whole_number
from open_seq2seq.errors import DeviceError, UsageError
from open_seq2seq.files import replaced_file
from open_seq2seq.rank_tables.fields import kind_of, parse_json
from open_seq2seq.rank_tables.rank_table import VERSION, check_rank_table

MOUNTED = "/user/serverid/devindex/config/hccl.json"  # where the public Ascend jobs mount it
CONTROLLER = "Check hccl-controller and the device plugin: kubectl get configmap rings-config-JOB -o yaml. The config map " \
             "needs the label ring-controller.atlas, and the devices need addresses (hccn_tool -i N -ip -g)"
SECONDS_BETWEEN_LOOKS = 2
SECONDS_BETWEEN_REPORTS = 20

Place = collections.namedtuple("Place", "server_id devices first_rank size")
Place.__doc__ = """A node in a rank table: its address, list of its device numbers, its first rank, number of ranks of the job."""


def wait_until_completed(path, seconds, say=print, clock=time.monotonic, sleep=time.sleep):
    """Reads the table repeatedly until its status is "completed".

    Args:
      path: the mounted file; kubelet replaces it when the config map changes.
      seconds: how long to wait at most.
      say: function that reports a line of progress.
      clock: function that returns seconds.
      sleep: function that waits for a number of seconds.

    Returns:
      The content of the file: a dict, a ``fields.JsonObject``.

    Raises:
      DeviceError: the table was not completed in time; the message says what was found.
    """
    start = clock()
    next_report = start + SECONDS_BETWEEN_REPORTS
    while True:
        table, found = _look(path)
        if table is not None:
            return table
        now = clock()
        if now - start >= seconds:
            raise DeviceError("rank table %s: %s after %d s; expected the status \"completed\". %s" % (
                path, found, now - start, CONTROLLER))
        if now >= next_report:
            say("waiting for the rank table in %s: %s, %d of %d s" % (path, found, now - start, seconds))
            next_report += SECONDS_BETWEEN_REPORTS
        sleep(SECONDS_BETWEEN_LOOKS)


def _look(path):
    """(table, None) if it is complete, else (None, a phrase on what was found)."""
    try:
        with open(path, encoding="utf-8") as file:
            table = parse_json(file.read())
    except OSError as error:
        return None, "cannot be read (%s)" % error.strerror
    except ValueError as error:
        # the file may be read while it is being replaced
        return None, "is not valid JSON (%s)" % error
    if not isinstance(table, dict):
        return None, "is %s, not an object" % kind_of(table)
    if table.get("status") != "completed":
        status = table.get("status")
        return None, "status is %s" % ('"%s"' % status[:40] if isinstance(status, str) else
                                       kind_of(status) if "status" in table else "missing")
    return table, None


def version_1(table):
    """A checked :class:`~open_seq2seq.rank_tables.rank_table.RankTable` as the content of a file of version 1.0: a dict."""
    servers = [{"server_id": server_id, "device": [
        {"device_id": str(device.device_id), "device_ip": device.device_ip, "rank_id": str(device.rank)}
        for device in table.devices_of_server(server_id)]} for server_id in table.servers]
    return {"version": VERSION, "status": "completed", "server_count": str(len(servers)), "server_list": servers}


def place_of(table, server_id):
    """Where ``server_id`` is in a checked rank table.

    Raises:
      DeviceError: the table does not contain it.
    """
    devices = table.devices_of_server(server_id)
    if not devices:
        raise DeviceError("rank table %s: this node, %s, is not in it; it has %s. Set XDL_IP (or --server_id) to the node's "
                          "address (fieldPath: status.hostIP)" % (table.path, server_id, ", ".join(table.servers)))
    return Place(server_id, [device.device_id for device in devices], devices[0].rank, table.size)


def with_values(command, rank_table, place):
    """The words of a command in which this node's values replace ``{rank_table}``, ``{devices}`` and the other names."""
    values = {"{rank_table}": rank_table, "{server_id}": place.server_id, "{devices}": ",".join(map(str, place.devices)),
              "{first_rank}": str(place.first_rank), "{size}": str(place.size)}
    return [_replaced(word, values) for word in command]


def _replaced(word, values):
    for name, value in values.items():
        word = word.replace(name, value)
    return word


def _parser():
    parser = make_parser("open_seq2seq.rank_tables.config_map", "Waits for the rank table in a config map and runs a command.")
    parser.add_argument("--file", type=file_path, default=MOUNTED, help="the mounted rank table")
    parser.add_argument("--server_id", default=os.environ.get("XDL_IP"), help="this node's address in the table ($XDL_IP)")
    parser.add_argument("--output", type=file_path, default="/tmp/rank_table.json", help="the file to write, in version 1.0")
    parser.add_argument("--timeout", type=whole_number(0), default=600, help="seconds to wait until it is completed")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="-- COMMAND", help="the command to run")
    return parser


def main(argv=None):
    """Runs the command line ``argv``; see the module. Does not return if there is a command to run."""
    arguments = _parser().parse_args(argv)
    if not arguments.server_id:
        raise UsageError("XDL_IP is not set; expected this node's address in the environment (fieldPath: status.hostIP) or with "
                         "--server_id")
    content = wait_until_completed(arguments.file, arguments.timeout, lambda line: print(line, flush=True))
    table = check_rank_table(content, arguments.file)
    place = place_of(table, arguments.server_id)
    with replaced_file(arguments.output) as file:
        json.dump(version_1(table), file, indent=2)
    print("rank table %s: %d devices on %d servers; this node is %s with devices %s, first rank %d" % (
        arguments.output, place.size, len(table.servers), place.server_id, ",".join(map(str, place.devices)),
        place.first_rank), flush=True)
    command = [word for position, word in enumerate(arguments.command) if position or word != "--"]
    if command:
        command = with_values(command, arguments.output, place)
        os.environ.pop("POD_NAME", None)
        try:
            os.execvp(command[0], command)
        except OSError as error:
            raise UsageError("%s cannot be run: %s" % (command[0], error.strerror))


if __name__ == "__main__":
    sys.exit(exit_status_of(main, sys.argv[1:]))
