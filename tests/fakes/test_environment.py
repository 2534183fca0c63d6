"""The simulated server: the project finds its devices, and nothing of it remains afterwards."""
import glob
import importlib.util
import os
import subprocess
import sys

import tensorflow.compat.v1 as tf

from open_seq2seq.graph_analysis.npu_operators import load_operator_list
from open_seq2seq.rank_tables.rank_table import check_against_environment, read_rank_table
from tests.fakes.adapter import PACKAGE, load, part

NAME = PACKAGE.split(".")[0]


def test_processes_see_devices_and_an_adapter_from_their_environment_alone(npu_server):
    program = ("import glob, importlib.util\n"
               "print(glob.glob('/dev/davinci[0-9]*'), importlib.util.find_spec('%s') is None)" % NAME)
    for devices, seen in ((2, "['/dev/davinci0', '/dev/davinci1'] False"), (0, "[] False")):
        output = subprocess.run([sys.executable, "-c", program], env=npu_server.environment(FAKE_ASCEND_DEVICES=devices),
                                capture_output=True, text=True, timeout=60, check=True).stdout
        assert output.strip() == seen


def test_the_rank_table_agrees_with_the_ranks(npu_server):
    for rank in range(8):
        environment = npu_server.environment(rank, 8)
        table = read_rank_table(environment["RANK_TABLE_FILE"])
        device = check_against_environment(table, environment)
        assert (table.size, device.rank, device.device_id) == (8, rank, rank)


def test_a_single_process_gets_no_variables_of_another_run(npu_server, monkeypatch):
    for name in ("RANK_ID", "RANK_TABLE_FILE", "HOROVOD_SIZE", "HCCL_CONNECT_TIMEOUT", "FAKE_ASCEND_MOST_SHAPES", "JOB_ID"):
        monkeypatch.setenv(name, "1")
    environment = npu_server.environment(JOB_ID="7")
    assert {name for name in environment if name.startswith(("RANK_", "HOROVOD_", "HCCL_", "FAKE_"))} == {
        "FAKE_ASCEND_DEVICES", "FAKE_ASCEND_RENDEZVOUS_FOLDER"}
    assert environment["JOB_ID"] == "7"


def test_the_operator_list_is_the_products_with_the_status_operators(npu_server):
    environment = npu_server.environment()
    installed = load_operator_list(environment)
    assert installed.source.startswith(npu_server.opp_path)
    built_in = load_operator_list({"ASCEND_OPP_PATH": "/nowhere"})
    assert set(installed.supported) - set(built_in.supported) == {"NpuGetFloatStatusV2", "NpuClearFloatStatusV2"}
    assert set(built_in.supported) - set(installed.supported) == set()


def test_nothing_remains_after_the_fake(npu_server):
    def state():
        adapter = [name for name in sys.modules if name.split(".")[0] in (NAME, "fake_ascend", "hccl")]
        return (glob.glob, glob.iglob, os.path.exists, dict(os.environ), list(sys.path), adapter, tf.Session.__init__,
                tf.Session.run, tf.Session.make_callable, tf.Session.close, importlib.util.find_spec(NAME))

    before = state()
    for _ in range(2):
        with npu_server.adapter_here():
            load()
            part("npu_init")
            assert [old == new for old, new in zip(before, state())] == [False] * 11
        assert state() == before
