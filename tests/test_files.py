import errno
import os
import subprocess
import sys

import pytest

from open_seq2seq.errors import StorageError
from open_seq2seq.files import remove_interrupted_writes, replaced_file
from tests.paths import REPOSITORY


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "result.csv"
    path.write_text("old")
    with pytest.raises(KeyError):
        with replaced_file(str(path)) as file:
            file.write("half")
            raise KeyError("a bug in the block")
    assert path.read_text() == "old"
    assert os.listdir(str(tmp_path)) == ["result.csv"]
    with replaced_file(str(path)) as file:
        file.write("new")
    assert path.read_text() == "new"


def test_a_folder_that_becomes_read_only_meanwhile_is_a_storage_error(tmp_path, monkeypatch):
    path = tmp_path / "result.csv"
    path.write_text("old")

    def refused(*_):
        raise PermissionError(errno.EACCES, "Permission denied")
    # neither renamed nor deleted; root, as whom tests may run, would be let by any folder
    monkeypatch.setattr(os, "replace", refused)
    monkeypatch.setattr(os, "remove", refused)
    with pytest.raises(StorageError, match="cannot write .*result.csv: Permission denied. Free some space"):
        with replaced_file(str(path)) as file:
            file.write("new")
    assert path.read_text() == "old"


def test_a_missing_folder_is_a_storage_error(tmp_path):
    with pytest.raises(StorageError, match="cannot write .*nowhere.result.csv: No such file"):
        with replaced_file(str(tmp_path / "nowhere" / "result.csv")):
            pass


def test_what_a_killed_process_was_writing_is_removed_and_what_a_running_one_writes_is_not(tmp_path):
    path = tmp_path / "train_0_1.npy"
    program = ("import sys, time\nfrom open_seq2seq.files import replaced_file\n"
               "with replaced_file(%r, 'wb'):\n    print('open', flush=True)\n    time.sleep(60)\n" % str(path))
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=REPOSITORY)
    try:
        assert process.stdout.readline() == b"open\n"
        temporary, = os.listdir(str(tmp_path))
        others = ["train_0_1.npy.old", "train_0_1.npy.tmp", "train_0_10.npy.1-00000000.tmp", "xtrain_0_1.npy.1-00000000.tmp"]
        for name in [temporary] + others:
            (tmp_path / name).touch()
            os.utime(str(tmp_path / name), (1.0, 1.0))
        remove_interrupted_writes(str(path))
        assert sorted(os.listdir(str(tmp_path))) == sorted(others + [temporary])
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    remove_interrupted_writes(str(path))
    assert sorted(os.listdir(str(tmp_path))) == sorted(others)
