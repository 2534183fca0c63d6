"""The parameter map that TensorFlow's C++ runtime passes to an optimizer named NpuOptimizer, which is compiled here.

Protocol buffers are passed from Python to C++ as bytes; this test checks what the adapter's C++ code reads.
"""
import json
import os
import shutil
import subprocess
import sys

import pytest
import tensorflow.compat.v1 as tf

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "grappler", "record_parameters.cc")

PROGRAM = """
import json
import os
import sys
import tensorflow.compat.v1 as tf
from open_seq2seq.devices.npu import Npu
from open_seq2seq.distributed.group import Single


class Two(Single):
    size = 2


tf.load_op_library(sys.argv[1])
for number, (training, ranks, npu_params) in enumerate(json.loads(sys.argv[2])):
    os.environ["NPU_PARAMETER_RECORD"] = "record%d" % number
    with tf.Graph().as_default():
        device = Npu(training, {"npu_params": npu_params}, Two() if ranks == 2 else None)
        features = tf.placeholder(tf.float32, [4, 3])
        output = tf.nn.relu(tf.matmul(features, tf.get_variable("kernel", [3, 2])) + 1.0)
        with tf.Session(config=device.session_config()) as session:
            session.run(tf.global_variables_initializer())
            session.run(output, {features: [[1.0, 2.0, 3.0]] * 4})
"""

# (training, ranks, npu_params), what C++ reads
CASES = [
    ((True, 1, {}),
     {"use_off_line": ("b", "true"), "precision_mode": ("s", "allow_mix_precision"), "graph_run_mode": ("i", "1")}),
    # the list of optimizers of several ranks does not change the fields
    ((True, 2, {"precision_mode": "force_fp32", "hcom_parallel": False, "hccl_timeout": 1800, "jit_compile": "true",
                "variable_memory_max_size": "1024 * 1024", "soc_config": "Ascend910A"}),
     {"use_off_line": ("b", "true"), "graph_run_mode": ("i", "1"), "precision_mode": ("s", "force_fp32"),
      "hcom_parallel": ("b", "false"), "hccl_timeout": ("i", "1800"), "jit_compile": ("s", "true"),
      "variable_memory_max_size": ("s", "1024 * 1024"), "soc_config": ("s", "Ascend910A")}),
    # inference; this project's own options are not passed on
    ((False, 1, {"bucket_frames": [400, 800]}),
     {"use_off_line": ("b", "true"), "graph_run_mode": ("i", "0"), "precision_mode": ("s", "allow_mix_precision")})]


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


@pytest.mark.slow
def test_cpp_code_reads_every_option_from_its_field(library, npu_server, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    process = subprocess.run([sys.executable, str(program), library, json.dumps([case for case, _ in CASES])],
                             env=npu_server.environment(DEVICE_ID="0"), cwd=str(tmp_path), capture_output=True, text=True,
                             timeout=240)
    assert process.returncode == 0, process.stderr
    for number, (case, expected) in enumerate(CASES):
        lines = [line.split("\t") for line in (tmp_path / ("record%d" % number)).read_text().splitlines()]
        assert lines[0] == ["name", "NpuOptimizer"], case
        assert {key: (field, value) for key, field, value in lines[1:]} == expected, case
