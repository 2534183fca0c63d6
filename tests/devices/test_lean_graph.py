"""A graph that shares constants computes the same numbers as TensorFlow's, with fewer operations."""
import types

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.devices.lean_graph import LeanGraph, new_graph

CPU, NPU = types.SimpleNamespace(name="cpu"), types.SimpleNamespace(name="npu")

pytestmark = pytest.mark.skipif(not tf.__version__.startswith("1."), reason="TensorFlow 2 creates operations in another way")


def network(graph):
    """Loss and gradients with constants of every kind: in a condition, a loop, initial values, behind control inputs."""
    with graph.as_default():
        inputs = tf.constant(np.linspace(-1.0, 1.0, 6, dtype=np.float32).reshape(2, 3))
        weights = tf.get_variable("weights", [3], initializer=tf.ones_initializer(), use_resource=False)
        others = tf.get_variable("others", [3], initializer=tf.ones_initializer(), use_resource=False)
        # not one that the loss reads: the assignment and the read could run in either order
        counter = tf.get_variable("counter", [3], initializer=tf.ones_initializer(), use_resource=False)
        outputs = tf.reduce_sum(tf.square(inputs * weights * 2.0) + others * 2.0, 1) * 2.0
        outputs = tf.cond(tf.reduce_sum(outputs) > 2.0, lambda: outputs * 2.0 + 3.0, lambda: outputs * 3.0)
        _, outputs = tf.while_loop(lambda step, _: step < 3, lambda step, value: (step + 1, value * 2.0), [0, outputs])
        with tf.control_dependencies([counter.assign_add([1.0, 1.0, 1.0])]):
            late = tf.constant([1.0, 1.0, 1.0]) + 0.0
        loss = tf.reduce_mean(outputs * 0.5 + 3.0)
        return [loss, late] + tf.gradients(loss, [weights, others])


def test_the_numbers_are_the_same_and_the_operations_fewer():
    results, constants = [], []
    for graph in (tf.Graph(), LeanGraph()):
        fetches = network(graph)
        with tf.Session(graph=graph) as session:
            session.run([variable.initializer for variable in graph.get_collection(tf.GraphKeys.GLOBAL_VARIABLES)])
            results.append(session.run(fetches))
        constants.append(sum(operation.type == "Const" for operation in graph.get_operations()))
    for plain, lean in zip(*results):
        np.testing.assert_array_equal(plain, lean)
    assert constants[1] < constants[0]


def test_initial_values_and_constants_behind_control_inputs_stay_separate():
    graph = LeanGraph()
    _, late, _, _ = network(graph)
    # a checkpoint's values are fed in the place of the initial ones
    initial = [variable.initializer.inputs[1].op.name for variable in graph.get_collection(tf.GraphKeys.GLOBAL_VARIABLES)]
    assert len(set(initial)) == 3
    assert all(operation.control_inputs for operation in (late.op.inputs[0].op,))
    with graph.as_default():
        assert tf.constant(7.0).op is tf.constant(7.0).op
        assert tf.constant(7.0).op is not tf.constant(7).op and tf.constant([7.0]).op is not tf.constant(7.0).op
        large = np.arange(1000, dtype=np.float32)  # comparing it would cost more than it saves
        assert tf.constant(large).op is not tf.constant(large).op


def test_constants_of_a_device_or_next_to_a_variable_stay_separate():
    with LeanGraph().as_default() as graph:
        variable = tf.get_variable("variable", [2], use_resource=False)
        with tf.colocate_with(variable.op):
            next_to_variable = tf.constant(5.0)
        with tf.device("/cpu:0"):
            on_device = tf.constant(5.0)
        anywhere = tf.constant(5.0)
        assert len({next_to_variable.op.name, on_device.op.name, anywhere.op.name}) == 3
        assert next_to_variable.op.colocation_groups() == [b"loc:@variable"] and on_device.device and not anywhere.device
        total = anywhere + 1.0
        definition = tf.graph_util.extract_sub_graph(graph.as_graph_def(), [total.op.name])
    with tf.Graph().as_default():
        tf.import_graph_def(definition)  # fails if a constant refers to the variable


def test_a_shared_constant_is_found_under_each_of_its_names():
    with LeanGraph().as_default() as graph, tf.Session() as session:
        first = tf.constant(3.0, name="first")
        with tf.name_scope("scope"):
            assert tf.constant(3.0, name="threshold").op is first.op
        assert graph.get_tensor_by_name("scope/threshold:0") is first and graph.get_tensor_by_name("first:0") is first
        assert graph.get_operation_by_name("scope/threshold") is first.op
        assert session.run("scope/threshold:0") == 3.0
        with pytest.raises(KeyError, match="scope/other"):
            graph.get_tensor_by_name("scope/other:0")


def test_only_a_cpu_shares_constants():
    assert isinstance(new_graph(CPU), LeanGraph) and not isinstance(new_graph(NPU), LeanGraph)
