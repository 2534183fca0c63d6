"""Learning-rate policies away from the reference numbers: completion of a config, and its mistakes."""
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.config.parameters import Report, check_parameters
from open_seq2seq.errors import ConfigError
from open_seq2seq.optimizers import lr_policies
from open_seq2seq.optimizers.lr_policies import complete_policy_params, learning_rate_at


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


def test_policy_without_decay_is_left_alone():
    assert complete_policy_params(lr_policies.fixed_lr, {"learning_rate": 1.0}, 100, 10) == {"learning_rate": 1.0}


def test_warm_up_then_decay(graph):
    values = _values(lr_policies.poly_decay, {"learning_rate": 1.0, "warmup_steps": 20}, [0, 10, 20, 60, 100, 101])
    assert values == pytest.approx([0.0, 0.5, 1.0, 0.5, 0.0, 0.0])


def test_boundaries_in_epochs_may_be_fractions(graph):
    params = {"learning_rate": 1.0, "boundaries": [0.5, 2.0], "decay_rates": [0.1, 0.01]}
    assert _values(lr_policies.piecewise_constant, params, [5, 6, 20, 21], steps_per_epoch=10) == pytest.approx(
        [1.0, 0.1, 0.1, 0.01])


def test_boundaries_and_rates_must_be_as_many(graph):
    with pytest.raises(ConfigError, match="2 boundaries and 1 decay_rates"):
        lr_policies.piecewise_constant(tf.constant(0), 1.0, [1, 2], [0.1])


def test_policy_of_ones_own(graph):
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
