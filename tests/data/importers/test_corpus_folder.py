"""A corpus is complete or absent, files of the user are never replaced; manifests and the command's exit statuses."""
import os

import pytest

from open_seq2seq.data.importers.corpus_folder import is_complete, new_corpus
from open_seq2seq.data.importers.importer_command import run_importer
from open_seq2seq.data.importers.manifest_writer import ManifestRow, write_manifest
from open_seq2seq.errors import ConfigError, DataError, StorageError

ORDER = {"importer": "test", "version": 1, "parameters": {"seed": 1}}


def make(folder, text="new", overwrite=False, order=ORDER):
    with new_corpus(str(folder), order, overwrite) as (partial, description):
        with open(os.path.join(partial, "file"), "w") as stream:
            stream.write(text)
        description["extra"] = 3


def test_a_corpus_appears_when_it_is_complete(tmp_path):
    folder = tmp_path / "deep" / "corpus"
    with new_corpus(str(folder), ORDER, False):
        assert not folder.exists()
    assert folder.is_dir() and is_complete(str(folder), ORDER)
    assert not is_complete(str(folder), dict(ORDER, version=2))
    assert os.listdir(str(tmp_path / "deep")) == ["corpus"]


def test_files_of_an_interrupted_run_are_removed(tmp_path):
    (tmp_path / ".corpus.partial" / "train").mkdir(parents=True)
    (tmp_path / ".corpus.partial" / "corpus.json").write_text("{}")
    make(tmp_path / "corpus")
    assert sorted(os.listdir(str(tmp_path / "corpus"))) == ["corpus.json", "file"]
    assert os.listdir(str(tmp_path)) == ["corpus"]


def test_an_older_corpus_is_replaced_only_with_overwrite_and_only_on_success(tmp_path):
    folder = tmp_path / "corpus"
    make(folder, "old")
    with pytest.raises(StorageError, match="made with other parameters"):
        make(folder)
    with pytest.raises(ZeroDivisionError):
        with new_corpus(str(folder), ORDER, True):
            raise ZeroDivisionError
    assert (folder / "file").read_text() == "old"
    make(folder, "new", overwrite=True)
    assert (folder / "file").read_text() == "new"
    assert os.listdir(str(tmp_path)) == ["corpus"]


def test_a_folder_that_is_not_a_corpus_is_never_replaced(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
    with pytest.raises(StorageError, match="is not a corpus that an importer made"):
        make(tmp_path / "thesis", overwrite=True)
    assert (tmp_path / "thesis" / "chapter.txt").read_text() == "years of work"


def test_an_empty_folder_is_used(tmp_path):
    (tmp_path / "corpus").mkdir()
    make(tmp_path / "corpus")
    assert (tmp_path / "corpus" / "file").exists()


def test_two_runs_at_once_do_not_mix(tmp_path):
    with new_corpus(str(tmp_path / "corpus"), ORDER, False):
        with pytest.raises(StorageError, match="another process is writing"):
            make(tmp_path / "corpus")
    assert os.listdir(str(tmp_path / "corpus")) == ["corpus.json"]


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot create a corpus in .*file: Not a directory"):
        make(tmp_path / "file" / "corpus")


def test_manifest_rows_survive_commas_and_quotes(tmp_path):
    (tmp_path / "a,b.wav").write_bytes(b"123")
    assert write_manifest(str(tmp_path / "m.csv"), [ManifestRow(str(tmp_path / "a,b.wav"), 'say "no", twice')]) == 1
    assert (tmp_path / "m.csv").read_bytes() == (b'wav_filename,wav_filesize,transcript\n"a,b.wav",3,"say ""no"", twice"\n')


def test_a_file_name_that_is_not_utf8_is_refused(tmp_path):
    path = os.path.join(os.fsencode(str(tmp_path)), b"gr\xf6sse.wav")
    with open(path, "wb"):
        pass
    with pytest.raises(DataError, match=r"the file name gr\\xf6sse.wav is not valid UTF-8"):
        write_manifest(str(tmp_path / "m.csv"), [ManifestRow(os.fsdecode(path), "x")])
    assert not (tmp_path / "m.csv").exists()


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"importer": ' + b"[" * 100000, b"\xff", b'{"version": 1}'])
def test_a_damaged_description_is_not_that_of_a_corpus(tmp_path, content):
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "corpus.json").write_bytes(content)
    assert not is_complete(str(tmp_path / "corpus"), ORDER)
    with pytest.raises(StorageError, match="is not a corpus that an importer made"):
        make(tmp_path / "corpus", overwrite=True)


@pytest.mark.parametrize("rows,message", [([], "would be empty"), ([ManifestRow("gone.wav", "x")], "gone.wav cannot be read")])
def test_a_failed_write_leaves_the_old_manifest(tmp_path, rows, message):
    (tmp_path / "m.csv").write_text("old")
    with pytest.raises(DataError, match=message):
        write_manifest(str(tmp_path / "m.csv"), rows)
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("m.csv", "old")]


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
