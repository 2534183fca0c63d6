"""A training step: changes of the weights, skipped steps, and counters."""
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.errors import ConfigError
from open_seq2seq.optimizers import lr_policies, optimize, total_loss

NAN, INF = float("nan"), float("inf")


def _batch(size, seed=0):
    random = np.random.RandomState(seed)
    return random.randn(size, 3).astype(np.float32), random.randn(size).astype(np.float32)


def _feed(model, inputs, targets, poison=1.0):
    return {model.inputs: inputs, model.targets: targets, model.poison: poison}


def _weights(model):
    return np.append(model.session.run(model.weights), model.session.run(model.bias))


def _gradient(weights, inputs, targets):
    residual = inputs @ weights[:3] + weights[3] - targets
    return np.append(2 * inputs.T @ residual, 2 * residual.sum()) / len(targets)


START = np.array([1.0, -2.0, 0.5, 0.25])


def test_plain_step(make_linear):
    model = make_linear()
    inputs, targets = _batch(8)
    expected = _gradient(START, inputs, targets)
    _, norm, rate, finite = model.session.run(
        [model.train.update, model.train.gradient_norm, model.train.learning_rate, model.train.gradients_finite],
        _feed(model, inputs, targets))
    np.testing.assert_allclose(_weights(model), START - 0.1 * expected, rtol=1e-6)
    assert norm == pytest.approx(np.linalg.norm(expected), rel=1e-6)
    assert rate == np.float32(0.1) and finite
    assert model.train.accumulate is None
    assert model.session.run([model.train.global_step, model.train.skipped_steps]) == [1, 0]


@pytest.mark.parametrize("optimizer", ["SGD", "Momentum", "Adam", "AdamW", "NovoGrad", "Adagrad", "RMSProp", "Ftrl",
                                       tf.train.AdadeltaOptimizer])
def test_non_finite_gradient_never_reaches_weights_or_slots(make_linear, optimizer):
    model = make_linear(optimizer=optimizer, optimizer_params={"momentum": 0.9} if optimizer == "Momentum" else {})
    inputs, targets = _batch(8)
    model.session.run(model.train.update, _feed(model, inputs, targets))
    state = [v for v in tf.global_variables() if v is not model.train.skipped_steps]
    before = model.session.run(state)
    for poison in (NAN, INF):
        _, finite = model.session.run([model.train.update, model.train.gradients_finite],
                                      _feed(model, inputs, targets, poison))
        assert not finite
    for old, new in zip(before, model.session.run(state)):
        np.testing.assert_array_equal(old, new)
    assert model.session.run([model.train.global_step, model.train.skipped_steps]) == [1, 2]
    model.session.run(model.train.update, _feed(model, inputs, targets))
    assert model.session.run(model.train.global_step) == 2
    assert np.all(np.isfinite(_weights(model))) and not np.array_equal(_weights(model), before[0])


@pytest.mark.parametrize("overrides", [
    {"optimizer": "SGD"}, {"optimizer": "NovoGrad"},
    {"optimizer": "Momentum", "optimizer_params": {"momentum": 0.9}, "max_grad_norm": 0.5},
    {"optimizer": "NovoGrad", "larc_params": {"larc_eta": 0.01}, "loss_scaling": "Backoff"}])
def test_four_accumulated_batches_equal_one_of_four_times_the_size(make_linear, overrides):
    inputs, targets = _batch(32)
    results = []
    for iter_size in (1, 4):
        with tf.Graph().as_default():
            model = make_linear(iter_size=iter_size, **overrides)
            norms = []
            for _ in range(3):
                parts = list(zip(np.split(inputs, iter_size), np.split(targets, iter_size)))
                for part in parts[:-1]:
                    model.session.run(model.train.accumulate, _feed(model, *part))
                norms.append(model.session.run([model.train.update, model.train.gradient_norm], _feed(model, *parts[-1]))[1])
            assert model.session.run(model.train.global_step) == 3
            results.append(np.append(_weights(model), norms))
    np.testing.assert_allclose(results[0], results[1], rtol=2e-6, atol=1e-7)
    assert not np.allclose(results[0][:4], START, atol=1e-3)


def test_a_non_finite_micro_batch_discards_its_update_only(make_linear):
    model = make_linear(iter_size=2)
    inputs, targets = _batch(8)
    model.session.run(model.train.accumulate, _feed(model, inputs, targets, NAN))
    model.session.run(model.train.update, _feed(model, inputs, targets))
    np.testing.assert_array_equal(_weights(model), START)
    assert model.session.run([model.train.global_step, model.train.skipped_steps]) == [0, 1]
    model.session.run(model.train.accumulate, _feed(model, inputs, targets))
    model.session.run(model.train.update, _feed(model, inputs, targets))
    np.testing.assert_allclose(_weights(model), START - 0.1 * _gradient(START, inputs, targets), rtol=1e-6)


def test_accumulators_are_not_saved(make_linear):
    make_linear(iter_size=2)
    assert [v.op.name for v in tf.local_variables()] == [
        "Loss_Optimization/model/weights/gradient_sum", "Loss_Optimization/model/bias/gradient_sum"]
    assert not [v.op.name for v in tf.global_variables() if "gradient_sum" in v.op.name]


@pytest.mark.parametrize("iter_size", [1, 2])
def test_moving_averages_are_updated_with_every_batch(graph, make_params, iter_size):
    seen = tf.get_variable("seen", initializer=0, trainable=False, use_resource=False)
    weights = tf.get_variable("w", initializer=1.0, use_resource=False)
    tf.add_to_collection(tf.GraphKeys.UPDATE_OPS, seen.assign_add(1, use_locking=True).op)
    train = optimize(tf.square(weights), make_params(iter_size=iter_size), 10, 10)
    with tf.Session() as session:
        session.run([tf.global_variables_initializer(), tf.local_variables_initializer()])
        for _ in range(3):
            if iter_size == 2:
                session.run(train.accumulate)
            session.run(train.update)
        assert session.run(seen) == 3 * iter_size


def test_clipping_is_by_the_global_norm(make_linear):
    model = make_linear(max_grad_norm=0.5)
    inputs, targets = _batch(8)
    gradient = _gradient(START, inputs, targets)
    assert np.linalg.norm(gradient) > 0.5
    model.session.run(model.train.update, _feed(model, inputs, targets))
    np.testing.assert_allclose(_weights(model), START - 0.1 * gradient * 0.5 / np.linalg.norm(gradient), rtol=1e-6)


def test_small_gradients_are_not_clipped(make_linear):
    model = make_linear(max_grad_norm=1000.0)
    inputs, targets = _batch(8)
    model.session.run(model.train.update, _feed(model, inputs, targets))
    np.testing.assert_allclose(_weights(model), START - 0.1 * _gradient(START, inputs, targets), rtol=1e-6)


def test_frozen_variables_stay(make_linear):
    model = make_linear(freeze_variables_regex="model/w")
    inputs, targets = _batch(8)
    gradient = _gradient(START, inputs, targets)
    model.session.run(model.train.update, _feed(model, inputs, targets))
    np.testing.assert_allclose(_weights(model), START - 0.1 * gradient * [0, 0, 0, 1], rtol=1e-6)


def test_pattern_is_matched_from_the_beginning(make_linear):
    model = make_linear(freeze_variables_regex="weights")
    inputs, targets = _batch(8)
    model.session.run(model.train.update, _feed(model, inputs, targets))
    assert np.all(_weights(model) != START)


def test_regularization_is_part_of_the_loss(graph, make_params):
    weights = tf.get_variable("w", initializer=np.array([3.0], np.float32), use_resource=False)
    tf.add_to_collection(tf.GraphKeys.REGULARIZATION_LOSSES, 0.5 * tf.reduce_sum(tf.square(weights)))
    loss = tf.reduce_sum(2.0 * weights)
    whole = total_loss(loss)
    train = optimize(loss, make_params(), 10, 10)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        assert session.run(whole) == pytest.approx(6.0 + 4.5)
        session.run(train.update)
        assert session.run(weights)[0] == pytest.approx(3.0 - 0.1 * (2.0 + 3.0))


def test_fixed_loss_scale_cancels(make_linear):
    model = make_linear(loss_scaling=1024.0)
    inputs, targets = _batch(8)
    _, norm, scale = model.session.run([model.train.update, model.train.gradient_norm, model.train.loss_scale],
                                       _feed(model, inputs, targets))
    gradient = _gradient(START, inputs, targets)
    np.testing.assert_allclose(_weights(model), START - 0.1 * gradient, rtol=1e-6)
    assert scale == 1024.0 and norm == pytest.approx(np.linalg.norm(gradient), rel=1e-6)


def test_learning_rate_is_that_of_the_step_before_the_increment(make_linear):
    model = make_linear(last_step=4, lr_policy=lr_policies.poly_decay, lr_policy_params={"learning_rate": 1.0})
    inputs, targets = _batch(8)
    rates = []
    for poison in (1.0, NAN, 1.0, 1.0):
        rates.append(model.session.run([model.train.update, model.train.learning_rate],
                                       _feed(model, inputs, targets, poison))[1])
    assert rates == [1.0, 0.75, 0.75, 0.5]


def test_epochs_count_only_where_the_config_has_epochs(make_linear):
    policy = {"lr_policy": lr_policies.piecewise_constant,
              "lr_policy_params": {"learning_rate": 1.0, "boundaries": [2], "decay_rates": [0.1]}}
    for num_epochs, expected in ((None, 0.1), (5, 1.0)):
        with tf.Graph().as_default():
            model = make_linear(steps_per_epoch=10, num_epochs=num_epochs, **policy)
            model.session.run(model.train.global_step.assign(5))
            assert model.session.run(model.train.learning_rate) == pytest.approx(expected)


def test_all_reduce_comes_before_the_test_for_finiteness(graph, make_params):
    weights = tf.get_variable("w", initializer=1.0, use_resource=False)
    train = optimize(weights, make_params(), 10, 10, all_reduce=lambda gradients: [g * NAN for g in gradients])
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(train.update)
        assert session.run([weights, train.skipped_steps]) == [1.0, 1]


def test_resource_variables(graph, make_params):
    with tf.variable_scope("", use_resource=True):
        weights = tf.get_variable("w", initializer=np.array([3.0, 4.0], np.float32))
    params = make_params(optimizer="NovoGrad", optimizer_params={"weight_decay": 0.5}, iter_size=2)
    train = optimize(tf.reduce_sum(weights), params, 10, 10)
    with tf.Session() as session:
        session.run([tf.global_variables_initializer(), tf.local_variables_initializer()])
        session.run(train.accumulate)
        session.run(train.update)
        np.testing.assert_allclose(
            session.run(weights), [3.0 - 0.1 * (0.5 ** 0.5 + 1.5), 4.0 - 0.1 * (0.5 ** 0.5 + 2.0)], rtol=1e-6)


@pytest.mark.parametrize("overrides, message", [
    ({"larc_params": {"larc_eta": 0.1}, "max_grad_norm": 1.0}, '"larc_params" and "max_grad_norm"'),
    ({"optimizer": "Adams"}, "'Adams', expected one of Adagrad, Adam"),
    ({"optimizer": None}, '"optimizer" is missing'),
    ({"optimizer_params": {"momentun": 0.9}, "optimizer": "Momentum"}, 'did you mean "momentum"'),
    ({"lr_policy_params": {"learning_rate": 0.1, "power": 2}}, r'lr_policy_params\["power"\] is unknown'),
    ({"larc_params": {}}, r'larc_params\["larc_eta"\] is missing'),
    ({"loss_scaling": "Backof"}, 'expected a number, "Backoff" or "LogMax"'),
    ({"loss_scaling": "Backoff", "loss_scaling_params": {"step_window": 0}}, "at least 1"),
    ({"freeze_variables_regex": "("}, "not a regular expression"),
    ({"freeze_variables_regex": ".*"}, "freezes all 2 variables"),
    ({"summaries": ["learning_rates"]}, "'learning_rates', expected some of learning_rate"),
])
def test_mistakes(make_linear, overrides, message):
    with pytest.raises(ConfigError, match=message):
        make_linear(**overrides)


def test_momentum_clipping_and_accumulation_by_hand(graph, make_params):
    """Learning rate 0.1, momentum 0.5, gradients clipped to a norm of 5, two batches per step."""
    weights = tf.get_variable("w", initializer=np.array([1.0, 2.0], np.float32), use_resource=False)
    slope = tf.placeholder(tf.float32, [2])
    train = optimize(tf.reduce_sum(slope * weights), make_params(
        optimizer="Momentum", optimizer_params={"momentum": 0.5}, max_grad_norm=5.0, iter_size=2), 10, 10)
    with tf.Session() as session:
        session.run([tf.global_variables_initializer(), tf.local_variables_initializer()])

        def step(first, second):
            session.run(train.accumulate, {slope: first})
            norm = session.run([train.update, train.gradient_norm], {slope: second})[1]
            return norm, session.run(weights).tolist()

        # mean gradient (6, 8) of norm 10, clipped to (3, 4); momentum (3, 4)
        norm, values = step([2.0, 6.0], [10.0, 10.0])
        assert norm == pytest.approx(10.0) and values == pytest.approx([1.0 - 0.3, 2.0 - 0.4])
        # mean gradient (0, 2), not clipped; momentum 0.5 * (3, 4) + (0, 2) = (1.5, 4)
        norm, values = step([1.0, 3.0], [-1.0, 1.0])
        assert norm == pytest.approx(2.0) and values == pytest.approx([0.7 - 0.15, 1.6 - 0.4])
        assert session.run([train.global_step, train.skipped_steps]) == [2, 0]


def test_gradient_norms_of_layers_by_hand(graph, make_params):
    """Two layers of the encoder, the first with a kernel and the gamma of its batch norm."""
    with tf.variable_scope("ForwardPass/w2l_encoder", use_resource=False):
        kernel = tf.get_variable("conv11/kernel", initializer=np.array([1.0, 1.0], np.float32))
        gamma = tf.get_variable("conv11/bn/gamma", initializer=np.float32(1.0))
        other = tf.get_variable("conv21/kernel", initializer=np.float32(1.0))
    loss = 2.0 * kernel[0] - 1.0 * kernel[1] + 2.0 * gamma + 12.0 * other
    train = optimize(loss, make_params(loss_scaling=64.0), 10, 10)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        _, norms, norm, scale = session.run([train.update, train.layer_gradient_norms, train.gradient_norm, train.loss_scale])
    assert train.layers == ["conv11", "conv21"]
    # sqrt(4 + 1 + 4), 12, sqrt(9 + 144)
    assert norms.tolist() == pytest.approx([3.0, 12.0]) and norm == pytest.approx(153 ** 0.5) and scale == 64.0
