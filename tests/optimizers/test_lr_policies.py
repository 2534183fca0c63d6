"""Learning-rate policies: completion of a config, invalid schedules, and parts that no step reaches."""
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.config.parameters import Report, check_parameters
from open_seq2seq.errors import ConfigError
from open_seq2seq.optimizers import Optimization, lr_policies
from open_seq2seq.optimizers.lr_policies import beyond_the_end, complete_policy_params, learning_rate_at


def _values(policy, params, steps, last_step=100, steps_per_epoch=None):
    step = tf.placeholder(tf.int64, [])
    rate = learning_rate_at(step, policy, params, last_step, steps_per_epoch)
    assert rate.dtype == tf.float32
    with tf.Session() as session:
        return [float(session.run(rate, {step: value})) for value in steps]


@pytest.mark.parametrize("given, decay_steps, begin", [
    ({}, 100, 0), ({"warmup_steps": 20}, 80, 20), ({"begin_decay_at": 30, "warmup_steps": 20}, 70, 30),
    ({"decay_steps": None, "begin_decay_at": 10}, 90, 10), ({"warmup_steps": 500}, 1, 500)])
def test_decay_lasts_to_the_end_of_the_training(given, decay_steps, begin):
    completed = complete_policy_params(lr_policies.poly_decay, dict(given, learning_rate=1.0), 100, 10)
    assert (completed["decay_steps"], completed["begin_decay_at"]) == (decay_steps, begin)
    assert "steps_per_epoch" not in completed


def test_given_decay_steps_are_kept():
    params = {"decay_steps": 7, "warmup_steps": 3, "begin_decay_at": 0}
    assert complete_policy_params(lr_policies.poly_decay, params, 100, 10) == params


def test_a_policy_without_decay_is_not_changed():
    assert complete_policy_params(lr_policies.fixed_lr, {"learning_rate": 1.0}, 100, 10) == {"learning_rate": 1.0}


def test_warm_up_then_decay(graph):
    values = _values(lr_policies.poly_decay, {"learning_rate": 1.0, "warmup_steps": 20}, [0, 10, 20, 60, 100, 101])
    assert values == pytest.approx([0.0, 0.5, 1.0, 0.5, 0.0, 0.0])


def test_boundaries_in_epochs_may_be_fractions(graph):
    params = {"learning_rate": 1.0, "boundaries": [0.5, 2.0], "decay_rates": [0.1, 0.01]}
    assert _values(lr_policies.piecewise_constant, params, [5, 6, 20, 21], steps_per_epoch=10) == pytest.approx(
        [1.0, 0.1, 0.1, 0.01])


@pytest.mark.parametrize("boundaries, problem", [
    ([4, 2], 'lr_policy_params["boundaries"][1] is 2 and follows 4; expected ascending boundaries'),
    ([1, 3.5, 3.5], 'lr_policy_params["boundaries"][2] is 3.5 and follows 3.5; expected ascending boundaries')])
def test_boundaries_out_of_order(graph, boundaries, problem):
    with pytest.raises(ConfigError) as caught:
        lr_policies.piecewise_constant(tf.constant(0), 1.0, boundaries, [0.1] * len(boundaries))
    assert problem in str(caught.value)


def test_a_boundary_beyond_int64_is_never_reached(graph):
    params = {"learning_rate": 1.0, "boundaries": [2.0, 1e38], "decay_rates": [0.5, 0.1], "steps_per_epoch": 10}
    assert _values(lr_policies.piecewise_constant, params, [20, 21, 2 ** 61]) == [1.0, 0.5, 0.5]


def test_a_power_too_close_to_zero(graph):
    with pytest.raises(ConfigError, match=r'lr_policy_params\["power"\] is 0.001, too close to 0'):
        lr_policies.inv_poly_decay(tf.constant(0), learning_rate=1.0, decay_steps=10, min_lr=1e-8, power=1e-3)


@pytest.mark.parametrize("policy, params, length, keys", [
    # (last step, steps per epoch, epochs)
    (lr_policies.piecewise_constant, {"boundaries": [5, 10]}, (10, None, None), ["boundaries"]),
    (lr_policies.piecewise_constant, {"boundaries": [5, 9]}, (10, None, None), []),
    (lr_policies.piecewise_constant, {"boundaries": [2, 5]}, (None, None, 5), ["boundaries"]),
    (lr_policies.piecewise_constant, {"boundaries": [2, 4.5]}, (None, None, 5), []),
    (lr_policies.piecewise_constant, {"boundaries": [3], "steps_per_epoch": 10}, (30, None, None), ["boundaries"]),
    (lr_policies.piecewise_constant, {"boundaries": [3], "steps_per_epoch": 10}, (None, None, 2), []),
    (lr_policies.poly_decay, {"warmup_steps": 100, "begin_decay_at": 100}, (100, None, None), ["warmup_steps", "begin_decay_at"]),
    (lr_policies.poly_decay, {"warmup_steps": 99, "begin_decay_at": 99}, (100, None, None), []),
    (lr_policies.poly_decay, {"warmup_steps": 10 ** 9}, (None, None, 5), []),
    (lr_policies.exp_decay, {"begin_decay_at": 500}, (100, None, None), ["begin_decay_at"]),
    (lr_policies.fixed_lr, {}, (10, None, None), []),
    (lambda global_step, warmup_steps: 1.0, {"warmup_steps": 500}, (100, None, None), []),
])
def test_parts_of_a_schedule_beyond_the_end(policy, params, length, keys):
    assert [key for key, _ in beyond_the_end(policy, params, *length)] == keys


def test_the_optimization_notes_what_only_the_length_of_an_epoch_shows(graph, make_params):
    tf.get_variable("w", initializer=1.0, use_resource=False)
    policy = {"lr_policy": lr_policies.poly_decay, "lr_policy_params": {"learning_rate": 1.0, "warmup_steps": 50}}
    assert Optimization(make_params(num_epochs=3, **policy), 30, 10).schedule_notes == [
        'lr_policy_params["warmup_steps"] is 50, at or beyond the last step, which is 30: the warm-up never ends']
    with tf.Graph().as_default():
        # the check of the config has noted it
        assert Optimization(make_params(**policy), 30, 10).schedule_notes == []


def test_boundaries_that_do_not_match_the_rates(graph):
    with pytest.raises(ConfigError, match="2 boundaries and 1 decay_rates"):
        lr_policies.piecewise_constant(tf.constant(0), 1.0, [1, 2], [0.1])


def test_a_custom_policy(graph):
    def halved(global_step, learning_rate, last_step=2):
        return learning_rate / (1 + tf.cast(global_step, tf.float64))

    names = [parameter.name for parameter in lr_policies.parameters_of(halved)]
    assert names == ["learning_rate", "last_step"]
    assert _values(halved, {"learning_rate": 1.0}, [0, 1, 3]) == [1.0, 0.5, 0.25]
    assert lr_policies.parameters_of(lambda global_step, **kwargs: 1.0) is None


@pytest.mark.parametrize("policy, params, problem", [
    (lr_policies.poly_decay, {}, 'lr["learning_rate"] is missing'),
    (lr_policies.poly_decay, {"learning_rate": 0.1, "min_rl": 0.0}, '(did you mean "min_lr"?)'),
    (lr_policies.cosine_decay, {"learning_rate": 0.1, "min_lr": 2.0}, "at most 1.0"),
    (lr_policies.exp_decay, {"learning_rate": 0.1, "decay_rate": 0.5}, 'lr["use_staircase_decay"] is missing'),
    (lr_policies.poly_decay, {"learning_rate": "0.1"}, "expected a number"),
    (lr_policies.inv_poly_decay, {"learning_rate": 0.0, "min_lr": 0.0}, 'lr["learning_rate"] is 0.0'),
])
def test_mistakes_are_named(policy, params, problem):
    report = Report()
    check_parameters(lr_policies.parameters_of(policy), params, "lr", report)
    assert len(report.problems) == 1 and problem in report.problems[0]
