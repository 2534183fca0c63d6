"""The NPU device on the fake adapter (tests/fakes), which raises the errors of the real one and is silent where it is silent."""
import json
import os
import sys

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.devices import npu_session_check, resolve_device_name, select_device
from open_seq2seq.devices.npu import Npu, missing_parts
from open_seq2seq.distributed import ProcessGroup, Single
from open_seq2seq.errors import ConfigError, DeviceError
from tests.fakes.adapter import PACKAGE, part

NAME = PACKAGE.split(".")[0]


class _Pair(ProcessGroup):
    """As the second of two processes sees them."""

    rank, size, local_rank, local_size = 1, 2, 1, 2


def options_of(config):
    """{option: value} of a session config's NpuOptimizer."""
    [optimizer] = config.graph_options.rewrite_options.custom_optimizers
    assert optimizer.name == "NpuOptimizer"
    return {name: getattr(value, value.WhichOneof("value")) for name, value in optimizer.parameter_map.items()}


def multiplies(operators):
    """Whether a matrix product ran on the host; some builds of TensorFlow have their own name for it."""
    return bool({"MatMul", "_MklMatMul"} & operators)


def rank_environment(fake_adapter, monkeypatch):
    for name, value in fake_adapter.environment(rank=1, size=2).items():
        monkeypatch.setenv(name, value)


def test_auto_selects_a_present_npu(fake_adapter):
    assert resolve_device_name("auto") == "npu"
    assert select_device("auto").name == "npu"
    assert missing_parts() == []


def test_auto_with_a_wrong_operator_path_is_an_error_and_not_the_cpu(fake_adapter, monkeypatch, tmp_path):
    monkeypatch.setenv("ASCEND_OPP_PATH", str(tmp_path))
    assert resolve_device_name("auto") == "npu"
    with pytest.raises(DeviceError, match="ASCEND_OPP_PATH is .*no npu_supported_ops.json below it"):
        select_device("auto")


def test_auto_without_a_device_is_not_an_npu(fake_adapter, monkeypatch):
    monkeypatch.setenv("FAKE_ASCEND_DEVICES", "0")
    assert resolve_device_name("auto") != "npu"
    with pytest.raises(DeviceError, match="a device: no /dev/davinci"):
        select_device("npu")


def test_the_session_config_of_training_and_of_evaluation(fake_adapter):
    for training, run_mode in ((True, 1), (False, 0)):
        config = Npu(training).session_config()
        assert options_of(config) == {
            "use_off_line": True, "precision_mode": b"allow_mix_precision", "graph_run_mode": run_mode}
        rewrite_options = config.graph_options.rewrite_options
        assert rewrite_options.remapping == rewrite_options.memory_optimization == rewrite_options.OFF
        assert list(rewrite_options.optimizers) == []
        assert config.allow_soft_placement


def test_options_of_the_config_reach_the_session(fake_adapter):
    device = select_device("npu", params={"npu_params": {
        "precision_mode_v2": "mixed_float16", "hccl_timeout": 1800, "ctc_on_host": True, "bucket_frames": [400, 800]}})
    assert options_of(device.session_config()) == {
        "use_off_line": True, "precision_mode_v2": b"mixed_float16", "graph_run_mode": 1, "hccl_timeout": 1800,
        "mix_compile_mode": True}


def test_xla_has_no_effect(fake_adapter):
    device = select_device("npu", params={"use_xla_jit": True})
    assert device.session_config(use_xla_jit=True) == device.session_config()
    assert "use_xla_jit has no effect: the NPU's graph engine compiles the graph" in device.describe()


def test_several_ranks_fuse_their_gradients(fake_adapter, monkeypatch):
    rank_environment(fake_adapter, monkeypatch)
    rewrite_options = select_device("npu", group=_Pair()).session_config().graph_options.rewrite_options
    assert list(rewrite_options.optimizers)[-1] == "GradFusionOptimizer"
    # a list decides by itself which optimizers run: those that are switched off must not be in it
    assert not {"remap", "memory"} & set(rewrite_options.optimizers)


def test_a_wrong_environment_is_reported_before_the_adapter_is_imported(fake_adapter, monkeypatch):
    monkeypatch.setenv("DEVICE_ID", "first")
    monkeypatch.setenv("RANK_ID", "3")
    with pytest.raises(DeviceError, match="rank 3: .*\n.*DEVICE_ID is 'first'"):
        select_device("npu")
    assert NAME not in sys.modules


def test_wrong_options_are_reported_before_the_adapter_is_imported(fake_adapter, tmp_path):
    with pytest.raises(ConfigError, match="precision_mode is 'mixed'"):
        select_device("npu", params={"npu_params": {"precision_mode": "mixed"}})
    with pytest.raises(ConfigError, match="no such directory"):
        select_device("npu", params={"npu_params": {"enable_dump": True, "dump_path": str(tmp_path / "absent")}})
    assert NAME not in sys.modules


def test_an_adapter_that_cannot_be_loaded_is_named(fake_adapter, tmp_path):
    (tmp_path / (NAME + ".py")).write_text("raise ImportError('undefined symbol: _ZN10tensorflow')")
    sys.path.insert(0, str(tmp_path))  # the fixture takes it away again, with the fake adapter
    with pytest.raises(DeviceError, match=NAME + " is installed, but cannot be loaded with TensorFlow .*undefined symbol"):
        select_device("npu")


def test_the_options_in_force_are_described(fake_adapter):
    lines = select_device("npu", params={"npu_params": {"precision_mode": "force_fp16"}}).describe()
    assert lines[0].startswith("NPU: device 0 (from DEVICE_ID), adapter %s, operator list " % (
        "npu_bridge 1.15.0-fake" if NAME == "npu_bridge" else "npu_device v2.6.2"))
    assert lines[1].startswith("loss scaling: Backoff with the NPU's overflow check, initially 16384, divided by 2")
    assert lines[2:] == ["npu_params['graph_run_mode'] = 1 (not in the config)", "npu_params['precision_mode'] = 'force_fp16'",
                         "npu_params['use_off_line'] = True (not in the config)"]


def test_properties_of_the_device(fake_adapter):
    device = select_device("npu")
    assert device.static_shapes and not device.fast_gradients
    assert device.compute_dtype("mixed") == device.compute_dtype(tf.float16) == tf.float32
    assert "allow_mix_precision; variables stay float32" in device.precision_note("mixed")


def test_sessions_for_the_host_are_not_changed(fake_adapter, graph):
    before = tf.Session.__init__, tf.InteractiveSession.__init__
    device = select_device("npu")
    device.host_scope()
    device.wrap_optimizer(tf.train.GradientDescentOptimizer(0.1), {"loss_scaling": 2.0}, Single())
    assert (tf.Session.__init__, tf.InteractiveSession.__init__) == before
    assert PACKAGE + ".npu_init" not in sys.modules
    matrix = tf.placeholder(tf.float32, [2, 2])
    with tf.Session() as session:
        operators = npu_session_check.run_with_partitions(session, tf.matmul(matrix, matrix), {matrix: np.eye(2)})[1]
    assert multiplies(operators) and "GeOp" not in operators


def test_a_config_that_patches_every_session_is_an_error(fake_adapter):
    part("npu_init")  # what a config of the ModelZoo may do
    with pytest.raises(DeviceError, match=NAME + " was imported in a form that changes every tf.Session"):
        select_device("npu")


def test_patching_after_the_device_was_selected_is_detected_before_the_first_step(fake_adapter, graph):
    device = select_device("npu")
    session = tf.Session(config=device.session_config())
    part("npu_init")
    with pytest.raises(DeviceError, match="from %s.npu_init import" % PACKAGE):
        device.check_session(session, graph)


def test_a_session_on_the_npu_passes(fake_adapter, graph):
    device = select_device("npu")
    with tf.Session(config=device.session_config()) as session:
        device.check_session(session, graph)
    assert not [operation for operation in graph.get_operations() if not operation.name.startswith("npu_check")]


def test_patched_sessions_are_an_error_on_other_devices_as_well(fake_adapter):
    part("npu_init")
    with pytest.raises(DeviceError, match="every tf.Session of the process, including sessions for the host"):
        select_device("cpu")


def check_refused(device, config, graph, monkeypatch=None):
    with tf.Session(config=config) as session, pytest.raises(DeviceError) as refused:
        device.check_session(session, graph)
    assert refused.value.exit_status == 4
    text = str(refused.value)
    assert text.startswith("--device npu: the session does not use the NPU: a matrix product ran on the host")
    return [line.strip() for line in text.splitlines()[1:]]


def applies(lines):
    return [line for line in lines if line.startswith("applies: ")]


def test_a_misspelled_optimizer_is_detected(fake_adapter, graph):
    device = select_device("npu")
    config = device.session_config()
    config.graph_options.rewrite_options.custom_optimizers[0].name = "NPUOptimizer"
    assert applies(check_refused(device, config, graph)) == [
        "applies: the session's config has no optimizer named NpuOptimizer; it has 'NPUOptimizer'"]


def test_a_session_without_the_devices_config_is_detected(fake_adapter, graph):
    assert applies(check_refused(select_device("npu"), tf.ConfigProto(), graph)) == [
        "applies: the session's config has no optimizer named NpuOptimizer; it has none"]


def test_use_off_line_that_was_changed_to_false_is_detected(fake_adapter, graph):
    device = select_device("npu")
    config = device.session_config()
    config.graph_options.rewrite_options.custom_optimizers[0].parameter_map["use_off_line"].b = False
    assert applies(check_refused(device, config, graph)) == ["applies: use_off_line is False"]


def test_a_changed_operator_path_is_detected(fake_adapter, graph, monkeypatch, tmp_path):
    device = select_device("npu")
    monkeypatch.setenv("ASCEND_OPP_PATH", str(tmp_path))
    [line] = applies(check_refused(device, device.session_config(), graph))
    assert line == "applies: ASCEND_OPP_PATH is %s, and there is no npu_supported_ops.json below it" % tmp_path


def test_an_adapter_whose_passes_are_not_loaded_is_detected(fake_adapter, graph):
    device = select_device("npu")
    from fake_ascend import sessions
    sessions.uninstall()
    lines = check_refused(device, device.session_config(), graph)
    assert applies(lines) == [] and lines[-1].startswith("None of them applies. The adapter may be for another TensorFlow")


def test_use_off_line_false_is_reported_and_not_an_error(fake_adapter, graph):
    device = select_device("npu", params={"npu_params": {"use_off_line": False}})
    with tf.Session(config=device.session_config()) as session:
        device.check_session(session, graph)
    assert graph.get_operations() == []
    assert "use_off_line is False: everything runs on the host" in device.describe()
    assert "on the host's CPU in float32" in device.precision_note(tf.float32)
    assert device.wrap_optimizer(tf.train.GradientDescentOptimizer(0.1), {"loss_scaling": "Backoff"}, Single()) is None


def test_a_wrong_ctc_loss_is_detected_and_the_host_recommended(fake_adapter, graph, monkeypatch):
    device = select_device("npu")

    class WrongLoss(npu_session_check.CTCLoss):
        """As a device that takes the padding of labels for labels."""

        def __call__(self, logits, logit_lengths, labels, label_lengths, weights=None):
            return super().__call__(logits, logit_lengths, labels, tf.maximum(label_lengths, 2), weights)

    monkeypatch.setattr(npu_session_check, "CTCLoss", WrongLoss)
    with tf.Session(config=device.session_config()) as session:
        with pytest.raises(DeviceError, match="a wrong CTC loss.*--npu_params/ctc_on_host=True"):
            device.check_session(session, graph)


def test_ctc_on_the_host_is_not_checked_on_the_device(fake_adapter, graph, monkeypatch):
    monkeypatch.setattr(npu_session_check, "check_ctc", None)
    device = select_device("npu", params={"npu_params": {"ctc_on_host": True}})
    with tf.Session(config=device.session_config()) as session:
        device.check_session(session, graph)
    assert "the CTC loss is computed on the host" in device.describe()


def test_operations_of_the_host_scope_stay_on_the_host_if_configured(fake_adapter, graph):
    matrix = tf.placeholder(tf.float32, [2, 2])
    for ctc_on_host in (True, False):
        device = select_device("npu", params={"npu_params": {"ctc_on_host": ctc_on_host}})
        with device.host_scope():
            product = tf.matmul(matrix, matrix)
        with tf.Session(config=device.session_config()) as session:
            operators = npu_session_check.run_with_partitions(session, product, {matrix: np.eye(2)})[1]
        assert ("GeOp" in operators, multiplies(operators)) == (not ctc_on_host, ctc_on_host)


def test_initializers_of_variables_and_iterators_need_separate_runs(fake_adapter, graph):
    """Why they must, and that the session check comes through after separate ones."""
    iterator = tf.data.make_initializable_iterator(tf.data.Dataset.from_tensors(np.ones([2], np.float32)))
    variable = tf.get_variable("weight", [2], initializer=tf.ones_initializer(), use_resource=False)
    product = variable * iterator.get_next()
    device = select_device("npu")
    with tf.Session(config=device.session_config()) as session:
        session.run([tf.global_variables_initializer(), iterator.initializer])
        with pytest.raises(tf.errors.FailedPreconditionError):
            session.run(product)
    with tf.Session(config=device.session_config()) as session:
        session.run(tf.global_variables_initializer())
        session.run(iterator.initializer)
        device.check_session(session, graph)
        assert session.run(product).tolist() == [1.0, 1.0]


def test_an_operator_list_that_is_not_an_object_is_an_error(fake_adapter):
    path = os.path.join(fake_adapter.opp_path, "framework", "built-in", "tensorflow", "npu_supported_ops.json")
    with open(path, "w") as file:
        json.dump([], file)
    with pytest.raises(DeviceError, match="npu_supported_ops.json contains a JSON list"):
        select_device("npu")


def product_behind_product(between=tf.nn.relu):
    """What a step with two matrix products and ``between`` in the middle fetches: a result and a gradient."""
    weight = tf.get_variable("weight", [4, 4], use_resource=False)
    result = tf.matmul(between(tf.matmul(tf.placeholder(tf.float32, [4, 4]), weight)), weight)
    return [result, tf.gradients(result, weight)[0]]


def through_python(tensor):
    seen = tf.py_func(lambda value: value, [tensor], tf.float32, name="seen")
    return tf.reshape(seen, tensor.shape)


def without_operators(fake_adapter, *types):
    """Takes operator types out of the machine's list."""
    path = os.path.join(fake_adapter.opp_path, "framework", "built-in", "tensorflow", "npu_supported_ops.json")
    with open(path) as file:
        operators = {name: facts for name, facts in json.load(file).items() if name not in types}
    with open(path, "w") as file:
        json.dump(operators, file)


def test_steps_that_run_completely_on_the_npu_pass(fake_adapter, graph):
    fetches = product_behind_product()
    built = len(graph.get_operations())
    select_device("npu").check_steps(graph, [("training", fetches)])
    assert len(graph.get_operations()) == built


def test_a_step_with_a_part_on_the_host_is_an_error(fake_adapter, graph):
    fetches = product_behind_product(between=through_python)
    with pytest.raises(DeviceError, match="silently run on the host:\n  PyFunc in .*training.*seen.*only the largest part"):
        select_device("npu").check_steps(graph, [("evaluation", [graph.get_tensor_by_name("MatMul:0")]), ("training", fetches)])
    # with mix_compile_mode the user chooses several parts
    select_device("npu", params={"npu_params": {"mix_compile_mode": True}}).check_steps(graph, [("training", fetches)])
    # with use_off_line False the user chooses the host
    select_device("npu", params={"npu_params": {"use_off_line": False}}).check_steps(graph, [("training", fetches)])


@pytest.mark.parametrize("mix_compile_mode", [False, True])
def test_a_list_without_convolutions_is_an_error_although_other_operators_are_offloaded(fake_adapter, graph, mix_compile_mode):
    without_operators(fake_adapter, "Conv2D")
    device = select_device("npu", params={"npu_params": {"mix_compile_mode": mix_compile_mode}})
    with tf.Session(config=device.session_config()) as session:
        device.check_session(session, graph)  # a matrix product is on the NPU
    image = tf.placeholder(tf.float32, [1, 1, 8, 2])
    convolved = tf.nn.relu(tf.nn.conv2d(tf.nn.relu(image), tf.ones([1, 3, 2, 2]), [1, 1, 1, 1], "SAME"))
    with pytest.raises(DeviceError, match="Conv2D in .*Conv2D is not in the operator list"):
        device.check_steps(graph, [("evaluation", [convolved])])
