"""Which files a command line means, and where results go."""
import os

import pytest

from open_seq2seq.errors import StorageError, UsageError
from open_seq2seq.transcription.recordings import (
    Recording,
    audio_files,
    find_recordings,
    require_different_results,
    result_paths,
    write_results,
)
from open_seq2seq.transcription.transcript import Word, make_transcript

TRANSCRIPT = make_transcript([Word("one", 0.1, 0.2, 1.0)], 1.0)


@pytest.fixture
def folder(tmp_path):
    for name in ("b.wav", "a.FLAC", "notes.txt", ".hidden.wav", "sub/c.mp3", "sub/b.wav", ".cache/d.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    return tmp_path


def test_a_folder_means_all_audio_below_it(folder):
    assert [recording.result for recording in audio_files(str(folder))] == ["a.FLAC", "b.wav", "sub/b.wav", "sub/c.mp3"]


def test_a_file_named_is_taken_whatever_its_name(folder):
    recordings, errors = find_recordings([str(folder / "notes.txt"), "-", str(folder / "sub")])
    assert errors == []
    assert [recording.result for recording in recordings] == ["notes.txt", "stdin", "b.wav", "c.mp3"]
    assert recordings[1] == Recording("-", "standard input", "stdin")


def test_what_is_not_there_does_not_hide_the_rest(folder):
    (folder / "empty").mkdir()
    recordings, errors = find_recordings([str(folder / "nix.wav"), str(folder / "empty"), str(folder / "b.wav")])
    assert len(recordings) == 1 and len(errors) == 2
    assert str(errors[0]).endswith("nix.wav does not exist") and "holds no audio files" in str(errors[1])


def test_results_that_would_meet_are_refused(folder):
    recordings, _ = find_recordings([str(folder / "b.wav"), str(folder / "sub" / "b.wav")])
    with pytest.raises(UsageError, match="sub/b.wav would both be written to b.wav"):
        require_different_results(recordings)
    require_different_results(find_recordings([str(folder)])[0])


def test_results_keep_the_folders_and_the_whole_name(folder, tmp_path):
    output, recording = str(tmp_path / "out"), Recording("x", "x", "sub/c.mp3")
    write_results(output, recording, ["text", "srt"], TRANSCRIPT)
    assert result_paths(output, recording, ["text", "srt"]) == [output + "/sub/c.mp3.txt", output + "/sub/c.mp3.srt"]
    assert sorted(os.listdir(output + "/sub")) == ["c.mp3.srt", "c.mp3.txt"]
    with open(output + "/sub/c.mp3.txt") as file:
        assert file.read() == "one\n"


def test_names_that_are_no_text_are_written(tmp_path):
    path = os.path.join(str(tmp_path), os.fsdecode(b"na\xefve.wav"))
    open(path, "wb").close()
    (named,), (found,) = find_recordings([path])[0], audio_files(str(tmp_path))
    assert named == found and named.path == path and named.name == os.path.join(str(tmp_path), "na\ufffdve.wav")
    write_results(str(tmp_path), named, ["json"], make_transcript([], 1.0))
    assert "na\ufffdve.wav" in open(path + ".json", encoding="utf-8").read()


def test_a_name_stays_on_its_line(tmp_path):
    path = str(tmp_path / "a\tb\n\x1b[31mü.wav")
    open(path, "wb").close()
    recording, = audio_files(str(tmp_path))
    assert recording.path == path and recording.name == str(tmp_path / r"a\tb\n\x1b[31mü.wav")
    assert recording.result == "a\tb\n\x1b[31mü.wav"


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file"):
        write_results(str(tmp_path / "file"), Recording("x", "x", "sub/c.mp3"), ["text"], TRANSCRIPT)
