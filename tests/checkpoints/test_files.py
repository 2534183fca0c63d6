import os
import shutil

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.checkpoints.files import (
    checkpoint_step,
    checkpoints_in,
    is_leftover,
    latest_checkpoint,
    read_state,
    remove_checkpoint,
    remove_leftovers,
    set_aside,
    write_state,
)
from open_seq2seq.checkpoints.writer import CheckpointWriter, write_checkpoint

VALUES = {"a": np.zeros(3, np.float32)}


def make(directory, *names):
    for name in names:
        write_checkpoint(str(directory / name), VALUES, {})


def names(checkpoints):
    return [os.path.basename(path) for path in checkpoints]


def damage(directory, name):
    with open(str(directory / (name + ".data-00000-of-00001")), "wb") as file:
        file.write(b"short")


def test_the_order_is_by_the_state_file_and_then_by_steps(tmp_path):
    make(tmp_path, "model.ckpt-5", "model.ckpt-100", "model.ckpt-20", "best_dev-300")
    assert names(checkpoints_in(str(tmp_path))) == ["model.ckpt-100", "model.ckpt-20", "model.ckpt-5"]
    write_state(str(tmp_path), "checkpoint", [str(tmp_path / "model.ckpt-20")])
    assert names(checkpoints_in(str(tmp_path))) == ["model.ckpt-20", "model.ckpt-100", "model.ckpt-5"]
    assert names(checkpoints_in(str(tmp_path), best=True)) == ["best_dev-300"]
    assert latest_checkpoint(str(tmp_path)) == str(tmp_path / "model.ckpt-20")
    assert latest_checkpoint(str(tmp_path), best=True) == str(tmp_path / "best_dev-300")
    assert latest_checkpoint(str(tmp_path / "nowhere")) is None


def test_tensorflow_reads_the_state_file_also_after_a_move(tmp_path):
    (tmp_path / "run").mkdir()
    make(tmp_path / "run", "model.ckpt-5", "model.ckpt-6")
    write_state(str(tmp_path / "run"), "checkpoint", [str(tmp_path / "run" / name) for name in ("model.ckpt-6", "model.ckpt-5")])
    assert tf.train.latest_checkpoint(str(tmp_path / "run")) == str(tmp_path / "run" / "model.ckpt-5")
    shutil.move(str(tmp_path / "run"), str(tmp_path / "moved"))
    expected = [str(tmp_path / "moved" / "model.ckpt-6"), str(tmp_path / "moved" / "model.ckpt-5")]
    assert read_state(str(tmp_path / "moved"), "checkpoint") == expected
    assert tf.train.latest_checkpoint(str(tmp_path / "moved")) == expected[1]


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"no state", b'model_checkpoint_path: "',
                                     b'model_checkpoint_path: "gone-7"'])
def test_with_a_damaged_state_file_the_names_decide(tmp_path, content):
    make(tmp_path, "model.ckpt-5", "model.ckpt-6")
    (tmp_path / "checkpoint").write_bytes(content)
    assert latest_checkpoint(str(tmp_path)) == str(tmp_path / "model.ckpt-6")


def test_a_copied_directory_uses_its_own_files(tmp_path):
    for folder in ("first", "copy"):
        (tmp_path / folder).mkdir()
        make(tmp_path / folder, "model.ckpt-5")
    # TensorFlow's Saver writes absolute paths
    (tmp_path / "copy" / "checkpoint").write_text('model_checkpoint_path: "%s"\n' % (tmp_path / "first" / "model.ckpt-5"))
    assert latest_checkpoint(str(tmp_path / "copy")) == str(tmp_path / "copy" / "model.ckpt-5")


def test_a_damaged_newest_one_is_moved_aside_and_the_previous_one_is_used(tmp_path, capsys):
    make(tmp_path, "model.ckpt-5", "model.ckpt-6", "model.ckpt-7")
    damage(tmp_path, "model.ckpt-7")
    os.remove(str(tmp_path / "model.ckpt-6.index"))
    assert latest_checkpoint(str(tmp_path), may_move=True) == str(tmp_path / "model.ckpt-5")
    assert sorted(os.listdir(str(tmp_path / "damaged"))) == [
        "model.ckpt-6.data-00000-of-00001", "model.ckpt-6.json", "model.ckpt-7.data-00000-of-00001", "model.ckpt-7.index",
        "model.ckpt-7.json"]
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and all("It is moved to %s" % (tmp_path / "damaged") in line for line in lines)
    assert "model.ckpt-7 is damaged: model.ckpt-7.data-00000-of-00001 has 5 bytes, 12 were written" in lines[0]
    # the run comes by this step again, and it is damaged again: nothing is overwritten
    make(tmp_path, "model.ckpt-7")
    damage(tmp_path, "model.ckpt-7")
    assert latest_checkpoint(str(tmp_path), may_move=True) == str(tmp_path / "model.ckpt-5")
    assert len(os.listdir(str(tmp_path / "damaged"))) == 5 and len(os.listdir(str(tmp_path / "damaged_2"))) == 3


def test_a_damaged_one_that_cannot_be_moved_is_skipped(tmp_path, capsys):
    make(tmp_path, "model.ckpt-5", "model.ckpt-7")
    damage(tmp_path, "model.ckpt-7")
    before = sorted(os.listdir(str(tmp_path)))
    assert latest_checkpoint(str(tmp_path)) == str(tmp_path / "model.ckpt-5")
    assert "It is skipped" in capsys.readouterr().out
    assert sorted(os.listdir(str(tmp_path))) == before
    (tmp_path / "damaged").write_text("a file in the way")
    assert set_aside(str(tmp_path / "model.ckpt-7")) is None
    assert latest_checkpoint(str(tmp_path), may_move=True) == str(tmp_path / "model.ckpt-5")
    assert sorted(os.listdir(str(tmp_path))) == ["damaged"] + before


def test_a_checkpoint_that_is_being_written_or_deleted_is_ignored(tmp_path, capsys):
    make(tmp_path, "model.ckpt-5", "model.ckpt-6", "model.ckpt-7")
    (tmp_path / "model.ckpt-6.tmp").mkdir()
    os.rename(str(tmp_path / "model.ckpt-6.index"), str(tmp_path / "model.ckpt-6.tmp" / "model.ckpt-6.index"))
    os.rename(str(tmp_path / "model.ckpt-7.index"), str(tmp_path / "model.ckpt-7.index.removed"))
    assert latest_checkpoint(str(tmp_path), may_move=True) == str(tmp_path / "model.ckpt-5")
    assert capsys.readouterr().out == "" and not (tmp_path / "damaged").exists()
    assert remove_leftovers(str(tmp_path)) == ["model.ckpt-6.tmp", "model.ckpt-7.index.removed"]
    assert sorted(os.listdir(str(tmp_path))) == ["model.ckpt-5.data-00000-of-00001", "model.ckpt-5.index", "model.ckpt-5.json"]


def test_only_leftovers_are_removed(tmp_path):
    make(tmp_path, "model.ckpt-5")
    mine = ["notes.tmp", "model.ckpt-5.txt", "index.removed", "checkpoint"]
    leftovers = ["checkpoint.123.tmp", "best_dev_checkpoint.7.tmp", "model.ckpt-9.index.tempstate12",
                 "model.ckpt-9.data-00000-of-00001.tempstate12"]
    for name in mine + leftovers:
        (tmp_path / name).write_text("")
    assert remove_leftovers(str(tmp_path)) == sorted(leftovers)
    assert sorted(os.listdir(str(tmp_path))) == sorted(mine + [
        "model.ckpt-5.data-00000-of-00001", "model.ckpt-5.index", "model.ckpt-5.json"])
    assert [is_leftover(name) for name in ("model.ckpt-5.tmp", "model.ckpt-5.index", "model.tmp")] == [True, False, False]


def test_a_removed_checkpoint_leaves_nothing_and_others_alone(tmp_path):
    make(tmp_path, "model.ckpt-1", "model.ckpt-10")
    remove_checkpoint(str(tmp_path / "model.ckpt-1"))
    assert len(os.listdir(str(tmp_path))) == 3 and checkpoints_in(str(tmp_path)) == [str(tmp_path / "model.ckpt-10")]
    assert checkpoint_step("a/model.ckpt-10") == 10 and checkpoint_step("a/model") == -1


def test_best_checkpoints_are_not_counted_as_ordinary_ones(tmp_path):
    ordinary, best = CheckpointWriter(str(tmp_path), 2), CheckpointWriter(str(tmp_path), 1, "best_dev")
    for step in (1, 2, 3, 4):
        ordinary.write(step, VALUES, {})
        if step < 3:
            best.write(step, VALUES, {})
    found = sorted(name for name in os.listdir(str(tmp_path)) if name.endswith(".index"))
    assert found == ["best_dev-2.index", "model.ckpt-3.index", "model.ckpt-4.index"]
    assert (tmp_path / "best_dev_checkpoint").read_text().startswith('model_checkpoint_path: "best_dev-2"')
    assert tf.train.latest_checkpoint(str(tmp_path)) == str(tmp_path / "model.ckpt-4")


@pytest.mark.parametrize("content", [
    b"", b"\x00", b"\xff\xfe", b"{" * 100000, b'model_checkpoint_path: 5', b'model_checkpoint_path: "a\\000b"',
    b'model_checkpoint_path: "model.ckpt-5"\nall_model_checkpoint_paths: "x\\000y"'],
    ids=["empty", "NUL", "not UTF-8", "nested", "number", "NUL in the name", "NUL in another name"])
def test_a_state_file_with_any_content_is_at_most_ignored(tmp_path, content):
    make(tmp_path, "model.ckpt-5")
    (tmp_path / "checkpoint").write_bytes(content)
    assert latest_checkpoint(str(tmp_path)) == str(tmp_path / "model.ckpt-5")
