"""The search for alpha and beta: what it proposes, how it resumes, what it chooses and prints."""
import json
import os
import shlex

import numpy as np
import pytest

from open_seq2seq.config.parameters import check_parameters
from open_seq2seq.config.report import Report
from open_seq2seq.decoding.options import PARAMETERS, default_options, options_from_config
from open_seq2seq.errors import StorageError
from open_seq2seq.experiment.command_line import parse_command_line
from open_seq2seq.progress import ProgressBar
from open_seq2seq.tuning.report import command_line, config_line, draw, grid_lines
from open_seq2seq.tuning.search import STEP, Trial, Trials, best_of, run_search

optuna = pytest.importorskip("optuna")

ALPHAS, BETAS = (0.0, 3.0), (-2.0, 8.0)
OPTIONS = default_options(decoding="beam", lm_path="lm.arpa")


class Valley:
    """A word error rate whose minimum, 5 %, is at alpha 1.35 and beta 2.6; interrupted after ``limit`` measurements."""

    def __init__(self, limit=None):
        self.measured, self._limit = [], limit

    def measure(self, options):
        if len(self.measured) == self._limit:
            raise KeyboardInterrupt
        self.measured.append((options.alpha, options.beta))
        rate = 0.05 + 0.1 * (options.alpha - 1.35) ** 2 + 0.004 * (options.beta - 2.6) ** 2
        return Trial(options.alpha, options.beta, rate, rate / 3, 0.1, [0])


def search(decoding, path, count, options=OPTIONS, alphas=ALPHAS, betas=BETAS, seed=0):
    trials = Trials(str(path), {"checkpoint": "model.ckpt-1"})
    run_search(decoding, options, trials, count, alphas, betas, seed, ProgressBar(count))
    return trials


def test_the_search_finds_the_minimum_and_an_interrupted_one_ends_with_the_same_trials(tmp_path, capsys):
    whole = search(Valley(), tmp_path / "whole.json", 40)
    best = best_of(whole.finished)
    assert best.wer < 0.0535 and abs(best.alpha - 1.35) < 0.2 and abs(best.beta - 2.6) < 0.8
    values = [(trial.alpha, trial.beta) for trial in whole.finished]
    assert len(set(values)) == 40 and values[0] == (0.5, 1.5)
    assert all(ALPHAS[0] <= alpha <= ALPHAS[1] and BETAS[0] <= beta <= BETAS[1] for alpha, beta in values)
    assert all(abs(value / STEP - round(value / STEP)) < 1e-6 for pair in values for value in pair)
    assert "Trial 40/40" in capsys.readouterr().out

    for limit in (5, 20):
        with pytest.raises(KeyboardInterrupt, match="of 40 trials.*same command"):
            search(Valley(limit), tmp_path / "resumed.json", 40)
    resumed = search(Valley(), tmp_path / "resumed.json", 40)
    assert resumed.finished == whole.finished
    nothing_to_do = Valley()
    assert search(nothing_to_do, tmp_path / "resumed.json", 30).finished == whole.finished and not nothing_to_do.measured
    assert json.loads((tmp_path / "resumed.json").read_text())["checkpoint"] == "model.ckpt-1"


def test_a_small_range_is_searched_completely(tmp_path, capsys):
    alphas, betas = (0.5, 0.6), (1.0, 1.1)
    trials = search(Valley(), tmp_path / "trials.json", 100, alphas=alphas, betas=betas)
    assert sorted((trial.alpha, trial.beta) for trial in trials.finished) == [
        (alpha, beta) for alpha in (0.5, 0.55, 0.6) for beta in (1.0, 1.05, 1.1)]
    assert "All values" in capsys.readouterr().out


def test_other_ranges_count_only_their_trials(tmp_path):
    search(Valley(), tmp_path / "trials.json", 20)
    more = search(Valley(), tmp_path / "trials.json", 20, betas=(8.0, 12.0))
    assert len(more.finished) >= 39 and len(more.within(ALPHAS, (8.0, 12.0))) == 20


def test_a_damaged_file_of_trials_is_named_and_kept(tmp_path):
    (tmp_path / "trials.json").write_text('{"trials": [{"alpha": 1')
    with pytest.raises(StorageError, match="trials.json.*Delete it"):
        search(Valley(), tmp_path / "trials.json", 5)
    assert os.listdir(str(tmp_path)) == ["trials.json"]


def test_of_equal_trials_the_middle_one_is_the_best():
    plateau = [Trial(alpha, 2.0, 0.1, 0.05, 1.0, []) for alpha in (0.2, 0.4, 1.0, 1.4, 2.0)]
    others = [Trial(0.9, 2.0, 0.1, 0.06, 1.0, []), Trial(1.0, 3.0, 0.2, 0.01, 1.0, [])]
    assert best_of(others + plateau) == plateau[2]


def test_the_grid_has_the_lowest_rate_of_each_cell_and_the_picture_is_drawn():
    trials = [Trial(0.0, -2.0, 0.5, 0.2, 1.0, [1]), Trial(0.4, -1.0, 0.25, 0.2, 1.0, [1]), Trial(3.0, 8.0, 0.75, 0.2, 1.0, [1])]
    lines = grid_lines(trials, ALPHAS, BETAS)
    rows = [line.split() for line in lines[2:]]
    assert rows[0] == ["0.00..0.50", "25.00", "-", "-", "-", "-", "-"] and rows[-1][-1] == "75.00"
    assert np.sum([row.count("-") for row in rows]) == 34
    pytest.importorskip("matplotlib")
    assert draw(trials, trials[1], {"greedy": trials[0]}).startswith(b"\x89PNG")
    assert eval("{%s}" % config_line(OPTIONS, trials[1])) == {
        "decoding": "beam", "lm_path": "lm.arpa", "beam_width": 64, "alpha": 0.4, "beta": -1.0}


@pytest.mark.parametrize("others", [
    {}, {"lexicon": False, "cutoff_prob": 0.99}, {"lexicon": "my words.txt"},
    {"score_sentence_end": False, "beam_prune_logp": -20.0},
    {"hot_words": {"it's": 8.0, "new york": 2.5}, "search_library": "pyctcdecode", "lm_path": "a folder/lm 'x'.arpa"}])
def test_the_printed_lines_repeat_all_options_of_the_search(others):
    options, best = OPTIONS._replace(decoder_workers=3, **others), Trial(0.4, -1.0, 0.25, 0.2, 1.0, [1])
    expected = options._replace(alpha=0.4, beta=-1.0, decoder_workers=None)
    assert options_from_config(eval("{%s}" % config_line(options, best))) == expected
    _, overrides = parse_command_line(["--config_file=x.py", "--mode=eval"] + shlex.split(command_line(options, best)))
    assert all(override.keys[0] == "decoder_params" for override in overrides)
    report = Report()
    params = check_parameters(PARAMETERS, {override.keys[1]: override.value for override in overrides}, "decoder_params", report)
    assert not report.problems and options_from_config(params) == expected
