import os

import numpy as np
import pytest

from open_seq2seq.checkpoints.files import remove_checkpoint
from open_seq2seq.checkpoints.ownership import DirectoryInUse
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


def test_a_directory_that_is_not_empty_is_refused_with_the_ways_out(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError) as refused:
        RunDirectory(str(tmp_path)).prepare_training(continue_learning=False)
    for part in ("is not empty (notes.txt)", "--continue_learning", "--logdir", "--no_dir_check"):
        assert part in str(refused.value)
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


def test_a_run_that_was_stopped_before_its_first_checkpoint_resumes_from_its_best_model(tmp_path):
    directory = RunDirectory(str(tmp_path / "run"), enable_logs=True)
    best = tmp_path / "run" / "logs" / "best_models"
    make_checkpoint(best, 2, "val_loss=1.5000-step")
    assert directory.prepare_training(continue_learning=True) == str(best / "val_loss=1.5000-step-2")
    newer = make_checkpoint(tmp_path / "run" / "logs", 3, "best_dev")
    assert directory.prepare_training(continue_learning=True) == newer
    make_checkpoint(tmp_path / "run" / "logs", 1)
    assert directory.prepare_training(continue_learning=True) == str(tmp_path / "run" / "logs" / "model.ckpt-1")


def test_a_run_that_never_started_removes_what_it_made_and_nothing_else(tmp_path):
    directory = RunDirectory(str(tmp_path / "runs" / "run"), enable_logs=True)
    with directory.owned():
        directory.prepare_training(False)
        (tmp_path / "runs" / "run" / ("stdout_%s.log" % directory.date)).write_text("")
    assert os.listdir(str(tmp_path)) == []
    with pytest.raises(ZeroDivisionError), directory.owned():
        (tmp_path / "runs" / "run" / "rejected.csv").write_text("")
        raise ZeroDivisionError
    assert os.listdir(str(tmp_path / "runs" / "run")) == ["rejected.csv"]
    (tmp_path / "mine").mkdir()
    with RunDirectory(str(tmp_path / "mine")).owned():
        pass
    assert os.listdir(str(tmp_path / "mine")) == []


def test_a_run_that_started_keeps_its_logs(tmp_path):
    directory = RunDirectory(str(tmp_path / "run"), enable_logs=True)
    with directory.owned():
        for path in (directory.dated("stdout"), directory.dated("resolved_config", "json")):
            with open(path, "w"):
                pass
    assert sorted(os.listdir(str(tmp_path / "run"))) == sorted(
        ["logs"] + [os.path.basename(path) for path in (directory.dated("stdout"), directory.dated("resolved_config", "json"))])


def test_a_second_training_in_any_of_the_directories_is_refused_and_leaves_no_trace(tmp_path):
    with of(tmp_path, logdir="run", checkpoint_dir="kept").owned():
        before = sorted(os.listdir(str(tmp_path / "run"))), sorted(os.listdir(str(tmp_path / "kept")))
        for keys, named in (({"logdir": "run"}, 'logdir ".*run"'), ({"checkpoint_dir": "kept"}, 'checkpoint_dir ".*kept"'),
                            ({"logdir": "new", "save_checkpoint_dir": "kept"}, 'save_checkpoint_dir ".*kept"')):
            with pytest.raises(DirectoryInUse, match=named + " is in use by a training that is running"), of(
                    tmp_path, **keys).owned():
                pass
        assert (sorted(os.listdir(str(tmp_path / "run"))), sorted(os.listdir(str(tmp_path / "kept")))) == before
        assert not (tmp_path / "new").exists()
        # a directory that is only read
        with of(tmp_path, logdir="third", load_checkpoint_dir="kept").owned():
            pass
    with of(tmp_path, logdir="run", checkpoint_dir="kept").owned():
        pass


def test_a_checkpoint_that_is_deleted_while_it_is_read_is_replaced_by_the_newest(tmp_path, capsys):
    directory = RunDirectory(str(tmp_path))
    first, found = make_checkpoint(tmp_path, 5), []

    def read(checkpoint):
        found.append(checkpoint)
        if checkpoint == first:
            make_checkpoint(tmp_path, 7)
            remove_checkpoint(first)
            raise CheckpointError("%s is missing" % first)
        return "value of " + checkpoint
    assert directory.read_checkpoint(read) == "value of " + str(tmp_path / "model.ckpt-7")
    assert found == [first, str(tmp_path / "model.ckpt-7")]
    assert "model.ckpt-5 was deleted by the training that owns the directory" in capsys.readouterr().out

    def refuse(checkpoint):
        found.append(checkpoint)
        raise CheckpointError("of another vocabulary")
    with pytest.raises(CheckpointError, match="of another vocabulary"):
        directory.read_checkpoint(refuse)
    assert len(found) == 3


@pytest.mark.slow
def test_checkpoints_that_are_deleted_faster_than_they_are_read_are_a_clear_error(tmp_path):
    make_checkpoint(tmp_path, 1)
    attempts = []

    def read(checkpoint):
        attempts.append(checkpoint)
        make_checkpoint(tmp_path, len(attempts) + 1)
        remove_checkpoint(checkpoint)
        raise FileNotFoundError(checkpoint)
    with pytest.raises(CheckpointError, match="deletes its checkpoints faster than they can be read: 100 of them, the last "
                                              "model.ckpt-100, .*num_checkpoints"):
        RunDirectory(str(tmp_path)).read_checkpoint(read)


def test_a_reader_silently_skips_what_a_training_is_writing_or_deleting(tmp_path, capsys):
    make_checkpoint(tmp_path, 5)
    for step, suffix in ((6, ".tmp"), (7, ".index.removed")):
        os.remove(make_checkpoint(tmp_path, step) + ".index")
        (tmp_path / ("model.ckpt-%d%s" % (step, suffix))).write_text("")
    assert RunDirectory(str(tmp_path)).require_checkpoint() == str(tmp_path / "model.ckpt-5")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("names, reason", [([], "is empty or does not exist"), (["notes.txt"], "contains no valid checkpoint")])
def test_continuing_nothing_is_refused(tmp_path, names, reason):
    for name in names:
        (tmp_path / name).write_text("")
    with pytest.raises(UsageError, match=reason):
        RunDirectory(str(tmp_path)).prepare_training(continue_learning=True)


def test_continuing_finds_the_newest_valid_checkpoint(tmp_path):
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


def test_the_best_checkpoint_is_searched_separately(tmp_path):
    make_checkpoint(tmp_path, 9)
    with pytest.raises(CheckpointError, match="no best checkpoint"):
        RunDirectory(str(tmp_path)).require_checkpoint(best=True)
    make_checkpoint(tmp_path / "best_models", 5, "val_loss=1.2500-step")
    assert RunDirectory(str(tmp_path)).require_checkpoint(best=True).endswith("val_loss=1.2500-step-5")
    best = make_checkpoint(tmp_path, 7, "best_dev")
    assert RunDirectory(str(tmp_path)).require_checkpoint(best=True) == best
    assert RunDirectory(str(tmp_path)).require_checkpoint() == str(tmp_path / "model.ckpt-9")


def test_a_file_instead_of_a_directory_is_refused(tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(UsageError, match="is a file"):
        RunDirectory(str(tmp_path / "run")).prepare_training(False)


def test_an_unwritable_directory_is_a_storage_error():
    # also for root, whom permissions do not stop
    with pytest.raises(StorageError, match='logdir "/proc/nowhere" cannot be written'):
        RunDirectory("/proc/nowhere").prepare_training(False)


def test_a_damaged_newest_checkpoint_is_moved_aside_by_its_owner_and_skipped_by_a_reader(tmp_path, capsys):
    make_checkpoint(tmp_path, 5)
    damage(make_checkpoint(tmp_path, 9))
    assert RunDirectory(str(tmp_path)).require_checkpoint() == str(tmp_path / "model.ckpt-5")
    assert "model.ckpt-9 is damaged" in capsys.readouterr().out and not (tmp_path / "damaged").exists()
    directory = RunDirectory(str(tmp_path))
    with directory.owned():
        assert directory.prepare_training(True) == str(tmp_path / "model.ckpt-5")
    assert "It is moved to %s" % (tmp_path / "damaged") in capsys.readouterr().out
    assert RunDirectory(str(tmp_path)).prepare_training(True) == str(tmp_path / "model.ckpt-5")
    assert capsys.readouterr().out == ""
    damage(str(tmp_path / "model.ckpt-5"))
    with pytest.raises(UsageError, match="contains no valid checkpoint"):
        RunDirectory(str(tmp_path)).prepare_training(True)


def of(tmp_path, **keys):
    params = dict.fromkeys(["logdir", "checkpoint_dir", "load_checkpoint_dir", "save_checkpoint_dir"])
    best = keys.pop("restore_best_checkpoint", False)
    params.update({key: str(tmp_path / value) for key, value in keys.items()})
    return RunDirectory.of(dict(params, restore_best_checkpoint=best))


def test_a_checkpoint_dir_is_read_written_and_resumed_from(tmp_path):
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
    with pytest.raises(CheckpointError, match="contains no valid checkpoint, only damaged ones"):
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
    with pytest.raises(UsageError, match="save_checkpoint_dir .*new. already contains checkpoints, the newest is model.ckpt-4"):
        directory.prepare_training(False)
    assert directory.prepare_training(True) == mine
    # the source is read, not touched
    assert sorted(os.listdir(str(tmp_path / "old" / "logs"))) == before
    assert "model.ckpt-9 is damaged" in capsys.readouterr().out


def test_restore_best_checkpoint_starts_from_the_best_of_the_source(tmp_path):
    newest, best = make_checkpoint(tmp_path / "old", 9), make_checkpoint(tmp_path / "old", 4, "best_dev")
    keys = {"logdir": "run", "load_checkpoint_dir": "old"}
    assert of(tmp_path, **keys).prepare_training(False) == newest
    directory = of(tmp_path, restore_best_checkpoint=True, **keys)
    assert directory.prepare_training(False, no_dir_check=True) == best and directory.is_source(best)
    assert directory.read_source_checkpoint(lambda checkpoint: checkpoint, None) == best


def test_with_load_checkpoint_dir_alone_the_run_saves_in_its_logdir(tmp_path):
    source = make_checkpoint(tmp_path / "old", 3)
    directory = of(tmp_path, logdir="run", load_checkpoint_dir="old")
    assert directory.prepare_training(False) == source and directory.checkpoints == str(tmp_path / "run")
    # what is only read is what is evaluated
    make_checkpoint(tmp_path / "run", 4)
    assert directory.find_checkpoint() == source
    assert directory.prepare_training(True) == str(tmp_path / "run" / "model.ckpt-4")


@pytest.mark.parametrize("keys, error, message", [
    ({"load_checkpoint_dir": "nowhere"}, CheckpointError, "load_checkpoint_dir .*nowhere. does not exist"),
    ({"load_checkpoint_dir": "empty"}, CheckpointError, "load_checkpoint_dir .*empty. contains no valid checkpoint"),
    ({"load_checkpoint_dir": "file"}, CheckpointError, "load_checkpoint_dir .*file. is a file"),
    ({"save_checkpoint_dir": "file"}, UsageError, "save_checkpoint_dir .*file. is a file")])
def test_unusable_directories_are_named(tmp_path, keys, error, message):
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    with pytest.raises(error, match=message):
        of(tmp_path, logdir="run", **keys).prepare_training(False)
    assert not (tmp_path / "run").exists()


def test_a_save_checkpoint_dir_that_cannot_be_written_is_named():
    params = dict.fromkeys(["logdir", "checkpoint_dir", "load_checkpoint_dir"], None)
    with pytest.raises(StorageError, match='"/proc/nowhere" cannot be written'):
        RunDirectory.of(dict(params, save_checkpoint_dir="/proc/nowhere")).prepare_training(False)
