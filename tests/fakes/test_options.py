"""Errors about the parameter map and the environment: an exception from the first Session.run, or an abort of the process."""
import os
import signal
import subprocess
import sys

import pytest
import tensorflow.compat.v1 as tf

from tests.fakes.adapter import part

MODES = "'mixed' is invalid, it should be one of the list:\\['force_fp32', 'allow_fp32_to_fp16', 'force_fp16'"


def first_run(config):
    with tf.Session(config=config) as session:
        session.run(tf.ones([2]) + 1.0)


def dies(function):
    """Runs ``function`` in a fork of this process; returns (signal that ended it or None, its stderr)."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            import faulthandler
            import resource
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            faulthandler.disable()
            os.dup2(writing, 2)
            sys.stderr = os.fdopen(2, "w")
            function()
        finally:
            os._exit(7)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        text = pipe.read()
    _, status = os.waitpid(child, 0)
    return (os.WTERMSIG(status) if os.WIFSIGNALED(status) else None), text


@pytest.mark.parametrize("parameters,error,message", [
    ({"precision_mode": "mixed"}, tf.errors.InvalidArgumentError, MODES),
    ({"precision_mode": True}, tf.errors.InvalidArgumentError, "'' is invalid"),
    ({"precision_mode": "force_fp16", "precision_mode_v2": "fp16"}, tf.errors.InternalError, "can not be assigned at the same"),
    ({"modify_mixlist": "list.json", "precision_mode": "force_fp16"}, tf.errors.InternalError, "modify_mixlist is assigned"),
    ({"jit_compile": True}, tf.errors.InvalidArgumentError, "Expected string type"),
    ({"aoe_mode": "7"}, tf.errors.InternalError, "aoe mode:7 is invalid"),
    ({"enable_dump": True}, tf.errors.InternalError, "dump_path must be set"),
    ({"enable_dump": True, "dump_path": __file__}, tf.errors.InternalError, "is not directory"),
    ({"enable_dump": True, "dump_path": ".", "dump_step": "5-"}, tf.errors.InternalError, "dump_step string style is error"),
    ({"enable_dump": True, "dump_path": ".", "dump_step": "9-5"}, tf.errors.InternalError, "less than second step"),
    ({"enable_dump": True, "dump_path": ".", "dump_step": "|".join(map(str, range(101)))}, tf.errors.InternalError, "100 sets"),
    ({"enable_dump": True, "dump_path": ".", "dump_data": "all"}, tf.errors.InternalError, "'tensor' or 'stats'"),
    ({"enable_exception_dump": 3}, tf.errors.InternalError, "one of 0, 1 and 2"),
    ({"in_out_pair": "[[['a'],['b']]]"}, tf.errors.InternalError, "mix_compile_mode must be True")])
def test_options_that_end_in_an_error(adapter, make_npu_config, parameters, error, message):
    with pytest.raises(error, match=message):
        first_run(make_npu_config(**parameters))


@pytest.mark.parametrize("parameters,message", [
    ({"graph_run_mode": 2}, "graph_run_mode value must be 0 or 1"),
    ({"iterations_per_loop": "5"}, "iterator_per_loop should be int and must >= 1"),  # in the wrong field: 0
    ({"session_device_id": -1}, "session_device_id must be nonnegative integer."),
    ({"local_rank_id": 8}, "local rank id should be in [0,7]"),
    ({"local_device_list": "1;2"}, "local_device_list style is invalid"),
    ({"op_select_implmode": "fast"}, "op_select_implmode"),
    ({"optypelist_for_implmode": "Gelu"}, "op_select_implmode must be set"),
    ({"enable_compress_weight": True, "compress_weight_conf": "a"}, "can not use with compress_weight_conf"),
    ({"dynamic_dims": "10;20"}, "should use together"),
    ({"dynamic_dims": "10,", "input_shape": "a:-1,", "dynamic_node_type": 0}, "dynamic_dims string style is invalid"),
    ({"dynamic_dims": "10", "input_shape": "a:-1,", "dynamic_node_type": 2}, "dynamic_node_type should be 0 or 1.")])
def test_options_that_abort_the_process(adapter, make_npu_config, parameters, message):
    from fake_ascend.options import npu_optimizer, read_options
    entry = npu_optimizer(make_npu_config(**parameters))
    found, text = dies(lambda: read_options(entry))
    assert found == signal.SIGABRT
    assert message in text


@pytest.mark.parametrize("parameters", [
    {}, {"this_is_not_an_option": True, "loss_scale": 5}, {"use_off_line": True, "precision_mode": "allow_mix_precision"},
    {"jit_compile": "auto", "graph_run_mode": 0}, {"graph_run_mode": -1},
    {"enable_dump": True, "dump_path": ".", "dump_step": "0|5|10-20", "dump_mode": "all", "dump_data": "stats"},
    {"dump_mode": "none"}])  # not read unless something is dumped
def test_options_that_pass(adapter, make_npu_config, parameters):
    from fake_ascend.options import npu_optimizer, read_options
    assert read_options(npu_optimizer(make_npu_config(**parameters))).offload is True
    first_run(make_npu_config(**parameters))


@pytest.mark.parametrize("variables,message", [
    ({"ASCEND_DEVICE_ID": "one"}, "ASCEND_DEVICE_ID is invalid, should be int, such as 0, 1, 2."),
    ({"ASCEND_DEVICE_ID": "-1"}, "ASCEND_DEVICE_ID should be >= 0."),
    ({"DEVICE_ID": "0x1"}, "DEVICE_ID is invalid, should be int, such as 0, 1, 2.")])
def test_device_ids_that_abort_the_process(adapter, monkeypatch, variables, message):
    from fake_ascend import process
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    found, text = dies(process.initialize)
    assert found == signal.SIGABRT
    assert message in text


@pytest.mark.parametrize("variables,message,enabled", [
    ({}, "can not find Environment variable : JOB_ID", False),
    ({"DEVICE_ID": ""}, "DEVICE_ID and ASCEND_DEVICE_ID is none, use default device id : 0", False),
    ({"TF_CONFIG": "{"}, "Failed to convert TF_CONFIG info from string to json", False),
    ({"RANK_TABLE_FILE": "/nowhere/8p.json"}, "Can't find rank_id or pod_name in env.", True),
    ({"RANK_TABLE_FILE": "8p.json", "RANK_ID": "0", "CM_CHIEF_IP": "10.0.0.1"}, "cannot be configured at the same time", False),
    ({"RANK_TABLE_FILE": "8p.json", "RANK_ID": "0", "RANK_SIZE": "0"}, "", False)])
def test_an_unusual_environment_is_only_logged(
        adapter, make_npu_config, monkeypatch, capfd, variables, message, enabled):
    from fake_ascend import process
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    first_run(make_npu_config())
    assert message in capfd.readouterr().err
    assert process.hcom_enabled() is enabled


def test_a_bad_tuning_mode_in_the_environment_is_an_error(adapter, make_npu_config, monkeypatch):
    monkeypatch.setenv("AOE_MODE", "7")
    with pytest.raises(tf.errors.InternalError, match="aoe mode:7 is invalid"):
        first_run(make_npu_config())


def test_two_variables_for_the_number_of_ranks_are_an_error(adapter, monkeypatch):
    util = part("estimator.npu", "util")
    assert util.get_ranksize() == 1
    monkeypatch.setenv("RANK_SIZE", "2")
    assert util.get_ranksize() == 2
    monkeypatch.setenv("CM_WORKER_SIZE", "2")
    with pytest.raises(ValueError, match="cannot be configured at the same time"):
        util.get_ranksize()


@pytest.mark.slow
def test_a_bad_run_mode_aborts_the_whole_program(npu_server, tmp_path):
    program = tmp_path / "program.py"
    program.write_text("""
import tensorflow.compat.v1 as tf
from tests.fakes.adapter import load
load()
config = tf.ConfigProto()
entry = config.graph_options.rewrite_options.custom_optimizers.add()
entry.name = "NpuOptimizer"
entry.parameter_map["graph_run_mode"].i = 2
try:
    tf.Session(config=config).run(tf.ones([2]) + 1.0)
finally:
    print("cleaned up")
""")
    process = subprocess.run([sys.executable, str(program)], env=npu_server.environment(), cwd=str(tmp_path), timeout=240,
                             capture_output=True, text=True)
    assert process.returncode == -signal.SIGABRT
    assert "graph_run_mode value must be 0 or 1" in process.stderr
    assert "cleaned up" not in process.stdout and "Traceback" not in process.stderr
