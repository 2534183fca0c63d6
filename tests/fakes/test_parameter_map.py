"""The parameter map as TensorFlow's C++ runtime hands it to an optimizer named NpuOptimizer: a real one, compiled here.

Protocol buffers travel from Python to C++ as bytes; what the adapter's C++ code would read is what is looked at here.
"""
import os
import shutil
import subprocess
import sys

import pytest
import tensorflow.compat.v1 as tf

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "grappler", "record_parameters.cc")

PROGRAM = """
import json
import sys
import tensorflow.compat.v1 as tf
from open_seq2seq.devices.npu import Npu
from open_seq2seq.distributed.group import Single


class Two(Single):
    size = 2


library, training, ranks, npu_params = sys.argv[1:]
tf.load_op_library(library)
device = Npu(training == "train", {"npu_params": json.loads(npu_params)}, Two() if ranks == "2" else None)
features = tf.placeholder(tf.float32, [4, 3])
output = tf.nn.relu(tf.matmul(features, tf.get_variable("kernel", [3, 2])) + 1.0)
with tf.Session(config=device.session_config()) as session:
    session.run(tf.global_variables_initializer())
    session.run(output, {features: [[1.0, 2.0, 3.0]] * 4})
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """The compiled optimizer."""
    if not tf.__version__.startswith("1."):
        pytest.skip("the C++ interface of grappler's optimizers is that of TensorFlow 1.15")
    compiler = shutil.which(os.environ.get("CXX", "g++"))
    if compiler is None:
        pytest.skip("no C++ compiler: g++ is not on PATH, and CXX names none")
    path = str(tmp_path_factory.mktemp("grappler") / "record_parameters.so")
    built = subprocess.run([compiler, "-std=c++11", "-shared", "-fPIC", SOURCE, "-o", path] + tf.sysconfig.get_compile_flags()
                           + tf.sysconfig.get_link_flags(), capture_output=True, text=True, timeout=240)
    assert built.returncode == 0, built.stderr
    return path


@pytest.fixture
def arrived(library, npu_server, tmp_path):
    """Function (training, ranks, npu_params as JSON) -> {key: (field, value)} as C++ saw it."""
    def run(training, ranks, npu_params):
        program, record = tmp_path / "program.py", tmp_path / "record"
        program.write_text(PROGRAM)
        environment = npu_server.environment(DEVICE_ID="0", NPU_PARAMETER_RECORD=str(record))
        process = subprocess.run([sys.executable, str(program), library, training, ranks, npu_params], env=environment,
                                 cwd=str(tmp_path), capture_output=True, text=True, timeout=240)
        assert process.returncode == 0, process.stderr
        lines = [line.split("\t") for line in record.read_text().splitlines()]
        assert lines[0] == ["name", "NpuOptimizer"]
        return {key: (field, value) for key, field, value in lines[1:]}
    return run


@pytest.mark.slow
def test_the_defaults_of_training(arrived):
    assert arrived("train", "1", "{}") == {
        "use_off_line": ("b", "true"), "precision_mode": ("s", "allow_mix_precision"), "graph_run_mode": ("i", "1")}


@pytest.mark.slow
def test_options_keep_their_fields_beside_the_list_of_optimizers_of_several_ranks(arrived):
    found = arrived("train", "2", '{"precision_mode": "force_fp32", "hcom_parallel": false, "hccl_timeout": 1800, '
                                  '"jit_compile": "true", "variable_memory_max_size": "1024 * 1024", "soc_config": "Ascend910A"}')
    assert found == {
        "use_off_line": ("b", "true"), "graph_run_mode": ("i", "1"), "precision_mode": ("s", "force_fp32"),
        "hcom_parallel": ("b", "false"), "hccl_timeout": ("i", "1800"), "jit_compile": ("s", "true"),
        "variable_memory_max_size": ("s", "1024 * 1024"), "soc_config": ("s", "Ascend910A")}


@pytest.mark.slow
def test_inference_and_the_options_that_are_ours_alone(arrived):
    found = arrived("infer", "1", '{"bucket_frames": [400, 800]}')
    assert found == {"use_off_line": ("b", "true"), "graph_run_mode": ("i", "0"), "precision_mode": ("s", "allow_mix_precision")}
