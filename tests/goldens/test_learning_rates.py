"""Learning-rate policies against the values that OpenSeq2Seq's policies take at steps 0 to 100."""
import json
import os

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.config.parameters import Report, check_parameters
from open_seq2seq.optimizers import lr_policies

CASES = [
    "poly_decay_basic", "poly_decay_warmup_explicit_begin", "poly_decay_warmup_without_begin", "poly_decay_power1_short",
    "exp_decay", "exp_decay_staircase", "cosine_decay_basic", "cosine_decay_warmup", "cosine_decay_min_lr_is_alpha",
    "transformer_policy", "transformer_policy_max_lr", "fixed_lr", "piecewise_constant_steps", "piecewise_constant_epochs",
    "inv_poly_decay"]


@pytest.fixture(scope="module")
def learning_rates(goldens):
    with open(os.path.join(goldens, "learning_rates.json")) as stream:
        return json.load(stream)


@pytest.mark.shared
def test_every_golden_is_a_case(learning_rates):
    assert sorted(learning_rates) == sorted(CASES)


@pytest.mark.shared
@pytest.mark.parametrize("name", CASES)
def test_policy(name, learning_rates, graph):
    golden = learning_rates[name]
    policy = getattr(lr_policies, golden["policy"])
    report = Report()
    params = check_parameters(policy.PARAMETERS, golden["params"], "lr_policy_params", report)
    assert report.problems == []

    step = tf.placeholder(tf.int64, [])
    rate = tf.cast(tf.convert_to_tensor(policy(step, **params)), tf.float32)
    with tf.Session() as session:
        values = [session.run(rate, {step: i}) for i in range(101)]
    # differences of one unit in the last place are amplified where the rate nears zero, so those are judged by the start
    np.testing.assert_allclose(values, golden["values_steps_0_to_100"], rtol=1e-6,
                               atol=1e-7 * max(golden["values_steps_0_to_100"]))
