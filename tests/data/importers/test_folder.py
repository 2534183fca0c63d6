"""Audio with text beside it becomes a manifest; audio without text is named."""
import csv

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


def test_pairs_become_rows(corpus, capsys):
    assert run(corpus) == 0
    assert rows(corpus) == [("../audio/a.flac", "null"), ("../audio/b.wav", "hello there"),
                            ("../audio/more/c.WAV", '1,000 "words"')]
    assert capsys.readouterr().out == "%s: 3 utterances\n" % (corpus / "new" / "set.csv")


def test_case_is_kept_on_request(corpus):
    assert run(corpus, "--keep_case") == 0
    assert rows(corpus)[1][1] == "Hello there"


def test_audio_without_text_is_named_and_can_be_skipped(corpus, capsys):
    (corpus / "audio" / "b.txt").unlink()
    assert run(corpus) == 3
    error = capsys.readouterr().err
    assert "1 of 3 audio files have no transcript beside them (b.wav needs b.txt)" in error and "--skip_unpaired" in error
    assert not (corpus / "new").exists()
    assert run(corpus, "--skip_unpaired") == 0
    assert [name for name, _ in rows(corpus)] == ["../audio/a.flac", "../audio/more/c.WAV"]
    assert "2 utterances, 1 audio files left out" in capsys.readouterr().out


@pytest.mark.parametrize("content,message", [(b" \n", "b.txt is empty"), (b"caf\xe9", "b.txt is not UTF-8 text")])
def test_an_unusable_transcript_is_named(corpus, capsys, content, message):
    (corpus / "audio" / "b.txt").write_bytes(content)
    assert run(corpus) == 3
    assert message in capsys.readouterr().err


def test_a_folder_without_audio_is_explained(tmp_path, capsys):
    assert run(tmp_path) == 3
    assert "there is no such folder" in capsys.readouterr().err
    (tmp_path / "audio").mkdir()
    assert run(tmp_path) == 3
    assert "expected names ending in .wav or .flac" in capsys.readouterr().err
