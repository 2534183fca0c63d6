"""A linear model and the part of a checked config that ``optimize`` reads."""
import collections

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.optimizers import lr_policies, optimize

Linear = collections.namedtuple("Linear", "inputs targets poison weights bias train session")


@pytest.fixture
def make_params():
    def make(**overrides):
        params = {
            "optimizer": "SGD", "optimizer_params": {}, "lr_policy": lr_policies.fixed_lr,
            "lr_policy_params": {"learning_rate": 0.1}, "larc_params": None, "max_grad_norm": None, "loss_scaling": None,
            "max_param_change": None, "max_total_param_change": None, "backstitch_scale": 0.0,
            "loss_scaling_params": {}, "iter_size": 1, "freeze_variables_regex": None, "summaries": [], "num_epochs": None}
        assert set(overrides) <= set(params)
        params.update(overrides)
        return params
    return make


@pytest.fixture
def make_linear(graph, make_params):
    """``mean((inputs @ weights + bias - targets)^2) * poison``; poison nan or inf makes every gradient so."""
    sessions = []

    def make(last_step=100, steps_per_epoch=10, **overrides):
        inputs, targets = tf.placeholder(tf.float32, [None, 3]), tf.placeholder(tf.float32, [None])
        poison = tf.placeholder_with_default(1.0, [])
        with tf.variable_scope("model", use_resource=False):
            weights = tf.get_variable("weights", initializer=np.array([1.0, -2.0, 0.5], np.float32))
            bias = tf.get_variable("bias", initializer=np.float32(0.25))
        loss = tf.reduce_mean(tf.square(tf.linalg.matvec(inputs, weights) + bias - targets)) * poison
        train = optimize(loss, make_params(**overrides), last_step, steps_per_epoch)
        session = tf.Session()
        sessions.append(session)
        session.run([tf.global_variables_initializer(), tf.local_variables_initializer()])
        return Linear(inputs, targets, poison, weights, bias, train, session)

    yield make
    for session in sessions:
        session.close()
