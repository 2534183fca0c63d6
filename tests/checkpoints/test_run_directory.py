import os

import numpy as np
import pytest

from open_seq2seq.checkpoints.run_directory import RunDirectory
from open_seq2seq.checkpoints.writer import write_checkpoint
from open_seq2seq.errors import CheckpointError, StorageError, UsageError


def make_checkpoint(directory, step, name="model.ckpt"):
    """Returns its path."""
    path = str(directory / ("%s-%d" % (name, step)))
    write_checkpoint(path, {"a": np.zeros(2, np.float32)}, {})
    return path


def damage(checkpoint):
    with open(checkpoint + ".data-00000-of-00001", "wb") as file:
        file.write(b"x")


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
    (tmp_path / "run" / "logs" / "model.ckpt-4.tmp").mkdir()
    (tmp_path / "run" / "logs" / "model.ckpt-4.tmp" / "model.ckpt-4.index").write_text("cut short by a kill")
    assert directory.prepare_training(False) is None
    make_checkpoint(tmp_path / "run" / "logs", 1)
    with pytest.raises(UsageError):
        directory.prepare_training(False)


def test_a_run_that_was_stopped_before_its_first_checkpoint_goes_on_from_its_best_model(tmp_path):
    directory = RunDirectory(str(tmp_path / "run"), enable_logs=True)
    best = tmp_path / "run" / "logs" / "best_models"
    make_checkpoint(best, 2, "val_loss=1.5000-step")
    assert directory.prepare_training(continue_learning=True) == str(best / "val_loss=1.5000-step-2")
    newer = make_checkpoint(tmp_path / "run" / "logs", 3, "best_dev")
    assert directory.prepare_training(continue_learning=True) == newer
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


@pytest.mark.parametrize("names, reason", [([], "is empty or does not exist"), (["notes.txt"], "holds no whole checkpoint")])
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
    best = make_checkpoint(tmp_path, 7, "best_dev")
    assert RunDirectory(str(tmp_path)).require_checkpoint(best=True) == best
    assert RunDirectory(str(tmp_path)).require_checkpoint() == str(tmp_path / "model.ckpt-9")


def test_a_file_in_the_place_of_the_directory_is_refused(tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(UsageError, match="is a file"):
        RunDirectory(str(tmp_path / "run")).prepare_training(False)


def test_an_unwritable_place_is_a_storage_error():
    # also for root, whom permissions do not stop
    with pytest.raises(StorageError, match='logdir "/proc/nowhere" cannot be written'):
        RunDirectory("/proc/nowhere").prepare_training(False)


def test_a_damaged_newest_checkpoint_is_set_aside_by_a_run_and_passed_over_by_a_reader(tmp_path, capsys):
    make_checkpoint(tmp_path, 5)
    damage(make_checkpoint(tmp_path, 9))
    assert RunDirectory(str(tmp_path), read_only=True).require_checkpoint() == str(tmp_path / "model.ckpt-5")
    assert "model.ckpt-9 is damaged" in capsys.readouterr().out and not (tmp_path / "damaged").exists()
    assert RunDirectory(str(tmp_path)).prepare_training(True) == str(tmp_path / "model.ckpt-5")
    assert "It was moved to %s" % (tmp_path / "damaged") in capsys.readouterr().out
    assert RunDirectory(str(tmp_path)).prepare_training(True) == str(tmp_path / "model.ckpt-5")
    assert capsys.readouterr().out == ""
    damage(str(tmp_path / "model.ckpt-5"))
    with pytest.raises(UsageError, match="holds no whole checkpoint"):
        RunDirectory(str(tmp_path)).prepare_training(True)


def of(tmp_path, **keys):
    params = dict.fromkeys(["logdir", "checkpoint_dir", "load_checkpoint_dir", "save_checkpoint_dir"])
    params.update({key: str(tmp_path / value) for key, value in keys.items()})
    return RunDirectory.of(params)


def test_a_checkpoint_dir_is_read_and_written_and_gone_on_with(tmp_path):
    directory = of(tmp_path, logdir="run", checkpoint_dir="kept")
    assert directory.path == str(tmp_path / "run") and directory.checkpoints == str(tmp_path / "kept")
    assert directory.prepare_training(False) is None and sorted(os.listdir(str(tmp_path))) == ["kept", "run"]
    with pytest.raises(UsageError, match="--continue_learning: checkpoint_dir .*kept. is empty"):
        directory.prepare_training(True)
    checkpoint = make_checkpoint(tmp_path / "kept", 3)
    for keys in ({"checkpoint_dir": "kept"}, {"load_checkpoint_dir": "kept", "save_checkpoint_dir": "kept"},
                 {"logdir": "run", "checkpoint_dir": "kept"}):
        directory = of(tmp_path, **keys)
        assert directory.prepare_training(False) == checkpoint and directory.prepare_training(True) == checkpoint
        assert directory.source is None and not directory.is_source(checkpoint) and directory.find_checkpoint() == checkpoint
    assert of(tmp_path, checkpoint_dir="kept").path == str(tmp_path / "kept")
    # a logdir that somebody else uses only gets the logs
    make_checkpoint(tmp_path / "run", 7)
    assert of(tmp_path, logdir="run", checkpoint_dir="kept").prepare_training(False) == checkpoint
    assert of(tmp_path, logdir="run", checkpoint_dir="new").prepare_training(False) is None
    with pytest.raises(CheckpointError, match='no checkpoint in checkpoint_dir ".*new" .*--checkpoint_dir='):
        of(tmp_path, logdir="run", checkpoint_dir="new").require_checkpoint()
    damage(checkpoint)
    with pytest.raises(CheckpointError, match="holds no whole checkpoint, only damaged ones"):
        of(tmp_path, checkpoint_dir="kept").prepare_training(False)


def test_one_directory_is_read_and_another_written(tmp_path, capsys):
    source = make_checkpoint(tmp_path / "old" / "logs", 3)
    damage(make_checkpoint(tmp_path / "old" / "logs", 9))
    before = sorted(os.listdir(str(tmp_path / "old" / "logs")))
    directory = of(tmp_path, logdir="run", load_checkpoint_dir="old", save_checkpoint_dir="new")
    assert directory.prepare_training(False) == source and directory.is_source(source)
    assert directory.checkpoints == str(tmp_path / "new")
    # evaluated before it has saved anything: what it begins with
    assert directory.find_checkpoint() == source
    mine = make_checkpoint(tmp_path / "new", 4)
    assert not directory.is_source(mine) and directory.find_checkpoint() == mine
    with pytest.raises(UsageError, match="save_checkpoint_dir .*new. holds checkpoints already, the newest is model.ckpt-4"):
        directory.prepare_training(False)
    assert directory.prepare_training(True) == mine
    # the source is read, not touched
    assert sorted(os.listdir(str(tmp_path / "old" / "logs"))) == before
    assert "model.ckpt-9 is damaged" in capsys.readouterr().out


def test_without_a_place_of_its_own_the_run_saves_in_its_logdir(tmp_path):
    source = make_checkpoint(tmp_path / "old", 3)
    directory = of(tmp_path, logdir="run", load_checkpoint_dir="old")
    assert directory.prepare_training(False) == source and directory.checkpoints == str(tmp_path / "run")
    # what is only read is what is evaluated
    make_checkpoint(tmp_path / "run", 4)
    assert directory.find_checkpoint() == source
    assert directory.prepare_training(True) == str(tmp_path / "run" / "model.ckpt-4")


@pytest.mark.parametrize("keys, error, message", [
    ({"load_checkpoint_dir": "nowhere"}, CheckpointError, "load_checkpoint_dir .*nowhere. does not exist"),
    ({"load_checkpoint_dir": "empty"}, CheckpointError, "load_checkpoint_dir .*empty. holds no whole checkpoint"),
    ({"load_checkpoint_dir": "file"}, CheckpointError, "load_checkpoint_dir .*file. is a file"),
    ({"save_checkpoint_dir": "file"}, UsageError, "save_checkpoint_dir .*file. is a file")])
def test_places_that_are_none_are_named(tmp_path, keys, error, message):
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    with pytest.raises(error, match=message):
        of(tmp_path, logdir="run", **keys).prepare_training(False)
    assert not (tmp_path / "run").exists()


def test_a_save_checkpoint_dir_that_cannot_be_written_is_named():
    params = dict.fromkeys(["logdir", "checkpoint_dir", "load_checkpoint_dir"], None)
    with pytest.raises(StorageError, match='"/proc/nowhere" cannot be written'):
        RunDirectory.of(dict(params, save_checkpoint_dir="/proc/nowhere")).prepare_training(False)
