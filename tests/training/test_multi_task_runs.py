"""Trainings with several tasks resume exactly."""
import csv

import pytest

from tests.training import short_runs
from tests.training.test_exact_resume import check_parts, train  # noqa: F401

pytestmark = pytest.mark.slow

TASKS = '''
base_params["tasks"] = {
    "letters": {"data": {}},
    "early": {"data": {"eval_files": []}, "layer": "conv11", "weight": {"start": 1.0, "end": 0.2}},
    "speaker": {"data": {"kind": "label", "column": "speaker"}, "adversarial": True, "weight": "uncertainty"},
    "clean": {"data": {"kind": "features", "eval_files": []}},
}
base_params["best_metric"] = base_params["stopping_metric"] = "speaker.accuracy"
base_params["early_stop"] = True
base_params["ema_decay"] = 0.9
'''


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    short_runs.make_corpus(folder)
    with open(str(folder / "config.py"), "a") as file:
        file.write(TASKS)
    for name in ("train.csv", "dev.csv"):
        with open(str(folder / name)) as file:
            rows = list(csv.reader(file))
        with open(str(folder / name), "w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerows([row + ["speaker" if not number else "ab"[number % 2]] for number, row in enumerate(rows)])
    return folder


def test_a_resumed_training_has_the_losses_of_an_uninterrupted_one(train):  # noqa: F811
    whole, printed = train("--max_steps=5", mode="train_eval")
    assert sorted(whole.losses) == list(range(1, 6)) and "Task speaker accuracy" in printed
    check_parts(train, whole, (3,), "--max_steps=5", mode="train_eval")
