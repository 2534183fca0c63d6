"""Which files are transcribed, and where the results go."""
import os

import pytest

from open_seq2seq.data.audio.containers import AUDIO_EXTENSIONS, CONVERTIBLE_EXTENSIONS
from open_seq2seq.decoding.transcript import Word, make_transcript
from open_seq2seq.errors import DataError, StorageError, UsageError
from open_seq2seq.transcription.recordings import (
    Recording,
    audio_files,
    find_recordings,
    require_different_results,
    result_paths,
    skipped_lines,
    write_results,
)
from tests.fixtures.audio_files import encoded

MP4 = b"\0\0\0\x20ftypM4A \0\0\0\0M4A mp42isom" + bytes(400)
TRANSCRIPT = make_transcript([Word("one", 0.1, 0.2, 1.0)], 1.0)


@pytest.fixture
def folder(tmp_path):
    for name in ("b.wav", "a.FLAC", "notes.txt", ".hidden.wav", "sub/c.mp3", "sub/b.wav", ".cache/d.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    return tmp_path


def test_a_folder_is_searched_with_its_subfolders(folder):
    recordings, skipped = audio_files(str(folder))
    assert skipped == [] and [recording.result for recording in recordings] == ["a.FLAC", "b.wav", "sub/b.wav", "sub/c.mp3"]


def test_a_file_on_the_command_line_may_have_any_name(folder):
    recordings, errors, _ = find_recordings([str(folder / "notes.txt"), "-", str(folder / "sub")])
    assert errors == []
    assert [recording.result for recording in recordings] == ["notes.txt", "stdin", "b.wav", "c.mp3"]
    assert recordings[1] == Recording("-", "standard input", "stdin")


def test_missing_inputs_do_not_hide_the_others(folder):
    (folder / "empty").mkdir()
    recordings, errors, _ = find_recordings([str(folder / "nix.wav"), str(folder / "empty"), str(folder / "b.wav")])
    assert len(recordings) == 1 and len(errors) == 2
    assert str(errors[0]).endswith("nix.wav does not exist") and "contains no audio files" in str(errors[1])


def test_equal_names_of_results_are_refused(folder):
    recordings, _, _ = find_recordings([str(folder / "b.wav"), str(folder / "sub" / "b.wav")])
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


def test_names_that_are_not_utf8_are_written(tmp_path):
    path = os.path.join(str(tmp_path), os.fsdecode(b"na\xefve.wav"))
    open(path, "wb").close()
    (named,), ((found,), _) = find_recordings([path])[0], audio_files(str(tmp_path))
    assert named == found and named.path == path and named.name == os.path.join(str(tmp_path), "na\ufffdve.wav")
    write_results(str(tmp_path), named, ["json"], make_transcript([], 1.0))
    assert "na\ufffdve.wav" in open(path + ".json", encoding="utf-8").read()


def test_control_characters_in_a_name_are_escaped(tmp_path):
    path = str(tmp_path / "a\tb\n\x1b[31mü.wav")
    open(path, "wb").close()
    (recording,), _ = audio_files(str(tmp_path))
    assert recording.path == path and recording.name == str(tmp_path / r"a\tb\n\x1b[31mü.wav")
    assert recording.result == "a\tb\n\x1b[31mü.wav"


def test_a_folder_that_cannot_be_created_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file"):
        write_results(str(tmp_path / "file"), Recording("x", "x", "sub/c.mp3"), ["text"], TRANSCRIPT)


def test_links_to_folders_are_followed_and_each_folder_is_read_once(folder, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "x.wav").write_bytes(b"")
    (folder / "sub" / "link").symlink_to(elsewhere)
    (folder / "sub" / "a.wav").symlink_to(elsewhere / "x.wav")     # a link to a file is a file
    (folder / "again").symlink_to(folder / "sub")
    (elsewhere / "cycle").symlink_to(folder)
    (folder / "dangling").symlink_to(folder / "nothing")
    recordings, skipped = audio_files(str(folder))
    assert [recording.result for recording in recordings] == [
        "a.FLAC", "b.wav", "sub/a.wav", "sub/b.wav", "sub/c.mp3", "sub/link/x.wav"]
    assert [item.path for item in skipped] == [str(folder / "again"), str(folder / "sub" / "link" / "cycle")]
    assert skipped[0].reason == "It is a link to a folder that was already read as %s." % (folder / "sub")
    only = tmp_path_factory.mktemp("only")
    (only / "part").symlink_to(elsewhere)
    (elsewhere / "cycle").unlink()
    assert [recording.result for recording in find_recordings([str(only)])[0]] == ["part/x.wav"]


def test_formats_that_must_be_converted_are_named(tmp_path):
    for name in ("a.m4a", "b.M4A", os.fsdecode(b"c\xef.m4a")):
        with open(os.path.join(str(tmp_path), name), "wb") as file:
            file.write(MP4)
    (tmp_path / "radio.amr").write_bytes(b"#!AMR\n" + b"\x3c" * 300)
    (tmp_path / "samples.raw").write_bytes(bytes(1000))
    (tmp_path / "notes.txt").write_text("")
    recordings, errors, skipped = find_recordings([str(tmp_path)])
    assert recordings == [] and len(errors) == 1 and isinstance(errors[0], DataError)
    lines = list(skipped_lines(skipped))
    assert len(lines) == 3
    assert lines[0].startswith("skipped %s and 2 more .m4a files: It is an MP4 (M4A) file, which cannot be read here. Convert"
                               % (tmp_path / "a.m4a"))
    assert lines[1].startswith("skipped %s: It is an AMR file" % (tmp_path / "radio.amr"))
    assert lines[2].startswith("skipped %s: Its extension is not one of an audio file" % (tmp_path / "samples.raw"))


def test_every_extension_of_a_format_that_is_read_is_a_recording(tmp_path):
    for extension in AUDIO_EXTENSIONS + (".MP2", ".Wave"):
        (tmp_path / ("x" + extension)).write_bytes(b"")
    recordings, skipped = audio_files(str(tmp_path))
    assert skipped == [] and len(recordings) == len(AUDIO_EXTENSIONS) + 2
    assert {".wav", ".wave", ".bwf", ".mp1", ".mp2", ".mp3", ".mpga", ".oga", ".aif", ".aifc", ".snd"} <= set(AUDIO_EXTENSIONS)
    assert not set(AUDIO_EXTENSIONS) & set(CONVERTIBLE_EXTENSIONS)


def test_audio_under_another_name_is_reported_as_skipped(tmp_path):
    wav, mp3 = encoded("WAV", "PCM_16"), encoded("MP3", "MPEG_LAYER_III")
    for name, content in (("one", wav), ("two", wav), ("x.take2", wav), ("y.mp3.bak", mp3), ("memo.x", MP4), ("memo.3ga", MP4),
                          ("notes", b"text"), ("tables.bin", b"\x01\x04" + bytes(600)), ("noise.bin", b"\xff\xfb" + bytes(600)),
                          ("results.txt", wav), ("empty", b"")):
        (tmp_path / name).write_bytes(content)
    recordings, errors, skipped = find_recordings([str(tmp_path)])
    assert recordings == [] and "contains no audio files; expected names ending in .wav .wave" in str(errors[0])
    lines = [line.replace(str(tmp_path) + "/", "") for line in skipped_lines(skipped)]
    assert [line.split(":")[0] for line in lines] == [
        "skipped memo.3ga", "skipped memo.x", "skipped one and 1 more files without an extension", "skipped x.take2",
        "skipped y.mp3.bak"]
    assert all("Convert it to WAV first" in line for line in lines[:2])
    assert "Its content is audio (WAV), but its extension is not one of an audio file; rename it" in lines[2]
    assert "Its content is audio (MP3)" in lines[4]


def test_a_folder_that_cannot_be_read_is_an_error(tmp_path, monkeypatch):
    def scandir(path):
        raise PermissionError(13, "Permission denied", str(path))
    monkeypatch.setattr("os.scandir", scandir)
    _, (error,), _ = find_recordings([str(tmp_path)])
    assert str(error) == "cannot read the folder %s: Permission denied" % tmp_path
