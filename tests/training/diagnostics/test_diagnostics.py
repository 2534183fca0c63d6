"""Diagnostics of short trainings: what they measure, that they do not change the training, how often they report."""
import types

import pytest

from open_seq2seq.training.diagnostics.diagnostics import DEFAULT_UTTERANCES, diagnosed_utterances
from open_seq2seq.training.diagnostics.schedule import SHARE, Schedule
from open_seq2seq.training.metrics import read_metrics
from tests.training.short_runs import make_corpus, train_short


@pytest.fixture
def corpus(tmp_path, monkeypatch):
    make_corpus(tmp_path)
    monkeypatch.chdir(str(tmp_path))
    return tmp_path


def _entries(kind, logdir="run"):
    return [entry for entry in read_metrics("%s/metrics.jsonl" % logdir) if entry["kind"] == kind]


@pytest.mark.slow
def test_a_training_with_diagnostics(corpus):
    plain = train_short("--diagnostics_utterances=0", "--eval_steps=2", "--metrics_steps=1", "--max_steps=6", mode="train_eval",
                        logdir="plain")
    diagnosed = train_short("--diagnostics_steps=2", "--diagnostics_utterances=7", "--eval_steps=2", "--max_steps=6",
                            "--metrics_steps=1", mode="train_eval")
    # to the last bit
    assert (diagnosed.losses, diagnosed.evaluations) == (plain.losses, plain.evaluations)
    assert not _entries("subset", "plain") and not _entries("layers", "plain")

    subsets = {(entry["data_set"], entry["step"]): entry for entry in _entries("subset")}
    assert sorted(subsets) == [(name, step) for name in ("dev", "train") for step in (2, 4, 6)]
    assert [subsets["train", step]["utterances"] for step in (2, 4, 6)] == [7] * 3
    for entry in _entries("evaluation"):
        # 3 utterances of dev are less than 7: all of them
        subset = subsets["dev", entry["step"]]
        assert subset["utterances"] == 3
        assert subset["loss"] == pytest.approx(entry["loss"], rel=1e-4)
        for name in ("word_error_rate", "character_error_rate", "sentence_error_rate"):
            assert subset[name] == entry[name]
        assert subset["frame_entropy"] == pytest.approx(entry["frame_entropy"], rel=1e-4)
    # of 4 outputs and the blank
    assert all(0.0 < entry["frame_entropy"] < 1.61 for entry in subsets.values())

    layers = _entries("layers")
    names = ["conv11", "conv21", "conv22/res_0", "conv22", "fully_connected"]
    assert [[row["layer"] for row in entry["layers"]] for entry in layers] == [names] * 3
    rows = {row["layer"]: row for row in layers[-1]["layers"]}
    assert all(0.0 < row["relative_change"] < 1.0 and row["gradient_norm"] > 0.0 for row in rows.values())
    assert all("mean_drift" in row and "variance_drift" in row for name, row in rows.items() if name != "fully_connected")
    assert [name for name in names if "dead_channels" in rows[name]] == ["conv11", "conv21", "conv22"]
    # the mean over two steps of the norm of all layers together is at least the norm of their means
    steps = {entry["step"]: entry for entry in _entries("step")}
    whole = sum(row["gradient_norm"] ** 2 for row in rows.values()) ** 0.5
    assert whole == pytest.approx((steps[5]["gradient_norm"] + steps[6]["gradient_norm"]) / 2, rel=0.2)
    assert steps[3]["learning_rate"] == pytest.approx(0.02 * (1 - 2 / 6) ** 2 + 1e-5 * (1 - (1 - 2 / 6) ** 2), rel=1e-3)
    assert _entries("end")[-1]["reason"] == "the last step" and _entries("start")[0]["utterances"] == 10


@pytest.mark.slow
def test_without_dev_data_and_with_averages_and_limits(corpus):
    train_short("--diagnostics_steps=2", "--diagnostics_utterances=64", "--max_steps=4", "--metrics_steps=2", "--ema_decay=0.9",
                "--max_param_change=1e-4", "--max_total_param_change=1e-3")
    assert [(entry["data_set"], entry["utterances"]) for entry in _entries("subset")] == [("train", 10)] * 2
    rows = _entries("layers")[-1]["layers"]
    assert [row["limited_changes"] for row in rows] == [4] * 5
    last = _entries("step")[-1]
    assert (last["step"], last["limited_total_changes"]) == (4, 0) and last["limited_layer_changes"] in (15, 20)
    # two updates of at most 1e-4 each
    assert all(row["relative_change"] * row["parameter_norm"] < 2.1e-4 for row in rows)


def test_subsets_of_a_data_layer(corpus):
    from open_seq2seq.data import Speech2TextDataLayer
    from open_seq2seq.experiment.loading import load_experiment
    params = load_experiment("config.py", "train", []).params["train"]["data_layer_params"]
    workers = [Speech2TextDataLayer(params, "train", 2, num_workers=2, worker_id=worker) for worker in range(2)]
    subsets = [worker.subset(5, seed=3) for worker in workers]
    names = [[utterance.id for utterance in subset.utterances] for subset in subsets]
    assert names[0] == names[1] and len(set(names[0])) == 5
    assert set(names[0]) < {utterance.id for utterance in workers[0].utterances}
    assert [utterance.index for utterance in subsets[0].utterances] == [0, 1, 2, 3, 4]
    assert {tuple(utterance.id for utterance in workers[0].subset(5, seed).utterances) for seed in range(8)} != {tuple(names[0])}
    # 3 and 2 of them, in batches of 2
    assert (subsets[0].mode, [subset.batches_per_epoch for subset in subsets]) == ("eval", [2, 1])
    assert len(workers[0].subset(100, 0).utterances) == 10
    # the data layer of the training is unchanged
    assert (workers[0].mode, len(workers[0].utterances)) == ("train", 10)


class _Clock:
    seconds = 0.0

    def __call__(self):
        return self.seconds


@pytest.mark.parametrize("step_seconds, report_seconds, last_step", [(0.1, 0.4, 20000), (0.1, 3.0, 20000), (2.0, 0.5, 400000)])
def test_automatic_reports_stay_within_their_share_of_the_time(step_seconds, report_seconds, last_step):
    clock, reports, spent = _Clock(), 0, 0.0
    schedule = Schedule(None, last_step, cost_in_steps=4.0, clock=clock)
    # the first report takes longer: TensorFlow prepares its operations
    schedule.start(0, preparation=5.0 * report_seconds)
    for step in range(1, last_step + 1):
        clock.seconds += step_seconds
        if schedule.can_plan_first(step):
            schedule.next_step = schedule.first(step)
        if schedule.is_due(step):
            seconds = report_seconds * (5.0 if reports == 0 else 1.0)
            clock.seconds += seconds
            spent, reports = spent + seconds, reports + 1
            schedule.next_step = schedule.after(step, seconds)
            assert spent < 0.03 * clock.seconds
    assert 10 <= reports <= 100
    assert spent <= SHARE * clock.seconds


def test_fixed_intervals():
    schedule = Schedule(50, 1000, cost_in_steps=4.0, clock=_Clock())
    schedule.start(30)
    assert not schedule.is_automatic and [step for step in range(31, 160) if schedule.is_due(step)] == [50, 100, 150]


@pytest.mark.parametrize("utterances, steps, static_shapes, expected", [
    (None, None, False, DEFAULT_UTTERANCES), (None, None, True, 0), (None, 100, True, DEFAULT_UTTERANCES), (16, None, True, 16),
    (0, 100, False, 0), (0, 100, True, 0)])
def test_how_many_utterances(utterances, steps, static_shapes, expected):
    from open_seq2seq.data import Speech2TextDataLayer
    params = {"diagnostics_utterances": utterances, "diagnostics_steps": steps, "data_layer": Speech2TextDataLayer}
    assert diagnosed_utterances(params, types.SimpleNamespace(static_shapes=static_shapes)) == expected
    assert diagnosed_utterances(dict(params, data_layer=object), types.SimpleNamespace(static_shapes=static_shapes)) == 0
