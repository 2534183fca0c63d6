"""Checkpoints of OpenSeq2Seq's mixed-precision graph: weights and the optimizer's state continue as they would have there."""
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.checkpoints.restore import describe_restore, restore
from open_seq2seq.checkpoints.source_names import SourceNames, describe_lost_slots, slot_of
from open_seq2seq.checkpoints.transfer import transfer_into
from open_seq2seq.optimizers import lr_policies, optimize

KERNEL, GAMMA = "ForwardPass/w2l_encoder/conv11/kernel", "ForwardPass/w2l_encoder/conv11/bn/gamma"
RATE = 0.125
# TensorFlow 2 cannot update the variables of 1.15 inside a condition; the names in the checkpoint are the same
RESOURCE = not tf.__version__.startswith("1.")
# name in a config, parameters here, and the class and parameters there
OPTIMIZERS = {
    "Momentum": ({"momentum": 0.9}, tf.train.MomentumOptimizer, {"momentum": 0.9}),
    "NovoGrad": ({"beta1": 0.95, "beta2": 0.0}, tf.train.MomentumOptimizer, {"momentum": 0.95, "name": "NovoGrad"}),
    "Adam": ({}, tf.train.AdamOptimizer, {}),
    "RMSProp": ({"momentum": 0.9, "centered": True}, tf.train.RMSPropOptimizer, {"momentum": 0.9, "centered": True}),
    "Adagrad": ({}, tf.train.AdagradOptimizer, {})}
# the gradient of the kernel in each step; the numbers are exact in float16
GRADIENTS = np.float32([[0.5, -1.0, 0.25], [2.0, 0.5, -0.5], [-1.0, 4.0, 0.125], [0.25, 0.25, 1.0]])
PARAMS = {
    "lr_policy": lr_policies.fixed_lr, "lr_policy_params": {"learning_rate": RATE}, "larc_params": None, "max_grad_norm": None,
    "loss_scaling": "Backoff", "max_param_change": None, "max_total_param_change": None, "loss_scaling_params": {},
    "iter_size": 1, "freeze_variables_regex": None, "summaries": [], "num_epochs": None}


def network(dtype):
    """(kernel, gamma, the gradient's placeholder, loss)."""
    inputs = tf.placeholder(tf.float32, [3])
    kernel = tf.get_variable(KERNEL, initializer=tf.cast([1.0, -2.0, 0.5], dtype), use_resource=RESOURCE)
    gamma = tf.get_variable(GAMMA, initializer=tf.constant([1.0, 2.0]), use_resource=RESOURCE)
    loss = tf.cast(tf.reduce_sum(kernel * tf.cast(inputs, dtype)), tf.float32) + tf.reduce_sum(gamma * inputs[:2])
    return kernel, gamma, inputs, loss


def mixed_precision_step(optimizer, parameters, loss, is_normalized):
    """A step as OpenSeq2Seq builds it with ``dtype="mixed"`` and loss scaling, with its variables' names."""
    step = tf.train.get_or_create_global_step()
    with tf.variable_scope("Loss_Optimization"):
        optimizer = optimizer(RATE, **parameters)
        tf.Variable(2.0 ** 14, trainable=False)      # the loss scale
        pairs, halves = [], {}
        with tf.variable_scope("FP32-master-copy"):
            for gradient, variable in optimizer.compute_gradients(loss):
                if variable.dtype.base_dtype == tf.float16:
                    master = tf.Variable(tf.cast(variable.initial_value, tf.float32), name=variable.op.name,
                                         trainable=False, use_resource=RESOURCE)
                    halves[master], gradient, variable = variable, tf.cast(gradient, tf.float32), master
                pairs.append((gradient / tf.norm(gradient) if is_normalized else gradient, variable))

        def apply():
            with tf.control_dependencies([optimizer.apply_gradients(pairs, step)]):
                return tf.group(*[tf.assign(half, tf.cast(master, tf.float16)) for master, half in halves.items()])
        return tf.cond(tf.reduce_any(tf.is_nan(pairs[0][0])), tf.no_op, apply), [variable for _, variable in pairs]


@pytest.fixture
def mixed(tmp_path):
    """Function optimizer's name -> (checkpoint after 3 steps, the float32 weights after the fourth)."""
    def make(name):
        with tf.Graph().as_default(), tf.Session() as session:
            _, _, inputs, loss = network(tf.float16)
            step, weights = mixed_precision_step(*OPTIMIZERS[name][1:], loss, name == "NovoGrad")
            session.run(tf.global_variables_initializer())
            for gradient in GRADIENTS[:-1]:
                session.run(step, {inputs: gradient})
            path = tf.train.Saver().save(session, str(tmp_path / "model.ckpt-3"))
            session.run(step, {inputs: GRADIENTS[-1]})
            return path, session.run(weights)
    return make


@pytest.mark.parametrize("is_transfer", [False, True])
@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_the_step_after_a_restore_is_the_one_that_openseq2seq_would_have_made(mixed, graph, capsys, name, is_transfer):
    if name == "Adam" and RESOURCE:
        pytest.skip("TensorFlow 2 gives Adam's powers other names; OpenSeq2Seq's checkpoints are of TensorFlow 1")
    checkpoint, expected = mixed(name)
    kernel, gamma, inputs, loss = network(tf.float32)
    train = optimize(loss, dict(PARAMS, optimizer=name, optimizer_params=OPTIMIZERS[name][0]), 10, 10)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        if is_transfer:
            transfer_into(session, checkpoint, {"drop_layers": 0, "evaluate_ema": False, "copy_letters": True}, None,
                          weights_only=False)
            text = capsys.readouterr().out
        else:
            text = describe_restore(restore(session, checkpoint, tf.global_variables()))
        session.run(train.update, {inputs: GRADIENTS[-1]})
        found = session.run([kernel, gamma])
        assert session.run(train.global_step) == 4
    for one, other in zip(found, expected):
        np.testing.assert_allclose(one, other, rtol=1e-6)
    assert "state is lost" not in text
    assert ("second moments of 2 variables are not in the checkpoint" in text) == (name == "NovoGrad")


def test_state_of_another_optimizer_is_reported_as_lost(mixed, graph):
    checkpoint, _ = mixed("Adam")
    _, _, _, loss = network(tf.float32)
    optimize(loss, dict(PARAMS, optimizer="Momentum", optimizer_params={"momentum": 0.9}), 10, 10)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        text = describe_restore(restore(session, checkpoint, tf.global_variables()))
    assert text.endswith("The optimizer's state is lost for 2 slots (2 Momentum): the checkpoint does not have them, and they "
                         "start at their initial values. It has 4 slots of another optimizer, which are not used (2 Adam, "
                         "2 Adam_1)")


def test_names_that_depend_on_the_name_scope():
    powers = {"Loss_Optimization/beta1_power": tf.float32, "Loss_Optimization/cond/a/beta2_power": tf.float32,
              "Loss_Optimization/cond/b/beta2_power": tf.float32}
    names = SourceNames(powers)
    assert names.find("Loss_Optimization/cond/beta1_power", tf.float32) == "Loss_Optimization/beta1_power"
    assert names.find("Loss_Optimization/cond/b/beta2_power", tf.float32) == "Loss_Optimization/cond/b/beta2_power"
    assert names.find("Loss_Optimization/cond/beta2_power", tf.float32) is None      # two of them: neither is certain
    assert names.find("ForwardPass/beta1_power", tf.float32) is None


@pytest.mark.parametrize("name, slot", [
    ("Loss_Optimization/" + KERNEL + "/Momentum", "Momentum"),
    ("Loss_Optimization/Loss_Optimization/FP32-master-copy/" + KERNEL + "/Adam_1", "Adam_1"),
    ("Loss_Optimization/FP32-master-copy/" + KERNEL, None), (KERNEL, None), (KERNEL + "/ExponentialMovingAverage", None),
    ("Loss_Optimization/loss_scale", None), ("global_step", None)])
def test_slots_are_told_from_other_variables(name, slot):
    assert slot_of(name) == slot
    assert describe_lost_slots([], [name]) == [] and len(describe_lost_slots([name], [])) == (slot is not None)
