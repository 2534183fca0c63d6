#!/usr/bin/env python3
"""Writes the rank table of a run on several Ascend NPUs: ``python3 scripts/make_rank_table.py --help``."""
import argparse
import json
import os
import re
import socket
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from open_seq2seq.cli import Parser, exit_status_of, file_path  # noqa: E402
from open_seq2seq.errors import DeviceError, UsageError  # noqa: E402
from open_seq2seq.files import replaced_file  # noqa: E402
from open_seq2seq.rank_tables.rank_table import (  # noqa: E402
    DEVICES_OF_A_SERVER,
    LEGAL_DEVICES,
    VERSION,
    check_rank_table,
    read_rank_table,
)

HCCN_CONF = "/etc/hccn.conf"

DESCRIPTION = """Writes a rank table (version 1.0), which assigns a rank to each device of each server. The addresses are those
of the devices' own network cards, which `hccn_tool -i N -ip -s` sets and the driver keeps in %s. %s;
all servers of a run have the same number of devices.""" % (HCCN_CONF, LEGAL_DEVICES)

EXAMPLES = """source of the addresses (default: %s, else hccn_tool):
  make_rank_table.py                                    all devices of this server
  make_rank_table.py --devices 0,1                      two of them
  make_rank_table.py --hccn_conf copy_of_hccn.conf --server_id 10.0.0.2
  make_rank_table.py --hccn_tool hccn_tool              runs hccn_tool -i N -ip -g for each device
  make_rank_table.py --hccn_output FILE                 saved output of hccn_tool for the devices, in their order; - for stdin
  make_rank_table.py --addresses 192.168.100.101,192.168.101.101
  make_rank_table.py --from_table scripts/8p.json --devices 4,5,6,7

several servers (the same number of devices on each; ranks in the given order):
  make_rank_table.py --server 10.0.0.1=192.168.100.101,192.168.101.101 --server 10.0.0.2=192.168.100.102,192.168.101.102
  make_rank_table.py --merge server0.json server1.json  tables that were made on each server

  make_rank_table.py --check FILE     checks a table and prints a line RANK SERVER_ID DEVICE_ID DEVICE_IP for each rank

exit status: 0 done, 2 command line, 3 the file cannot be written, 4 invalid addresses, devices or rank table""" % HCCN_CONF


def device_numbers(text):
    if not re.match(r"[0-9](,[0-9])*\Z", text):
        raise argparse.ArgumentTypeError("is %r, expected numbers from 0 to 7 separated by commas, e.g. 0,1" % text)
    return [int(number) for number in text.split(",")]


def make_parser():
    parser = Parser(prog="make_rank_table.py", description=DESCRIPTION, epilog=EXAMPLES,
                    formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--hccn_conf", type=file_path, metavar="FILE", help="lines address_N=IP")
    source.add_argument("--hccn_tool", metavar="COMMAND", help="the tool to run")
    source.add_argument("--hccn_output", type=file_path, metavar="FILE", help="saved output of the tool: lines ipaddr:IP")
    source.add_argument("--addresses", metavar="IP,IP", help="the devices' addresses")
    source.add_argument("--from_table", type=file_path, metavar="FILE",
                        help="a rank table of one server, from which --devices are selected")
    source.add_argument("--server", action="append", metavar="ID=IP,IP",
                        help="a server and its devices' addresses; may be given several times")
    source.add_argument("--merge", type=file_path, nargs="+", metavar="FILE", help="rank tables of different servers")
    source.add_argument("--check", type=file_path, metavar="FILE", help="check and print this table, write nothing")
    parser.add_argument("--devices", type=device_numbers, metavar="0,1", help="numbers of the devices (default: all devices)")
    parser.add_argument("--server_id", metavar="ID", help="this server's name in the table (default: its address)")
    parser.add_argument("--output", type=file_path, metavar="FILE",
                        help="where to write (default: Np.json for N ranks); - for stdout")
    return parser


def refuse_unused(arguments):
    """Raises UsageError for a flag without effect: the user expects other devices or another file."""
    for source, unused in (("check", ("devices", "server_id", "output")), ("merge", ("devices", "server_id")),
                           ("server", ("server_id",))):
        for name in unused:
            if getattr(arguments, source) is not None and getattr(arguments, name) is not None:
                raise UsageError("--%s has no effect with --%s; remove one of them" % (name, source))


def addresses_of_hccn_conf(text, path):
    """{device number: address} from the lines ``address_N=IP``."""
    found = {}
    for line_number, line in enumerate(text.splitlines(), 1):
        match = re.match(r"\s*address_([0-9]{1,4})\s*=\s*(\S+)\s*\Z", line)
        if match and int(match.group(1)) in found:
            raise DeviceError("%s:%d: address_%s occurs twice; remove one of the lines" % (path, line_number, match.group(1)))
        if match:
            found[int(match.group(1))] = match.group(2)
    if not found:
        raise DeviceError("%s has no line address_N=IP; set the devices' addresses with "
                          "`hccn_tool -i N -ip -s address A netmask M`" % path)
    return found


def addresses_of_hccn_output(text, devices, path):
    """{device number: address} from the lines ``ipaddr:IP``, one for each device, in the order of the devices."""
    found = re.findall(r"^\s*ipaddr\s*:\s*(\S+)", text, re.MULTILINE)
    devices = list(range(len(found))) if devices is None else devices
    if len(found) != len(devices) or not found:
        raise DeviceError("%s has %d lines ipaddr:IP, expected one for each device%s" % (
            path, len(found), " of --devices (%d)" % len(devices) if devices else ""))
    return dict(zip(devices, found))


def addresses_of_hccn_tool(command, devices):
    """{device number: address} from running the tool; where ``devices`` is None, all devices that have an address."""
    found = {}
    for device in range(DEVICES_OF_A_SERVER) if devices is None else devices:
        try:
            result = subprocess.run([command, "-i", str(device), "-ip", "-g"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                    encoding="utf-8", errors="replace", timeout=60)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise DeviceError("%s cannot be run: %s. It comes with the driver (/usr/local/Ascend/driver/tools/hccn_tool). "
                              "Otherwise give a file like %s with --hccn_conf, or the addresses with --addresses"
                              % (command, getattr(error, "strerror", None) or error, HCCN_CONF))
        addresses = re.findall(r"^\s*ipaddr\s*:\s*(\S+)", result.stdout, re.MULTILINE)
        if addresses:
            found[device] = addresses[0]
        elif devices is not None:
            raise DeviceError("%s -i %d -ip -g printed no line ipaddr:IP, but: %s" % (
                command, device, result.stdout.strip() or "nothing"))
    if not found:
        raise DeviceError("%s reports no device with an address; set them with `hccn_tool -i N -ip -s address A netmask M`"
                          % command)
    return found


def own_address():
    """This machine's address, else its name: the server_id that distinguishes its devices from those of other servers."""
    name = socket.gethostname()
    try:
        address = socket.gethostbyname(name)
    except OSError:
        return name
    return name if address.startswith("127.") else address


def choose(addresses, devices, where):
    """The list of (device number, address) of the chosen devices."""
    missing = [device for device in devices or [] if device not in addresses]
    if missing:
        raise DeviceError("%s has no address of device %s; it has the addresses of %s" % (
            where, ",".join(map(str, missing)), ",".join(map(str, sorted(addresses)))))
    return [(device, addresses[device]) for device in devices or sorted(addresses)]


def read(path):
    try:
        if path == "-":
            return sys.stdin.read()
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise DeviceError("cannot read %s: %s" % (path, getattr(error, "strerror", None) or error))


def servers_of(arguments):
    """List of (server_id, list of (device number, address))."""
    devices, name = arguments.devices, arguments.server_id or own_address()
    if arguments.merge:
        tables = [read_rank_table(path) for path in arguments.merge]
        return [(server, [(device.device_id, device.device_ip) for device in table.devices_of_server(server)])
                for table in tables for server in table.servers]
    if arguments.server:
        servers = []
        for text in arguments.server:
            server_id, equals, addresses = text.partition("=")
            if not (server_id and equals and addresses):
                raise UsageError("--server %s; expected ID=IP,IP" % text)
            servers.append((server_id, given_devices(addresses, devices)))
        return servers
    if arguments.addresses:
        return [(name, given_devices(arguments.addresses, devices))]
    if arguments.from_table:
        table = read_rank_table(arguments.from_table)
        if len(table.servers) > 1:
            raise UsageError("--from_table %s has %d servers; expected a table of one server" % (
                arguments.from_table, len(table.servers)))
        known = {device.device_id: device.device_ip for device in table.devices}
        return [(arguments.server_id or table.servers[0], choose(known, devices, arguments.from_table))]
    if arguments.hccn_output:
        known = addresses_of_hccn_output(read(arguments.hccn_output), devices, arguments.hccn_output)
    elif arguments.hccn_tool or not (arguments.hccn_conf or os.path.exists(HCCN_CONF)):
        known = addresses_of_hccn_tool(arguments.hccn_tool or "hccn_tool", devices)
    else:
        path = arguments.hccn_conf or HCCN_CONF
        known = addresses_of_hccn_conf(read(path), path)
    return [(name, choose(known, devices, arguments.hccn_conf or arguments.hccn_output or "the server"))]


def given_devices(addresses, devices):
    addresses = addresses.split(",")
    if devices is not None and len(devices) != len(addresses):
        raise UsageError("%d addresses for the %d devices of --devices; expected one for each" % (len(addresses), len(devices)))
    return list(zip(devices or range(len(addresses)), addresses))


def content_of(servers):
    """The rank table to write: ranks in the order of ``servers`` and of their devices."""
    entries, rank = [], 0
    for server_id, devices in servers:
        entry = {"server_id": server_id, "device": []}
        for device, address in devices:
            entry["device"].append({"device_id": str(device), "device_ip": address, "rank_id": str(rank)})
            rank += 1
        entries.append(entry)
    return {"version": VERSION, "status": "completed", "server_count": str(len(entries)), "server_list": entries}


def run(argv):
    arguments = make_parser().parse_args(argv)
    refuse_unused(arguments)
    if arguments.check:
        for device in read_rank_table(arguments.check).devices:
            print(device.rank, device.server_id, device.device_id, device.device_ip)
        return
    servers = servers_of(arguments)
    content = content_of(servers)
    size = sum(len(devices) for _, devices in servers)
    output = arguments.output or "%dp.json" % size
    table = check_rank_table(content, output)
    text = json.dumps(content, indent=2) + "\n"
    if output == "-":
        sys.stdout.write(text)
        return
    if not output.endswith(".json"):
        raise UsageError("--output %s; expected a name that ends in .json: HCCL opens no other files" % output)
    with replaced_file(output) as file:
        file.write(text)
    shares = ["%s: devices %s" % (server_id, ",".join(str(device) for device, _ in devices)) for server_id, devices in servers]
    print("%s: %d rank%s on %d server%s (%s)" % (output, table.size, "s"[:table.size > 1], len(servers), "s"[:len(servers) > 1],
                                               "; ".join(shares)))


def main(argv):
    """Runs the command line ``argv``; returns the exit status."""
    return exit_status_of(run, argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
