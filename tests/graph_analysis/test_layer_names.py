import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.graph_analysis.graph_walk import executed_operations
from open_seq2seq.graph_analysis.layer_names import LayerNames


def convolution(inputs, *scopes):
    """A convolution whose variable is in the innermost scope."""
    if scopes:
        with tf.variable_scope(scopes[0], reuse=tf.AUTO_REUSE, use_resource=False):
            return convolution(inputs, *scopes[1:])
    kernel = tf.get_variable("kernel", [1, 3, 4, 4])
    return tf.nn.conv2d(inputs, kernel, strides=[1, 1, 1, 1], padding="SAME", name="product")


@pytest.fixture
def network(graph):
    """Two shape steps with the same variables: a block with a residual branch and dropout, a loss, an optimizer."""
    updates = []
    for frames in (8, 16):
        with tf.name_scope("bucket_%d" % frames):
            features = tf.placeholder(tf.float32, [2, 1, frames, 4], "features")
            with tf.variable_scope("ForwardPass", reuse=tf.AUTO_REUSE, use_resource=False), \
                    tf.variable_scope("w2l_encoder", reuse=tf.AUTO_REUSE):
                first = tf.nn.relu(convolution(features, "conv11"), name="activation")
                branch = convolution(first, "conv12", "res_0")
                second = tf.add(convolution(first, "conv12"), branch, name="sum")
                kept = tf.random_uniform([2, 1, frames, 4], name="random") < 0.5
                second = second * tf.cast(kept, tf.float32)
            with tf.name_scope("ForwardPass/ctc_loss"):
                loss = tf.reduce_mean(tf.tanh(second, name="squashed"))
            with tf.variable_scope("Loss_Optimization", reuse=tf.AUTO_REUSE):
                updates.append(tf.train.MomentumOptimizer(0.1, 0.9).minimize(loss))
    operations = executed_operations(updates)
    names = LayerNames(operations, {variable.op.name for variable in tf.trainable_variables()})
    return names, {operation.name: operation for operation in operations}


@pytest.mark.parametrize("ending, layer", [
    ("conv11/product", "conv11"), ("conv12_1/product", "conv12"), ("conv12/res_0/product", "conv12/res_0"),
    ("w2l_encoder/activation", "conv11"), ("ctc_loss/squashed", "ctc_loss"), ("features", "input"),
    ("product_grad/Conv2DBackpropFilter", None), ("random/RandomUniform", "conv12")])
def test_every_shape_step_has_the_same_names(network, ending, layer):
    names, operations = network
    found = [operation for name, operation in operations.items() if name.endswith(ending)]
    assert len(found) in (2, 6)
    if layer is not None:
        assert {names[operation] for operation in found} == {layer}
    else:
        assert sorted(names[operation] for operation in found) == sorted(2 * ["conv11", "conv12", "conv12/res_0"])


def test_gradients_and_updates_are_the_backward_pass(network):
    names, operations = network
    backward = {operation.type for operation in operations.values() if names.is_backward(operation)}
    forward = {operation.type for operation in operations.values() if not names.is_backward(operation)}
    assert {"Conv2DBackpropFilter", "Conv2DBackpropInput", "ReluGrad", "ApplyMomentum"} <= backward
    assert {"Conv2D", "Relu", "RandomUniform"} <= forward and not {"Conv2D", "Relu"} & backward
    assert {names[operation] for operation in operations.values() if operation.type == "ApplyMomentum"} == {"optimizer"}
