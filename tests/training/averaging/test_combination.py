"""Which of the candidates --mode=combine writes: real networks, scored on the same utterances."""
import re

import numpy as np
import pytest

from open_seq2seq.errors import CheckpointError
from open_seq2seq.training.averaging.combination import EQUAL, OPTIMIZE, Candidate, best_candidate, search
from open_seq2seq.training.averaging.objective import Objective, Score


@pytest.fixture
def objective(network):
    with Objective(network.base_model, network.params, network.data, network.device) as made:
        yield made


def candidates(printed):
    """Dict from name to (WER, loss) of all candidates in the log."""
    return {name: (float(wer), float(loss)) for name, loss, wer in re.findall(
        r"^\*\*\*     (\S.*): loss (\d+\.\d+), WER (\d+\.\d+)$", printed, re.M)}


def test_a_combination_with_a_lower_loss_and_a_higher_wer_than_a_checkpoint_is_not_the_result(network, objective, capsys):
    networks = [("model.ckpt-1", network.values(11)), ("model.ckpt-2", network.values(54))]
    found = search(objective, networks, OPTIMIZE)
    printed = capsys.readouterr().out
    scores = candidates(printed)
    optimized, = [score for name, score in scores.items() if name.startswith("combination with weights")]
    # otherwise this is not the case in question
    assert optimized[1] == min(loss for _, loss in scores.values()) and optimized[0] > scores["model.ckpt-1"][0]
    assert found.name == "model.ckpt-1" and found.weights.tolist() == [1.0, 0.0] and found.values is networks[0][1]
    assert found.score.word_error_rate == min(wer for wer, _ in scores.values())
    assert "Note: no combination is better than this checkpoint on these utterances; it is written unchanged" in printed


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [(11, 51), (54, 50), (41, 43, 1), (0, 1, 2)])
def test_the_result_is_never_worse_than_a_candidate(network, objective, capsys, seeds):
    networks = [("model.ckpt-%d" % seed, network.values(seed)) for seed in seeds]
    found = search(objective, networks, OPTIMIZE)
    scores = candidates(capsys.readouterr().out)
    assert set(name for name, _ in networks) < set(scores) and "their mean" in scores and len(scores) == len(seeds) + 2
    assert (found.score.word_error_rate, found.score.loss) == pytest.approx(min(scores.values()), abs=1e-4)
    # and it is the network with this score
    assert objective.score(found.values) == found.score


def test_of_equal_word_error_rates_the_lower_loss_decides(network, objective, capsys):
    found = search(objective, [("a", network.values(54)), ("b", network.values(50))], OPTIMIZE)
    assert found.name.startswith("combination with weights") and 0.0 < found.weights.min() < 1.0
    assert "; the best single checkpoint is a (loss" in capsys.readouterr().out


def test_the_mean_is_the_result_even_if_it_is_worse_and_a_note_says_so(network, objective, capsys):
    networks = [("a", network.values(41)), ("b", network.values(1))]
    found = search(objective, networks, EQUAL)
    scores = candidates(capsys.readouterr().out)
    assert found.name == "their mean" and scores["their mean"] > min(scores["a"], scores["b"])
    np.testing.assert_allclose(found.values["ForwardPass/w2l_encoder/conv11/kernel"],
                               (networks[0][1]["ForwardPass/w2l_encoder/conv11/kernel"]
                                + networks[1][1]["ForwardPass/w2l_encoder/conv11/kernel"]) / 2, rtol=1e-6)
    search(objective, networks, EQUAL)
    assert "Note: that checkpoint is better on these utterances; --combine_weights=optimize would choose it" \
        in capsys.readouterr().out


def test_measured_batch_norm_is_a_candidate_of_its_own(network, objective):
    def zeroed(values):
        return {name: np.zeros_like(value) for name, value in values.items()}

    networks = [("a", network.values(54)), ("b", network.values(50))]
    assert search(objective, networks, EQUAL, 7, zeroed).bn_batches == 7
    # it is worse, and not the result of a search for the best
    assert search(objective, networks, OPTIMIZE, 7, zeroed).bn_batches is None


def test_candidates_without_a_finite_loss():
    def candidate(name, loss, rate):
        return Candidate(name, None, None, Score(loss, rate), None)

    finite = candidate("finite", 9.0, 0.5)
    assert best_candidate([candidate("diverged", float("nan"), 0.0), finite, candidate("worse", 1.0, float("nan"))]) is finite
    with pytest.raises(CheckpointError, match="none of a, b has a finite loss"):
        best_candidate([candidate("a", float("nan"), 0.0), candidate("b", float("inf"), 0.0)])
