"""Configs that import the Ascend adapter, as Huawei's porting tool writes it into every file."""
import importlib.util
import sys

import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.devices import select_device
from open_seq2seq.errors import ConfigError, DeviceError
from open_seq2seq.experiment.loading import load_experiment

ON_1_15 = tf.__version__.startswith("1.")
NEEDS_FAKE = pytest.mark.skipif(not ON_1_15, reason="npu_bridge is the adapter of TensorFlow 1.15")

IMPORTS = ["import npu_bridge", "from npu_bridge.npu_init import *", "from npu_bridge.estimator import npu_ops",
           "import npu_bridge.estimator.npu.npu_scope as npu_scope", "from npu_bridge.hccl import hccl_ops",
           "from hccl.manage.api import get_rank_id", "from npu_bridge.estimator.npu.npu_config import *"]


def sessions():
    return tf.Session.__init__, tf.InteractiveSession.__init__


@pytest.fixture
def without_adapter():
    assert importlib.util.find_spec("npu_bridge") is None
    yield
    assert not [name for name in sys.modules if name.split(".")[0] in ("npu_bridge", "hccl")]
    assert importlib.util.find_spec("npu_bridge") is None


@pytest.mark.parametrize("line", IMPORTS)
def test_without_the_adapter_the_imports_are_ignored(write_config, without_adapter, line):
    before = sessions()
    path = write_config("%s\nimport tensorflow as tf\nsecond = tf.nn.relu" % line)
    notes = [note for note in load_experiment(path, "describe").notes if "import of" in note]
    assert len(notes) == 1 and notes[0].startswith(path + ":") and "Remove the line" in notes[0]
    with open(path) as file:
        assert file.read().splitlines()[int(notes[0].split(":")[1]) - 1] == line
    assert sessions() == before


@pytest.mark.parametrize("lines, what", [
    ("from npu_bridge.estimator import npu_ops\nrate = npu_ops.dropout", "npu_bridge.estimator.npu_ops.dropout is used"),
    ("from npu_bridge.npu_init import NPUOptimizer\noptimizer = NPUOptimizer(None)", "npu_bridge.npu_init.NPUOptimizer is used"),
    ("from npu_bridge.npu_init import *\nconfig = npu_config_proto()",
     "name 'npu_config_proto' is not defined. npu_bridge.npu_init imported nothing: No module named 'npu_bridge'"),
    ("from npu_bridge import npu_init\nnpu_init.npu_config_proto()", "npu_bridge.npu_init.npu_config_proto is used")])
def test_without_the_adapter_what_uses_it_is_named(write_config, without_adapter, lines, what):
    path = write_config(lines)
    with pytest.raises(ConfigError) as refused:
        load_experiment(path, "describe")
    assert what in str(refused.value) and "No module named 'npu_bridge'" in str(refused.value)
    assert str(refused.value).startswith(path + ":")


PORTED = ["import npu_device\nnpu_device.compat.enable_v1()", "import npu_device as npu\nnpu.compat.enable_v1()",
          "import npu_device\nfrom npu_device.compat.v1.npu_init import *\nnpu_device.compat.enable_v1()"]


@pytest.mark.parametrize("lines", PORTED)
def test_the_call_for_graph_mode_has_no_effect(write_config, without_adapter, lines):
    """Every program for npu_device begins with it; the device makes the call itself."""
    before = sessions(), tf.executing_eagerly()
    notes = [note for note in load_experiment(write_config(lines), "describe").notes if "import of" in note]
    assert len(notes) == lines.count("import npu_device") + lines.count("from npu_device")
    assert (sessions(), tf.executing_eagerly()) == before


@pytest.mark.skipif(ON_1_15, reason="npu_device is the adapter of TensorFlow 2.6.5")
@pytest.mark.parametrize("lines", PORTED)
def test_with_npu_device_a_config_changes_nothing_of_the_process(write_config, fake_adapter, lines):
    before = sessions(), tf.executing_eagerly()
    load_experiment(write_config(lines), "describe")
    assert (sessions(), tf.executing_eagerly()) == before
    for name in ("cpu", "npu"):
        assert select_device(name).name == name


@pytest.mark.parametrize("line, expected", [
    ("npu_device.open().as_default()", "npu_device.open is used: it opens the device for eager mode.*Remove it"),
    ("npu_device.global_options().precision_mode = 'force_fp32'", "npu_device.global_options is used.*are in npu_params"),
    ("npu_device.distribute.all_reduce([])", "npu_device.distribute is used, but")])
def test_eager_mode_in_a_config_is_an_error(write_config, line, expected):
    path = write_config("import npu_device\n" + line)
    with pytest.raises(ConfigError, match=expected) as refused:
        load_experiment(path, "describe")
    with open(path) as file:
        number = file.read().splitlines().index(line) + 1
    assert str(refused.value).startswith("%s:%d: " % (path, number))


@NEEDS_FAKE
@pytest.mark.parametrize("line", [line for line in IMPORTS if "npu_config" not in line])
def test_with_the_adapter_the_sessions_stay_as_they_are(write_config, fake_adapter, line):
    before = sessions()
    path = write_config("import tensorflow as tf\n%s\nassert tf.contrib.layers.xavier_initializer.__module__.startswith('open_')"
                        % line)
    assert any("Remove the line" in note for note in load_experiment(path, "describe").notes)
    assert sessions() == before
    for name in ("cpu", "npu"):
        assert select_device(name).name == name


@NEEDS_FAKE
def test_with_the_adapter_its_names_are_the_real_ones(write_config, fake_adapter):
    path = write_config("""
from npu_bridge.npu_init import *
from npu_bridge.estimator import npu_ops as lazily
found = [NPULossScaleOptimizer, npu_scope.without_npu_compile_scope, lazily.dropout, npu_ops]
assert [thing.__module__ for thing in found[:3]] == ["npu_bridge.estimator.npu.npu_loss_scale_optimizer",
                                                     "npu_bridge.estimator.npu.npu_scope", "npu_bridge.estimator.npu_ops"]
""")
    load_experiment(path, "describe")
    import npu_bridge.estimator.npu_ops
    assert callable(npu_bridge.estimator.npu_ops.dropout)
    with pytest.raises(ConfigError, match="npu_bridge.estimator.npu_op is used, but it has no such name"):
        load_experiment(write_config("import npu_bridge.estimator\nnpu_bridge.estimator.npu_op"), "describe")


@NEEDS_FAKE
def test_a_late_import_that_patches_the_sessions_is_an_error(write_config, fake_adapter):
    path = write_config("def later():\n    import npu_bridge.npu_init")
    load_experiment(path, "describe")
    import npu_bridge.npu_init  # noqa: F401  as such a function does when the model is built
    with pytest.raises(DeviceError, match="changes every tf.Session of the process.*Remove the import"):
        select_device("cpu")


def test_an_import_in_a_module_of_the_config_is_noted_there(write_config, without_adapter, tmp_path):
    (tmp_path / "parts_of_port.py").write_text("# ported\nfrom npu_bridge.npu_init import *\n")
    [note] = [note for note in load_experiment(write_config("import parts_of_port"), "describe").notes if "import of" in note]
    assert note.startswith(str(tmp_path / "parts_of_port.py") + ":2: ")


@NEEDS_FAKE
@pytest.mark.slow
def test_an_adapter_that_imports_the_real_contrib(write_config, without_adapter, tmp_path):
    """The real one does: next to the fast contrib of a config it could not be imported."""
    package = tmp_path / "npu_bridge"
    package.mkdir()
    (package / "__init__.py").write_text("from tensorflow.contrib.distribute import DistributeConfig\n")
    load_experiment(write_config("import npu_bridge\nassert npu_bridge.DistributeConfig._fields[0] == 'train_distribute'"),
                    "describe")
    for name in [name for name in sys.modules if name.split(".")[0] == "npu_bridge"]:
        del sys.modules[name]
