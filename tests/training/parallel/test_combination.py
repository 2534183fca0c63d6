import numpy as np
import pytest

from open_seq2seq.errors import NonFiniteError
from open_seq2seq.training.parallel.combination import COUNTERS, Combination, JobResult, shares

SETTINGS = {"first_iteration": "best", "max_loss_difference": 1.0}


def result(job, values=None, frame_loss=1.0, frames=1.0, problem=""):
    return JobResult(job, values, frame_loss * 10, frame_loss, frames, 1, 1, 1, 1.0, 1.0, problem)


@pytest.mark.parametrize("losses, is_first, settings, expected", [
    ([1.0, 1.9, 1.5], False, {}, [1 / 3] * 3),
    ([1.0, 2.1, 1.5], False, {}, [0.5, 0, 0.5]),                                  # far from the best
    ([1.0, float("nan"), float("inf")], False, {}, [1, 0, 0]),
    ([1.2, 1.0, 1.1], True, {}, [0, 1, 0]),                                       # as Kaldi's iteration 0
    ([1.2, 1.0, 1.1], True, {"first_iteration": "average"}, [1 / 3] * 3),
    ([-3.0, -1.9, -2.5], False, {}, [0.5, 0, 0.5])])
def test_shares(losses, is_first, settings, expected):
    results = [result(job, frame_loss=loss) for job, loss in enumerate(losses)]
    assert shares(results, is_first, dict(SETTINGS, **settings)) == pytest.approx(expected)


def test_without_a_finite_loss_the_jobs_are_named():
    with pytest.raises(NonFiniteError) as error:
        shares([result(0, frame_loss=float("inf"), problem="too many bad steps"), result(1, frame_loss=float("nan"))], False,
               SETTINGS)
    assert "job 0: too many bad steps" in str(error.value) and "job 1" in str(error.value) and "learning rate" in str(error.value)


def test_statistics_are_those_of_all_frames_together():
    draw = np.random.RandomState(0)
    parts = [draw.normal(mean, 1 + mean, [count, 3]) for mean, count in ((0.0, 40), (2.0, 100), (5.0, 7))]
    start = {"F/bn/moving_mean": np.zeros(3, np.float32), "F/bn/moving_variance": np.ones(3, np.float32),
             "F/kernel": np.zeros([2], np.float32), "global_step": np.int64(20), COUNTERS[0]: np.int64(3),
             "Loss_Optimization/loss_scale": np.float32(8), "Loss_Optimization/good_steps": np.int64(1)}
    results = []
    for job, part in enumerate(parts + [np.full([5, 3], 1e9)]):
        results.append(result(job, {
            "F/bn/moving_mean": part.mean(0).astype(np.float32), "F/bn/moving_variance": part.var(0).astype(np.float32),
            "F/kernel": np.float32([job, -job]), "global_step": np.int64(20 + job), COUNTERS[0]: np.int64(3 + job),
            "Loss_Optimization/loss_scale": np.float32(2 ** (4 - job)), "Loss_Optimization/good_steps": np.int64(7)},
            frames=float(len(part))))
    combination = Combination(start)
    for one, share in zip(results, [1 / 3, 1 / 3, 1 / 3, 0]):
        combination.add(one.values, share, one.statistic_frames)
    model = combination.result(80)
    together = np.concatenate(parts)
    np.testing.assert_allclose(model["F/bn/moving_mean"], together.mean(0), rtol=1e-5)
    np.testing.assert_allclose(model["F/bn/moving_variance"], together.var(0), rtol=1e-5)
    np.testing.assert_allclose(model["F/kernel"], [1, -1], rtol=1e-6)   # equal weights, however many frames
    # the skipped steps of all jobs, those of the excluded one as well
    assert (model["global_step"], model[COUNTERS[0]]) == (80, 3 + 1 + 2 + 3)
    assert (model["Loss_Optimization/loss_scale"], model["Loss_Optimization/good_steps"]) == (4.0, 7)
    for name, value in start.items():
        assert model[name].dtype == np.asarray(value).dtype
