"""Backstitch, limits of changes, L2 and momentum as Kaldi's nnet3 has them."""
import json
import os
import types

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.optimizers import Optimization
from open_seq2seq.optimizers.backstitch import is_backstitch_step
from open_seq2seq.optimizers.lr_policies import fixed_lr

DEFAULTS = {"optimizer": "SGD", "optimizer_params": {}, "lr_policy": fixed_lr, "larc_params": None, "max_grad_norm": None,
            "loss_scaling": None, "loss_scaling_params": {}, "iter_size": 1, "freeze_variables_regex": None, "summaries": [],
            "num_epochs": None, "freeze_encoder_steps": 0, "encoder_lr_scale": 1.0}
TRAJECTORIES = ("plain", "plain_momentum", "plain_momentum_maxchange", "backstitch_1", "backstitch_03_interval4",
                "backstitch_1_maxchange", "backstitch_l2")
TRAINERS = ("plain", "momentum", "momentum_maxchange", "component_max_change", "l2", "backstitch_1", "backstitch_03_interval4",
            "backstitch_limits", "backstitch_l2")


def _params(momentum, rate, scale, interval, seed, component_limits, limit):
    # Kaldi multiplies the sum of the momentum by 1 - momentum
    params = dict(DEFAULTS, lr_policy_params={"learning_rate": rate * (1.0 - momentum)}, backstitch_scale=scale,
                  backstitch_interval=interval, random_seed=seed, max_param_change=None, max_total_param_change=limit or None)
    if momentum:
        params.update(optimizer="Momentum", optimizer_params={"momentum": momentum})
    if any(component_limits):
        # a limit for each layer, which a config cannot have
        params["max_param_change"] = np.float32(component_limits)
    return params


def _trajectory(params, loss, num_steps, feed, job=None):
    """The weights after each step; ``loss`` builds the loss with the weights of the current scope."""
    optimization = Optimization(params, 100, 100, job=job)
    with tf.variable_scope("ForwardPass", reuse=tf.AUTO_REUSE, use_resource=False):
        plain = optimization.operations(loss())
        stitched = optimization.operations(loss(), second_pass=lambda: (loss(), [])) if params["backstitch_scale"] else None
    weights = tf.concat([tf.reshape(variable, [-1]) for variable in tf.trainable_variables()], 0)
    with tf.Session() as session:
        session.run([tf.global_variables_initializer(), tf.local_variables_initializer()])
        after = []
        for step in range(num_steps):
            session.run((stitched if is_backstitch_step(params, step) else plain).update, feed(step))
            after.append(session.run(weights))
        return np.array(after)


@pytest.mark.shared
@pytest.mark.parametrize("name", TRAJECTORIES)
def test_derived_trajectories(goldens, graph, name):
    with open(os.path.join(goldens, "kaldi", "backstitch.json")) as file:
        golden = json.load(file)
    case, curvature, start = golden["cases"][name], np.float32(golden["A"]), np.float32(golden["w0"])
    settings, minimum = case["settings"], tf.placeholder(tf.float32, [5])

    def loss():
        l2 = (lambda weights: settings["l2"] * 2.0 * tf.nn.l2_loss(weights)) if settings["l2"] else None
        parts = []
        for number, (first, end) in enumerate(settings["components"]):
            with tf.variable_scope("net/component%d" % number):
                parts.append(tf.get_variable("kernel", initializer=start[first:end], regularizer=l2))
        distance = tf.concat(parts, 0) - minimum
        return 0.5 * tf.reduce_sum(distance * tf.linalg.matvec(curvature, distance))

    params = _params(settings["momentum"], settings["lr"], settings["scale"], settings["interval"], settings["seedmod"],
                     settings["compmax"], settings["maxchange"])
    found = _trajectory(params, loss, 10, lambda step: {minimum: golden["minima_by_step"][step]})
    np.testing.assert_allclose(found, [step["after"] for step in case["trajectory"]], rtol=2e-6, atol=2e-6)


@pytest.mark.shared
@pytest.mark.parametrize("name", TRAINERS)
def test_kaldi_s_trainer(goldens, graph, name):
    folder = os.path.join(goldens, "kaldi")
    with open(os.path.join(folder, "nnet3_training.json")) as file:
        case = json.load(file)[name]
    settings, arrays = case["settings"], np.load(os.path.join(folder, "nnet3_training.npz"))
    inputs, targets = tf.placeholder(tf.float32, [4, 3]), tf.placeholder(tf.float32, [4, 2])
    initial = arrays["initial"].astype(np.float32)
    l2 = settings.get("l2", 0.0) * 4
    # as for a job of a parallel training, where Kaldi's scripts set the factor to 1 / jobs
    job = types.SimpleNamespace(step=tf.constant(0, tf.int64), l2_factor=tf.constant(settings.get("l2_regularize_factor", 1.0)))

    def loss():
        outputs = inputs
        for layer, (first, rows, columns) in enumerate(((0, 4, 3), (16, 2, 4))):
            regularizer = (lambda weights: 2.0 * l2 * tf.nn.l2_loss(weights)) if l2 else None
            with tf.variable_scope("net/affine%d" % layer):
                end = first + rows * columns
                kernel = tf.get_variable("kernel", initializer=initial[first:end].reshape(rows, columns), regularizer=regularizer)
                bias = tf.get_variable("bias", initializer=initial[end:end + rows], regularizer=regularizer)
            outputs = tf.matmul(outputs, kernel, transpose_b=True) + bias
        return 0.5 * tf.reduce_sum(tf.square(outputs - targets))

    limits = [settings.get("mc1", 0.0), settings.get("mc2", 0.0)]
    params = _params(settings.get("momentum", 0.0), settings.get("lr", 0.02),
                     settings.get("backstitch_training_scale", 0.0), settings.get("backstitch_training_interval", 1),
                     case["backstitch_on_minibatch_number_modulo_interval"], limits, settings.get("max_param_change", 0.0))
    found = _trajectory(params, loss, 10, lambda step: {
        inputs: arrays["inputs"][4 * step:4 * step + 4], targets: arrays["targets"][4 * step:4 * step + 4]}, job)
    np.testing.assert_allclose(found, arrays[name + "/parameters_after_step"], rtol=2e-6, atol=1e-6)
