"""The adapter's partition and the checks of a graph: each test builds a graph with one fault, which must be reported."""
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.graph_analysis.graph_check import ERROR, NOTE, WARNING, check_graph
from open_seq2seq.graph_analysis.graph_walk import executed_operations, folded_constants, reference_inputs
from open_seq2seq.graph_analysis.npu_operators import built_in_operator_list

BATCH, FRAMES, CHANNELS = 2, 8, 4


def images(frames=FRAMES):
    return tf.placeholder(tf.float32, [BATCH, 1, frames, CHANNELS], "features")


def layer(inputs, name, dtype=tf.float32):
    """A convolution in a scope of the model, like those of the encoder."""
    with tf.variable_scope("ForwardPass/w2l_encoder", reuse=tf.AUTO_REUSE, use_resource=False), tf.variable_scope(name):
        kernel = tf.get_variable("kernel", [1, 3, inputs.shape.as_list()[-1], CHANNELS], dtype)
        return tf.nn.conv2d(inputs, kernel, strides=[1, 1, 1, 1], padding="SAME")


def training_step(outputs):
    with tf.variable_scope("Loss_Optimization"):
        optimizer = tf.train.MomentumOptimizer(0.1, 0.9)
        return optimizer.minimize(tf.reduce_mean(tf.square(outputs)))


def checked(fetches, **options):
    return check_graph(tf.get_default_graph(), fetches, options.pop("operator_list", built_in_operator_list()), **options)


def found(report, kind):
    return [finding for finding in report.findings if finding.kind == kind]


def test_a_training_step_of_supported_operators_goes_to_the_npu_as_one_part(graph):
    features = images()
    report = checked([training_step(tf.nn.relu(layer(layer(features, "conv11"), "conv12")))])
    assert report.findings == [] and report.unknown_shapes == 0
    assert len(report.parts) == 1 and report.host == 1
    assert report.signature == (("float32", "(2, 1, 8, 4)"),)


def test_only_what_the_fetches_need_is_checked(graph):
    output = layer(images(), "conv11")
    strange = tf.py_func(lambda value: value, [output], tf.float32)
    assert checked([output]).findings == []
    # a control dependency is also executed
    with tf.control_dependencies([strange]):
        waiting = tf.identity(output)
    assert found(checked([waiting]), "on the host")[0].type == "PyFunc"


def test_operations_before_a_fed_tensor_are_not_executed(graph):
    features = tf.cast(tf.py_func(lambda: np.zeros(3), [], tf.float64), tf.float32)
    operations = executed_operations([features * 2.0], feeds=[features])
    assert {operation.type for operation in operations} == {"Cast", "Const", "Mul"}


def test_inputs_come_before_the_operations_that_read_them(graph):
    step = training_step(layer(layer(images(), "conv11"), "conv12"))
    operations = executed_operations([step])
    position = {operation: index for index, operation in enumerate(operations)}
    assert len(position) == len(operations)
    for operation in operations:
        assert all(position[tensor.op] < position[operation] for tensor in operation.inputs)
        assert all(position[before] < position[operation] for before in operation.control_inputs)


def test_operations_that_tensorflow_folds_are_constants(graph):
    features = images()
    size = tf.shape(features)[2] * 2
    unknown_size = tf.shape(images(None))[2] * 2
    random = tf.random_uniform([2])
    operations = executed_operations([size, unknown_size, random])
    folded = folded_constants(operations)
    assert size.op in folded and unknown_size.op not in folded and random.op not in folded


def test_an_operation_of_the_host_in_the_middle_is_an_error_and_names_its_layer(graph):
    middle = layer(images(), "conv11")
    back = tf.reshape(tf.py_func(lambda value: value, [middle], tf.float32), [BATCH, 1, FRAMES, CHANNELS])
    with tf.variable_scope("ForwardPass/w2l_encoder/conv12"):
        python = tf.py_func(lambda value: value, [back], tf.float32, name="python")
    python.set_shape(middle.shape)
    report = checked([layer(python, "conv13")])
    splits = found(report, "splits the graph")
    assert [finding.level for finding in splits] == [ERROR, ERROR]
    assert splits[-1].operation.startswith("ForwardPass/w2l_encoder/conv12") and splits[-1].type == "PyFunc"
    assert len(report.parts) == 3
    # two convolutions and a reshape: one convolution is offloaded, the rest would be computed on the host
    assert sum(report.parts) == 3 and "leaves 2 of 3" in splits[0].message


def test_the_larger_part_is_offloaded(graph):
    middle = tf.py_func(lambda value: value, [layer(images(), "conv11")], tf.float32)
    middle.set_shape([BATCH, 1, FRAMES, CHANNELS])
    outputs = layer(middle, "conv12")
    for _ in range(5):
        outputs = tf.nn.relu(outputs)
    report = checked([outputs])
    assert report.parts == [6, 1] and report.signature == (("float32", "(2, 1, 8, 4)"),)
    assert "leaves 1 of 7" in found(report, "splits the graph")[0].message


def test_a_layer_with_a_python_operation_is_named_by_its_variables(graph):
    with tf.variable_scope("ForwardPass/my_encoder/block3"):
        kernel = tf.get_variable("kernel", [CHANNELS, 5], use_resource=False)
        products = tf.matmul(tf.reshape(images(), [-1, CHANNELS]), kernel)
        strange = tf.py_func(lambda value: value, [products], tf.float32)
        strange.set_shape(products.shape)
    with tf.variable_scope("ForwardPass/my_encoder/block4"):
        last = tf.matmul(strange, tf.get_variable("kernel", [5, 2], use_resource=False))
    assert [finding.layer for finding in found(checked([last]), "splits the graph")] == ["block3"]


def test_operations_after_the_step_on_the_host_are_only_notes(graph):
    output = layer(images(), "conv11")
    summary = tf.summary.scalar("mean", tf.reduce_mean(output))
    decoded = tf.nn.ctc_greedy_decoder(tf.reshape(output, [FRAMES, BATCH, CHANNELS]), [FRAMES] * BATCH)[0][0].values
    report = checked([output, summary, decoded])
    assert {finding.type: finding.level for finding in report.findings if finding.kind == "on the host"} == {
        "ScalarSummary": NOTE, "CTCGreedyDecoder": NOTE}
    assert not [finding for finding in report.findings if finding.level == ERROR]


def test_operations_before_the_step_on_the_host_are_warnings(graph):
    features = tf.py_func(lambda value: value, [images()], tf.float32)
    features.set_shape([BATCH, 1, FRAMES, CHANNELS])
    report = checked([layer(features, "conv11")])
    assert [(finding.level, finding.type) for finding in found(report, "on the host")] == [(WARNING, "PyFunc")]
    assert len(report.parts) == 1


def test_gray_operators_stay_on_the_host_in_mix_compile_mode_only(graph):
    output = layer(images(), "conv11")
    log_probabilities = tf.reshape(output, [FRAMES, BATCH, CHANNELS])
    labels = tf.SparseTensor([[0, 0], [1, 0]], [1, 2], [BATCH, 1])
    with tf.name_scope("ForwardPass/ctc_loss/"):
        loss = tf.reduce_mean(tf.nn.ctc_loss(labels, log_probabilities, [FRAMES] * BATCH))
    step = tf.train.GradientDescentOptimizer(0.1).minimize(loss)
    assert checked([step]).findings == []
    report = checked([step], mix_compile_mode=True)
    splits = found(report, "splits the graph")
    assert [(finding.level, finding.type, finding.layer) for finding in splits] == [(WARNING, "CTCLoss", "ctc_loss")]
    assert len(report.parts) == 2


def test_a_loss_on_the_host_without_mix_compile_mode_leaves_half_the_network_there(graph):
    output = layer(images(), "conv11")
    labels = tf.SparseTensor([[0, 0], [1, 0]], [1, 2], [BATCH, 1])
    logits = tf.reshape(output, [FRAMES, BATCH, CHANNELS])
    with graph._attr_scope({"_without_npu_compile": tf.AttrValue(b=True)}):
        losses = tf.nn.ctc_loss(labels, logits, [FRAMES] * BATCH)
    step = tf.train.GradientDescentOptimizer(0.1).minimize(tf.reduce_mean(losses))
    splits = found(checked([step]), "splits the graph")
    assert [(finding.level, finding.type) for finding in splits] == [(ERROR, "CTCLoss")]
    assert "mix_compile_mode" in splits[0].fix


def test_only_the_cause_of_unknown_shapes_is_reported(graph):
    output = layer(layer(images(None), "conv11"), "conv12")
    output = output * tf.cast(tf.random_uniform(tf.shape(output)) < 0.5, tf.float32)
    report = checked([training_step(output)])
    unknown = found(report, "unknown shape")
    assert [(finding.operation, finding.layer, finding.level) for finding in unknown] == [("features", "input", ERROR)]
    assert "(2, 1, ?, 4)" in unknown[0].message or "(2, 1, None, 4)" in unknown[0].message
    assert report.unknown_shapes > 10 and report.memory is None


def test_an_operation_that_produces_unknown_shapes_is_the_cause(graph):
    output = layer(images(), "conv11")
    with tf.variable_scope("ForwardPass/w2l_encoder"):
        # between two layers: belongs to the layer that produces its input
        large = tf.boolean_mask(output, output[:, 0, 0, 0] > 0.0)
    report = checked([tf.reduce_sum(layer(large, "conv12"))])
    unknown = found(report, "unknown shape")
    assert [(finding.type, finding.layer) for finding in unknown] == [("Where", "conv11")]


def test_double_precision_is_reported_where_it_begins(graph):
    output = layer(layer(images(), "conv11"), "conv12")
    with tf.variable_scope("ForwardPass/w2l_encoder/conv12"):
        precise = tf.cast(output, tf.float64)
        mean = tf.cast(tf.reduce_mean(tf.exp(precise)), tf.float32)
    findings = found(checked([mean]), "float64")
    assert [(finding.level, finding.layer, finding.type) for finding in findings] == [(ERROR, "conv12", "Cast")]


def test_double_precision_in_folded_constants_is_ignored(graph):
    scale = tf.cast(tf.constant(np.float64(0.5)), tf.float32)
    assert checked([layer(images(), "conv11") * scale]).findings == []


def test_strings_in_the_offloaded_part(graph):
    output = layer(images(), "conv11")
    with tf.variable_scope("ForwardPass/w2l_encoder/conv11"):
        text = tf.as_string(tf.reduce_sum(output))
    assert [(finding.level, finding.layer) for finding in found(checked([text]), "string")] == [(ERROR, "conv11")]


def test_a_string_for_the_host_is_computed_there(graph):
    text = tf.strings.join([tf.as_string(tf.reduce_sum(layer(images(), "conv11"))), "!"])
    report = checked([text])
    assert found(report, "string") == []
    assert {finding.type for finding in found(report, "on the host")} == {"AsString", "StringJoin"}


def test_a_variable_taken_by_reference_on_the_host(graph):
    with tf.variable_scope("ForwardPass/w2l_encoder/conv11", use_resource=False):
        counter = tf.get_variable("counter", [], tf.int32, trainable=True)
        counted = tf.raw_ops.CountUpTo(ref=counter, limit=100)
    assert [tensor.op for tensor in reference_inputs(counted.op)] == [counter.op]
    output = layer(images(), "conv12") * tf.cast(counter + 1, tf.float32)
    without = built_in_operator_list()
    without = without._replace(supported=without.supported - {"CountUpTo"})
    findings = found(checked([output, counted], operator_list=without), "reference")
    assert [(finding.level, finding.layer, finding.type) for finding in findings] == [(ERROR, "conv11", "CountUpTo")]
    assert "ForwardPass/w2l_encoder/conv11/counter" in findings[0].message


@pytest.mark.parametrize("fused", [True, False])
def test_a_batch_norm_of_single_operators_is_a_warning(graph, fused):
    output = layer(images(), "conv11")
    with tf.variable_scope("ForwardPass/w2l_encoder/conv11/bn", use_resource=False):
        gamma, beta = (tf.get_variable(name, [CHANNELS]) for name in ("gamma", "beta"))
        if fused:
            output = tf.nn.fused_batch_norm(output, gamma, beta)[0]
        else:
            mean, variance = tf.nn.moments(output, [0, 1, 2])
            output = tf.nn.batch_normalization(output, mean, variance, beta, gamma, 1e-3)
    findings = found(checked([training_step(output)]), "unfused normalization")
    assert [(finding.level, finding.layer) for finding in findings] == ([] if fused else [(WARNING, "conv11")])


def test_the_scratch_output_of_a_fused_batch_norm_is_not_an_unknown_shape(graph):
    output = tf.nn.fused_batch_norm(layer(images(), "conv11"), tf.ones([CHANNELS]), tf.zeros([CHANNELS]))[0]
    report = checked([training_step(output)])
    assert report.unknown_shapes == 0 and report.findings == []


def test_a_function_with_an_unsupported_body_stays_on_the_host(graph):
    tf.enable_control_flow_v2()
    try:
        output = layer(images(), "conv11")
        total = tf.cond(tf.reduce_sum(output) > 0.0, lambda: tf.reduce_sum(output),
                        lambda: tf.py_func(np.sum, [output], tf.float32))
    finally:
        tf.disable_control_flow_v2()
    kinds = {finding.type for finding in found(checked([total]), "on the host")}
    assert kinds & {"If", "StatelessIf"}


def test_conditions_and_loops_of_tensorflow_1_are_offloaded(graph):
    output = layer(images(), "conv11")
    total = tf.reduce_sum(output)
    doubled = tf.cond(total > 0.0, lambda: total * 2.0, lambda: total)
    grown = tf.while_loop(lambda value: value < 100.0, lambda value: value * 2.0 + 1.0, [doubled])
    report = checked([grown])
    assert report.findings == [] and len(report.parts) == 1


def test_the_report_agrees_with_the_operations_that_a_session_executes(graph):
    """TensorFlow prunes and folds the graph first; every operation that it then executes must have been checked."""
    features = images()
    step = training_step(tf.nn.relu(layer(layer(features, "conv11"), "conv12")))
    known = {operation.name for operation in executed_operations([step])}
    metadata = tf.RunMetadata()
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(step, {features: np.ones([BATCH, 1, FRAMES, CHANNELS])},
                    options=tf.RunOptions(output_partition_graphs=True), run_metadata=metadata)
    executed = [node for part in metadata.partition_graphs for node in part.node]
    # newer releases rename a CPU's convolutions
    computing = [node for node in executed if node.op.endswith(("Conv2D", "BackpropFilter", "BackpropInput", "VariableV2",
                                                                "ApplyMomentum"))]
    assert len(computing) >= 10 and sum(node.op == "ApplyMomentum" for node in computing) == 2
    assert {node.name for node in computing} <= known
