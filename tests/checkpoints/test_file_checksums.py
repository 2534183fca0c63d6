"""Checksums of files, at once and computed ahead."""
import os
import zlib

import numpy as np
import pytest

from open_seq2seq.checkpoints import file_checksums
from open_seq2seq.checkpoints.file_checksums import checksum, compute_ahead

NAME = "model.ckpt-%d.data-00000-of-00001"


@pytest.fixture
def run(tmp_path):
    """A run's folder with the data of two checkpoints; the second one is the newer."""
    for step, seconds in ((20, 1000), (10, 2000)):
        path = tmp_path / (NAME % step)
        path.write_bytes(np.random.RandomState(step).bytes(3 * (1 << 18) + 17))
        os.utime(str(path), (seconds, seconds))
    return tmp_path


def expected(path):
    content = path.read_bytes()
    return len(content), "%08x" % zlib.crc32(content)


def wait_for_thread():
    (thread, _), = file_checksums._ahead.values()
    thread.join()


@pytest.mark.parametrize("block_bytes", [1 << 25, 1 << 18, 1000])
def test_a_checksum_goes_over_all_blocks_of_a_file(tmp_path, block_bytes):
    (tmp_path / "file").write_bytes(np.random.RandomState(0).bytes(3 * (1 << 18) + 17))
    (tmp_path / "empty").write_bytes(b"")
    for name in ("file", "empty"):
        assert file_checksums._checksum(str(tmp_path / name), block_bytes) == expected(tmp_path / name)
        assert checksum(str(tmp_path / name)) == expected(tmp_path / name)


@pytest.mark.parametrize("folder", ["", "logs"])
def test_the_newest_checkpoint_is_read_once(run, folder, monkeypatch):
    place = run / folder
    if folder:
        place.mkdir()
        for step in (10, 20):
            (run / (NAME % step)).rename(place / (NAME % step))
    compute_ahead(str(run))
    wait_for_thread()
    monkeypatch.setattr(file_checksums, "_checksum", lambda path, size: "read again")
    # however the path is written
    monkeypatch.chdir(str(place))
    assert checksum(NAME % 10) == expected(place / (NAME % 10))
    assert checksum(NAME % 10) == checksum(NAME % 20) == "read again"


@pytest.mark.parametrize("change", ["written", "replaced", "deleted"])
def test_a_file_that_changes_is_read_again(run, change):
    path = run / (NAME % 10)
    compute_ahead(str(run))
    wait_for_thread()
    if change == "deleted":
        path.unlink()
        with pytest.raises(FileNotFoundError):
            checksum(str(path))
    elif change == "written":
        with open(str(path), "r+b") as file:
            file.write(b"other")
        assert checksum(str(path)) == expected(path)
    else:
        (run / (NAME % 20)).rename(path)
        assert checksum(str(path)) == expected(path)
    file_checksums._ahead.clear()


def test_a_file_that_changes_while_it_is_read_is_read_again(run, monkeypatch):
    path = run / (NAME % 10)
    plain = file_checksums._checksum

    def slow(name, block_bytes):
        found = plain(name, block_bytes)
        path.write_bytes(b"other")
        return found

    monkeypatch.setattr(file_checksums, "_checksum", slow)
    compute_ahead(str(run))
    wait_for_thread()
    monkeypatch.setattr(file_checksums, "_checksum", plain)
    assert checksum(str(path)) == expected(path)
    file_checksums._ahead.clear()


@pytest.mark.parametrize("folder", ["absent", "a\0b", "", "file", "[ab"])
def test_other_paths_are_no_error(tmp_path, folder):
    (tmp_path / "file").write_bytes(b"text")
    compute_ahead(str(tmp_path / folder))
    assert not file_checksums._ahead


def test_a_file_that_cannot_be_read_is_reported_by_checksum(run, monkeypatch):
    def unreadable(path, block_bytes):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(file_checksums, "_checksum", unreadable)
    compute_ahead(str(run))
    wait_for_thread()
    with pytest.raises(PermissionError):
        checksum(str(run / (NAME % 10)))
