"""Selection of a device, and the CPU and GPU devices."""
import platform
import subprocess
import sys

import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.devices import gpu, npu, resolve_device_name, select_device
from open_seq2seq.devices.gpu import device_of_rank
from open_seq2seq.distributed import ProcessGroup, Single
from open_seq2seq.errors import DeviceError


def test_auto_without_accelerators_is_the_cpu(monkeypatch):
    monkeypatch.setattr(npu, "DEVICE_FILES", "/nowhere/davinci[0-9]*")
    assert select_device("auto").name == "cpu"


def test_the_error_for_a_missing_npu_lists_the_missing_parts(monkeypatch):
    monkeypatch.setattr(npu, "DEVICE_FILES", "/nowhere/davinci[0-9]*")
    with pytest.raises(DeviceError) as refused:
        select_device("npu")
    assert "npu_bridge" in str(refused.value) or "npu_device" in str(refused.value)
    assert "no /nowhere/davinci" in str(refused.value)
    assert refused.value.exit_status == 4


def test_a_gpu_that_is_not_used_is_explained(monkeypatch, tmp_path):
    """An error with --device gpu; without it a note, if the machine has a GPU."""
    monkeypatch.setattr(gpu, "visible_gpus", list)
    device_file = tmp_path / "nvidia0"
    monkeypatch.setattr(gpu, "DEVICE_FILES", str(device_file))
    for built_with_cuda, has_file, part in ((True, False, "its driver is not loaded"), (False, True, "was built without CUDA"),
                                            (True, True, "CUDA or cuDNN of the versions that it was built for")):
        monkeypatch.setattr(tf.test, "is_built_with_cuda", lambda built=built_with_cuda: built)
        if has_file:
            device_file.touch()
        with pytest.raises(DeviceError, match="sees no GPU: .*" + part):
            select_device("gpu")
        notes = select_device("cpu").describe()
        assert len(notes) == has_file and all(part in note for note in notes)


def test_mixed_precision_on_a_cpu_is_float32_with_a_note():
    cpu = select_device("cpu")
    assert cpu.precision_note(tf.float32) is None
    assert "computes in float32" in cpu.precision_note("mixed")


HEAPS_OF_THREADS = """
import ctypes
import sys
import threading
from open_seq2seq.devices import select_device

select_device("cpu", True, {"recompute": sys.argv[1] or None})
library = ctypes.CDLL(None)
library.malloc.restype = ctypes.c_void_p

def use_and_free():
    for mebibytes in (24, 16):  # what is freed first decides where the next block comes from
        block = ctypes.c_void_p(library.malloc(ctypes.c_size_t(mebibytes << 20)))
        library.memset(block, 1, ctypes.c_size_t(mebibytes << 20))
        library.free(block)

def resident_mib():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS")) / 1024

before = resident_mib()
threads = [threading.Thread(target=use_and_free) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(resident_mib() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has these settings")
def test_a_training_that_recomputes_keeps_no_free_memory_in_the_heaps_of_threads():
    def kept_mib(recompute):
        return float(subprocess.run([sys.executable, "-c", HEAPS_OF_THREADS, recompute], stdout=subprocess.PIPE,
                                    stderr=subprocess.DEVNULL, text=True, check=True).stdout)

    if tf.__version__.startswith("1."):
        assert kept_mib("blocks") < 10 < 40 < kept_mib("")
    else:
        # TensorFlow 2 allocates tensors in these heaps, too
        assert kept_mib("blocks") > 40


def test_xla_is_enabled_only_on_request():
    cpu = select_device("cpu")
    level = cpu.session_config(use_xla_jit=True).graph_options.optimizer_options.global_jit_level
    assert level == tf.OptimizerOptions.ON_1
    assert cpu.session_config().graph_options.optimizer_options.global_jit_level != level


class _Ranks(ProcessGroup):
    def __init__(self, rank, size, local_rank, local_size):
        self.rank, self.size, self.local_rank, self.local_size = rank, size, local_rank, local_size


def test_each_process_uses_its_own_gpu():
    assert device_of_rank(Single(), 4, {}) is None
    assert [device_of_rank(_Ranks(rank, 8, rank % 4, 4), 4, {}) for rank in (0, 3, 4, 7)] == ["0", "3", "0", "3"]
    # the launcher has given this process one of its own
    assert device_of_rank(_Ranks(3, 4, 3, 4), 1, {"CUDA_VISIBLE_DEVICES": "3"}) == "0"


def test_more_processes_than_gpus_are_an_error_with_the_rank():
    with pytest.raises(DeviceError, match="rank 2: 4 processes run on this machine, but TensorFlow sees 2 GPUs"):
        device_of_rank(_Ranks(2, 4, 2, 4), 2, {})
    with pytest.raises(DeviceError, match="rank 1: 2 processes run on this machine, but TensorFlow sees 1 GPU. "):
        device_of_rank(_Ranks(1, 2, 1, 2), 1, {})


def gpu_of(monkeypatch, group):
    monkeypatch.setattr(gpu, "gpu_available", lambda: True)
    monkeypatch.setattr(gpu, "visible_gpus", lambda: ["first", "second"])
    return select_device("gpu", group=group)


def test_a_gpus_session_sees_one_gpu_and_takes_memory_as_needed(monkeypatch):
    options = gpu_of(monkeypatch, _Ranks(1, 2, 1, 2)).session_config().gpu_options
    assert options.visible_device_list == "1" and options.allow_growth
    assert gpu_of(monkeypatch, None).session_config().gpu_options.visible_device_list == ""


def test_mixed_precision_on_a_gpu_is_float16(monkeypatch):
    device = gpu_of(monkeypatch, None)
    assert device.compute_dtype("mixed") == device.compute_dtype(tf.float16) == tf.float16
    assert device.compute_dtype(tf.float32) == tf.float32
    assert device.precision_note("mixed") is None and device.precision_note(tf.float32) is None
    assert "variables, batch norm and the loss are float32" in device.precision_note(tf.float16)


def test_a_cpu_computes_in_float32_and_checks_nothing():
    cpu = select_device("cpu")
    assert [cpu.compute_dtype(dtype) for dtype in ("mixed", tf.float16, tf.float32)] == [tf.float32] * 3
    assert not cpu.static_shapes
    assert cpu.wrap_optimizer(tf.train.GradientDescentOptimizer(0.1), {"loss_scaling": "Backoff"}, Single()) is None
    assert cpu.describe() == []
    with cpu.host_scope():
        assert cpu.check_session(None, None) is None


def test_device_names_are_resolved_once():
    assert [resolve_device_name(name) for name in ("cpu", "gpu", "npu")] == ["cpu", "gpu", "npu"]
