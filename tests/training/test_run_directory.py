import os

import pytest

from open_seq2seq.errors import CheckpointError, StorageError, UsageError
from open_seq2seq.training.run_directory import RunDirectory


def make_checkpoint(directory, step, name="model.ckpt"):
    os.makedirs(str(directory), exist_ok=True)
    for extension in ("index", "data-00000-of-00001"):
        (directory / ("%s-%d.%s" % (name, step, extension))).write_text("x")


def test_a_fresh_directory_is_made(tmp_path):
    directory = RunDirectory(str(tmp_path / "run"), enable_logs=True)
    assert directory.prepare_training(continue_learning=False) is None
    assert os.listdir(str(tmp_path / "run")) == ["logs"]
    assert os.listdir(str(tmp_path / "run" / "logs")) == []


def test_a_directory_in_use_is_refused_with_the_ways_out(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError) as refusal:
        RunDirectory(str(tmp_path)).prepare_training(continue_learning=False)
    for part in ("is not empty (notes.txt)", "--continue_learning", "--logdir", "--no_dir_check"):
        assert part in str(refusal.value)
    assert RunDirectory(str(tmp_path)).prepare_training(False, no_dir_check=True) is None


def test_a_run_that_saved_nothing_does_not_occupy_its_directory(tmp_path):
    directory = RunDirectory(str(tmp_path / "run"), enable_logs=True)
    directory.prepare_training(False)
    for name in ("rejected.csv", "stdout_%s.log" % directory.date, "config_%s.py" % directory.date):
        (tmp_path / "run" / name).write_text("")
    assert directory.prepare_training(False) is None
    (tmp_path / "run" / "logs" / "model.ckpt-3.data-00000-of-00001.tempstate123").write_text("cut short by a kill")
    assert directory.prepare_training(False) is None
    make_checkpoint(tmp_path / "run" / "logs", 1)
    with pytest.raises(UsageError):
        directory.prepare_training(False)


def test_a_run_that_was_stopped_before_its_first_checkpoint_goes_on_from_its_best_model(tmp_path):
    directory = RunDirectory(str(tmp_path / "run"), enable_logs=True)
    best = tmp_path / "run" / "logs" / "best_models"
    make_checkpoint(best, 2, "val_loss=1.5000-step")
    assert directory.prepare_training(continue_learning=True) == str(best / "val_loss=1.5000-step-2")
    make_checkpoint(tmp_path / "run" / "logs", 1)
    assert directory.prepare_training(continue_learning=True) == str(tmp_path / "run" / "logs" / "model.ckpt-1")


def test_an_unused_directory_is_removed_and_a_used_one_is_not(tmp_path):
    directory = RunDirectory(str(tmp_path / "run"), enable_logs=True)
    directory.prepare_training(False)
    directory.remove_unused()
    assert os.listdir(str(tmp_path)) == []
    directory.prepare_training(False)
    (tmp_path / "run" / "rejected.csv").write_text("")
    directory.remove_unused()
    assert os.listdir(str(tmp_path / "run")) == ["rejected.csv"]


@pytest.mark.parametrize("names, reason", [([], "is empty or does not exist"), (["notes.txt"], "holds no checkpoint")])
def test_continuing_nothing_is_refused(tmp_path, names, reason):
    for name in names:
        (tmp_path / name).write_text("")
    with pytest.raises(UsageError, match=reason):
        RunDirectory(str(tmp_path)).prepare_training(continue_learning=True)


def test_continuing_finds_the_newest_whole_checkpoint(tmp_path):
    for step in (5, 100, 20):
        make_checkpoint(tmp_path, step)
    (tmp_path / "model.ckpt-300.index").write_text("its data file is missing")
    assert RunDirectory(str(tmp_path)).prepare_training(True) == str(tmp_path / "model.ckpt-100")


def test_checkpoints_are_found_with_and_without_enable_logs(tmp_path):
    make_checkpoint(tmp_path / "logs", 7)
    for enable_logs in (False, True):
        assert RunDirectory(str(tmp_path), enable_logs).require_checkpoint() == str(tmp_path / "logs" / "model.ckpt-7")


def test_the_state_file_of_another_machine_still_names_the_right_checkpoint(tmp_path):
    for step in (5, 9):
        make_checkpoint(tmp_path, step)
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "/their/machine/model.ckpt-5"\n')
    assert RunDirectory(str(tmp_path)).require_checkpoint() == str(tmp_path / "model.ckpt-5")


def test_the_best_checkpoint_is_looked_for_apart(tmp_path):
    make_checkpoint(tmp_path, 9)
    with pytest.raises(CheckpointError, match="no best checkpoint"):
        RunDirectory(str(tmp_path)).require_checkpoint(best=True)
    make_checkpoint(tmp_path / "best_models", 5, "val_loss=1.2500-step")
    assert RunDirectory(str(tmp_path)).require_checkpoint(best=True).endswith("val_loss=1.2500-step-5")


def test_a_file_in_the_place_of_the_directory_is_refused(tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(UsageError, match="is a file"):
        RunDirectory(str(tmp_path / "run")).prepare_training(False)


def test_an_unwritable_place_is_a_storage_error():
    # also for root, whom permissions do not stop
    with pytest.raises(StorageError, match='logdir "/proc/nowhere" cannot be written'):
        RunDirectory("/proc/nowhere").prepare_training(False)
