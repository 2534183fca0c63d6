import errno
import os

import pytest

from open_seq2seq.errors import StorageError
from open_seq2seq.files import replaced_file


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
