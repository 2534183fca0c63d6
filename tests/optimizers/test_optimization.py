"""One optimizer for several losses, and one that a device's adapter wraps."""
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.optimizers import AdapterOptimizer, Optimization
from open_seq2seq.optimizers.lr_policies import poly_decay


def _run(session, operations):
    session.run([tf.global_variables_initializer(), tf.local_variables_initializer()])
    for operation in operations:
        session.run(operation)


@pytest.mark.parametrize("overrides", [
    {"optimizer": "NovoGrad"}, {"optimizer": "Adam"}, {"optimizer": "Momentum", "optimizer_params": {"momentum": 0.9}},
    {"optimizer": "NovoGrad", "loss_scaling": "Backoff", "max_grad_norm": 0.5}])
def test_losses_share_slots_and_the_step_counter(make_params, overrides):
    trajectories = []
    for num_losses in (1, 3):
        with tf.Graph().as_default():
            weights = tf.get_variable("w", initializer=np.array([3.0, 4.0], np.float32), use_resource=False)
            optimization = Optimization(make_params(**overrides), 10, 10)
            # the same function of the weights, so that it does not matter which of them is minimized
            trains = [optimization.operations(tf.reduce_sum(tf.square(weights))) for _ in range(num_losses)]
            names = sorted(variable.op.name for variable in tf.global_variables())
            with tf.Session() as session:
                _run(session, [trains[step % num_losses].update for step in range(6)])
                trajectories.append((session.run(weights).tolist(), session.run(optimization.global_step), names))
    assert trajectories[0] == trajectories[1]


def test_batches_accumulated_with_one_loss_are_applied_with_another(graph, make_params):
    weights = tf.get_variable("w", initializer=5.0, use_resource=False)
    optimization = Optimization(make_params(iter_size=2), 10, 10)
    small, large = optimization.operations(weights * 1.0), optimization.operations(weights * 3.0)
    with tf.Session() as session:
        _run(session, [small.accumulate, large.update, large.accumulate, large.update])
        # learning rate 0.1 times the mean of 1 and 3, then of 3 and 3
        assert session.run(weights) == pytest.approx(5.0 - 0.2 - 0.3)
        assert session.run(optimization.global_step) == 2


def test_moving_averages_belong_to_the_loss_they_came_with(graph, make_params):
    weights = tf.get_variable("w", initializer=5.0, use_resource=False)
    counts = [tf.get_variable(name, initializer=0.0, trainable=False, use_resource=False) for name in "ab"]
    optimization = Optimization(make_params(), 10, 10)
    trains = [optimization.operations(weights, [count.assign_add(1.0).op]) for count in counts]
    with tf.Session() as session:
        _run(session, [trains[0].update, trains[1].update, trains[1].update])
        assert session.run(counts) == [1.0, 2.0]


@pytest.mark.parametrize("iter_size", [1, 2])
def test_a_skipped_step_leaves_the_moving_averages(graph, make_params, iter_size):
    poison = tf.placeholder_with_default(1.0, [])
    weights = tf.get_variable("w", initializer=5.0, use_resource=False)
    moving = tf.get_variable("moving_mean", initializer=np.array([8.0, 4.0], np.float32), trainable=False, use_resource=False)
    # as batch norm has it, of a batch whose statistics are finite though its gradient is not
    halved = tf.assign_sub(moving, moving * 0.5)
    train = Optimization(make_params(iter_size=iter_size), 10, 10).operations(weights * poison, [halved])
    with tf.Session() as session:
        _run(session, [])
        if iter_size == 2:
            session.run(train.accumulate)
            session.run(moving.assign([8.0, 4.0]))
        session.run(train.update, {poison: np.inf})
        assert session.run(moving).tolist() == [8.0, 4.0] and session.run(train.skipped_steps) == 1
        if iter_size == 2:
            session.run(train.accumulate)
            session.run(moving.assign([8.0, 4.0]))
        session.run(train.update)
        assert session.run(moving).tolist() == [4.0, 2.0]


class _Adapter(tf.train.Optimizer):
    """Scales by 4 and divides by 4; ``overflow`` replaces a status register."""

    def __init__(self, inner, overflow):
        super().__init__(False, "Adapter")
        self.inner, self.overflow = inner, overflow

    def compute_gradients(self, *arguments, **options):
        pairs = self.inner.compute_gradients(arguments[0] * 4.0, *arguments[1:], **options)
        return [(gradient / 4.0, variable) for gradient, variable in pairs]

    def apply_gradients(self, grads_and_vars, global_step=None, name=None):
        return tf.cond(self.overflow, tf.no_op, lambda: self.inner.apply_gradients(grads_and_vars, global_step))


@pytest.mark.parametrize("iter_size", [1, 2])
def test_an_adapter_decides_what_is_skipped_and_we_count_it(graph, make_params, iter_size):
    if tf.control_flow_v2_enabled():
        pytest.skip("the adapters' classes are written for TensorFlow 1's control flow")
    overflow, poison = tf.placeholder_with_default(False, []), tf.placeholder_with_default(1.0, [])
    weights = tf.get_variable("w", initializer=5.0, use_resource=False)
    optimization = Optimization(make_params(iter_size=iter_size, max_grad_norm=100.0), 10, 10,
                                wrap=lambda inner: AdapterOptimizer(_Adapter(inner, overflow), tf.constant(4.0)))
    train = optimization.operations(tf.square(weights) * poison)
    with tf.Session() as session:
        _run(session, [])

        norms = []

        def step(**feed):
            for _ in range(iter_size - 1):
                session.run(train.accumulate)
            _, finite, norm = session.run([train.update, train.gradients_finite, train.gradient_norm], {
                overflow: feed.get("overflow", False), poison: feed.get("poison", 1.0)})
            norms.append(norm)
            return finite

        assert step()
        assert session.run(weights) == pytest.approx(5.0 - 0.1 * 10.0)
        assert not step(overflow=True)
        # also of a step that the adapter skips
        assert norms == [10.0, 8.0]
        # no status register reports a NaN that was in the data
        assert not step(poison=float("nan"))
        assert session.run([weights, optimization.global_step, train.skipped_steps]) == [4.0, 1, 2]
        assert step()
        assert session.run(weights) == pytest.approx(4.0 - 0.1 * 8.0)
        assert session.run(train.loss_scale) == 4.0


def test_without_an_adapter_our_loss_scaling_is_used(graph, make_params):
    weights = tf.get_variable("w", initializer=5.0, use_resource=False)
    optimization = Optimization(make_params(loss_scaling=64.0), 10, 10, wrap=lambda inner: None)
    train = optimization.operations(tf.square(weights))
    with tf.Session() as session:
        _run(session, [train.update])
        assert session.run([train.loss_scale, weights]) == [64.0, pytest.approx(4.0)]


def test_the_learning_rate_is_multiplied_by_a_factor(graph, make_params):
    weights = tf.get_variable("w", initializer=5.0, use_resource=False)
    factor = tf.get_variable("factor", initializer=1.0, trainable=False, use_resource=False)
    policy = {"lr_policy": poly_decay, "lr_policy_params": {"learning_rate": 0.4, "min_lr": 0.0, "power": 1.0}}
    optimization = Optimization(make_params(**policy), 4, 4, learning_rate_factor=tf.identity(factor))
    update = optimization.operations(weights).update
    with tf.Session() as session:
        _run(session, [update])
        session.run(factor.assign(0.25))
        # after one step of four the policy is at 0.3
        assert session.run(optimization.learning_rate) == pytest.approx(0.075)
        session.run(update)
        assert session.run(weights) == pytest.approx(5.0 - 0.4 - 0.075)
