"""--mode=search: the space, the study that survives its process, and a search that is killed and continued."""
import csv
import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from open_seq2seq.errors import ConfigError, UsageError
from open_seq2seq.launch.rank_environment import plan_single
from open_seq2seq.launch.rank_process import KillGuard
from open_seq2seq.tuning.hyperparameters.mode import check_ends
from open_seq2seq.tuning.hyperparameters.report import draw, write_results
from open_seq2seq.tuning.hyperparameters.space import Dimension, default_space, first_trials, literal, read_space
from open_seq2seq.tuning.hyperparameters.study import Study, reached
from open_seq2seq.tuning.hyperparameters.trial_process import TrialProcess, by_progress, evaluations, trial_folder
from tests.paths import REPOSITORY
from tests.training.short_runs import make_corpus

optuna = pytest.importorskip("optuna")

PARAMS = {"width_multiplier": 2.0, "block_copies": 1, "kernel_multiplier": 1.0, "dropout_multiplier": 1.0, "max_steps": 1000,
          "num_epochs": None, "lr_policy_params": {"learning_rate": 0.02}}
SPACE = [Dimension("rate", 0.001, 0.1, None, True, None), Dimension("steps", 100, 400, 100, False, None),
         Dimension("kind", None, None, None, False, ("a", None, [3, 5]))]
SETTINGS = {"metric": "loss", "config": "config.py"}


def test_a_space_is_read_from_yaml_with_its_types(tmp_path):
    path = tmp_path / "space.yaml"
    path.write_text("max_steps: {low: 100, high: 450, step: 100}\n"
                    "lr_policy_params/learning_rate: {low: 0.001, high: 1, log: true}\n"
                    "encoder_params/normalization: {values: [batch_norm, null]}\nx: {low: 1, high: 3}\n")
    steps, rate, choice, whole = read_space(str(path), PARAMS)
    assert steps == ("max_steps", 100, 400, 100, False, None) and steps.is_whole and whole.is_whole and not rate.is_whole
    assert choice.ends == ("batch_norm", None) and rate.log
    assert [steps.nearest(value) for value in (-5, 149, 151, 999)] == [100, 100, 200, 400]
    assert [literal(value) for value in ("a", None, 0.1 + 0.2, 3, [1, 2])] == ["a", "None", "0.3", "3", "[1, 2]"]


@pytest.mark.parametrize("text, words", [
    ("", "expected keys of the config"), ("- a", "expected keys of the config"), ("a: [", "is not a YAML file"),
    ("a: 3", "a is 3"), ("a: {low: 1}", "expected {low: NUMBER, high: NUMBER}"), ("a: {hihg: 1, low: 0}", "did you mean high"),
    ("a: {low: 3, high: 1}", "low below high"), ("a: {low: 1e-3, high: 1}", "write 0.001"), ("a: {values: [1]}", "at least two"),
    ("a: {low: 0, high: 1, log: true}", "a low above 0"), ("a: {low: 0, high: 1, step: 3}", "at most 1"),
    ("a: {low: 0, high: .inf}", "finite"), ("a: {low: true, high: 2}", "expected {low")])
def test_mistakes_in_a_space_are_named(text, words, tmp_path):
    path = tmp_path / "space.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as raised:
        read_space(str(path), PARAMS)
    assert words in str(raised.value) and "space.yaml" in str(raised.value)
    with pytest.raises(ConfigError, match="cannot read .*missing.yaml"):
        read_space(str(tmp_path / "missing.yaml"), PARAMS)


def test_a_key_of_a_space_that_the_config_does_not_have_is_named():
    config = os.path.join(REPOSITORY, "configs", "speech2text", "jasper_mini_digits.py")
    with pytest.raises(ConfigError) as raised:
        check_ends([Dimension("lr_policy_params/learning_rat", 0.1, 1.0, None, False, None)], config, [])
    assert "search_space: lr_policy_params/learning_rat is unknown" in str(raised.value) and "learning_rate" in str(raised.value)


def test_the_default_space_tries_deeper_and_narrower_networks_before_wider_ones():
    space = default_space(PARAMS)
    trials = first_trials(space, PARAMS)
    assert [(trial["block_copies"], trial["width_multiplier"]) for trial in trials] == [
        (1, 2.0), (2, 1.5), (3, 1.0), (2, 2.0), (1, 2.5)]
    assert all(trial["lr_policy_params/learning_rate"] == 0.02 and trial["max_steps"] == 1000 for trial in trials)
    assert {dimension.key: (dimension.low, dimension.high) for dimension in space}["max_steps"] == (500, 2000)
    # a config without epochs has none
    assert "num_epochs" not in {dimension.key for dimension in space}


def trained(study, count, stop=None):
    """Trains ``count`` trials by a formula; returns their values. The last one is interrupted if ``stop``."""
    found = []
    for place in range(count):
        trial, values = study.next_trial()
        found.append(values)
        if stop and place == count - 1:
            return found
        study.complete(trial, abs(values["rate"] - 0.01) + values["steps"] / 1e4 + (values["kind"] == "a"), 1.0)
    return found


def test_a_continued_search_proposes_what_an_uninterrupted_one_does(tmp_path):
    uninterrupted = trained(Study(str(tmp_path / "one"), SPACE, SETTINGS, {}, 1), 12)
    folder = str(tmp_path / "two")
    found = trained(Study(folder, SPACE, SETTINGS, {}, 1), 5, stop=True)
    study = Study(folder, SPACE, SETTINGS, {}, 1)
    (trial, values), = study.resumed()
    assert values == found[-1] and study.num_ended == 4 and len(study.trials) == 5
    study.complete(trial, abs(values["rate"] - 0.01) + values["steps"] / 1e4 + (values["kind"] == "a"), 1.0)
    found += trained(study, 3)
    found += trained(Study(folder, SPACE, SETTINGS, {}, 1), 4)
    assert found == uninterrupted
    assert len({tuple(map(literal, values.values())) for values in found}) == 12
    best = Study(folder, SPACE, SETTINGS, {}, 1).best
    assert best.value == min(abs(values["rate"] - 0.01) + values["steps"] / 1e4 + (values["kind"] == "a") for values in found)


@pytest.mark.parametrize("settings, space, words", [
    ({"metric": "speaker.accuracy", "config": "config.py"}, SPACE, ["metric was 'loss'", "the direction was minimize"]),
    ({"metric": "wer", "config": "config.py"}, SPACE, ["metric was 'loss' and is 'wer'"]),
    (SETTINGS, SPACE[:2], ["space was"])])
def test_a_study_of_other_settings_is_refused(settings, space, words, tmp_path):
    Study(str(tmp_path), SPACE, SETTINGS, {}, 0)
    with pytest.raises(UsageError) as raised:
        Study(str(tmp_path), space, settings, {}, 0)
    assert all(word in str(raised.value) for word in words + ["another --logdir"])


def test_no_values_are_tried_twice_and_the_search_ends_when_all_were(tmp_path):
    space = [Dimension("steps", 1, 3, None, False, None)]
    study, found = Study(str(tmp_path), space, SETTINGS, {}, 0), []
    while True:
        proposed = study.next_trial()
        if proposed is None:
            break
        found.append(proposed[1]["steps"])
        study.complete(proposed[0], 1.0 / proposed[1]["steps"], 1.0)
    assert sorted(found) == [1, 2, 3] and study.num_ended == 3 and study.best.params == {"steps": 3}


def test_a_trial_that_is_worse_than_the_median_is_stopped_and_reports_are_stored_once(tmp_path):
    study = Study(str(tmp_path), SPACE, SETTINGS, {}, 0)
    for place in range(4):
        trial, _ = study.next_trial()
        assert not study.reports(trial, {200: 8.0 + place, 600: 4.0 + place, 1000: 2.0 + place})
        study.complete(trial, 2.0 + place, 1.0)
    # at 0.4 of their training the others had 6, 7, 8 and 9
    for values, worse in (({400: 7.9}, False), ({400: 8.1}, True), ({250: 99.0}, False), ({400: 7.9, 700: 7.9}, True),
                          ({1000: 99.0}, False)):
        trial, _ = study.next_trial()
        assert study.reports(trial, values) == worse
        assert not study.reports(trial, {progress: 100.0 for progress in values})  # known already
        study.prune(trial, "worse", 1.0)
        assert study.trials[-1].state.name == "PRUNED" and study.trials[-1].intermediate_values == values


def test_what_a_trial_had_reached_is_interpolated():
    values = {100: 9.0, 200: 5.0, 300: 7.0}
    assert [reached(values, progress, min) for progress in (50, 100, 150, 250, 300, 301)] == [None, 9.0, 7.0, 5.0, 5.0, None]
    assert reached(values, 150, max) == 9.0


def test_evaluations_are_read_from_a_run_that_is_being_written(tmp_path):
    entries = [{"kind": "start", "step": 0, "last_step": 40}, {"kind": "step", "step": 5, "loss": 9.0},
               {"kind": "evaluation", "step": 10, "loss": 3.0, "word_error_rate": 0.5},
               {"kind": "task_evaluation", "step": 10, "task": "speaker", "accuracy": 0.7, "loss": 1.0},
               {"kind": "evaluation", "step": 20, "loss": None, "word_error_rate": 0.4}]
    (tmp_path / "metrics.jsonl").write_text("\n".join(map(json.dumps, entries)) + '\n{"kind": "evaluation", "st')
    folder = str(tmp_path)
    assert evaluations(folder, "loss") == {10: 3.0} and evaluations(folder, "wer") == {10: 0.5, 20: 0.4}
    assert evaluations(folder, "speaker.accuracy", "kyrgyz") == {10: 0.7} and evaluations(folder, "kyrgyz.wer", "kyrgyz") == {
        10: 0.5, 20: 0.4}
    assert evaluations(str(tmp_path / "none"), "loss") == {} == by_progress(str(tmp_path / "none"), {})
    assert by_progress(folder, {10: 0.5, 20: 0.4, 40: 0.3}) == {250: 0.5, 500: 0.4, 1000: 0.3}


def test_the_reason_of_a_failure_is_that_of_its_output(tmp_path):
    study = Study(str(tmp_path), SPACE, SETTINGS, {}, 0)
    guard = KillGuard()
    try:
        trial, values = study.next_trial()
        plan, = plan_single("cpu", 0, dict(os.environ))
        process = TrialProcess(trial, values, str(tmp_path), ["--config_file=missing.py", "--mode=train_eval"], plan, guard)
        end = time.monotonic() + 100
        while process.status is None and time.monotonic() < end:
            time.sleep(0.05)
        assert process.status == 2 and re.match("ConfigError: config file missing.py cannot be read", process.failure())
    finally:
        guard.close()


def test_the_results_name_the_best_trial_and_its_command(tmp_path, capsys):
    class Flags:
        config_file, trials = "my config.py", 12
    study = Study(str(tmp_path), SPACE, SETTINGS, {}, 1)
    trained(study, 11)
    trial, _ = study.next_trial()
    study.fail(trial, "ResourceExhaustedError: out of memory", 3.0)
    trial, _ = study.next_trial()
    study.reports(trial, {500: 1.5})
    study.prune(trial, "worse", 2.0)
    best = write_results(study, {"best_metric": "loss", "logdir": "runs/x"}, Flags, [])
    with open(str(tmp_path / "trials.csv"), encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 13 and [row["state"] for row in rows[11:]] == ["fail", "pruned"] and "out of memory" in rows[11]["reason"]
    assert float(rows[best.number]["loss"]) == min(float(row["loss"]) for row in rows[:11])
    command = (tmp_path / "best.txt").read_text()
    assert "'--config_file=my config.py'" in command and "--rate=%s" % literal(best.params["rate"]) in command
    printed = capsys.readouterr().out
    assert "11 complete, 1 stopped early, 1 failed" in printed and "What mattered" in printed and command.strip() in printed
    importances = study.importances()
    assert sum(importances.values()) == pytest.approx(1.0) and max(importances, key=importances.get) == "kind"
    assert draw(study, best, "loss", importances)[:4] == b"\x89PNG"


@pytest.mark.slow
def test_a_search_that_was_killed_continues_with_its_trials_and_records_those_that_fail(tmp_path):
    make_corpus(tmp_path)
    (tmp_path / "space.yaml").write_text(
        "max_steps: {low: 30, high: 60, step: 10}\nlr_policy_params/learning_rate: {values: [0.02, 1.0e+30]}\n")
    command = [sys.executable, os.path.join(REPOSITORY, "run.py"), "--config_file=config.py", "--mode=search", "--device=cpu",
               "--search_space=space.yaml", "--eval_steps=10", "--save_checkpoint_steps=5", "--jobs=2", "--trials=5",
               "--max_bad_steps=2", "--bad_batches=0"]
    search = subprocess.Popen(command, cwd=str(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    folder = str(tmp_path / "run" / "search")
    end = time.monotonic() + 200
    while not any(os.path.exists(os.path.join(trial_folder(folder, number), "checkpoint")) for number in (0, 1)):
        assert search.poll() is None and time.monotonic() < end, search.communicate()[0]
        time.sleep(0.1)
    search.send_signal(signal.SIGKILL)
    search.communicate()
    done = subprocess.run(command, cwd=str(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=400)
    assert done.returncode == 0, done.stdout
    assert "interrupted" in done.stdout and re.search("Trial [01], continued: --max_steps", done.stdout), done.stdout
    with open(os.path.join(folder, "trials.csv"), encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len({row["trial"] for row in rows}) == 5
    for row in rows:
        found = evaluations(trial_folder(folder, int(row["trial"])), "loss")
        diverges = row["lr_policy_params/learning_rate"] == "1e+30"
        assert row["state"] == "fail" if diverges else row["state"] == "pruned" or float(row["loss"]) == pytest.approx(
            min(found.values()), rel=1e-4)
        assert not diverges or "finite" in row["reason"], row
    assert {row["state"] for row in rows} >= {"complete", "fail"}
    refused = subprocess.run(command + ["--optimizer_params/weight_decay=0.1"], cwd=str(tmp_path), stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True, timeout=100)
    assert refused.returncode == 2 and "other settings" in refused.stdout and "weight_decay" in refused.stdout
