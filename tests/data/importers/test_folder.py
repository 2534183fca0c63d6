"""Pairs of audio and text files become a manifest; whatever is skipped is reported."""
import csv
import os

import numpy as np
import pytest
import soundfile

from open_seq2seq.data.importers import folder
from open_seq2seq.data.importers.importer_command import run_importer


@pytest.fixture
def corpus(tmp_path):
    (tmp_path / "audio" / "more").mkdir(parents=True)
    for name, text in (("b.wav", "Hello  there\n"), ("a.flac", "null"), ("more/c.WAV", "1,000 \"words\"")):
        path = tmp_path / "audio" / name
        soundfile.write(str(path), np.zeros(160), 16000, format=path.suffix[1:].upper())
        path.with_suffix(".txt").write_text(text, encoding="utf-8")
    (tmp_path / "audio" / "readme.md").write_text("not audio")
    return tmp_path


def run(corpus, *more):
    paths = ["--corpus", str(corpus / "audio"), "--output", str(corpus / "new" / "set.csv")]
    return run_importer(folder.main, paths + list(more))


def rows(corpus):
    with open(str(corpus / "new" / "set.csv"), newline="", encoding="utf-8") as stream:
        return [(row["wav_filename"], row["transcript"]) for row in csv.DictReader(stream)]


def notes(capsys):
    return [line for line in capsys.readouterr().err.splitlines() if not line.startswith("import: ")]


def test_pairs_become_rows(corpus, capsys):
    assert run(corpus) == 0
    assert rows(corpus) == [("../audio/a.flac", "null"), ("../audio/b.wav", "hello there"),
                            ("../audio/more/c.WAV", '1,000 "words"')]
    assert capsys.readouterr().out.startswith("%s: 3 utterances, " % (corpus / "new" / "set.csv"))
    assert os.listdir(str(corpus / "new")) == ["set.csv"]


def test_case_is_kept_on_request(corpus):
    assert run(corpus, "--keep_case") == 0
    assert rows(corpus)[1][1] == "Hello there"


def test_audio_without_text_is_named_and_can_be_skipped(corpus, capsys):
    (corpus / "audio" / "b.txt").unlink()
    assert run(corpus) == 3
    error = capsys.readouterr().err
    assert "1 of 3 audio files have no transcript next to them (b.wav needs b.txt)" in error and "--skip_unpaired" in error
    assert not (corpus / "new").exists()
    assert run(corpus, "--skip_unpaired") == 0
    assert [name for name, _ in rows(corpus)] == ["../audio/a.flac", "../audio/more/c.WAV"]
    output = capsys.readouterr()
    assert ": 2 utterances," in output.out
    assert "skipped 1 audio files without a transcript: %s" % (corpus / "audio" / "b.wav") in output.err


@pytest.mark.parametrize("content,message", [(b" \n", "the transcript is empty"),
                                             (b"caf\xe9", "b.txt:1: the transcript is not UTF-8 text (byte 0xe9 at position 3)"),
                                             (b"\xff\xfeh\0i\0", "b.txt:1: the transcript is UTF-16 text")])
def test_an_unusable_transcript_is_refused(corpus, capsys, content, message):
    (corpus / "audio" / "b.txt").write_bytes(content)
    assert run(corpus) == 3
    error = capsys.readouterr().err
    assert message in error and "1 of 3 utterances (33.33 %) cannot be imported" in error and "set.skipped.csv" in error
    assert run(corpus, "--max_skipped", "0.5") == 0 and [name for name, _ in rows(corpus)] == [
        "../audio/a.flac", "../audio/more/c.WAV"]


def test_a_folder_without_audio_is_refused(tmp_path, capsys):
    assert run(tmp_path) == 3
    assert "the folder does not exist" in capsys.readouterr().err
    (tmp_path / "audio").mkdir()
    assert run(tmp_path) == 3
    assert "expected names ending in .wav .wave" in capsys.readouterr().err
    (tmp_path / "audio" / "memo.M4A").write_bytes(b"x")
    assert run(tmp_path) == 3
    assert "; found 1 .m4a files" in capsys.readouterr().err


def test_links_to_folders_are_followed_once(corpus, capsys):
    (corpus / "elsewhere" / "deep").mkdir(parents=True)
    (corpus / "audio" / "b.wav").rename(corpus / "elsewhere" / "deep" / "b.wav")
    (corpus / "audio" / "b.txt").rename(corpus / "elsewhere" / "deep" / "b.txt")
    (corpus / "audio" / "link").symlink_to(corpus / "elsewhere")
    (corpus / "audio" / "again").symlink_to(corpus / "audio" / "more")
    (corpus / "elsewhere" / "cycle").symlink_to(corpus / "audio")
    assert run(corpus) == 0
    assert [name for name, _ in rows(corpus)] == ["../audio/a.flac", "../audio/link/deep/b.wav", "../audio/more/c.WAV"]
    assert sorted(notes(capsys)) == [
        "skipped the link %s: its folder was already read as %s" % (corpus / "audio" / link, corpus / "audio" / first)
        for link, first in (("again", "more"), ("link/cycle", ""))]


def test_skipped_formats_are_counted_and_named(corpus, capsys):
    for name in ("x.m4a", "x.txt", "y.M4A", "a.mp3", "lonely.txt", ".hidden.m4a", "more/z.amr"):
        (corpus / "audio" / name).write_bytes(b"x")
    assert run(corpus) == 0
    assert [name for name, _ in rows(corpus)] == ["../audio/a.flac", "../audio/b.wav", "../audio/more/c.WAV"]
    folder = str(corpus / "audio")
    assert notes(capsys) == [
        "skipped 1 .amr files: %s/more/z.amr (the format cannot be read here; convert them to WAV first, e.g. ffmpeg -i INPUT "
        "OUTPUT.wav)" % folder,
        "skipped 2 .m4a files: %s/x.m4a, %s/y.M4A (the format cannot be read here; convert them to WAV first, e.g. ffmpeg -i "
        "INPUT OUTPUT.wav)" % (folder, folder),
        "skipped 1 .mp3 files: %s/a.mp3 (another audio file of the same name is used)" % folder,
        "skipped 1 .txt files: %s/lonely.txt (there is no audio file of the same name)" % folder]


def test_every_audio_extension_is_used_and_audio_under_another_name_is_reported(corpus, capsys):
    folder = corpus / "audio"
    content = (folder / "b.wav").read_bytes()
    for name in ("m.mp2", "n.wave", "o.bwf", "p.mpga", "q.oga", "take1", "take2", "r.orig"):
        path = folder / name
        path.write_bytes(content)
        path.with_suffix(".txt").write_text("x")
    (folder / "s.3ga").write_bytes(b"x")
    (folder / "s.txt").write_text("x")
    assert run(corpus) == 0
    assert [name for name, _ in rows(corpus)] == ["../audio/%s" % name for name in (
        "a.flac", "b.wav", "m.mp2", "more/c.WAV", "n.wave", "o.bwf", "p.mpga", "q.oga")]
    reason = "(the content is audio, but the extension is not one of an audio file; rename or convert them)"
    assert notes(capsys) == [
        "skipped 2 files without an extension: %s/take1, %s/take2 %s" % (folder, folder, reason),
        "skipped 1 .3ga files: %s/s.3ga (the format cannot be read here; convert them to WAV first, e.g. ffmpeg -i INPUT "
        "OUTPUT.wav)" % folder,
        "skipped 1 .orig files: %s/r.orig %s" % (folder, reason)]


@pytest.mark.parametrize("damage, message", [
    (lambda audio: (os.rename(str(audio / "b.wav"), os.fsencode(str(audio / "gr")) + b"\xf6sse.wav"),
                    os.rename(str(audio / "b.txt"), os.fsencode(str(audio / "gr")) + b"\xf6sse.txt")),
     "gr\\udcf6sse.wav' is not valid UTF-8"),
    (lambda audio: ((audio / "b.wav").unlink(), (audio / "b.wav").symlink_to(audio / "gone.wav")), "b.wav does not exist"),
    (lambda audio: (audio / "b.wav").write_bytes(b""), "empty audio: the file has 0 bytes"),
    (lambda audio: (audio / "b.wav").write_text("no audio"), "not audio: ")])
def test_an_unusable_file_is_named(corpus, capsys, damage, message):
    damage(corpus / "audio")
    assert run(corpus) == 3
    error = capsys.readouterr().err
    assert message in error and "1 of 3 utterances" in error and "Traceback" not in error
    assert os.listdir(str(corpus / "new")) != ["set.csv"] and not (corpus / "new" / "set.csv").exists()
