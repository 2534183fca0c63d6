"""The playbook's command lines on a tiny corpus: training, stopping, test and export."""
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest

from open_seq2seq.checkpoints.files import latest_checkpoint
from open_seq2seq.checkpoints.restore import open_checkpoint
from open_seq2seq.training.final_test import FinalTest
from open_seq2seq.training.metrics import read_metrics
from tests.paths import REPOSITORY

pytestmark = pytest.mark.slow

# es_min_delta is more than the loss falls by after the first epoch, so that it is a plateau from there on
PLAYBOOK = """--train_files train.csv --dev_files dev.csv --test_files test.csv --checkpoint_dir checkpoints --checkpoint_secs 600
    --max_to_keep 3 --export_dir exported --epochs 9 --train_batch_size 4 --dev_batch_size 2 --test_batch_size 3
    --reduce_lr_on_plateau true --plateau_epochs 1 --plateau_reduction 0.08 --early_stop true --es_epochs 2 --es_min_delta 1000
    --dropout_rate 0.3 --learning_rate 0.002 --width_multiplier 0.5""".split()
# keys of the config that would interfere; the playbook's command lines do not set them
QUIET = ["--save_checkpoint_steps=None", "--print_loss_steps=None", "--print_samples_steps=None",
         "--metrics_steps=None"]


@pytest.fixture
def with_test_set(corpus):
    """test.csv next to the other manifests."""
    rows = (corpus / "train.csv").read_text().splitlines()
    (corpus / "test.csv").write_text("\n".join(rows[:7]) + "\n")
    return corpus


def figures(output, name):
    return [float(figure) for figure in re.findall(r"^\*\*\*     %s: +(\S+)" % name, output, re.MULTILINE)]


def weights(checkpoint):
    reader = open_checkpoint(checkpoint)
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def test_training_stops_tests_exports_and_resumes_on_request(with_test_set, run_here):
    corpus, words = with_test_set, PLAYBOOK + QUIET
    trained = run_here(*words)
    assert trained.status == 0, trained.err
    assert len(figures(trained.out, "Validation WER")) == 3  # once an epoch of four steps
    assert re.search(r"^\*\*\* Stopped at step 12 of 36: no improvement by at least 1000 for 2 epochs; the best validation "
                     r"loss is [\d.]+, of step (4|8|12)$", trained.out, re.MULTILINE)
    assert "is multiplied by 0.08, to 0.08 of the policy's; the weights are reset to checkpoints/best_dev-" in trained.out
    assert "*** Finished training" in trained.out
    last = weights(latest_checkpoint("checkpoints"))
    assert last["global_step"] == 12 and last["training_state/learning_rate_factor"] == np.float32(0.08)
    assert last["ForwardPass/w2l_encoder/conv11/kernel"].shape == (5, 16, 8)

    # the figures of the test are those of the best model, and the exported one's
    tested = figures(trained.out, "Test loss") + figures(trained.out, "Test WER")
    report = json.loads((corpus / "checkpoints" / "report" / "test" / "eval.json").read_text(encoding="utf-8"))
    assert report["data_set"] == "test.csv" and report["summary"]["wer"] == pytest.approx(tested[1], abs=1e-4)
    evaluate = ["--mode=eval", "--checkpoint_dir=checkpoints", "--test_files=test.csv", "--restore_best_checkpoint=True"]
    evaluated = run_here("--width_multiplier=0.5", *evaluate)
    assert evaluated.status == 0, evaluated.err
    assert figures(evaluated.out, "Validation loss") + figures(evaluated.out, "Validation WER") == pytest.approx(tested, abs=2e-4)
    description = json.loads((corpus / "exported" / "jasper_infer_float32.json").read_text())
    assert description["wer"]["data_set"] == "test.csv" and description["wer"]["value"] == pytest.approx(tested[1], abs=1e-4)
    entries = read_metrics("checkpoints/metrics.jsonl")
    assert [entry["word_error_rate"] for entry in entries if entry["kind"] == "test"] == pytest.approx(
        tested[1:], abs=1e-4)
    refused = run_here(*evaluate)
    assert refused.status == 2 and "was trained with width_multiplier 0.5, and this command has 1: its layers have 8, 8 " \
                                   "channels, those of the config 16, 16. Give --width_multiplier=0.5" in refused.err

    again = run_here(*words)
    assert again.status == 0 and "Nothing to do: this training was stopped at step 12: no improvement by at least 1000 " \
                                 "for 2 epochs" in again.out and "--early_stop=False, a larger --es_epochs" in again.out
    assert figures(again.out, "Test loss") == pytest.approx(tested[:1], abs=2e-4)
    on = run_here(*(words + ["--early_stop=False", "--epochs=4"]))
    assert on.status == 0, on.err
    assert "to 0.0064 of the policy's" in on.out and latest_checkpoint("checkpoints") == "checkpoints/model.ckpt-16"


def test_a_plateau_restores_the_best_weights_and_continues_the_steps(with_test_set, run_here):
    # the second epoch is the plateau and the last one: what is saved then has the weights of the best model
    words = ["--train_files=train.csv", "--dev_files=dev.csv", "--reduce_lr_on_plateau=true", "--plateau_epochs=1", "--epochs=2",
             "--es_min_delta=1000", "--logdir=run", "--optimizer=Momentum",
             "--optimizer_params={'momentum': 0.9}", "--lr_policy=fixed_lr", "--lr_policy_params={'learning_rate': 3e-3}"]
    trained = run_here(*(words + QUIET))
    assert trained.status == 0, trained.err
    best, last = weights(latest_checkpoint("run", best=True)), weights(latest_checkpoint("run"))
    step = int(best["global_step"])
    assert step in (4, 8) and last["global_step"] == 8 and last["training_state/micro_batches"] == 8
    same = [name for name in best if np.array_equal(best[name], last[name])]
    network = [name for name in best if "ForwardPass/" in name]
    assert len(network) > 20 and any("Momentum" in name for name in network) and set(network) <= set(same)
    assert last["training_state/learning_rate_factor"] == np.float32(0.1)


def test_max_hours_ends_evaluates_and_saves(with_test_set, run_here):
    words = ["--dev_files=dev.csv", "--max_hours=1e-9", "--logdir=run"] + QUIET
    trained = run_here(*words)
    assert trained.status == 0, trained.err
    assert "*** Stopped at step 1 of 6: max_hours is 1e-09, and the training has taken 0.00 hours" in trained.out
    assert len(figures(trained.out, "Validation loss")) == 1 and latest_checkpoint("run") == "run/model.ckpt-1"
    again = run_here("--continue_learning", *words)
    assert again.status == 0 and latest_checkpoint("run") == "run/model.ckpt-1"
    assert "Nothing to do: this training was stopped at step 1: max_hours is 1e-09" in again.out
    assert "To continue, use a larger --max_hours" in again.out
    on = run_here("--continue_learning", "--dev_files=test.csv", "--logdir=run", *QUIET)
    assert on.status == 0 and latest_checkpoint("run") == "run/model.ckpt-6", on.err
    assert "*** Evaluation data changed; the best metric is reset\n" in on.out
    assert "other" not in again.out


@pytest.mark.parametrize("words, status, message", [
    (["--dev_files=none.csv"], 3, "none.csv"),
    (["--test_files=test.csv", "none.csv"], 2, "'none.csv' belongs to no flag"),
    (["--test_files", "test.csv", "none.csv"], 3, "none.csv"),
    (["--early_stop=true"], 2, "early_stop is True and needs evaluations"),
    (["--export_dir=config.py"], 2, '--export_dir "config.py" is a file'),
    (["--export_dir=config.py/model"], 3, '--export_dir "config.py/model" cannot be written'),
    (["--export_dir=exported", "--frames=17"], 2, "--frames is 17; expected a multiple of 16"),
    (["--export_dir=exported", "--data_layer_params/vocab_file=none.txt"], 3, "none.txt"),
])
def test_mistakes_in_the_final_test_and_export_are_found_before_the_first_step(with_test_set, run_here, words, status, message):
    refused = run_here(*words)
    assert refused.status == status and message in refused.err and "Traceback" not in refused.err
    assert "Train loss" not in refused.out and not (with_test_set / "run" / "checkpoint").exists()


def test_a_failed_test_or_export_does_not_lose_the_training(with_test_set, run_here, monkeypatch):
    made = FinalTest.run

    def in_the_way(self, *arguments):
        (with_test_set / "exported").write_text("somebody's")
        return made(self, *arguments)

    monkeypatch.setattr(FinalTest, "run", in_the_way)
    trained = run_here("--test_files=test.csv", "--max_steps=2", "--export_dir=exported", *QUIET)
    assert trained.status == 3 and "Test WER" in trained.out
    assert "the training is finished and saved, but its export failed:" in trained.err and "Traceback" not in trained.err
    assert "When this is fixed, --mode=export --export_dir=exported exports it" in trained.err
    (with_test_set / "exported").unlink()
    assert run_here("--mode=export", "--export_dir=exported").status == 0

    def without_files(self, *arguments):
        for number in range(6):
            os.remove("wav/train%d.wav" % number)
        return made(self, *arguments)

    monkeypatch.setattr(FinalTest, "run", without_files)
    trained = run_here("--test_files=test.csv", "--max_steps=2", "--continue_learning", *QUIET)
    assert trained.status == 3 and "the training is finished and saved, but its test failed:" in trained.err
    assert "--mode=eval --test_files=" in trained.err and "wav/train0.wav" in trained.err
    assert latest_checkpoint("run") == "run/model.ckpt-2"


def test_without_evaluations_the_last_model_is_tested_and_exported_not_the_source_s_best(with_test_set, run_here):
    assert run_here("--dev_files=dev.csv", "--save_checkpoint_dir=source", "--max_steps=2", *QUIET).status == 0
    assert latest_checkpoint("source", best=True) == "source/best_dev-2"
    trained = run_here("--load_checkpoint_dir=source", "--save_checkpoint_dir=own", "--logdir=other", "--max_steps=3",
                       "--test_files=test.csv", "--export_dir=exported", *QUIET)
    assert trained.status == 0, trained.err
    assert "Running evaluation on the test set, with model.ckpt-3:" in trained.out
    assert "*** Exporting own/model.ckpt-3\n" in trained.out and not os.path.exists("own/best_dev-2.index")


def test_two_processes_make_the_same_decisions(with_test_set, needs_horovod):
    command = [sys.executable, "-m", "open_seq2seq.launch", "--device", "cpu", "--processes", "2", "--",
               sys.executable, os.path.join(REPOSITORY, "run.py"), "--config_file=config.py", "--device=cpu"]
    words = [word if word != "4" else "2" for word in PLAYBOOK] + QUIET
    trained = subprocess.run(command + words, cwd=str(with_test_set), capture_output=True, text=True, timeout=300,
                             env=dict(os.environ, PYTHONPATH=REPOSITORY))
    assert trained.returncode == 0, trained.stderr
    assert "the weights are reset to checkpoints/best_dev-" in trained.stdout
    assert "*** Stopped at step 12 of 36: no improvement" in trained.stdout
    assert re.search(r"^\*\*\*     6 utterances, ", trained.stdout, re.MULTILINE)  # each once, by one of the two
    assert len(figures(trained.stdout, "Test WER")) == 1 and (with_test_set / "exported" / "jasper_infer_float32.pb").exists()
