"""scripts/make_rank_table.py as a command."""
import json
import os
import stat
import subprocess
import sys
import types

import pytest

from open_seq2seq.rank_tables.rank_table import read_rank_table
from tests.paths import REPOSITORY

SCRIPT = os.path.join(REPOSITORY, "scripts", "make_rank_table.py")

HCCN_CONF = "\n".join("address_%d=192.168.%d.10%d\nnetmask_%d=255.255.255.0\nnetdetect_%d=192.168.%d.1" % (
    device, 100 + device % 4, device // 4, device, device, 100 + device % 4) for device in range(8)) + "\n"


@pytest.fixture
def make(tmp_path):
    def call(*words, **options):
        done = subprocess.run([sys.executable, "-S", SCRIPT] + list(words), cwd=str(tmp_path), capture_output=True, text=True,
                              **options)
        return types.SimpleNamespace(status=done.returncode, out=done.stdout, err=done.stderr)
    return call


def ranks_of(path):
    return [(device.rank, device.server_id, device.device_id, device.device_ip) for device in read_rank_table(str(path)).devices]


@pytest.mark.parametrize("devices", ["0", "4,5", "0,1,2,3", "4,5,6,7", "0,1,2,3,4,5,6,7", "1,0"])
def test_from_hccn_conf(make, tmp_path, devices):
    (tmp_path / "hccn.conf").write_text(HCCN_CONF)
    done = make("--hccn_conf", "hccn.conf", "--devices", devices, "--server_id", "10.0.0.7", "--output", "out.json")
    assert done.status == 0 and done.out.startswith("out.json: "), done.err
    numbers = [int(word) for word in devices.split(",")]
    assert ranks_of(tmp_path / "out.json") == [
        (rank, "10.0.0.7", device, "192.168.%d.10%d" % (100 + device % 4, device // 4)) for rank, device in enumerate(numbers)]


def test_the_default_is_all_devices_and_a_file_named_after_their_number(make, tmp_path):
    (tmp_path / "hccn.conf").write_text(HCCN_CONF)
    assert make("--hccn_conf", "hccn.conf").status == 0
    assert len(ranks_of(tmp_path / "8p.json")) == 8


def test_from_hccn_tool_and_from_its_saved_output(make, tmp_path):
    tool = tmp_path / "hccn_tool"
    tool.write_text('#!/bin/sh\n[ "$1 $3 $4" = "-i -ip -g" ] || exit 1\n[ "$2" -lt 2 ] || exit 1\n'
                    'echo "ipaddr:192.168.1.1$2"\necho netmask:255.255.255.0\n')
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    assert make("--hccn_tool", str(tool), "--server_id", "a", "--output", "asked.json").status == 0
    expected = [(0, "a", 0, "192.168.1.10"), (1, "a", 1, "192.168.1.11")]
    assert ranks_of(tmp_path / "asked.json") == expected
    printed = "ipaddr:192.168.1.10\nnetmask:255.255.255.0\nipaddr:192.168.1.11\nnetmask:255.255.255.0\n"
    assert make("--hccn_output", "-", "--server_id", "a", "--output", "printed.json", input=printed).status == 0
    assert ranks_of(tmp_path / "printed.json") == expected
    refused = make("--hccn_tool", str(tool), "--devices", "2,3")
    assert refused.status == 4 and "-i 2 -ip -g printed no line ipaddr:IP" in refused.err


def test_several_servers_given_or_merged(make, tmp_path):
    given = make("--server", "10.0.0.1=192.168.1.1,192.168.1.2", "--server", "10.0.0.2=192.168.1.3,192.168.1.4",
                 "--output", "given.json")
    assert given.status == 0, given.err
    expected = [(0, "10.0.0.1", 0, "192.168.1.1"), (1, "10.0.0.1", 1, "192.168.1.2"),
                (2, "10.0.0.2", 0, "192.168.1.3"), (3, "10.0.0.2", 1, "192.168.1.4")]
    assert ranks_of(tmp_path / "given.json") == expected
    for name, server, addresses in (("a", "10.0.0.1", "192.168.1.1,192.168.1.2"), ("b", "10.0.0.2", "192.168.1.3,192.168.1.4")):
        assert make("--addresses", addresses, "--server_id", server, "--output", name + ".json").status == 0
    assert make("--merge", "a.json", "b.json", "--output", "merged.json").status == 0
    assert ranks_of(tmp_path / "merged.json") == expected
    twice = make("--merge", "a.json", "a.json", "--output", "twice.json")
    assert twice.status == 4 and 'server_id "10.0.0.1" is also that of server_list[0]' in twice.err
    assert not (tmp_path / "twice.json").exists()


def test_part_of_another_table_and_check(make, tmp_path):
    table = os.path.join(REPOSITORY, "scripts", "8p.json")
    assert make("--from_table", table, "--devices", "6,7").status == 0
    assert [(rank, device) for rank, _, device, _ in ranks_of(tmp_path / "2p.json")] == [(0, 6), (1, 7)]
    checked = make("--check", "2p.json")
    assert checked.status == 0 and checked.out == "0 127.0.0.1 6 192.168.102.100\n1 127.0.0.1 7 192.168.103.100\n"
    content = json.loads((tmp_path / "2p.json").read_text())
    content["status"] = "initializing"
    (tmp_path / "2p.json").write_text(json.dumps(content))
    refused = make("--check", "2p.json")
    assert refused.status == 4 and 'status is "initializing"' in refused.err and not refused.out


@pytest.mark.parametrize("devices", [(0, 1, 2), (3, 4), (2, 3, 4, 5), (0, 1, 2, 3, 4, 5)])
def test_devices_that_cannot_be_connected_are_refused_however_the_table_is_read(make, tmp_path, devices):
    content = {"version": "1.0", "status": "completed", "server_count": "1", "server_list": [
        {"server_id": "10.0.0.1", "device": [{"device_id": str(device), "device_ip": "192.168.1.%d" % device,
                                              "rank_id": str(rank)} for rank, device in enumerate(devices)]}]}
    (tmp_path / "table.json").write_text(json.dumps(content))
    (tmp_path / "hccn.conf").write_text(HCCN_CONF)
    numbers = ",".join(map(str, devices))
    for words in (["--check", "table.json"], ["--merge", "table.json", "--output", "out.json"],
                  ["--from_table", os.path.join(REPOSITORY, "scripts", "8p.json"), "--devices", numbers, "--output", "out.json"],
                  ["--hccn_conf", "hccn.conf", "--devices", numbers, "--output", "out.json"]):
        refused = make(*words)
        assert refused.status == 4 and not refused.out and "has the devices %s; HCCL connects" % numbers in refused.err, words
    assert not (tmp_path / "out.json").exists()


@pytest.mark.parametrize("words,status,part", [
    (["--addresses", "192.168.1.1,192.168.1.1"], 4, "have the same device_ip 192.168.1.1"),
    (["--addresses", "192.168.1.1,192.168.1"], 4, '"192.168.1" is not an IP address'),
    (["--addresses", "192.168.1.1,192.168.1.2,192.168.1.3"], 4, "the devices 0,1,2; HCCL connects one device of a server"),
    (["--addresses", "192.168.1.1,192.168.1.2", "--devices", "3,4"], 4, "the devices 3,4; HCCL connects one device of a server"),
    (["--addresses", "192.168.1.1,192.168.1.2", "--devices", "0"], 2, "2 addresses for the 1 devices"),
    (["--addresses", "192.168.1.1,192.168.1.2", "--devices", "8,9"], 4, '"8" is out of range'),
    (["--addresses", "192.168.1.1,192.168.1.2", "--devices", "1,1"], 4, "have the same device_id 1"),
    (["--addresses", "192.168.1.1", "--output", "table.txt"], 2, "expected a name that ends in .json"),
    (["--addresses", "192.168.1.1", "--output", "nowhere/table.json"], 3, "cannot write nowhere/table.json"),
    (["--server", "a=192.168.1.1", "--server", "b=192.168.1.2,192.168.1.3"], 4, "expected the same number on each server"),
    (["--server", "192.168.1.1"], 2, "expected ID=IP,IP"),
    (["--hccn_conf", "nowhere.conf"], 4, "cannot read nowhere.conf: No such file or directory"),
    (["--hccn_tool", "./no_such_tool"], 4, "--addresses"),
    (["--addresses", "192.168.1.1", "--merge", "a.json"], 2, "not allowed with argument"),
    (["--merge", "a.json", "--devices", "0"], 2, "--devices has no effect with --merge"),
    (["--check", "a.json", "--output", "b.json"], 2, "--output has no effect with --check"),
    (["--server", "a=192.168.1.1", "--server_id", "b"], 2, "--server_id has no effect with --server"),
    (["--device", "0"], 2, "unrecognized arguments: --device 0"),
    (["--devices", "0;1"], 2, "expected numbers from 0 to 7 separated by commas"),
])
def test_invalid_options_are_errors_and_write_no_file(make, tmp_path, words, status, part):
    refused = make(*words)
    assert refused.status == status and part in refused.err, refused.err
    assert "Traceback" not in refused.err and not os.listdir(str(tmp_path))


@pytest.mark.parametrize("text,part", [("", "no line address_N=IP"),
                                       ("address_0=192.168.1.1\naddress_0=192.168.1.2\n", "address_0 occurs twice")])
def test_a_configuration_without_addresses(make, tmp_path, text, part):
    (tmp_path / "hccn.conf").write_text(text)
    refused = make("--hccn_conf", "hccn.conf")
    assert refused.status == 4 and part in refused.err


def test_an_existing_file_is_kept_when_the_table_is_wrong(make, tmp_path):
    (tmp_path / "8p.json").write_text("precious")
    assert make("--addresses", "192.168.1.1,192.168.1.1", "--output", "8p.json").status == 4
    assert (tmp_path / "8p.json").read_text() == "precious"


def test_help(make):
    helped = make("--help")
    assert helped.status == 0 and "--merge server0.json server1.json" in helped.out
