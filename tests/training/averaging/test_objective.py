"""The loss of a network on fixed utterances, its gradient, and the weights that minimize it."""
import numpy as np
import pytest

from open_seq2seq.errors import CheckpointError
from open_seq2seq.training.averaging.combination_weights import combined, on_simplex, optimized_weights
from open_seq2seq.training.averaging.objective import Objective


@pytest.fixture
def objective(network):
    with Objective(network.base_model, network.params, network.data, network.device) as made:
        yield made


def test_the_gradient_is_the_slope_of_the_loss_in_every_kind_of_variable(network, objective):
    values = network.values(1)
    loss, gradients = objective.loss_and_gradient(values)
    assert loss == pytest.approx(objective.score(values).loss, rel=1e-6)
    assert set(gradients) == set(values)
    draw = np.random.RandomState(4)
    kinds = sorted({name.rsplit("/", 1)[1] for name in values})
    assert kinds == ["beta", "bias", "depthwise_kernel", "gamma", "kernel", "moving_mean", "moving_variance", "pointwise_kernel"]
    for kind in kinds:
        direction = {name: draw.randn(*value.shape) * (name.rsplit("/", 1)[1] == kind) for name, value in values.items()}
        expected = sum(np.vdot(gradients[name], direction[name]) for name in values)
        step = 2e-3
        above, below = (objective.score({name: (value + sign * step * direction[name]).astype(np.float32)
                                         for name, value in values.items()}).loss for sign in (1.0, -1.0))
        assert (above - below) / (2 * step) == pytest.approx(expected, rel=0.01, abs=1e-3), kind
        assert abs(expected) > 1e-3, kind


@pytest.mark.slow
def test_an_utterance_without_finite_loss_counts_only_in_the_word_error_rate(network, objective):
    score = objective.score(network.values(2))
    without = network.data._replace(batches=network.data.batches[:1] + [
        network.data.batches[1]._replace(**{name: value[:1] for name, value in network.data.batches[1]._asdict().items()
                                            if value is not None})])
    with Objective(network.base_model, network.params, without, network.device) as other:
        assert other.score(network.values(2)).loss == pytest.approx(score.loss, rel=1e-6)
    assert np.isfinite(score.loss) and 0.0 <= score.word_error_rate


def test_the_weights_of_another_network(network, objective):
    values = network.values(1)
    name = "ForwardPass/w2l_encoder/conv11/kernel"
    with pytest.raises(CheckpointError, match=r"conv11/kernel is \[3, 4, 5\] in the config, \[3, 4, 7\] in the checkpoints"):
        objective.score(dict(values, **{name: np.zeros([3, 4, 7], np.float32)}))
    del values[name]
    with pytest.raises(CheckpointError, match="conv11/kernel is .* missing in the checkpoints"):
        objective.score(values)


@pytest.mark.slow
def test_the_weights_found_are_the_best_of_the_whole_simplex(network, objective):
    networks = [network.values(1), network.values(2), network.values(3)]
    found = optimized_weights(networks, objective.loss_and_gradient, np.full([3], 1.0 / 3.0))
    assert found.weights.min() >= 0.0 and found.weights.sum() == pytest.approx(1.0, abs=1e-12)
    assert found.loss == pytest.approx(objective.score(combined(networks, found.weights)).loss, rel=1e-6)
    grid = [objective.score(combined(networks, np.array([i, j, 6 - i - j]) / 6.0)).loss
            for i in range(7) for j in range(7 - i)]
    assert found.loss <= min(grid) * 1.005
    assert found.evaluations <= 30


def quadratic(target):
    """||combination - target||^2 of networks that are one point each."""
    def loss_and_gradient(values):
        difference = values["x"].astype(np.float64) - target
        return float(difference.dot(difference)), {"x": 2.0 * difference}
    return loss_and_gradient


CORNERS = [{"x": np.array(point, np.float32)} for point in ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0))]


@pytest.mark.parametrize("target, expected", [
    ((0.25, 0.5), (0.25, 0.25, 0.5)),  # inside
    ((0.5, -1.0), (0.5, 0.5, 0.0)),    # nearest to an edge
    ((-1.0, 3.0), (0.0, 0.0, 1.0)),    # nearest to a corner
])
@pytest.mark.parametrize("start", [(1 / 3, 1 / 3, 1 / 3), (1.0, 0.0, 0.0)])
def test_minima_inside_on_an_edge_and_in_a_corner(target, expected, start):
    found = optimized_weights(CORNERS, quadratic(np.array(target)), start)
    np.testing.assert_allclose(found.weights, expected, atol=2e-3)


def test_the_best_evaluation_is_returned_at_the_limit_or_at_a_nan_loss():
    seen = []

    def poisoned(values):
        loss, gradient = quadratic(np.array([0.25, 0.5]))(values)
        seen.append(loss)
        return (float("nan") if len(seen) == 3 else loss), gradient

    found = optimized_weights(CORNERS, poisoned, (1.0, 0.0, 0.0))
    assert found.evaluations == 3 and found.loss == min(seen[:2])
    only = optimized_weights(CORNERS, quadratic(np.array([0.25, 0.5])), (1.0, 0.0, 0.0), max_evaluations=1)
    assert only.weights.tolist() == [1.0, 0.0, 0.0] and only.evaluations == 1


def test_rounding_off_the_simplex_is_corrected():
    assert on_simplex([-1e-9, 0.5, 0.5]).tolist() == [0.0, 0.5, 0.5]
