import os
import resource
import shutil

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.checkpoints.files import checkpoint_step, is_leftover, latest_checkpoint, remove_leftovers
from open_seq2seq.checkpoints.writer import CheckpointWriter, write_checkpoint
from open_seq2seq.errors import StorageError

FILE_OPERATIONS = [(os, "mkdir"), (os, "replace"), (os, "remove"), (os, "rmdir"), (os, "fsync"), (shutil, "rmtree")]


class Killed(BaseException):
    """What no handler of errors catches, as none sees a SIGKILL."""


def values(step):
    return {"weights": np.full([50], step, np.float32), "global_step": np.int64(step), "name": np.array(b"text")}


def read(checkpoint):
    return {name: tf.train.load_variable(checkpoint, name) for name in ("weights", "global_step", "name")}


def valid_step(directory):
    """The step of the newest checkpoint, whose values have been read; -1 without one."""
    checkpoint = latest_checkpoint(str(directory))
    if checkpoint is None:
        return -1
    found = read(checkpoint)
    step = checkpoint_step(checkpoint)
    assert found["global_step"] == step and found["weights"].tolist() == [step] * 50
    return step


def killed_at(monkeypatch, number):
    """Lets ``number`` operations on files happen, and kills the process at the next; returns the list of those made."""
    made = []

    def counted(original):
        def operation(*arguments, **options):
            if len(made) == number:
                raise Killed(original.__name__)
            made.append(original.__name__)
            return original(*arguments, **options)
        return operation

    for module, name in FILE_OPERATIONS:
        monkeypatch.setattr(module, name, counted(getattr(module, name)))
    return made


@pytest.mark.slow
def test_killed_at_any_file_operation_the_newest_checkpoint_is_valid_and_not_older_than_the_last(tmp_path, monkeypatch):
    steps_found, number, finished = [], 0, False
    while not finished:
        directory = tmp_path / str(number)
        writer = CheckpointWriter(str(directory), keep=2)
        for step in (2, 4):
            writer.write(step, values(step), {})
        with monkeypatch.context() as patch:
            made = killed_at(patch, number)
            try:
                writer.write(6, values(6), {})
                finished = True
            except Killed:
                assert len(made) == number
        steps_found.append(valid_step(directory))
        assert not (directory / "damaged").exists()
        # the next process resumes from there and repeats the same step
        next_writer = CheckpointWriter(str(directory), keep=2)
        remove_leftovers(str(directory))
        next_writer.recover()
        assert valid_step(directory) == steps_found[-1]
        for step in (6, 8):
            next_writer.write(step, values(step), {})
        assert valid_step(directory) == 8
        names = sorted(os.listdir(str(directory)))
        assert names == ["checkpoint"] + sorted("model.ckpt-%d.%s" % (step, extension) for step in (6, 8) for extension in (
            "data-00000-of-00001", "index", "json"))
        number += 1
    # 4 until the state file names 6, then 6
    assert steps_found == sorted(steps_found) and steps_found[0] == 4 and steps_found[-1] == 6
    assert number > 15


def test_with_a_damaged_state_file_older_checkpoints_are_still_deleted_in_turn(tmp_path):
    writer = CheckpointWriter(str(tmp_path), keep=3)
    for step in (2, 4, 10):
        writer.write(step, values(step), {})
    (tmp_path / "checkpoint").write_bytes(b"\xff garbled")
    next_writer = CheckpointWriter(str(tmp_path), keep=3)
    next_writer.recover()
    next_writer.write(12, values(12), {})
    assert sorted(path.name for path in tmp_path.glob("*.index")) == [
        "model.ckpt-10.index", "model.ckpt-12.index", "model.ckpt-4.index"]


@pytest.mark.slow
def test_an_existing_checkpoint_of_the_same_step_is_replaced_and_never_mixed(tmp_path, monkeypatch):
    number, finished = 0, False
    while not finished:
        directory = tmp_path / str(number)
        writer = CheckpointWriter(str(directory), keep=2)
        for step in (2, 4):
            writer.write(step, values(step), {})
        with monkeypatch.context() as patch:
            killed_at(patch, number)
            try:
                writer.write(4, dict(values(4), name=np.array(b"other")), {})
                finished = True
            except Killed:
                pass
        assert valid_step(directory) in (2, 4)
        number += 1
    assert read(str(directory / "model.ckpt-4"))["name"] == b"other"


@pytest.fixture
def file_limit():
    """Function that limits how large files may grow, as a full disk does; undone after the test."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_leaves_existing_checkpoints_unchanged(tmp_path, file_limit):
    writer = CheckpointWriter(str(tmp_path), keep=1)
    writer.write(2, values(2), {})
    before = {name: (tmp_path / name).read_bytes() for name in os.listdir(str(tmp_path))}
    large = dict(values(4), weights=np.zeros(100000, np.float32))
    for limit in (0, 100, 300000):
        file_limit(limit)
        with pytest.raises(StorageError, match="cannot save checkpoint .*model.ckpt-4: .* --continue_learning"):
            writer.write(4, large, {})
        assert {name: (tmp_path / name).read_bytes() for name in os.listdir(str(tmp_path))} == before
    file_limit(1000000)
    writer.write(4, large, {})
    assert [name for name in os.listdir(str(tmp_path)) if name.endswith(".index")] == ["model.ckpt-4.index"]


def test_a_directory_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file/run/model.ckpt-1: Not a directory"):
        write_checkpoint(str(tmp_path / "file" / "run" / "model.ckpt-1"), values(1), {})


def test_tensorflows_saver_restores_what_is_written(tmp_path, graph):
    array = np.random.RandomState(0).randn(7, 3).astype(np.float32)
    write_checkpoint(str(tmp_path / "model.ckpt-9"), {"scope/a": array, "scope/n": np.int64(2 ** 40)}, {})
    with tf.variable_scope("scope"):
        a, n = tf.get_variable("a", [7, 3]), tf.get_variable("n", [], tf.int64)
    with tf.Session() as session:
        tf.train.Saver().restore(session, str(tmp_path / "model.ckpt-9"))
        np.testing.assert_array_equal(session.run(a), array)
        assert session.run(n) == 2 ** 40


def test_the_writer_follows_variables_that_change_shape(tmp_path):
    writer = CheckpointWriter(str(tmp_path), keep=5)
    writer.write(1, {"a": np.zeros([2], np.float32)}, {})
    writer.write(2, {"a": np.zeros([2, 3], np.float32)}, {})
    writer.write(3, {"a": np.zeros([2], np.int64), "b": np.float32(1.0)}, {})
    shapes = [tf.train.load_checkpoint(str(tmp_path / ("model.ckpt-%d" % step))).get_variable_to_shape_map()
              for step in (1, 2, 3)]
    assert shapes == [{"a": [2]}, {"a": [2, 3]}, {"a": [2], "b": []}]


def test_leftovers_are_recognized_by_their_names(tmp_path, monkeypatch):
    killed_at(monkeypatch, 3)
    with pytest.raises(Killed):
        write_checkpoint(str(tmp_path / "model.ckpt-5"), values(5), {})
    assert os.listdir(str(tmp_path)) == ["model.ckpt-5.tmp"] and is_leftover("model.ckpt-5.tmp")
