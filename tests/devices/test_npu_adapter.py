"""Which adapter is used with which TensorFlow, and what is reported about a missing or wrong one."""
import importlib
import sys

import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.devices import npu_adapter, resolve_device_name, select_device
from open_seq2seq.devices.npu_adapter import load_adapter, missing_adapter
from open_seq2seq.errors import DeviceError

ON_1_15 = tf.__version__.startswith("1.")
FITTING, OTHER = ("npu_bridge", "npu_device") if ON_1_15 else ("npu_device", "npu_bridge")


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Function (package, version) that makes an empty package of that name importable, with the metadata that pip would write."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def call(package, version=None):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("")
        if version is not None:
            metadata = tmp_path / ("%s-%s.dist-info" % (package, version))
            metadata.mkdir()
            (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: %s\nVersion: %s\n" % (package, version))
        importlib.invalidate_caches()
    yield call
    for name in [name for name in sys.modules if name.split(".")[0] in ("npu_bridge", "npu_device")]:
        del sys.modules[name]


def test_the_adapter_for_this_tensorflow_is_loaded_for_graphs(fake_adapter, graph):
    assert missing_adapter() == []
    adapter = load_adapter()
    assert (adapter.name, adapter.version) == (FITTING, "1.15.0-fake" if ON_1_15 else "v2.6.2")
    package = "npu_bridge" if ON_1_15 else "npu_device.compat.v1"
    assert adapter.module("estimator.npu.npu_optimizer").NPUOptimizer.__module__ == package + ".estimator.npu.npu_optimizer"
    assert adapter.has_module("estimator.npu.npu_optimizer")
    # npu_device has NPUOptimizer without the managers of the loss scale
    assert adapter.has_module("estimator.npu.npu_loss_scale_manager") is ON_1_15
    with pytest.raises(DeviceError, match="%s.hccl.no_such_module cannot be imported" % package):
        adapter.module("hccl.no_such_module")
    # the behavior of TensorFlow 1, which the adapter requires
    assert tf.get_variable("reference", [2]).dtype.name == "float32_ref" and not tf.control_flow_v2_enabled()


@pytest.mark.parametrize("tensorflow, installed, version, expected", [
    ("1.15.0", None, None, "the module npu_bridge cannot be imported (install the CANN toolkit and its TensorFlow plugin"),
    ("2.6.5", None, None, "the module npu_device cannot be imported (install the CANN toolkit and its TensorFlow plugin"),
    ("2.16.1", None, None, "TensorFlow 2.16.1, and Ascend's adapters are npu_bridge for TensorFlow 1.15.0 and npu_device for "
                           "TensorFlow 2.6.5"),
    ("1.15.0", "npu_device", "2.6.5", "npu_device is installed, which is for TensorFlow 2.6.5; expected npu_bridge"),
    ("2.6.5", "npu_bridge", "1.15.0", "npu_bridge is installed, which is for TensorFlow 1.15.0; expected npu_device"),
    ("2.16.1", "npu_bridge", "1.15.0", "npu_bridge is installed, which is for TensorFlow 1.15.0; expected npu_device"),
    ("2.16.1", "npu_device", "2.6.5", "npu_device 2.6.5 is installed, which is for TensorFlow 2.6.5 only (install that"),
    ("1.14.0", "npu_bridge", "1.15.0", "npu_bridge 1.15.0 is installed, which is for TensorFlow 1.15.0 only"),
    ("2.6.0", "npu_device", "2.6.5", None), ("2.6.5", "npu_device", "2.6.5", None), ("2.6.5", "npu_device", "0.1", None),
    ("1.15.0", "npu_bridge", "1.15.0", None), ("1.15.0", "npu_bridge", None, None)])
def test_a_missing_or_wrong_adapter_is_named(install, monkeypatch, tensorflow, installed, version, expected):
    if installed is not None:
        install(installed, version)
    monkeypatch.setattr(npu_adapter.tf, "__version__", tensorflow)
    found = missing_adapter()
    if expected is None:
        assert found == []
        return
    assert len(found) == 1 and expected in found[0]
    with pytest.raises(DeviceError, match="this machine does not have .*TensorFlow"):
        load_adapter()


def test_a_wrong_adapter_on_a_machine_with_an_npu_is_an_error_and_not_the_cpu(install, npu_server, monkeypatch):
    install(OTHER)
    with npu_server.adapter_here():
        sys.path.remove(npu_server.adapter_path)
        assert resolve_device_name("auto") == "npu"
        with pytest.raises(DeviceError, match="%s is installed, which is for TensorFlow .*expected %s" % (OTHER, FITTING)):
            select_device("auto")


def test_what_changes_every_session_or_opens_an_eager_device_is_an_error(fake_adapter, graph):
    adapter = load_adapter()
    if not ON_1_15:
        npu_device = importlib.import_module("npu_device")
        npu_device.open().as_default()
        for name in ("npu", "cpu"):
            with pytest.raises(DeviceError, match=r"npu_device.open\(\) was called in this process.*Remove the call"):
                select_device(name)
        npu_device.npu_device._npu_device_instances.clear()
    adapter.module("npu_init")
    with pytest.raises(DeviceError, match="%s was imported in a form that changes every tf.Session.*from %s.npu_init import" % (
            FITTING, FITTING if ON_1_15 else FITTING + ".compat.v1")):
        load_adapter()
