"""Errors of an importer's command line become an exit status and one line."""
import pytest

from open_seq2seq.data.importers.importer_command import run_importer
from open_seq2seq.errors import ConfigError, DataError


@pytest.mark.parametrize("error,status,message", [
    (DataError("row 3 is [wrong]"), 3, "DataError: row 3 is [wrong]\n"), (ConfigError("no"), 2, "ConfigError: no\n"),
    (PermissionError(13, "Permission denied", "there"), 3, "StorageError: Permission denied: there\n"),
    (KeyboardInterrupt(), 130, "Interrupted. No incomplete file was left\n")])
def test_errors_give_one_line_and_an_exit_status(capsys, error, status, message):
    def main(arguments):
        raise error

    assert run_importer(main) == status
    assert capsys.readouterr().err == message


def test_a_bug_keeps_its_traceback():
    def main(arguments):
        raise KeyError("bug")

    with pytest.raises(KeyError):
        run_importer(main)
