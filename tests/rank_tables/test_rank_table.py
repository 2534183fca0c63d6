"""Rank tables: both forms are read, and all mistakes are reported with their places."""
import itertools
import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from open_seq2seq.errors import DeviceError
from open_seq2seq.rank_tables.rank_table import check_against_environment, check_rank_table, read_rank_table
from tests.paths import REPOSITORY


def table_of(servers=1, devices=2):
    """A correct v1.0 table."""
    return {"version": "1.0", "status": "completed", "server_count": str(servers), "server_list": [
        {"server_id": "10.0.0.%d" % (server + 1), "device": [
            {"device_id": str(device), "device_ip": "192.168.%d.%d" % (100 + device, 101 + server),
             "rank_id": str(server * devices + device)} for device in range(devices)]} for server in range(servers)]}


def group_table(numbered):
    """The older form: four ranks with numbers, or two pods of two devices each whose ranks HCCL numbers."""
    if numbered:
        instances = [{"rank_id": str(rank), "server_id": "10.0.0.1", "devices": [
            {"device_id": str(rank), "device_ip": "192.168.%d.101" % (100 + rank)}]} for rank in range(4)]
        group = {"group_name": "", "device_num": "4", "server_num": "1", "instance_count": "4", "instance_list": instances}
        return {"status": "completed", "deploy_mode": "lab", "group_count": "1", "group_list": [group]}
    instances = [{"pod_name": "pod%d" % pod, "server_id": server, "devices": [
        {"device_id": device, "device_ip": "192.168.%s.10%d" % (device, pod)} for device in ("5", "4")]}
        for pod, server in enumerate(("10.0.0.9", "10.0.0.2"))]
    group = {"group_name": "job", "device_count": "4", "instance_count": "2", "instance_list": instances}
    return {"status": "completed", "group_count": "1", "group_list": [group]}


def mistakes_of(content):
    with pytest.raises(DeviceError) as error:
        check_rank_table(content, "table.json")
    lines = str(error.value).splitlines()
    assert lines[0] == "rank table table.json is wrong:" and "scripts/make_rank_table.py" in lines[-1]
    return [line.strip() for line in lines[1:-1]]


def test_the_table_of_the_repository_has_eight_ranks():
    table = read_rank_table(os.path.join(REPOSITORY, "scripts", "8p.json"))
    assert table.version == "1.0" and table.size == 8 and len(table.servers) == 1
    assert [(device.rank, device.device_id) for device in table.devices] == [(number, number) for number in range(8)]
    assert len({device.device_ip for device in table.devices}) == 8


def test_ranks_are_sorted():
    content = table_of(servers=2, devices=2)
    content["server_list"].reverse()
    table = check_rank_table(content, "table.json")
    assert [(device.rank, device.server_id, device.device_id) for device in table.devices] == [
        (0, "10.0.0.1", 0), (1, "10.0.0.1", 1), (2, "10.0.0.2", 0), (3, "10.0.0.2", 1)]
    assert table.servers == ("10.0.0.1", "10.0.0.2")
    assert [device.rank for device in table.devices_of_server("10.0.0.2")] == [2, 3]


def test_the_older_form_with_ranks():
    table = check_rank_table(group_table(numbered=True), "table.json")
    assert table.version == "group_list"
    assert [(device.rank, device.device_id, device.device_ip) for device in table.devices] == [
        (rank, rank, "192.168.%d.101" % (100 + rank)) for rank in range(4)]


def test_the_older_form_without_ranks_is_numbered_as_hccl_does():
    table = check_rank_table(group_table(numbered=False), "table.json")
    assert [(device.rank, device.server_id, device.device_id) for device in table.devices] == [
        (0, "10.0.0.2", 4), (1, "10.0.0.2", 5), (2, "10.0.0.9", 4), (3, "10.0.0.9", 5)]


def table_of_devices(form, *servers):
    """A table of version 1.0 or, for "pods" and "ranks", of the older form without and with rank numbers.

    Args:
      form: "1.0", "pods" or "ranks".
      servers: for each server the numbers of its devices.
    """
    devices = [("10.0.0.%d" % server, str(device), "192.168.%d.%d" % (server, device))
               for server, numbers in enumerate(servers) for device in numbers]
    if form == "1.0":
        return {"version": "1.0", "status": "completed", "server_count": str(len(servers)), "server_list": [
            {"server_id": "10.0.0.%d" % server, "device": [
                {"device_id": device, "device_ip": address, "rank_id": str(rank)}
                for rank, (server_id, device, address) in enumerate(devices) if server_id == "10.0.0.%d" % server]}
            for server in range(len(servers))]}
    if form == "ranks":
        instances = [{"rank_id": str(rank), "server_id": server_id, "devices": [{"device_id": device, "device_ip": address}]}
                     for rank, (server_id, device, address) in enumerate(devices)]
    else:
        instances = [{"pod_name": "pod%d" % server, "server_id": "10.0.0.%d" % server, "devices": [
            {"device_id": device, "device_ip": address} for server_id, device, address in devices
            if server_id == "10.0.0.%d" % server]} for server in range(len(servers))]
    group = {"group_name": "job", "device_num": str(len(devices)), "instance_count": str(len(instances)),
             "instance_list": instances}
    return dict({"deploy_mode": "lab"} if form == "ranks" else {}, status="completed", group_count="1", group_list=[group])


RINGS = ((0, 1, 2, 3), (4, 5, 6, 7))
LEGAL = [devices for ring in RINGS for count in (1, 2, 4) for devices in itertools.combinations(ring, count)] + [tuple(range(8))]
ILLEGAL = [devices for count in range(1, 9) for devices in itertools.combinations(range(8), count) if devices not in LEGAL]


@pytest.mark.parametrize("devices", ILLEGAL, ids=lambda devices: "".join(map(str, devices)))
def test_devices_that_hccl_cannot_connect(devices):
    for form in ("1.0", "pods", "ranks"):
        line, = mistakes_of(table_of_devices(form, devices))
        assert line.startswith("server 10.0.0.0 has the devices %s; " % ",".join(map(str, devices)))
        assert all(part in line for part in ("one device", "two or four of 0 to 3", "two or four of 4 to 7", "all eight",
                                             "--devices"))


def test_all_devices_that_hccl_can_connect():
    assert len(LEGAL) == 23 and len(LEGAL) + len(ILLEGAL) == 255
    for form, devices in itertools.product(("1.0", "pods", "ranks"), LEGAL):
        table = check_rank_table(table_of_devices(form, devices), "table.json")
        assert [device.device_id for device in table.devices] == list(devices)
        # the servers of a run may use other devices
        assert check_rank_table(table_of_devices(form, (0, 1, 2, 3), (4, 5, 6, 7)), "table.json").size == 8


@pytest.mark.parametrize("form", ["1.0", "pods", "ranks"])
def test_servers_with_different_numbers_of_devices(form):
    cross_ring, too_many = mistakes_of(table_of_devices(form, (0, 1), (4, 5, 6, 7), (2, 3), (1, 6)))
    assert cross_ring.startswith("server 10.0.0.3 has the devices 1,6; ")
    assert too_many == "server 10.0.0.1 has 4 devices, but server 10.0.0.0 has 2; expected the same number on each server"


DEVICE = "server_list[0].device[1]"
WRONG = {
    "duplicate rank": (lambda table, device: device.update(rank_id="0"),
                       ["server_list[0].device[0] and %s have the same rank_id 0" % DEVICE,
                        "the table has 2 devices, expected the ranks 0 to 1: 1 is missing"]),
    "duplicate address": (lambda table, device: device.update(device_ip="192.168.100.101"),
                          ["server_list[0].device[0] and %s have the same device_ip 192.168.100.101" % DEVICE]),
    "duplicate device": (lambda table, device: device.update(device_id="0"),
                         ["server_list[0].device[0] and %s have the same device_id 0 of server 10.0.0.1" % DEVICE]),
    "gap": (lambda table, device: device.update(rank_id="5"),
            ["the table has 2 devices, expected the ranks 0 to 1: 1 is missing"]),
    "server_count": (lambda table, device: table.update(server_count="2"), ['server_count is "2", but server_list has 1']),
    "device_count": (lambda table, device: table.update(device_count="8"),
                     ['device_count is "8", but the servers have 2 devices']),
    "device_num": (lambda table, device: table["server_list"][0].update(device_num="1"),
                   ['server_list[0].device_num is "1", but device has 2']),
    "version": (lambda table, device: table.update(version="1.2"),
                ['version is "1.2", expected "1.0" (tables of other versions are for other machines than the 910)']),
    "status": (lambda table, device: table.update(status="initializing"), [
        'status is "initializing", expected "completed"; a cluster\'s device plugin sets this when it has entered all '
        'devices']),
    "missing address": (lambda table, device: device.pop("device_ip"), [DEVICE + ".device_ip is missing"]),
    "missing devices": (lambda table, device: table["server_list"][0].pop("device"), ["server_list[0].device is missing"]),
    "missing status": (lambda table, device: table.pop("status"), ["status is missing"]),
    "missing servers": (lambda table, device: table.pop("server_list"), ["server_list is missing",
                                                                         'server_count is "1", but server_list has 0']),
    "out of range": (lambda table, device: device.update(device_id="8"),
                     [DEVICE + '.device_id "8" is out of range, expected 0 to 7']),
    "number": (lambda table, device: device.update(rank_id=1),
               [DEVICE + '.rank_id is the number 1, expected the string "1": HCCL reads strings only']),
    "word": (lambda table, device: device.update(rank_id="one"),
             [DEVICE + '.rank_id is "one", expected a whole number in digits']),
    "address": (lambda table, device: device.update(device_ip="192.168.1"),
                [DEVICE + '.device_ip "192.168.1" is not an IP address']),
    "no list": (lambda table, device: table.update(server_list={"a": 1}), [
        "server_list is an object, expected a list with at least one object", 'server_count is "1", but server_list has 0']),
    "null": (lambda table, device: table["server_list"][0]["device"].append(None), [
        "server_list[0].device[2] is null, expected an object"]),
}


@pytest.mark.parametrize("what", sorted(WRONG))
def test_a_mistake_is_named_with_its_place(what):
    change, expected = WRONG[what]
    content = table_of()
    change(content, content["server_list"][0]["device"][1])
    assert mistakes_of(content) == expected


def test_two_servers_of_one_name():
    content = table_of(servers=2)
    content["server_list"][1]["server_id"] = "10.0.0.1"
    assert mistakes_of(content) == ['server_list[1].server_id "10.0.0.1" is also that of server_list[0]']


def test_duplicates_are_reported_next_to_other_mistakes():
    content = table_of()
    content["server_count"] = "3"
    content["server_list"][0]["device"][1].update(rank_id="0", device_ip="192.168.100.101")
    both = "server_list[0].device[0] and %s have the same " % DEVICE
    assert mistakes_of(content) == [
        'server_count is "3", but server_list has 1', both + "rank_id 0", both + "device_ip 192.168.100.101"]


def test_all_mistakes_are_reported_together():
    content = table_of(servers=2)
    del content["status"]
    content["server_count"] = "3"
    content["server_list"][0]["device"][0]["device_id"] = "9"
    content["server_list"][1]["device"][1]["rank_id"] = ""
    found = mistakes_of(content)
    assert [line.split()[0] for line in found] == ["status", "server_count", "server_list[0].device[0].device_id",
                                                   "server_list[1].device[1].rank_id"]


@pytest.mark.parametrize("numbered,change,expected", [
    (True, lambda group: group.update(device_num="8"), ['group_list[0].device_num is "8", but its instances have 4']),
    (True, lambda group: group.update(server_num="2"), ['group_list[0].server_num is "2", but its instances are on 1']),
    (True, lambda group: group["instance_list"][1].pop("rank_id"), ["group_list[0].instance_list[1].rank_id is missing"]),
    (True, lambda group: group["instance_list"].pop(), ['group_list[0].instance_count is "4", but instance_list has 3',
                                                        'group_list[0].device_num is "4", but its instances have 3']),
    (False, lambda group: group["instance_list"][0].pop("pod_name"), ["group_list[0].instance_list[0].pod_name is missing"]),
    (False, lambda group: group.update(instance_count="3"), ['group_list[0].instance_count is "3", but instance_list has 2']),
])
def test_mistakes_of_the_older_form(numbered, change, expected):
    content = group_table(numbered)
    change(content["group_list"][0])
    assert mistakes_of(content) == expected


@pytest.mark.parametrize("content,part", [
    ('{"version": "1.0",}', "table.json:1:19 is not valid JSON"), ("", "table.json:1:1 is not valid JSON"),
    ("[]", "the table is empty, expected an object"), ("{}", "the table has neither server_list (version 1.0) nor group_list"),
    ("\xff\xfe", "is not text"),
    ('{"server_list": ' + 100000 * "[" + 100000 * "]" + "}", "table.json:1:1 is not valid JSON: objects or lists are nested too"),
    (100000 * '{"a": ', "nested too deeply"),
    ('{"server_list": %s}' % (900 * "[" + 900 * "]"), "server_list[0] is a list, expected an object"),
], ids=["comma", "empty", "list", "no keys", "UTF-16", "deep lists", "deep objects", "lists as deep as can be parsed"])
def test_a_damaged_file(tmp_path, content, part):
    path = tmp_path / "table.json"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(DeviceError) as error:
        read_rank_table(str(path))
    assert part in str(error.value) and str(path) in str(error.value)


def read_text(path, text):
    path.write_text(text)
    with pytest.raises(DeviceError) as error:
        read_rank_table(str(path))
    return [line.strip() for line in str(error.value).splitlines()[1:-1]]


def test_a_key_that_occurs_twice_is_named_with_its_place(tmp_path):
    text = json.dumps(table_of())
    once = '"rank_id": "1"'
    assert text.count(once) == 1
    # the same value twice is a mistake as well: nobody can know which of the lines was meant to be another one
    assert read_text(tmp_path / "table.json", text.replace(once, once + ", " + once)) == [
        DEVICE + ".rank_id occurs more than once in the same object; keep one of them"]
    assert read_text(tmp_path / "table.json", '{"version": "1.0", ' + text[1:]) == [
        "version occurs more than once in the same object; keep one of them"]
    groups = json.dumps(group_table(numbered=True)).replace('"deploy_mode": "lab"', '"deploy_mode": "lab", "a": {"b": 1, "b": 2}')
    assert read_text(tmp_path / "table.json", groups) == ["a.b occurs more than once in the same object; keep one of them"]


@pytest.mark.parametrize("value,expected", [
    (10 ** 400, "rank_id is the number 1%s... (401 characters), expected the string " % (39 * "0")),
    (str(10 ** 400), 'rank_id is "1%s... (401 characters)", expected a whole number in digits, at most 9 of them' % (39 * "0")),
    (1.0, "rank_id is the number 1.0, expected a string"), (float("inf"), "rank_id is the number inf, expected a string"),
    (True, "rank_id is true or false, expected a string"), ("1\0", "expected a text without blanks and control characters"),
    ("\u00b2", "expected a whole number in digits"), ({"1": "1"}, "rank_id is an object, expected a string")])
def test_a_value_that_is_not_a_short_number_in_digits(tmp_path, value, expected):
    content = table_of()
    content["server_list"][0]["device"][1]["rank_id"] = value
    line, = read_text(tmp_path / "table.json", json.dumps(content))
    assert expected in line and len(line) < 250


def test_long_texts_and_many_mistakes_give_a_short_message(tmp_path):
    content = table_of(devices=8)
    content["server_list"][0].update(server_id="s" * 10 ** 5, device=[{"rank_id": None}] * 1000)
    found = read_text(tmp_path / "table.json", json.dumps(content))
    assert found[0].startswith('server_list[0].server_id is "s') and found[0].endswith("expected at most 255 characters")
    assert len(found) == 101 and found[-1] == "... and 2901 more"
    assert sum(map(len, found)) < 10 ** 4


def test_a_missing_file_and_a_name_that_hccl_does_not_open(tmp_path):
    with pytest.raises(DeviceError, match="8p.json cannot be read: No such file or directory.*make_rank_table.py"):
        read_rank_table(str(tmp_path / "8p.json"))
    with pytest.raises(DeviceError, match="only files whose name ends in .json"):
        read_rank_table(str(tmp_path / "8p.txt"))


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
                    max_leaves=6)
KEYS = [(), ("version",), ("status",), ("server_count",), ("server_list",), ("server_list", 0), ("server_list", 0, "server_id"),
        ("server_list", 0, "device"), ("server_list", 0, "device", 0), ("server_list", 0, "device", 0, "rank_id"),
        ("server_list", 0, "device", 0, "device_id"), ("server_list", 0, "device", 0, "device_ip")]


@pytest.mark.slow
@given(st.sampled_from(KEYS), JSON)
def test_any_json_value_gives_a_table_or_a_device_error(keys, value):
    content = table_of()
    target, correct = content, content
    for key in keys[:-1]:
        target = target[key]
    if keys:
        correct, target[keys[-1]] = target[keys[-1]], value
    else:
        content = value
    try:
        table = check_rank_table(json.loads(json.dumps(content)), "table.json")
    except DeviceError:
        assert value != correct
        return
    assert [device.rank for device in table.devices] == list(range(table.size))


@given(st.lists(st.sampled_from(["rank_id", "device_id", "device_ip"]), max_size=3), st.integers(0, 7), st.integers(0, 7))
def test_a_device_that_repeats_another_is_an_error(keys, first, second):
    content = table_of(devices=8)
    devices = content["server_list"][0]["device"]
    devices[first].update({key: devices[second][key] for key in keys})
    if first == second or not keys:
        assert check_rank_table(content, "table.json").size == 8
    else:
        assert len(mistakes_of(content)) == len(set(keys)) + ("rank_id" in keys)


@pytest.mark.parametrize("environ,parts", [
    ({"RANK_SIZE": "8"}, ["rank without RANK_ID", "RANK_SIZE is 8, but the table has 2 ranks"]),
    ({"RANK_ID": "2", "RANK_SIZE": "2"}, ["rank 2:", "RANK_ID is 2, but the table's ranks are 0 to 1"]),
    ({"RANK_ID": "x"}, ['RANK_ID is "x", expected a whole number']),
    ({"RANK_ID": "1", "DEVICE_ID": "0"}, ["rank 1:", "DEVICE_ID is 0, but server_list[0].device[1] gives rank 1 device 1"]),
    ({"RANK_ID": "-1", "RANK_SIZE": "", "ASCEND_DEVICE_ID": "²"}, [
        'RANK_ID is "-1"', 'RANK_SIZE is ""', 'ASCEND_DEVICE_ID is "²"']),
])
def test_environment_variables_that_contradict_the_table(environ, parts):
    with pytest.raises(DeviceError) as error:
        check_against_environment(check_rank_table(table_of(), "table.json"), environ)
    assert all(part in str(error.value) for part in parts), str(error.value)
    assert "table.json" in str(error.value) and error.value.exit_status == 4


def test_environment_variables_that_agree_select_the_device():
    table = check_rank_table(table_of(servers=2, devices=4), "table.json")
    environ = {"RANK_ID": "6", "RANK_SIZE": "8", "DEVICE_ID": "2", "ASCEND_DEVICE_ID": "2"}
    device = check_against_environment(table, environ)
    assert (device.rank, device.server_id, device.device_id) == (6, "10.0.0.2", 2)
    assert check_against_environment(table, {}) is None
