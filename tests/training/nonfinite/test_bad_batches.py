"""A kept batch is read as it was written; a damaged file, or another one, is refused."""
import collections
import os
import types

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.data.speech2text.dataset import Batch
from open_seq2seq.errors import DataError, StorageError
from open_seq2seq.training.nonfinite import bad_batches
from open_seq2seq.training.nonfinite.bad_batches import BadBatches, load_bad_batch, newest_bad_batch

ALONE = types.SimpleNamespace(rank=0, size=1, local_rank=0)
WEIGHTS = {"ForwardPass/a/kernel": np.float32([[1, 2], [3, np.nan]]), "ForwardPass/a/bias": np.float32([4, 5])}


def a_batch():
    return Batch(np.random.RandomState(0).randn(2, 5, 3).astype(np.float32), np.int32([5, 4]), np.int32([[1, 2], [3, 0]]),
                 np.int32([2, 1]), np.int32([7, 9]), np.float32([1, 1]))


def facts(step=3, batch=12, **changes):
    return dict({"step": step, "batch": batch, "rank": 0, "ranks": 1, "loss": float("nan"), "loss_scale": 8.0, "device": "cpu",
                 "half_precision": False, "vocabulary_size": 4, "utterances": [
                     {"id": "a.csv:2", "duration": 0.05, "transcript": "né"},
                     {"id": "a.csv:3", "duration": 0.04, "transcript": "o"}]}, **changes)


def test_a_batch_is_read_with_its_weights(tmp_path):
    folder = BadBatches(str(tmp_path / "bad_batches"), ALONE, checkpoint_bytes=100)
    folder.save_weights(3, WEIGHTS)
    path = folder.save(a_batch(), facts())
    assert os.path.basename(path) == "step-3-batch-12.npz"
    kept = load_bad_batch(path)
    for field, value in a_batch()._asdict().items():
        if value is None:
            assert getattr(kept.batch, field) is None
        else:
            np.testing.assert_array_equal(getattr(kept.batch, field), value)
            assert getattr(kept.batch, field).dtype == value.dtype
    assert np.isnan(kept.facts["loss"]) and kept.facts["utterances"][0]["transcript"] == "né"
    assert kept.weights == str(tmp_path / "bad_batches" / "step-3.weights")
    for name, value in WEIGHTS.items():
        np.testing.assert_array_equal(tf.train.load_variable(kept.weights, name), value)


def test_weights_are_written_once_a_step_and_by_one_rank_of_a_machine(tmp_path):
    ranks = [types.SimpleNamespace(rank=rank, size=2, local_rank=rank) for rank in range(2)]
    first, second = (BadBatches(str(tmp_path), rank, 100) for rank in ranks)
    second.save_weights(3, WEIGHTS)
    assert os.listdir(str(tmp_path)) == []
    first.save_weights(3, WEIGHTS)
    first.save_weights(3, {name: value + 1 for name, value in WEIGHTS.items()})
    np.testing.assert_array_equal(tf.train.load_variable(str(tmp_path / "step-3.weights"), "ForwardPass/a/bias"), [4, 5])
    assert second.save(a_batch(), facts()).endswith("step-3-batch-12-rank-1.npz")


def test_batches_of_an_earlier_process_are_removed_and_other_files_are_kept(tmp_path):
    ranks = [types.SimpleNamespace(rank=rank, size=2, local_rank=rank) for rank in range(2)]
    for rank in ranks:
        earlier = BadBatches(str(tmp_path), rank, 100)
        earlier.save_weights(1, WEIGHTS)
        earlier.save(a_batch(), facts(step=1))
    (tmp_path / "notes.txt").write_text("mine")
    now = BadBatches(str(tmp_path), ranks[1], 100)
    now.save(a_batch(), facts(step=5))
    now.save(a_batch(), facts(step=6))
    assert sorted(name for name in os.listdir(str(tmp_path)) if not name.startswith("step-1.weights")) == [
        "notes.txt", "step-1-batch-12-rank-0.npz", "step-5-batch-12-rank-1.npz", "step-6-batch-12-rank-1.npz"]
    BadBatches(str(tmp_path), ranks[0], 100).save(a_batch(), facts(step=5))
    assert not [name for name in os.listdir(str(tmp_path)) if name.startswith("step-1")]


def test_the_disk_is_not_filled(tmp_path, monkeypatch):
    usage = collections.namedtuple("usage", "total used free")
    size = sum(value.nbytes for value in a_batch() if value is not None)
    folder = BadBatches(str(tmp_path), ALONE, checkpoint_bytes=1000)
    monkeypatch.setattr(bad_batches.shutil, "disk_usage", lambda path: usage(10 ** 6, 0, size + 1999))
    with pytest.raises(StorageError, match="are needed for the batch, its weights and the next checkpoints"):
        folder.save(a_batch(), facts())
    assert os.listdir(str(tmp_path)) == []
    monkeypatch.setattr(bad_batches.shutil, "disk_usage", lambda path: usage(10 ** 6, 0, size + 2000))
    assert os.path.exists(folder.save(a_batch(), facts()))


def test_the_newest_is_the_one_written_last(tmp_path):
    assert newest_bad_batch(str(tmp_path)) is None and newest_bad_batch(str(tmp_path / "nowhere")) is None
    for seconds, name in ((30, "step-9-batch-9.npz"), (20, "step-10-batch-10-rank-1.npz"), (40, "step-x.npz"), (50, "other.npz")):
        (tmp_path / name).write_bytes(b"")
        os.utime(str(tmp_path / name), (seconds, seconds))
    assert newest_bad_batch(str(tmp_path)) == str(tmp_path / "step-9-batch-9.npz")


@pytest.mark.parametrize("damage, reason", [
    (lambda content: content[:len(content) // 2], "not a NumPy archive, or it is truncated"),
    (lambda content: content[:200] + bytes([content[200] ^ 255]) + content[201:], "cannot be read"),
    (lambda content: b"", "not a NumPy archive"),
    (lambda content: b"wav_filename,transcript\n", "not a NumPy archive")])
def test_a_damaged_file_is_refused(tmp_path, damage, reason):
    path = BadBatches(str(tmp_path), ALONE, 0).save(a_batch(), facts())
    with open(path, "rb") as file:
        content = file.read()
    with open(path, "wb") as file:
        file.write(damage(content))
    with pytest.raises(DataError, match=reason):
        load_bad_batch(path)


def test_an_archive_of_something_else_is_refused(tmp_path):
    path = str(tmp_path / "step-1-batch-1.npz")
    with pytest.raises(DataError, match="does not exist; expected a file that a training wrote into bad_batches/"):
        load_bad_batch(path)
    np.savez(path, numbers=np.zeros(3))
    with pytest.raises(DataError, match="is not a batch that a training writes"):
        load_bad_batch(path)
    # an object array holds pickled code
    np.savez(path, facts=np.array([print], dtype=object))
    with pytest.raises(DataError, match="Object arrays cannot be loaded"):
        load_bad_batch(path)


@pytest.mark.parametrize("changes, reason", [
    ({"labels": None}, "it has no labels"), ({"labels": np.zeros([3, 2], np.int32)}, "do not fit together"),
    ({"features": np.zeros([2, 5], np.float32)}, "do not fit together")])
def test_arrays_that_do_not_belong_together_are_refused(tmp_path, changes, reason):
    path = BadBatches(str(tmp_path), ALONE, 0).save(a_batch()._replace(**changes), facts())
    with pytest.raises(DataError, match=reason):
        load_bad_batch(path)


@pytest.mark.parametrize("changes", [{"loss": "much"}, {"vocabulary_size": 2.5}, {"utterances": []}, {"half_precision": None}])
def test_facts_of_another_kind_are_refused(tmp_path, changes):
    path = BadBatches(str(tmp_path), ALONE, 0).save(a_batch(), facts(**changes))
    with pytest.raises(DataError, match="is not a batch that a training writes"):
        load_bad_batch(path)
