"""The rank table from a cluster's config map: waiting for it, both of its forms, and the command that is run with it."""
import json
import os
import subprocess
import sys

import pytest

from open_seq2seq.errors import DeviceError
from open_seq2seq.rank_tables.config_map import (
    CONTROLLER,
    place_of,
    version_1,
    wait_until_completed,
    with_values,
)
from open_seq2seq.rank_tables.rank_table import check_rank_table, read_rank_table
from tests.paths import REPOSITORY

# as hccl-controller writes them, for two pods with two devices each
CURRENT = {"status": "completed", "version": "1.0", "server_count": "2", "server_list": [
    {"server_id": "10.0.0.2", "device": [{"device_id": "0", "device_ip": "192.168.1.20", "rank_id": "0"},
                                         {"device_id": "1", "device_ip": "192.168.1.21", "rank_id": "1"}]},
    {"server_id": "10.0.0.1", "device": [{"device_id": "5", "device_ip": "192.168.1.15", "rank_id": "3"},
                                         {"device_id": "4", "device_ip": "192.168.1.14", "rank_id": "2"}]}]}
OLDER = {"status": "completed", "group_count": "1", "group_list": [
    {"group_name": "default-test", "device_count": "4", "instance_count": "2", "instance_list": [
        {"pod_name": "jasper-default-test-1", "server_id": "10.0.0.2",
         "devices": [{"device_id": "1", "device_ip": "192.168.1.21"}, {"device_id": "0", "device_ip": "192.168.1.20"}]},
        {"pod_name": "jasper-default-test-0", "server_id": "10.0.0.1",
         "devices": [{"device_id": "4", "device_ip": "192.168.1.14"}, {"device_id": "5", "device_ip": "192.168.1.15"}]}]}]}


class Clock:
    """A clock that moves when somebody sleeps, and does ``events[n]`` before the nth sleep ends."""

    def __init__(self, events=()):
        self.now, self.events = 0.0, list(events)

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds
        if self.events:
            self.events.pop(0)()


def wait(path, clock, seconds=60):
    lines = []
    return wait_until_completed(str(path), seconds, lines.append, clock, clock.sleep), lines


def test_a_complete_table_is_read_at_once(tmp_path):
    path = tmp_path / "hccl.json"
    path.write_text(json.dumps(CURRENT))
    clock = Clock()
    assert wait(path, clock)[0] == CURRENT and clock.now == 0.0


def test_waits_while_the_file_is_missing_incomplete_or_initializing(tmp_path):
    path = tmp_path / "hccl.json"
    clock = Clock([lambda: path.write_text('{"status": "initial'), lambda: path.write_text('{"status": "initializing"}')]
                  + [lambda: None] * 10 + [lambda: path.write_text(json.dumps(CURRENT))])
    table, lines = wait(path, clock)
    assert table == CURRENT and clock.now == 26.0
    assert lines == ["waiting for the rank table in %s: status is \"initializing\", 20 of 60 s" % path]


@pytest.mark.parametrize("content,found", [
    (None, "cannot be read (No such file or directory)"), ("{", "is not valid JSON (1:2 "), ("[1]", "is a list, not an object"),
    ('{"status": "initializing"}', 'status is "initializing" after'), ('{"status": [[1]]}', "status is a list after"),
    ("{}", "status is missing after"), (100000 * "[", "is not valid JSON (1:1 objects or lists are nested too deeply"),
    ('{"status": 1' + 400 * "0" + "}", "status is a number after"), ("\xff", "is not valid JSON")],
    ids=["missing", "cut", "list", "initializing", "list as status", "no status", "deep", "10**400", "not UTF-8"])
def test_the_time_limit_is_an_error_that_reports_what_was_found(tmp_path, content, found):
    path = tmp_path / "hccl.json"
    if content is not None:
        path.write_text(content, encoding="latin-1")
    clock = Clock()
    with pytest.raises(DeviceError) as caught:
        wait(path, clock, seconds=10)
    assert str(path) in str(caught.value) and found in str(caught.value) and CONTROLLER in str(caught.value)
    assert clock.now == 10.0


@pytest.mark.parametrize("content,first_server", [(CURRENT, "10.0.0.2"), (OLDER, "10.0.0.1")])
def test_both_forms_become_version_1_with_every_device(tmp_path, content, first_server):
    path = tmp_path / "rank_table.json"
    checked = check_rank_table(content, "hccl.json")
    path.write_text(json.dumps(version_1(checked)))
    again = read_rank_table(str(path))
    assert again.version == "1.0"
    assert [device[:4] for device in again.devices] == [device[:4] for device in checked.devices]
    assert again.devices[0].server_id == first_server and again.size == 4


def test_a_node_finds_its_devices_in_the_order_of_their_ranks():
    table = check_rank_table(CURRENT, "hccl.json")
    assert place_of(table, "10.0.0.2") == ("10.0.0.2", [0, 1], 0, 4)
    assert place_of(table, "10.0.0.1") == ("10.0.0.1", [4, 5], 2, 4)


def test_a_node_that_is_not_in_the_table_is_an_error_that_lists_the_nodes():
    with pytest.raises(DeviceError, match=r"this node, 10\.0\.0\.9, is not in it; it has 10\.0\.0\.2, 10\.0\.0\.1\. Set XDL_IP"):
        place_of(check_rank_table(CURRENT, "hccl.json"), "10.0.0.9")


def test_names_in_the_command_are_replaced():
    place = place_of(check_rank_table(CURRENT, "hccl.json"), "10.0.0.1")
    words = ["a", "--table={rank_table}", "{devices}", "{server_id}", "{first_rank}/{size}", "{other}"]
    assert with_values(words, "t.json", place) == ["a", "--table=t.json", "4,5", "10.0.0.1", "2/4", "{other}"]


def run(folder, words, **variables):
    environment = {name: value for name, value in os.environ.items() if name != "XDL_IP"}
    environment.update(variables, PYTHONPATH=REPOSITORY)
    return subprocess.run([sys.executable, "-m", "open_seq2seq.rank_tables.config_map"] + words, cwd=str(folder),
                          env=environment, capture_output=True, text=True, timeout=60)


SHOW = "import os, sys; print(sys.argv[1:], os.environ.get('POD_NAME')); sys.exit(7)"


def test_the_command_runs_with_the_table_and_its_status_is_returned(tmp_path):
    (tmp_path / "hccl.json").write_text(json.dumps(OLDER))
    done = run(tmp_path, ["--file", "hccl.json", "--output", "table.json", "--", sys.executable, "-c", SHOW, "{rank_table}",
                          "--devices={devices}"], XDL_IP="10.0.0.2", POD_NAME="jasper-default-test-1")
    assert done.returncode == 7, done.stderr
    # POD_NAME would make the adapter look for a pod in a table that has none
    assert done.stdout.splitlines()[-1] == "['table.json', '--devices=0,1'] None"
    assert done.stdout.splitlines()[0] == ("rank table table.json: 4 devices on 2 servers; this node is 10.0.0.2 with devices "
                                           "0,1, first rank 2")
    assert read_rank_table(str(tmp_path / "table.json")).servers == ("10.0.0.1", "10.0.0.2")


@pytest.mark.parametrize("words,variables,status,message", [
    ([], {}, 2, "XDL_IP is not set"),
    (["--timeout", "0", "--file", "none.json"], {"XDL_IP": "10.0.0.2"}, 4, "none.json: cannot be read"),
    (["--file", "hccl.json"], {"XDL_IP": "10.0.0.9"}, 4, "this node, 10.0.0.9, is not in it"),
    (["--file", "hccl.json", "--output", "t.json", "--", "no-such-command"], {"XDL_IP": "10.0.0.2"}, 2,
     "no-such-command cannot be run"),
    (["--file", "twice.json"], {"XDL_IP": "10.0.0.2"}, 4, "status occurs more than once in the same object"),
])
def test_exit_statuses_and_messages_of_failures(tmp_path, words, variables, status, message):
    (tmp_path / "hccl.json").write_text(json.dumps(CURRENT))
    (tmp_path / "twice.json").write_text('{"status": "initializing", ' + json.dumps(CURRENT)[1:])
    done = run(tmp_path, words, **variables)
    assert done.returncode == status and message in done.stderr
