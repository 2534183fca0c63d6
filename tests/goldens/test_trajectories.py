"""Five training steps on a fixed batch against OpenSeq2Seq's: losses, learning rates, weights, moving averages, momentum.

Weights may differ by ten times as much as the original's do when its input is perturbed by 1e-6 (``goldens/README.md``).
"""
import json
import os

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.config.contrib import l2_regularizer
from open_seq2seq.data.speech2text.dataset import Batch
from open_seq2seq.encoders import Execution
from open_seq2seq.encoders.interface import ALONE
from open_seq2seq.experiment.loading import load_experiment
from open_seq2seq.optimizers import optimize, total_loss
from tests.fixtures.convolutions import EverywhereFourier

DENSE, PLAIN, SEPARABLE = "case1_dense_residual_masks", "case3_w2l_nores_nomask", "case4_quartznet_sep"
# OpenSeq2Seq never stores NovoGrad's second moment: for every config its numbers are those of beta2 = 0
NOVOGRAD = {"optimizer_params": {"beta1": 0.95, "beta2": 0.0, "epsilon": 1e-8, "weight_decay": 0.001}}
MOMENTUM = {"optimizer": "Momentum", "optimizer_params": {"momentum": 0.9}}
L2 = {"regularizer": l2_regularizer, "regularizer_params": {"scale": 0.001}}

# trajectory, its settings, largest difference of any weight after five steps
TRAJECTORIES = [
    (DENSE, "novograd", NOVOGRAD, 1e-5),
    (PLAIN, "novograd", NOVOGRAD, 1e-5),
    (SEPARABLE, "novograd", NOVOGRAD, 1e-5),
    (DENSE, "novograd_gradavg", {"optimizer_params": dict(NOVOGRAD["optimizer_params"], grad_averaging=True)}, 1e-5),
    (DENSE, "novograd_larc", dict(NOVOGRAD, larc_params={"larc_eta": 0.001}), 1e-5),
    (DENSE, "momentum_l2", dict(MOMENTUM, **L2), 1.2e-4),
    (DENSE, "momentum_l2_larc", dict(MOMENTUM, larc_params={"larc_eta": 0.001}, **L2), 1e-5),
    (DENSE, "momentum_larc_scale", dict(MOMENTUM, larc_params={"larc_eta": 0.001, "larc_mode": "scale"}), 1e-5),
    (DENSE, "momentum_clip1", dict(MOMENTUM, max_grad_norm=1.0), 7.5e-4),
]


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.parametrize("case, name, settings, tolerance", TRAJECTORIES,
                         ids=["%s-%s" % (case.split("_")[0], name) for case, name, _, _ in TRAJECTORIES])
def test_trajectory(goldens, graph, case, name, settings, tolerance):
    folder = os.path.join(goldens, "networks", case)
    with np.load(os.path.join(folder, "traj_%s.npz" % name)) as archive:
        golden = {key: archive[key] for key in archive}
    check_training(folder, name, settings, 2e-5, lambda session, step: _compare(session, golden, step, tolerance))


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.parametrize("case", [DENSE, PLAIN])
def test_trajectory_with_fourier_transforms(goldens, graph, case):
    folder, convolutions = os.path.join(goldens, "networks", case), EverywhereFourier()
    with np.load(os.path.join(folder, "traj_novograd.npz")) as archive:
        golden = {key: archive[key] for key in archive}
    check_training(folder, "novograd", NOVOGRAD, 2e-5, lambda session, step: _compare(session, golden, step, 1e-5),
                   Execution(fast_convolutions=convolutions))
    assert convolutions.chosen


@pytest.mark.shared
@pytest.mark.slow
def test_adam_losses(goldens, graph):
    # of this one only the losses are known, and a perturbation of 1e-6 moves the weights by 3e-3: on other versions of TensorFlow
    # than that of the goldens, which round in another way, the losses differ by as much
    tolerance = 1e-3 if tf.__version__.startswith("1.") else 4e-3
    check_training(os.path.join(goldens, "networks", DENSE), "adam", {"optimizer": "Adam", "optimizer_params": {}}, tolerance)


def check_training(folder, name, settings, loss_tolerance, after_step=None, execution=ALONE):
    """Five steps; asserts learning rates and losses (to a relative tolerance), calls back after steps 1, 2 and 5."""
    with open(os.path.join(folder, "results.json")) as stream:
        expected = json.load(stream)["traj_" + name]
    experiment = load_experiment(os.path.join(folder, "config.py"), "train")
    params = dict(experiment.params["train"], **settings)
    loss, train = _training(experiment.base_model, params, os.path.join(folder, "inputs.npz"), execution)
    whole = total_loss(loss)
    losses, wholes, rates = [], [], []
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        network = [variable for variable in tf.global_variables() if variable.op.name.startswith("ForwardPass/")]
        tf.train.Saver(network).restore(session, os.path.join(folder, "model.ckpt-0"))
        for step in range(1, 6):
            # by themselves: the regularizer reads the weights, which an update in the same run may already have changed
            for values, value in zip((losses, wholes), session.run([loss, whole])):
                values.append(value)
            rates.append(session.run([train.learning_rate, train.update])[0])
            if after_step is not None and step in (1, 2, 5):
                after_step(session, step)
        losses.append(session.run([loss, whole])[0])
        assert session.run([train.global_step, train.skipped_steps]) == [5, 0]
    np.testing.assert_allclose(rates, expected["lr"], rtol=1e-6)
    np.testing.assert_allclose(losses, expected["train_loss_before_each_step_then_final"], rtol=loss_tolerance)
    np.testing.assert_allclose(wholes, expected["train_op_value_loss_plus_regularization"], rtol=loss_tolerance)


def _training(base_model, params, inputs_file, execution):
    with np.load(inputs_file) as inputs:
        batch = Batch(tf.constant(inputs["x"]), tf.constant(inputs["x_len"]), tf.constant(inputs["y"]),
                      tf.constant(inputs["y_len"]), tf.range(len(inputs["x_len"])))
    output = base_model(params, "train", vocabulary_size=28, execution=execution)(batch)
    return output.loss.loss, optimize(output.loss.loss, params, last_step=params["max_steps"], steps_per_epoch=10)


def _compare(session, golden, step, tolerance):
    """Weights and moving averages to ``tolerance``; momentum, which is larger, to a part of its largest magnitude."""
    prefix = "step%d/" % step
    ours = {variable.op.name: variable for variable in tf.global_variables()}
    names = sorted(key[len(prefix):] for key in golden if key.startswith(prefix + "ForwardPass/"))
    assert names == sorted(name for name in ours if name.startswith("ForwardPass/"))
    momenta = sorted(key[len(prefix):] for key in golden if key.startswith(prefix + "Loss_Optimization/ForwardPass/"))
    assert len(momenta) == len(tf.trainable_variables())
    for name, value in zip(names + momenta, session.run([ours[name] for name in names + momenta])):
        reference = golden[prefix + name]
        allowed = 1e-3 * max(1.0, np.abs(reference).max()) if name in momenta else tolerance
        assert np.abs(value - reference).max() <= allowed, (step, name)
