"""Checks of the machine and of the environment variables that the adapter reads."""
import json
import os

import pytest

from open_seq2seq.devices.npu_environment import (
    acceleration_has_ended,
    check_environment,
    chosen_device,
    device_numbers,
    missing_device,
    missing_variables,
    publish_progress,
)
from open_seq2seq.errors import DeviceError


@pytest.fixture
def devices(tmp_path):
    """Pattern of the files of devices 0, 1, 2 and 5."""
    for number in (0, 1, 2, 5):
        (tmp_path / ("davinci%d" % number)).write_text("")
    (tmp_path / "davinci_manager").write_text("")
    return str(tmp_path / "davinci[0-9]*")


@pytest.fixture
def rank(tmp_path):
    """The environment of rank 1 of 2, with changes."""
    table = tmp_path / "2p.json"
    table.write_text("{}")

    def environment(**changes):
        variables = dict(RANK_ID="1", RANK_SIZE="2", RANK_TABLE_FILE=str(table), JOB_ID="10086", DEVICE_ID="1",
                         ASCEND_DEVICE_ID="1")
        variables.update(changes)
        return {name: value for name, value in variables.items() if value is not None}

    return environment


def error_message(environ, devices, **options):
    with pytest.raises(DeviceError) as refused:
        check_environment(environ, options, devices)
    assert refused.value.exit_status == 4
    return str(refused.value)


def test_devices_are_counted_by_their_files(devices):
    assert device_numbers(devices) == [0, 1, 2, 5]
    assert missing_device(devices) == []


def test_a_missing_device_names_the_driver_and_the_files(tmp_path):
    text = " ".join(missing_device(str(tmp_path / "davinci[0-9]*")))
    assert "/usr/local/Ascend/driver" in text and "--device /dev/davinci0" in text


def test_a_wrong_operator_path_is_named(tmp_path):
    assert missing_variables({"ASCEND_OPP_PATH": str(tmp_path)})[0].startswith(
        "an environment variable: ASCEND_OPP_PATH is %r" % str(tmp_path))
    assert "is not set, which means /usr/local/Ascend/opp" in missing_variables({})[0]
    folder = tmp_path / "framework" / "built-in" / "tensorflow"
    folder.mkdir(parents=True)
    (folder / "npu_supported_ops.json").write_text("{}")
    assert missing_variables({"ASCEND_OPP_PATH": str(tmp_path)}) == []


def test_a_single_process_needs_no_variables(devices, rank):
    check_environment({}, {}, devices)
    check_environment({"DEVICE_ID": "5", "RANK_SIZE": "1"}, {}, devices)
    check_environment({"ASCEND_DEVICE_ID": "3"}, {}, devices)  # logical: the fourth of the four
    check_environment(rank(), {}, devices)
    check_environment(rank(TF_CONFIG='{"task": {"type": "worker"}}', AOE_MODE="2"), {}, devices)


@pytest.mark.parametrize("size,shown", [(None, "not set, which means 1"), ("1", "1")])
def test_a_table_of_several_ranks_without_rank_size_is_an_error(devices, rank, size, shown):
    table = os.path.join(os.path.dirname(__file__), "..", "..", "scripts", "8p.json")
    text = error_message(rank(RANK_ID="0", DEVICE_ID="0", ASCEND_DEVICE_ID="0", RANK_SIZE=size, RANK_TABLE_FILE=table), devices)
    assert "8p.json', a table of 8 ranks, but RANK_SIZE is %s; unset RANK_TABLE_FILE for one device" % shown in text


def test_a_table_of_one_rank_is_valid_for_a_single_process(devices, rank, tmp_path):
    path = tmp_path / "1p.json"
    path.write_text(json.dumps({"version": "1.0", "status": "completed", "server_count": "1", "server_list": [
        {"server_id": "10.0.0.1", "device": [{"device_id": "0", "device_ip": "192.168.100.101", "rank_id": "0"}]}]}))
    check_environment(rank(RANK_ID="0", RANK_SIZE="1", RANK_TABLE_FILE=str(path)), {}, devices)


@pytest.mark.parametrize("variables,message", [
    ({"DEVICE_ID": "x"}, "DEVICE_ID is 'x', expected the number of a device, such as 0; there are 0, 1, 2, 5"),
    ({"ASCEND_DEVICE_ID": "-1"}, "ASCEND_DEVICE_ID is '-1', expected the number of a device"),
    ({"DEVICE_ID": "3"}, "DEVICE_ID is 3, but this machine has no such device"),
    ({"ASCEND_DEVICE_ID": "8"}, "ASCEND_DEVICE_ID is 8, but this machine has no such device"),
    ({"RANK_SIZE": "two"}, "RANK_SIZE is 'two', expected the number of processes"),
    ({"RANK_SIZE": "0"}, "RANK_SIZE is '0', expected the number of processes, at least 1"),
    ({"CM_CHIEF_IP": "10.0.0.1"}, "CM_CHIEF_IP is '10.0.0.1': this trainer finds its ranks with RANK_TABLE_FILE"),
    ({"TF_CONFIG": "{"}, "TF_CONFIG is '{', which is not valid JSON"),
    ({"TF_CONFIG": 100000 * "["}, "which is not valid JSON (maximum recursion"),
    ({"TF_CONFIG": '{"task": {"type": ["ps"]}}', "DEVICE_ID": "\u00b2"}, "DEVICE_ID is '\u00b2', expected the number"),
    ({"RANK_SIZE": "1" + 400 * "0"}, "expected the number of processes, at least 1"),
    ({"TF_CONFIG": "[1]"}, "expected an object whose task is an object"),
    ({"TF_CONFIG": '{"task": {"type": "ps"}}'}, "declares this process a ps"),
    ({"AOE_MODE": "7"}, "AOE_MODE is '7', expected one of 1, 2, 4, mdat"),
])
def test_wrong_variables_of_one_process_are_named(devices, variables, message):
    text = error_message(variables, devices)
    assert text.startswith("this process (RANK_ID is not set): ")
    assert message in text and text.count("\n") == 1


@pytest.mark.parametrize("changes,message", [
    ({"RANK_TABLE_FILE": None}, "RANK_SIZE is 2, but RANK_TABLE_FILE is not set: each rank would train alone"),
    ({"RANK_TABLE_FILE": "/nowhere/8p.json"}, "RANK_TABLE_FILE is '/nowhere/8p.json', but there is no such file"),
    ({"JOB_ID": None}, "JOB_ID is not set: the adapter cannot build its all-reduce"),
    ({"RANK_ID": "2"}, "RANK_ID is 2, but RANK_SIZE is 2; expected at most 1"),
    ({"RANK_ID": "x"}, "RANK_ID is 'x', expected an integer from 0"),
    ({"DEVICE_ID": None, "ASCEND_DEVICE_ID": None}, "all ranks would use device 0"),
    ({"CM_CHIEF_IP": "10.0.0.1"}, "CM_CHIEF_IP and RANK_TABLE_FILE are both set"),
    ({"CM_WORKER_SIZE": "2", "RANK_TABLE_FILE": None, "RANK_SIZE": "1"}, "RANK_SIZE and CM_WORKER_SIZE are both set"),
])
def test_wrong_variables_of_a_rank_are_named_with_the_rank(devices, rank, changes, message):
    text = error_message(rank(**changes), devices)
    assert text.startswith("rank %s: " % changes.get("RANK_ID", "1")) and message in text


def test_a_rank_table_without_rank_id(devices, rank):
    text = error_message(rank(RANK_ID=None), devices)
    assert text.startswith("this process (RANK_ID is not set): ") and "RANK_TABLE_FILE is set without RANK_ID" in text


def test_all_mistakes_are_reported_together(devices, rank):
    text = error_message(rank(JOB_ID=None, DEVICE_ID="seven", ASCEND_DEVICE_ID=None, AOE_MODE="7"), devices)
    assert text.count("\n") == 3


def test_options_of_one_device_contradict_several_ranks(devices, rank):
    assert "puts all ranks on device 0" in error_message(rank(), devices, session_device_id=0)
    assert "HCCL has no operators on the host" in error_message(rank(), devices, use_off_line=False)
    check_environment({}, {"session_device_id": 3, "use_off_line": False}, devices)
    assert "is 4, but this machine has no such device" in error_message({}, devices, session_device_id=4)


@pytest.mark.parametrize("target, shown", [(None, "not set"), ("", "''"), ("low", "'low'"), ("0", "'0'"), ("nan", "'nan'")])
def test_a_training_that_is_accelerated_by_its_loss_needs_the_target(devices, target, shown):
    options = {"experimental_accelerate_train_mode": "fast|loss|1.02"}
    text = error_message({} if target is None else {"TARGET_LOSS": target}, devices, **options)
    assert "needs TARGET_LOSS in the environment" in text and "TARGET_LOSS is %s, expected a number above 0" % shown in text
    check_environment({"TARGET_LOSS": "3.5"}, options, devices)
    check_environment({}, {"experimental_accelerate_train_mode": "fast|step"}, devices)


def test_the_adapter_is_told_how_far_an_accelerated_training_is():
    for mode, first, then in (
            ("fast|step|0.5", {"STEP_NOW": "0", "TOTAL_STEP": "2147483647"}, {"STEP_NOW": "7", "TOTAL_STEP": "10"}),
            ("fast1|loss", {"LOSS_NOW": "0"}, {"LOSS_NOW": "12.5"}), (None, {}, {})):
        environ, options = {}, {} if mode is None else {"experimental_accelerate_train_mode": mode}
        publish_progress(environ, options)
        assert environ == first
        publish_progress(environ, options, 7, 10, 12.5)
        assert environ == then


@pytest.mark.parametrize("mode, progress, ended", [
    ("fast|step|0.5", {"STEP_NOW": "4"}, False), ("fast|step|0.5", {"STEP_NOW": "5"}, True),
    ("fast|step", {"STEP_NOW": "8"}, False), ("fast1|step|", {"STEP_NOW": "9"}, True),
    ("fast|loss", {"LOSS_NOW": "0"}, False), ("fast|loss", {"LOSS_NOW": "2.2"}, False), ("fast|loss", {"LOSS_NOW": "2.1"}, True),
    ("fast|loss|1.2", {"LOSS_NOW": "2.4"}, True), (None, {}, False)])
def test_when_an_accelerated_training_has_its_ordinary_precision(mode, progress, ended):
    options = {} if mode is None else {"experimental_accelerate_train_mode": mode}
    environ = dict({"TOTAL_STEP": "10", "TARGET_LOSS": "2"}, **progress)
    assert acceleration_has_ended(environ, options) == ended


def test_the_device_is_chosen_as_the_adapter_does():
    environ = {"ASCEND_DEVICE_ID": "2", "DEVICE_ID": "1"}
    assert chosen_device(environ, {"session_device_id": 0}) == ('npu_params["session_device_id"]', 0)
    assert chosen_device(environ, {}) == ("ASCEND_DEVICE_ID", 2)
    assert chosen_device({"DEVICE_ID": "1"}, {}) == ("DEVICE_ID", 1)
    assert chosen_device({}, {}) == ("the adapter's default", 0)
