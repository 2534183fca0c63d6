"""Numbers of jobs, data and learning rates of Kaldi's plans of iterations; L2 divided by the number of jobs."""
import json
import os

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.config.parameters import Report, check_parameters
from open_seq2seq.optimizers.lr_policies import exp_decay, learning_rate_at
from open_seq2seq.optimizers.parallel_schedule import PARAMETERS, ParallelSchedule


@pytest.mark.shared
@pytest.mark.parametrize("name", ["a", "b", "step2"])
@pytest.mark.parametrize("archive_steps", [1, 7])
def test_plans_of_kaldi(goldens, graph, name, archive_steps):
    with open(os.path.join(goldens, "kaldi", "schedules.json")) as file:
        golden = json.load(file)[name]
    params = check_parameters(PARAMETERS, {
        "jobs_initial": golden["num_jobs_initial"], "jobs_final": golden["num_jobs_final"],
        "jobs_step": golden["num_jobs_step"], "archive_steps": archive_steps, "learning_rate": "constant"}, "params", Report())
    archives = golden["num_archives_to_process"]
    schedule = ParallelSchedule(params, archives * archive_steps, 1.0)
    assert schedule.iterations == golden["num_iters"]
    step = tf.placeholder(tf.int64, [])
    rate = learning_rate_at(step, exp_decay, {
        "learning_rate": golden["initial_effective_lrate"], "use_staircase_decay": False, "decay_steps": archives * archive_steps,
        "decay_rate": golden["final_effective_lrate"] / golden["initial_effective_lrate"]}, schedule.asked_steps, None)
    rows, position = [], 0
    with tf.Session() as session:
        while position < schedule.last_step:
            iteration = schedule.at(position)
            assert iteration.steps == archive_steps
            rates = {schedule.learning_rate_step(iteration, number) for number in range(archive_steps)}
            rows.append([iteration.number, iteration.jobs, position / archive_steps,
                         iteration.jobs * session.run(rate, {step: rates.pop()})])
            assert not rates
            position = iteration.end
    # float32
    np.testing.assert_allclose(rows, golden["rows_iter_jobs_archives_processed_learning_rate"], rtol=2e-6)
