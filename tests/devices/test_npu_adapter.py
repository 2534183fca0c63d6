"""Finding the adapter: npu_device is a package of a few lines here, because nothing of it but its names is used."""
import sys

import pytest

from open_seq2seq.devices import npu_adapter
from open_seq2seq.devices.npu_adapter import adapter_name, load_adapter, missing_adapter
from open_seq2seq.errors import DeviceError

PATCH = """
import tensorflow.compat.v1 as tf

_original = tf.Session.__init__


def _initialize(self, *arguments, **options):
    _original(self, *arguments, **options)


tf.Session.__init__ = _initialize
"""


@pytest.fixture
def tensorflow_2_6_with_npu_device(tmp_path, monkeypatch):
    """A TensorFlow that calls itself 2.6.5, and npu_device importable; yields the list of what was called."""
    files = {
        "__init__.py": "__version__ = '2.6.5-test'\nfrom npu_device import compat\n",
        "compat/__init__.py": "calls = []\n\n\ndef enable_v1():\n    calls.append('enable_v1')\n",
        "compat/v1/__init__.py": "", "compat/v1/estimator/__init__.py": "", "compat/v1/estimator/npu/__init__.py": "",
        "compat/v1/estimator/npu/npu_optimizer.py": "class NPUOptimizer:\n    pass\n", "compat/v1/npu_init.py": PATCH,
    }
    for name, text in files.items():
        path = tmp_path / "npu_device" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(npu_adapter.tf, "__version__", "2.6.5")
    before = npu_adapter.tf.Session.__init__
    yield
    npu_adapter.tf.Session.__init__ = before
    for name in [name for name in sys.modules if name.split(".")[0] == "npu_device"]:
        del sys.modules[name]


def test_tensorflow_2_6_uses_npu_device_in_its_version_1_mode(tensorflow_2_6_with_npu_device):
    assert adapter_name() == "npu_device" and missing_adapter() == []
    adapter = load_adapter()
    assert (adapter.name, adapter.version) == ("npu_device", "2.6.5-test")
    assert sys.modules["npu_device"].compat.calls == ["enable_v1"]
    assert adapter.module("estimator.npu.npu_optimizer").NPUOptimizer.__module__ == (
        "npu_device.compat.v1.estimator.npu.npu_optimizer")
    assert adapter.has_module("estimator.npu.npu_optimizer")
    assert not adapter.has_module("estimator.npu.npu_loss_scale_manager")
    with pytest.raises(DeviceError, match="npu_device.compat.v1.hccl.hccl_ops cannot be imported"):
        adapter.module("hccl.hccl_ops")


def test_its_patching_of_sessions_is_an_error_as_well(tensorflow_2_6_with_npu_device):
    import npu_device.compat.v1.npu_init  # noqa: F401
    with pytest.raises(DeviceError, match="npu_device was imported in a form that changes every tf.Session.*Remove the import"):
        load_adapter()


def test_tensorflow_1_15_does_not_use_npu_device(tensorflow_2_6_with_npu_device, monkeypatch):
    monkeypatch.setattr(npu_adapter.tf, "__version__", "1.15.0")
    assert adapter_name() is None
    assert "the module npu_bridge cannot be imported" in missing_adapter()[0]
    with pytest.raises(DeviceError, match="this machine does not have the TensorFlow adapter"):
        load_adapter()
