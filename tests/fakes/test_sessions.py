"""Which operations are offloaded, which run on the host without a message, and which are an error."""
import json
import os

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from tests.fakes.adapter import load, part


def dense(batch=4):
    """A small network on a placeholder: (input, output, variable)."""
    features = tf.placeholder(tf.float32, [batch, 3], "features")
    kernel = tf.get_variable("kernel", [3, 2], initializer=tf.ones_initializer())
    return features, tf.nn.relu(tf.matmul(features, kernel) + 1.0), kernel


FEED = np.arange(12, dtype=np.float32).reshape([4, 3])
OUTPUT = np.repeat(FEED.sum(1, keepdims=True) + 1, 2, 1)


def types(nodes):
    return {operator_type for operator_type, _ in nodes}


def test_the_offloaded_nodes_become_one_geop_and_give_the_same_numbers(
        adapter, make_npu_config, operators_run, monkeypatch, capfd):
    from fake_ascend import sessions
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    features, output, _ = dense()
    summary = tf.summary.scalar("largest", tf.reduce_max(output))
    with tf.Session(config=make_npu_config()) as session:
        session.run(tf.global_variables_initializer())
        (value, _), nodes = operators_run(session, [output, summary], {features: FEED})
        np.testing.assert_array_equal(value, OUTPUT)
        assert types(nodes) >= {"GeOp", "ScalarSummary"}
        assert not types(nodes) & {"MatMul", "Relu", "VariableV2", "VarHandleOp", "Max"}
        assert len([node for node in nodes if node[0] == "GeOp"]) == 1
        assert sessions.compiled_shapes(session) == 2  # the initializers, the network
    assert capfd.readouterr().err.count("The model has been compiled on the Ascend AI processor, current graph id is: ") == 2


@pytest.mark.parametrize("name,parameters,opp_path", [
    ("NPUOptimizer", {}, None),
    ("NpuOptimizer", {"use_off_line": False}, None),
    ("NpuOptimizer", {"use_off_line": 1}, None),  # in the field of integers: its flag is False
    ("NpuOptimizer", {"job": "ps"}, None),
    ("NpuOptimizer", {}, "/nowhere/opp")])
def test_cases_that_silently_run_on_the_cpu(
        adapter, make_npu_config, operators_run, monkeypatch, capfd, name, parameters, opp_path):
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    if opp_path:
        monkeypatch.setenv("ASCEND_OPP_PATH", opp_path)
    features, output, _ = dense()
    with tf.Session(config=make_npu_config(name, **parameters)) as session:
        session.run(tf.global_variables_initializer())
        value, nodes = operators_run(session, output, {features: FEED})
    np.testing.assert_array_equal(value, OUTPUT)
    assert "GeOp" not in types(nodes)
    assert "compiled on the Ascend" not in capfd.readouterr().err


def test_sessions_for_the_host_are_unchanged_before_npu_init_is_imported(fake_adapter, graph, operators_run):
    before = tf.Session.__init__
    load()
    assert tf.Session.__init__ is before
    features, output, _ = dense(batch=None)  # an unknown shape is allowed on the host
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        assert "GeOp" not in types(operators_run(session, output, {features: FEED})[1])
    part("npu_init")
    assert tf.Session.__init__ is not before
    fixed = tf.nn.relu(tf.matmul(tf.placeholder(tf.float32, [2, 2], "fixed"), tf.ones([2, 2])))
    with tf.Session() as session:
        assert "GeOp" in types(operators_run(session, fixed, {"fixed:0": np.ones([2, 2])})[1])


def test_the_old_layout_of_the_operator_package_is_found_too(adapter, make_npu_config, operators_run, fake_adapter):
    root = fake_adapter.opp_path
    old = os.path.join(root, "built-in", "framework", "tensorflow")
    os.makedirs(os.path.dirname(old))
    os.rename(os.path.join(root, "framework", "built-in", "tensorflow"), old)
    features, output, _ = dense()
    with tf.Session(config=make_npu_config()) as session:
        session.run(tf.global_variables_initializer())
        assert "GeOp" in types(operators_run(session, output, {features: FEED})[1])


def test_unknown_shapes_are_errors_with_the_tensors_name(adapter, make_npu_config):
    features, output, _ = dense(batch=None)
    with tf.Session(config=make_npu_config()) as session:
        session.run(tf.global_variables_initializer())
        with pytest.raises(tf.errors.InvalidArgumentError, match="features:0 .* unknown shape"):
            session.run(output, {features: FEED})


def test_an_unknown_shape_inside_the_graph_is_an_error_with_the_operator(adapter, make_npu_config):
    features, output, _ = dense()
    chosen = tf.reduce_sum(tf.gather_nd(output, tf.where(output > 3.0)))
    with tf.Session(config=make_npu_config()) as session:
        session.run(tf.global_variables_initializer())
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"\(Where\) has the unknown shape"):
            session.run(chosen, {features: FEED})


def test_batch_norms_scratch_output_is_not_an_unknown_shape(adapter, make_npu_config, operators_run):
    image = tf.placeholder(tf.float32, [2, 1, 4, 3], "image")
    scale = tf.get_variable("scale", [3], initializer=tf.ones_initializer())
    normal = tf.nn.fused_batch_norm(tf.nn.relu(image), scale, tf.zeros([3]), is_training=True)[0]
    gradient = tf.gradients(tf.reduce_sum(normal * image), scale)[0]
    with tf.Session(config=make_npu_config()) as session:
        session.run(scale.initializer)
        value, nodes = operators_run(session, gradient, {image: np.arange(24.0).reshape([2, 1, 4, 3])})
    assert types(nodes) & {"GeOp", "FusedBatchNormV3"} == {"GeOp"}
    # sum of x (x - mean) / deviation: 8 rows, 3 apart, of variance 47.25
    np.testing.assert_allclose(value, [8 * np.sqrt(47.25)] * 3, rtol=1e-4)


@pytest.mark.parametrize("jit_compile,builds", [("auto", 2), ("false", 2), ("true", 4)])
def test_shapes_and_builds_are_counted_and_limited(adapter, make_npu_config, monkeypatch, jit_compile, builds):
    from fake_ascend import sessions
    monkeypatch.setenv("FAKE_ASCEND_UNKNOWN_SHAPES", "allow")
    features, output, _ = dense(batch=None)
    with tf.Session(config=make_npu_config(jit_compile=jit_compile)) as session:
        session.run(tf.global_variables_initializer())
        for rows in (1, 2, 2, 3, 4):
            session.run(output, {features: np.ones([rows, 3])})
        network = sessions.graphs(session)[-1]
        assert len(network.shapes) == 4 and network.builds == [builds]
        with pytest.raises(tf.errors.ResourceExhaustedError, match="5 distinct shapes of one graph, more than 4"):
            session.run(output, {features: np.ones([5, 3])})


def test_the_shapes_of_an_iterator_are_seen_where_they_are_not_declared(adapter, make_npu_config, monkeypatch):
    from fake_ascend import sessions
    monkeypatch.setenv("FAKE_ASCEND_UNKNOWN_SHAPES", "allow")
    dataset = tf.data.Dataset.from_tensor_slices(np.arange(5, dtype=np.float32)).batch(2)
    iterator = tf.data.make_initializable_iterator(dataset)
    total = tf.reduce_sum(iterator.get_next() * 2.0)
    with tf.Session(config=make_npu_config()) as session:
        session.run(iterator.initializer)
        assert [session.run(total) for _ in range(3)] == [2.0, 10.0, 8.0]
        assert [len(graph.shapes) for graph in sessions.graphs(session)] == [2]


def test_variables_initialized_in_one_run_with_an_iterator_are_not_on_the_device(adapter, make_npu_config):
    kernel = tf.get_variable("kernel", [2], initializer=tf.ones_initializer())
    iterator = tf.data.make_initializable_iterator(tf.data.Dataset.from_tensors(np.ones([2], np.float32)).repeat())
    output = tf.reduce_sum(iterator.get_next() * kernel)
    initializer = tf.global_variables_initializer()
    with tf.Session(config=make_npu_config()) as session:
        session.run([initializer, iterator.initializer])
        with pytest.raises(tf.errors.FailedPreconditionError, match="uninitialized value kernel"):
            session.run(output)
        session.run(initializer)
        assert session.run(output) == 2.0


def test_a_variable_taken_by_reference_on_the_host_is_an_error(adapter, make_npu_config):
    without_npu_compile_scope = part("estimator.npu.npu_scope", "without_npu_compile_scope")
    counter = tf.get_variable("counter", [], initializer=tf.zeros_initializer(), use_resource=False)
    with without_npu_compile_scope():
        increment = tf.assign_add(counter, 1.0)
    with tf.Session(config=make_npu_config()) as session:
        session.run(counter.initializer)
        with pytest.raises(tf.errors.InvalidArgumentError, match="Ref Tensors .* not supported as args: tensor counter:0"):
            session.run(increment * 2.0)


def test_a_host_scope_in_the_middle_leaves_the_smaller_part_on_the_host(adapter, make_npu_config, operators_run):
    without_npu_compile_scope = part("estimator.npu.npu_scope", "without_npu_compile_scope")
    features, output, _ = dense()
    with without_npu_compile_scope():
        halved = tf.identity(output / 2.0, "halved")
    total = tf.reduce_sum(tf.square(halved))
    for mixed, geops in ((False, 1), (True, 2)):
        with tf.Session(config=make_npu_config(mix_compile_mode=mixed)) as session:
            session.run(tf.global_variables_initializer())
            value, nodes = operators_run(session, total, {features: FEED})
            assert value == np.sum(np.square(OUTPUT / 2))
            assert len([name for operator_type, name in nodes if operator_type == "GeOp"]) == geops
            assert ("Square" in types(nodes)) == (geops == 1) and not types(nodes) & {"MatMul", "Relu"}


def test_a_training_step_that_the_host_splits_is_an_error(adapter, make_npu_config):
    without_npu_compile_scope = part("estimator.npu.npu_scope", "without_npu_compile_scope")
    features, output, kernel = dense()
    with tf.variable_scope("second", use_resource=False):
        second = tf.get_variable("kernel", [2, 2], initializer=tf.ones_initializer())
    with without_npu_compile_scope():
        seen = tf.identity(output, "seen")
    step = tf.train.GradientDescentOptimizer(0.1).minimize(tf.reduce_sum(tf.square(tf.matmul(seen, second))))
    for mixed in (True, False):
        with tf.Session(config=make_npu_config(mix_compile_mode=mixed)) as session:
            session.run(tf.global_variables_initializer())
            if mixed:
                session.run(step, {features: FEED})
                continue
            with pytest.raises(tf.errors.InvalidArgumentError, match="Ref Tensors .* are not supported as (args|results): tensor "
                               r".*, dst is GradientDescent/update_.*ApplyGradientDescent"):
                session.run(step, {features: FEED})


def test_parts_that_do_not_depend_on_each_other_are_one_geop(adapter, make_npu_config, operators_run):
    """As in the initialization of all variables; a chain behind an operation of the host that depends on them is not."""
    features, output, _ = dense()
    other = tf.nn.relu(tf.matmul(tf.placeholder(tf.float32, [2, 2], "other"), tf.ones([2, 2])))
    behind = tf.py_func(lambda value: value, [other], tf.float32)
    behind.set_shape([2, 2])
    feed = {features: FEED, "other:0": np.ones([2, 2])}
    with tf.Session(config=make_npu_config()) as session:
        session.run(tf.global_variables_initializer())
        for fetches, geops, host in (([output, other], 1, set()), ([output, tf.tanh(behind)], 1, {"Tanh"})):
            nodes = operators_run(session, fetches, feed)[1]
            assert len([name for operator_type, name in nodes if operator_type == "GeOp"]) == geops
            assert types(nodes) & {"MatMul", "Relu", "Tanh"} == host


def test_gray_operators_stay_on_the_host_in_mix_compile_mode(adapter, make_npu_config, operators_run):
    logits = tf.placeholder(tf.float32, [4, 1, 3], "logits")
    labels = tf.SparseTensor(tf.constant([[0, 0]], tf.int64), tf.constant([1]), tf.constant([1, 1], tf.int64))
    loss = tf.reduce_sum(tf.nn.ctc_loss(labels, tf.nn.relu(logits), tf.constant([4])) * 2.0)
    feed = {logits: np.zeros([4, 1, 3])}
    values = []
    for mixed, on_host in ((False, False), (True, True)):
        with tf.Session(config=make_npu_config(mix_compile_mode=mixed)) as session:
            value, nodes = operators_run(session, loss, feed)
            values.append(value)
            assert ("CTCLoss" in types(nodes)) is on_host and "GeOp" in types(nodes)
    # of the 3^4 equally likely paths, 4 + 3 + 2 + 1 contain the label once, in consecutive frames
    assert values == pytest.approx([-2 * np.log(10 / 81)] * 2)


def test_fused_operators_stay_on_the_host_when_remapping_is_on(adapter, make_npu_config, operators_run):
    image = tf.placeholder(tf.float32, [1, 8, 8, 3], "image")
    output = tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(image, tf.get_variable("kernel", [3, 3, 3, 4]), 1, "SAME"),
                                       tf.get_variable("bias", [4])))
    found = []
    for remapping in ("OFF", "ON"):
        config = make_npu_config()
        rewrite_options = config.graph_options.rewrite_options
        rewrite_options.remapping = getattr(rewrite_options, remapping)
        with tf.Session(config=config) as session:
            session.run(tf.global_variables_initializer())
            _, nodes = operators_run(session, output, {image: np.ones([1, 8, 8, 3])})
            found.append(any("FusedConv2D" in operator_type for operator_type in types(nodes)))
    assert found == [False, True]


def test_checkpoints_are_written_and_read(adapter, make_npu_config, tmp_path):
    features, output, kernel = dense()
    saver = tf.train.Saver()
    with tf.Session(config=make_npu_config()) as session:
        session.run(tf.global_variables_initializer())
        session.run(tf.assign(kernel, 3.0 * tf.ones([3, 2])))
        saver.save(session, str(tmp_path / "model"))
    with tf.Session(config=make_npu_config()) as session:
        saver.restore(session, str(tmp_path / "model"))
        np.testing.assert_array_equal(session.run(output, {features: FEED}), 3 * OUTPUT - 2)


def test_operations_on_the_host_are_listed_when_the_session_ends(adapter, make_npu_config, tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE_ASCEND_RECORD_FILE", str(tmp_path / "record"))
    features, output, _ = dense()
    printed = tf.py_func(lambda value: value, [tf.reduce_sum(output)], tf.float32, name="seen")
    with tf.Session(config=make_npu_config()) as session:
        session.run(tf.global_variables_initializer())
        session.run(printed, {features: FEED})
        assert not os.path.exists("check_result.tf.json")
    with open("check_result.tf.json") as file:
        rows = json.load(file)["op"]
    assert [(row["name"], row["is_support"], row["not_support_reason"]["code"]) for row in rows] == [("seen", False, 1)]
    assert rows[0]["type"] in ("PyFunc", "PyFuncStateless", "EagerPyFunc")
    record = json.loads((tmp_path / "record").read_text())
    assert record["offloaded_anything"] is True
    assert [graph["geops"] for graph in record["graphs"]] == [1, 1]


def test_callables_are_offloaded_as_well(adapter, make_npu_config):
    from fake_ascend import sessions
    features, output, _ = dense()
    with tf.Session(config=make_npu_config()) as session:
        session.run(tf.global_variables_initializer())
        np.testing.assert_array_equal(session.make_callable(output, [features])(FEED), OUTPUT)
        assert len(sessions.graphs(session)) == 2


def test_devices_exist_only_while_the_fake_is_installed(fake_adapter):
    import glob
    assert glob.glob("/dev/davinci[0-9]*") == ["/dev/davinci%d" % device for device in range(8)]
    assert os.path.exists("/dev/davinci_manager") and not os.path.exists("/dev/davinci8")
    assert glob.glob(os.path.join(fake_adapter.opp_path, "*")) == [os.path.join(fake_adapter.opp_path, "framework")]
