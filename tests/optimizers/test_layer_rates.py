"""Layers that are frozen until a step, and learning rates of layers."""
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.errors import ConfigError
from open_seq2seq.optimizers import Optimization, lr_policies
from open_seq2seq.optimizers.layer_rates import described, rates_of

LAYERS = ("w2l_encoder/conv11", "w2l_encoder/conv21", "w2l_encoder/conv22", "w2l_encoder/conv22/res_0", "fc/fully_connected",
          "task_kyrgyz/fc/fully_connected")
PARAMS = {"optimizer": "SGD", "optimizer_params": {}, "lr_policy": lr_policies.fixed_lr,
          "lr_policy_params": {"learning_rate": 0.1},
          "larc_params": None, "max_grad_norm": None, "loss_scaling": None, "max_param_change": None, "backstitch_scale": 0.0,
          "max_total_param_change": None, "loss_scaling_params": {}, "iter_size": 1, "freeze_variables_regex": None,
          "summaries": [], "num_epochs": None}


def network():
    """(loss, all variables, those of the encoder): a variable in every layer, with equal values and gradients."""
    with tf.variable_scope("ForwardPass", use_resource=False):
        variables = [tf.get_variable(layer + "/kernel", initializer=np.array([1.0, -2.0], np.float32)) for layer in LAYERS]
    return tf.add_n([tf.reduce_sum(tf.square(variable)) for variable in variables]), variables, variables[:4]


def changes(steps, **params):
    """Array [steps, layers]: how much each step changes the first weight of each layer."""
    loss, variables, encoder = network()
    optimization = Optimization(dict(PARAMS, **params), 100, 10, encoder_variables=lambda: encoder)
    train, values = optimization.operations(loss), []
    with tf.Session() as session:
        session.run([tf.global_variables_initializer(), tf.local_variables_initializer()])
        for _ in range(steps + 1):
            values.append([value[0] for value in session.run(variables)])
            session.run(train.update)
    return np.diff(np.array(values), axis=0)


@pytest.mark.parametrize("optimizer", [
    {"optimizer": "SGD"}, {"optimizer": "NovoGrad", "optimizer_params": {"weight_decay": 0.01}}])
def test_layers_are_released_at_their_step_and_learn_at_their_rate(optimizer, graph):
    found = changes(4, unfreeze_at={"conv2*": 1, "conv11": 3, "decoder": 1}, lr_scale_of_layers={"conv22": 0.25, "task_*": 2.0},
                    encoder_lr_scale=0.5, **optimizer)
    conv11, conv21, conv22, branch, decoder, task = found.T
    np.testing.assert_array_equal(conv11[:3], 0.0)
    np.testing.assert_array_equal([conv21[0], conv22[0], branch[0], decoder[0]], 0.0)
    assert all(np.abs(layer[-1]) > 1e-5 for layer in (conv11, conv21, conv22, branch, decoder, task))
    # the weights are equal until the first change
    np.testing.assert_allclose([conv21[1], conv22[1]], [0.5 * decoder[1], 0.125 * decoder[1]], rtol=1e-5)
    np.testing.assert_array_equal(branch, conv22)


def test_the_rate_of_a_layer_decays_with_its_depth_unless_it_has_its_own(graph):
    loss, variables, encoder = network()
    rates = rates_of({"lr_decay_per_layer": 0.5, "lr_scale_of_layers": {"conv21": 3.0}, "freeze_encoder_steps": 7,
                      "unfreeze_at": {"conv11": 9, "conv22": 5}}, variables, encoder)
    assert [(layer, step, scale, len(members)) for layer, (step, scale, members) in rates.items()] == [
        ("conv11", 9, 0.125, 1), ("conv21", 7, 3.0, 1), ("conv22", 7, 0.5, 2), ("decoder", 0, 1.0, 1), ("task_kyrgyz", 0, 1.0, 1)]
    assert described(rates) == [
        "Frozen before step 7: conv21, conv22", "Frozen before step 9: conv11", "Learning rate times 0.125: conv11",
        "Learning rate times 0.5: conv22", "Learning rate times 3: conv21"]


@pytest.mark.parametrize("params, words", [
    ({"unfreeze_at": {"conv23": 3}}, ("unfreeze_at", "'conv23'", "did you mean 'conv2", "conv11, conv21, conv22, decoder")),
    ({"lr_scale_of_layers": {"block*": 0.5}}, ("lr_scale_of_layers", "'block*'", "conv11, conv21, conv22, decoder")),
    ({"unfreeze_at": {"conv11": 100, "conv21": 99}}, ("unfreeze_at", "conv11 (100)", "after step 100", "freeze_variables"))])
def test_a_layer_that_does_not_exist_or_is_never_trained_is_named(params, words, graph):
    with pytest.raises(ConfigError) as raised:
        changes(1, **params)
    assert all(word in str(raised.value) for word in words) and "conv21 (99)" not in str(raised.value)
