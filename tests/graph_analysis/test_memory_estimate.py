import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.errors import ConfigError
from open_seq2seq.graph_analysis.graph_check import ERROR, WARNING, check_graph
from open_seq2seq.graph_analysis.memory_limits import GIBIBYTE, check_memory, memory_limits
from open_seq2seq.graph_analysis.npu_operators import built_in_operator_list


def network(batch, frames, channels, num_layers):
    """The loss of a stack of convolutions and activations, with the model's names."""
    outputs = tf.placeholder(tf.float32, [batch, 1, frames, channels], "features")
    for number in range(num_layers):
        with tf.variable_scope("ForwardPass/w2l_encoder/conv%d" % number, use_resource=False):
            kernel = tf.get_variable("kernel", [1, 3, channels, channels])
            outputs = tf.nn.relu(tf.nn.conv2d(outputs, kernel, strides=[1, 1, 1, 1], padding="SAME"))
    return tf.reduce_sum(outputs)


def momentum_step(loss):
    with tf.variable_scope("Loss_Optimization"):
        return tf.train.MomentumOptimizer(0.1, 0.9).minimize(loss)


def memory_of(fetches, half_precision):
    report = check_graph(tf.get_default_graph(), fetches, built_in_operator_list(), half_precision=half_precision)
    return report.memory


def test_the_parts_agree_with_a_calculation_by_hand(graph):
    step = momentum_step(network(batch=2, frames=100, channels=16, num_layers=3))
    activation, kernel = 2 * 100 * 16 * 4, 3 * 16 * 16 * 4
    memory = memory_of([step], half_precision=False)
    assert memory.weights == 3 * kernel and memory.gradients == 3 * kernel
    assert memory.optimizer == 3 * kernel
    # the input and the three activations; the outputs of the convolutions are not read again
    assert memory.activations == 4 * activation
    assert memory.total == memory.weights + memory.optimizer + memory.peak
    assert dict(memory.largest_layers) == {"input": activation, "conv0": activation, "conv1": activation, "conv2": activation}


def test_half_precision_halves_activations_and_nothing_else(graph):
    step = momentum_step(network(batch=2, frames=100, channels=16, num_layers=3))
    full, half = memory_of([step], False), memory_of([step], True)
    assert half.activations * 2 == full.activations
    assert (half.weights, half.optimizer, half.gradients) == (full.weights, full.optimizer, full.gradients)


def test_without_a_backward_pass_there_are_no_activations(graph):
    loss = network(batch=2, frames=100, channels=16, num_layers=8)
    memory = memory_of([loss], half_precision=False)
    assert memory.activations == 0 and memory.gradients == 0 and memory.optimizer == 0
    # the input and the output of one operation, for any depth of the network
    assert memory.peak == 2 * (2 * 100 * 16 * 4)


def test_tensors_that_share_memory_are_counted_once(graph):
    features = tf.placeholder(tf.float32, [4, 10, 8])
    same = tf.identity(tf.squeeze(tf.expand_dims(tf.reshape(features, [40, 8]), 0), 0))
    assert memory_of([tf.nn.relu(same)], half_precision=False).peak == 2 * 4 * 10 * 8 * 4


def test_the_peak_is_near_the_peak_of_tensorflows_allocator(graph):
    """Compares with the peak of TensorFlow's CPU allocator. The layers are matrix products, which need no scratch memory."""
    rows, columns = 20000, 16
    outputs = tf.placeholder(tf.float32, [rows, columns], "features")
    for number in range(8):
        with tf.variable_scope("ForwardPass/w2l_encoder/conv%d" % number, use_resource=False):
            outputs = tf.nn.relu(tf.matmul(outputs, tf.get_variable("kernel", [columns, columns])))
    step = momentum_step(tf.reduce_sum(outputs))
    estimate = memory_of([step], half_precision=False)
    metadata = tf.RunMetadata()
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(step, {"features:0": np.ones([rows, columns])},
                    options=tf.RunOptions(trace_level=tf.RunOptions.FULL_TRACE), run_metadata=metadata)
    changes = [(record.alloc_micros, record.alloc_bytes) for device in metadata.step_stats.dev_stats
               for node in device.node_stats for memory in node.memory for record in memory.allocation_records]
    there = most = 0
    for _, size in sorted(changes):
        there += size
        most = max(most, there)
    activation = rows * columns * 4
    # TensorFlow does not count fed tensors; relu works in place, and several gradients may exist at the same time
    assert most > 8 * activation
    assert abs(estimate.peak - activation - most) <= 3 * activation


def report_of(graph_bytes, name="train, 400 frames", variables=1):
    from open_seq2seq.graph_analysis.graph_check import GraphReport
    from open_seq2seq.graph_analysis.memory_estimate import MemoryEstimate
    memory = MemoryEstimate(variables, 0, variables, graph_bytes, graph_bytes, graph_bytes + variables, [("conv71", 5)])
    return GraphReport(name, [], 1, 1, [1], (), 0, memory)


def test_limits_are_the_engines_shares_by_default():
    assert memory_limits({}, 32 * GIBIBYTE) == (26 * GIBIBYTE, 5 * GIBIBYTE)
    given = {"graph_memory_max_size": "20 * 1024 * 1024 * 1024", "variable_memory_max_size": "1073741824"}
    assert memory_limits(given, 32 * GIBIBYTE) == (20 * GIBIBYTE, GIBIBYTE)


@pytest.mark.parametrize("text", ["26 GB", "", "26 * x", "__import__('os')", "-5"])
def test_a_size_that_is_not_a_product_of_numbers_is_an_error(text):
    with pytest.raises(ConfigError, match="graph_memory_max_size"):
        memory_limits({"graph_memory_max_size": text}, 32 * GIBIBYTE)


def test_a_graph_too_large_names_its_largest_layer():
    findings = check_memory([report_of(10 * GIBIBYTE), report_of(27 * GIBIBYTE, "train, 800 frames")], {}, 32 * GIBIBYTE)
    (finding, names), = findings
    assert (finding.level, finding.kind, finding.layer) == (ERROR, "memory", "conv71")
    assert names == ["train, 800 frames"] and "27.0 GB" in finding.message and "26.0 GB" in finding.message


def test_graphs_that_fit_separately_but_not_together_can_share_memory():
    reports = [report_of(10 * GIBIBYTE, "train, %d frames" % frames) for frames in (400, 800, 1200)]
    (finding, names), = check_memory(reports, {}, 32 * GIBIBYTE)
    assert finding.level == WARNING and "static_memory_policy" in finding.fix and len(names) == 3
    assert check_memory(reports, {"static_memory_policy": 2}, 32 * GIBIBYTE) == []


def test_variables_have_a_separate_limit():
    (finding, _), = check_memory([report_of(GIBIBYTE, variables=6 * GIBIBYTE)], {}, 32 * GIBIBYTE)
    assert finding.level == ERROR and "variable_memory_max_size" in finding.fix
