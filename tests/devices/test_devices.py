import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.devices import npu, select_device
from open_seq2seq.devices.gpu import gpu_available
from open_seq2seq.errors import DeviceError


def test_auto_without_accelerators_is_the_cpu(monkeypatch):
    monkeypatch.setattr(npu, "DEVICE_FILES", "/nowhere/davinci[0-9]*")
    assert select_device("auto").name == "cpu"


def test_an_npu_that_is_not_there_is_refused_with_what_is_missing(monkeypatch):
    monkeypatch.setattr(npu, "DEVICE_FILES", "/nowhere/davinci[0-9]*")
    with pytest.raises(DeviceError) as refusal:
        select_device("npu")
    assert "npu_bridge cannot be imported" in str(refusal.value)
    assert "no /nowhere/davinci" in str(refusal.value)
    assert refusal.value.exit_status == 4


def test_a_gpu_that_is_not_there_is_refused():
    if gpu_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(DeviceError, match="sees no GPU"):
        select_device("gpu")


def test_mixed_precision_on_a_cpu_is_float32_and_says_so():
    cpu = select_device("cpu")
    assert cpu.precision_note(tf.float32) is None
    assert "goes on in float32" in cpu.precision_note("mixed")


def test_xla_is_switched_on_only_when_asked_for():
    cpu = select_device("cpu")
    level = cpu.session_config(use_xla_jit=True).graph_options.optimizer_options.global_jit_level
    assert level == tf.OptimizerOptions.ON_1
    assert cpu.session_config().graph_options.optimizer_options.global_jit_level != level
