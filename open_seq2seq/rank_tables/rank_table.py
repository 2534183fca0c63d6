"""Rank tables: which device of which server is which rank of an HCCL run.

HCCL opens the file that ``RANK_TABLE_FILE`` names. It reads two forms, distinguished by ``version``; all values are strings:

* v1.0: ``server_list`` of servers, each with a list ``device`` of ``{device_id, device_ip, rank_id}``;
* the older form without ``version``: ``group_list`` of groups, each with an ``instance_list``. With ``deploy_mode`` an instance
  is a rank and has a ``rank_id``. Without it an instance is a pod of the Ascend device plugin with a ``pod_name``, and HCCL
  numbers the ranks itself: servers in the order of their names, in each server the devices by number.

HCCL reports only the first mistake, in its own log file, after the model was compiled, and waits half an hour for a ``status``
that is not "completed". This module reports all mistakes at once, before anything starts.
"""
import collections
import ipaddress

from open_seq2seq.errors import DeviceError
from open_seq2seq.rank_tables.fields import Fields, integer_of, kind_of, parse_json

DEVICES_OF_A_SERVER = 8
"""An Ascend 910 server has devices 0 to 7."""

DEVICES_OF_A_RING = 4
"""The devices 0 to 3 are linked with each other, and the devices 4 to 7."""

LEGAL_DEVICES = "HCCL connects one device of a server, two or four of 0 to 3, two or four of 4 to 7, or all eight"

VERSION = "1.0"

MOST_MISTAKES = 100
"""Mistakes that a message lists; the others are counted."""


class RankDevice(collections.namedtuple("RankDevice", "rank server_id device_id device_ip place")):
    """One line of a rank table.

    Attributes:
      rank: int, from 0.
      server_id: str, the server's name, usually its address.
      device_id: int, the device's number in its server, 0 to 7.
      device_ip: str, the address of the device's own network card; "" where the table of a single server omits it.
      place: str, its place in the file, e.g. ``server_list[0].device[3]``.
    """


class RankTable(collections.namedtuple("RankTable", "path version devices")):
    """A checked rank table.

    Attributes:
      path: str, the file.
      version: "1.0", or "group_list" for the older form.
      devices: tuple of :class:`RankDevice`, in the order of their ranks.
    """

    @property
    def size(self):
        """Number of ranks."""
        return len(self.devices)

    @property
    def servers(self):
        """The servers' names, in the order of their lowest ranks."""
        return tuple(collections.OrderedDict.fromkeys(device.server_id for device in self.devices))

    def devices_of_server(self, server_id):
        """The tuple of :class:`RankDevice` of one server, in the order of their ranks."""
        return tuple(device for device in self.devices if device.server_id == server_id)


def can_be_connected(device_ids):
    """Whether HCCL can connect these devices of one server.

    The rule is that of HCCL's documentation for the Ascend 910 (``create_group``): 1, 2, 4 or 8 devices; 2 or 4 devices have to
    belong to the same ring. :data:`LEGAL_DEVICES` says it for messages.

    Args:
      device_ids: list of different int from 0 to 7.
    """
    count = len(device_ids)
    rings = {device_id // DEVICES_OF_A_RING for device_id in device_ids}
    return count in (1, 2, 4, DEVICES_OF_A_SERVER) and (len(rings) == 1 or count == DEVICES_OF_A_SERVER)


def read_rank_table(path):
    """Reads and checks a rank table.

    Args:
      path: the JSON file.

    Returns:
      :class:`RankTable`.

    Raises:
      DeviceError: the file is missing, not JSON, or wrong; the message lists every mistake with its place.
    """
    if not path.endswith(".json"):
        raise DeviceError("rank table %s: HCCL opens only files whose name ends in .json. Rename it" % path)
    try:
        with open(path, encoding="utf-8") as file:
            content = parse_json(file.read())
    except OSError as error:
        raise DeviceError("rank table %s cannot be read: %s. Make one with scripts/make_rank_table.py, or correct "
                          "--rank_table or RANK_TABLE_FILE" % (path, error.strerror))
    except UnicodeDecodeError:
        raise DeviceError("rank table %s is not text; expected JSON in UTF-8. Make one with scripts/make_rank_table.py" % path)
    except ValueError as error:
        place, _, reason = str(error).partition(" ")
        raise DeviceError("rank table %s:%s is not valid JSON: %s (JSON has no comments and no comma before a closing bracket). "
                          "Fix it, or make one with scripts/make_rank_table.py" % (path, place, reason))
    return check_rank_table(content, path)


def check_rank_table(content, path):
    """Checks the content of a rank table.

    Args:
      content: the parsed JSON; keys that occur twice are found only in what ``fields.parse_json`` returned.
      path: the file, for messages.

    Returns:
      :class:`RankTable`.

    Raises:
      DeviceError: lists every mistake with its place.
    """
    fields = Fields()
    fields.repeated_keys(content)
    version = "group_list"
    if not isinstance(content, dict):
        fields.mistake("", "is %s, expected an object with version, status and server_list" % kind_of(content))
        devices = []
    elif "version" in content or "server_list" in content:
        version = VERSION
        devices = _devices_of_servers(content, fields)
    elif "group_list" in content:
        devices = _devices_of_groups(content, fields)
    else:
        fields.mistake("", "has neither server_list (version 1.0) nor group_list (the older form); it has %s"
                       % (", ".join(key[:40] for key in sorted(content)[:8]) or "nothing"))
        devices = []
    _check_unique(devices, fields)
    if not fields.mistakes:
        _check_servers(devices, fields)
    if fields.mistakes:
        shown = fields.mistakes[:MOST_MISTAKES]
        if len(fields.mistakes) > len(shown):
            shown.append("... and %d more" % (len(fields.mistakes) - len(shown)))
        raise DeviceError("rank table %s is wrong:\n  %s\nFix it, or make one with scripts/make_rank_table.py"
                          % (path, "\n  ".join(shown)))
    return RankTable(path, version, tuple(sorted(devices, key=lambda device: device.rank)))


def _devices_of_servers(content, fields):
    """The devices of a v1.0 table; those with a mistake are noted and skipped."""
    version = fields.text(content, "", "version")
    if version not in (None, VERSION):
        fields.mistake("version", 'is "%s", expected "%s" (tables of other versions are for other machines than the 910)'
                       % (version, VERSION))
        return []
    _check_status(content, fields)
    servers = fields.items(content, "", "server_list")
    fields.count(content, "", "server_count", len(servers), "server_list has %d")
    devices, names = [], {}
    for place, server in servers:
        server_id = fields.text(server, place, "server_id")
        if server_id is not None and server_id in names:
            fields.mistake(place + ".server_id", '"%s" is also that of %s' % (server_id, names[server_id]))
        names.setdefault(server_id, place)
        here = fields.items(server, place, "device")
        for key in ("device_count", "device_num"):
            if key in server:
                fields.count(server, place, key, len(here), "device has %d")
        for device_place, device in here:
            rank = fields.number(device, device_place, "rank_id")
            devices.append(_device(fields, device, device_place, rank, server_id, needs_ip=True))
    _check_total(content, fields, len(devices))
    return [device for device in devices if device is not None]


def _devices_of_groups(content, fields):
    """The devices of a table of the older form; those with a mistake are noted and skipped."""
    _check_status(content, fields)
    groups = fields.items(content, "", "group_list")
    fields.count(content, "", "group_count", len(groups), "group_list has %d")
    numbered = "deploy_mode" in content
    devices = []
    for place, group in groups:
        instances = fields.items(group, place, "instance_list")
        fields.count(group, place, "instance_count", len(instances), "instance_list has %d")
        before, servers = len(devices), set()
        for instance_place, instance in instances:
            servers.add(str(instance.get("server_id")))
            devices += _devices_of_instance(fields, instance, instance_place, numbered, len(instances) > 1)
        fields.count(group, place, "device_num" if numbered or "device_num" in group else "device_count",
                     len(devices) - before, "its instances have %d")
        if "server_num" in group:
            fields.count(group, place, "server_num", len(servers), "its instances are on %d")
    correct = [device for device in devices if device is not None]
    if not numbered:
        correct.sort(key=lambda device: (device.server_id, device.device_id))
        correct = [device._replace(rank=rank) for rank, device in enumerate(correct)]
    return correct


def _devices_of_instance(fields, instance, place, numbered, needs_ip):
    server_id = fields.text(instance, place, "server_id")
    rank = fields.number(instance, place, "rank_id") if numbered else 0
    if not numbered:
        fields.text(instance, place, "pod_name")
    here = fields.items(instance, place, "devices")
    if numbered and len(here) > 1:
        fields.mistake(place + ".devices", "has %d devices, expected one: the instance is rank %s" % (len(here), rank))
    return [_device(fields, device, device_place, rank, server_id, needs_ip) for device_place, device in here]


def _device(fields, device, place, rank, server_id, needs_ip):
    """A RankDevice, or None if something about it is wrong."""
    device_id = fields.number(device, place, "device_id")
    if device_id is not None and not 0 <= device_id < DEVICES_OF_A_SERVER:
        fields.mistake(place + ".device_id", '"%d" is out of range, expected 0 to %d' % (device_id, DEVICES_OF_A_SERVER - 1))
        device_id = None
    device_ip = ""
    if needs_ip or device.get("device_ip"):
        device_ip = fields.text(device, place, "device_ip")
        try:
            ipaddress.ip_address(device_ip or "0.0.0.0")
        except ValueError:
            fields.mistake(place + ".device_ip", '"%s" is not an IP address' % device_ip[:40])
            device_ip = None
    if None in (rank, server_id, device_id, device_ip):
        return None
    return RankDevice(rank, server_id, device_id, device_ip, place)


def _check_status(content, fields):
    status = fields.text(content, "", "status")
    if status not in (None, "completed"):
        fields.mistake("status", 'is "%s", expected "completed"; a cluster\'s device plugin sets this when it has entered all '
                       "devices" % status[:40])


def _check_total(content, fields, size):
    for key in ("device_count", "device_num"):
        if key in content:
            fields.count(content, "", key, size, "the servers have %d devices")


def _check_unique(devices, fields):
    """Notes duplicate ranks and addresses; duplicate devices and gaps in the ranks only where no other mistake may cause them."""
    if not devices and not fields.mistakes:
        fields.mistake("", "has no devices")
    explained = bool(fields.mistakes)
    keys = [("rank_id", lambda device: device.rank), ("device_ip", lambda device: device.device_ip or device.place)]
    if not explained:
        keys.append(("device_id", lambda device: (device.server_id, device.device_id)))
    for name, key in keys:
        places = collections.OrderedDict()
        for device in devices:
            places.setdefault(key(device), []).append(device.place)
        for value, where in places.items():
            if len(where) > 1:
                shown = "%s of server %s" % (value[1], value[0]) if name == "device_id" else value
                fields.mistake(" and ".join(where), "have the same %s %s" % (name, shown))
    ranks = {device.rank for device in devices}
    missing = [rank for rank in range(len(devices)) if rank not in ranks]
    if missing and not explained:
        fields.mistake("", "has %d devices, expected the ranks 0 to %d: %s %s missing" % (
            len(devices), len(devices) - 1, ", ".join(map(str, missing)), "is" if len(missing) == 1 else "are"))


def _check_servers(devices, fields):
    """Notes servers whose devices HCCL cannot connect; only of a table without other mistakes, which may cause them."""
    servers = collections.OrderedDict()
    for device in sorted(devices):
        servers.setdefault(device.server_id, []).append(device.device_id)
    for server_id, device_ids in servers.items():
        if not can_be_connected(device_ids):
            fields.mistake("server %s" % server_id, "has the device%s %s; %s. Select them with --devices of "
                           "scripts/make_rank_table.py" % ("s"[:len(device_ids) > 1], ",".join(map(str, sorted(device_ids))),
                                                           LEGAL_DEVICES))
    first = next(iter(servers))
    for server_id, device_ids in servers.items():
        if len(device_ids) != len(servers[first]):
            fields.mistake("server %s" % server_id, "has %d device%s, but server %s has %d; expected the same number on each "
                           "server" % (len(device_ids), "s"[:len(device_ids) > 1], first, len(servers[first])))


def check_against_environment(table, environ):
    """Checks that the environment of a process agrees with its rank table.

    Args:
      table: :class:`RankTable`.
      environ: mapping of the process's environment variables; ``RANK_SIZE``, ``RANK_ID``, ``ASCEND_DEVICE_ID`` and
        ``DEVICE_ID`` are checked where they are set.

    Returns:
      The :class:`RankDevice` of ``RANK_ID``, or None when it is not set.

    Raises:
      DeviceError: lists every contradiction and names the rank.
    """
    mistakes, values = [], {}
    for name in ("RANK_SIZE", "RANK_ID", "ASCEND_DEVICE_ID", "DEVICE_ID"):
        text = environ.get(name)
        if text is None:
            continue
        number = integer_of(text)
        if number is None:
            mistakes.append('%s is "%s", expected a whole number' % (name, text[:40]))
        else:
            values[name] = number
    if values.get("RANK_SIZE", table.size) != table.size:
        mistakes.append("RANK_SIZE is %d, but the table has %d ranks" % (values["RANK_SIZE"], table.size))
    device = None
    if "RANK_ID" in values:
        if values["RANK_ID"] < table.size:
            device = table.devices[values["RANK_ID"]]
        else:
            mistakes.append("RANK_ID is %d, but the table's ranks are 0 to %d" % (values["RANK_ID"], table.size - 1))
    for name in ("ASCEND_DEVICE_ID", "DEVICE_ID"):
        if device is not None and values.get(name, device.device_id) != device.device_id:
            mistakes.append("%s is %d, but %s gives rank %d device %d of server %s"
                            % (name, values[name], device.place, device.rank, device.device_id, device.server_id))
    if mistakes:
        raise DeviceError("rank %s: the environment contradicts the rank table %s:\n  %s\nStart the ranks with "
                          "scripts/run_8p.sh, which sets these variables, or correct them or the table"
                          % (environ.get("RANK_ID", "without RANK_ID"), table.path, "\n  ".join(mistakes)))
    return device
