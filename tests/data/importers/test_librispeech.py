"""A LibriSpeech tree gives one manifest per subset; missing files are named."""
import csv

import numpy as np
import pytest
import soundfile

from open_seq2seq.data.importers import librispeech
from open_seq2seq.data.importers.importer_command import run_importer


@pytest.fixture
def corpus(tmp_path):
    for subset, speaker, chapter, lines in (
            ("dev-clean", "84", "121123", ["GO DO YOU HEAR", "BUT IN LESS THAN FIVE MINUTES"]),
            ("dev-clean", "174", "50561", ["FORGOTTEN TOO THE NAME OF GILLIAN'S"]),
            ("test-other", "367", "130732", ["LOBSTERS AND LOBSTERS"])):
        folder = tmp_path / "LibriSpeech" / subset / speaker / chapter
        folder.mkdir(parents=True)
        names = ["%s-%s-%04d" % (speaker, chapter, number) for number in range(len(lines))]
        for name in names:
            soundfile.write(str(folder / (name + ".flac")), np.zeros(160), 16000)
        text = "".join("%s %s\n" % pair for pair in zip(names, lines))
        (folder / ("%s-%s.trans.txt" % (speaker, chapter))).write_text(text)
    (tmp_path / "LibriSpeech" / "README.TXT").write_text("about")
    return tmp_path


def run(corpus, *more):
    return run_importer(librispeech.main, ["--corpus", str(corpus), "--output", str(corpus / "manifests")] + list(more))


def test_every_subset_gets_a_manifest(corpus):
    assert run(corpus) == 0
    assert sorted(p.name for p in (corpus / "manifests").iterdir()) == [
        ".import", "librivox-dev-clean.csv", "librivox-test-other.csv"]
    with open(str(corpus / "manifests" / "librivox-dev-clean.csv"), newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["transcript"] for row in rows] == ["forgotten too the name of gillian's", "go do you hear",
                                                   "but in less than five minutes"]
    for row in rows:
        audio = corpus / "manifests" / row["wav_filename"]
        assert audio.stat().st_size == int(row["wav_filesize"])
    assert rows[1]["wav_filename"] == "../LibriSpeech/dev-clean/84/121123/84-121123-0000.flac"


def test_subsets_can_be_chosen(corpus, capsys):
    assert run(corpus / "LibriSpeech", "--subsets", "test-other") == 0
    assert "librivox-test-other.csv: 1 utterances" in capsys.readouterr().out
    assert run(corpus, "--subsets", "train-clean-100") == 3
    assert "--subsets train-clean-100: not in" in capsys.readouterr().err


@pytest.mark.parametrize("damage,message", [
    (lambda folder: (folder / "84-121123-0001.flac").unlink(), "84-121123-0001.flac is missing"),
    (lambda folder: (folder / "84-121123-0009.flac").write_bytes(b"x"), "84-121123-0009.flac has no transcript"),
    (lambda folder: (folder / "84-121123.trans.txt").unlink(), "84-121123-0000.flac has no transcript"),
    (lambda folder: (folder / "84-121123.trans.txt").write_bytes(b"84-121123-0000 CAF\xc9\n"),
     "84-121123.trans.txt:1: the transcript file is not UTF-8 text (byte 0xc9"),
    (lambda folder: (folder / "84-121123.trans.txt").write_text("84-121123-0000\n"),
     "84-121123.trans.txt:1: 84-121123-0000: no transcript: the line has no transcript"),
])
def test_a_damaged_subset_is_refused_and_nothing_written(corpus, capsys, damage, message):
    damage(corpus / "LibriSpeech" / "dev-clean" / "84" / "121123")
    assert run(corpus) == 3
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error
    assert not list((corpus / "manifests").glob("librivox-*"))


def test_a_folder_without_a_subset_is_refused(tmp_path, capsys):
    assert run(tmp_path) == 3
    assert "contains no subset of LibriSpeech; expected SUBSET/SPEAKER/CHAPTER" in capsys.readouterr().err
