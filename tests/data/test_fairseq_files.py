"""Audio lists, frame labels and dictionaries of fairseq: both ways, fairseq's own numbers, and what is refused."""
import json
import os
import re

import numpy as np
import pytest

from open_seq2seq.data.fairseq_files import frame_labels
from open_seq2seq.data.fairseq_files.audio_list import read_audio_list, write_audio_list
from open_seq2seq.data.fairseq_files.dictionary import LabelDictionary
from open_seq2seq.data.fairseq_files.frame_labels import (
    LabelDescription,
    expected_labels,
    read_frame_labels,
    require_same_clusters,
    write_description,
    write_frame_labels,
)
from open_seq2seq.data.speech2text.manifest import read_manifest
from open_seq2seq.errors import DataError


def written(path, text):
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_audio_list_is_read_as_written_and_as_a_manifest(tmp_path):
    (tmp_path / "a b").mkdir()
    path, entries = str(tmp_path / "train.tsv"), [("a b/ä.flac", 16000), ("2.wav", 7)]
    write_audio_list(path, tmp_path, entries)
    found = read_audio_list(path)
    assert found.root == str(tmp_path) and [(entry.name, entry.num_samples) for entry in found.entries] == entries
    rows = read_manifest(path, transcripts=False)
    assert [(row.row, row.wav_filename, row.audio_path, row.transcript, row.columns) for row in rows] == [
        (2, "a b/ä.flac", str(tmp_path / "a b/ä.flac"), "", (("samples", "16000"),)),
        (3, "2.wav", str(tmp_path / "2.wav"), "", (("samples", "7"),))]
    with pytest.raises(DataError, match="without transcripts"):
        read_manifest(path)


@pytest.mark.parametrize("lines, message", [
    ("", ":1: the root folder is missing"), ("/no/such\na.wav\t3\n", ":1: the root /no/such is not a folder.*--root FOLDER"),
    ("a.wav\t3\n", ":1: .*without a number"), (".\na.wav 3\n", ":2: found 'a.wav 3'"), (".\na.wav\t-3\n", ":2: "),
    (".\na.wav\t3\n\n", ":3: found ''"), (".\na.wav\t3\na.wav\t3\n", ":3: a.wav is also in line 2"), (".\n", "no audio files")])
def test_invalid_audio_lists(tmp_path, lines, message):
    path = written(tmp_path / "train.tsv", lines)
    with pytest.raises(DataError, match=re.escape(path) + ".*" * (message[0] != ":") + message):
        read_audio_list(path)


@pytest.mark.shared
def test_dictionary_of_fairseq(goldens, tmp_path):
    with open(os.path.join(goldens, "hubert", "dictionary.json"), encoding="utf-8") as file:
        golden = json.load(file)
    labels = read_frame_labels(written(tmp_path / "train.km", "\n".join(golden["input_lines"]) + "\n"))
    for factor in (8, 1):
        path = str(tmp_path / "dict.km.txt")
        LabelDictionary.of_counts(labels.counts(), factor).write(path)
        expected = golden["dict.km.txt%s_padding_factor_%d" % ("_default" * (factor == 8), factor)]
        with open(path, encoding="utf-8") as file:
            assert file.read().split("\n") == expected + [""]
        dictionary = LabelDictionary.read(path)
        assert {symbol: dictionary.index(symbol) for symbol in dictionary.symbols} == {
            symbol: golden["index_of"][symbol] for symbol in dictionary.symbols}
    assert dictionary.index("4") is None


@pytest.mark.parametrize("text, message", [
    ("", "is empty"), ("0 1\n1\n", ":2: found '1'"), ("0 1\n1 one\n", ":2: "),
    ("0 1\n0 2\n", ":2: the label 0 is also in line 1"), ("<unk> 1\n", ":1: <unk> is a special symbol")])
def test_invalid_dictionaries(tmp_path, text, message):
    path = written(tmp_path / "dict.km.txt", text)
    with pytest.raises(DataError, match=re.escape(path) + ".*" + message):
        LabelDictionary.read(path)


@pytest.mark.parametrize("block", [7, 1 << 24])
def test_labels_are_read_as_written_whatever_the_block(tmp_path, monkeypatch, block):
    monkeypatch.setattr(frame_labels, "_BLOCK", block)
    random = np.random.RandomState(0)
    lengths = [3, 0, 1, 40, 0]
    labels, path = random.randint(0, 300, sum(lengths)), str(tmp_path / "train.km")
    write_frame_labels(path, labels, lengths)
    found = read_frame_labels(path)
    assert found.values.dtype == np.uint16 and (found.values == labels).all() and found.lengths.tolist() == lengths
    assert found[3].tolist() == labels[4:].tolist() and found.line_of(3) == 3
    # line ends of Windows, none at the end, several blanks
    with open(path, encoding="utf-8") as file:
        lines = file.read().replace(" ", "  ").rstrip("\n").replace("\n", "\r\n")
    again = read_frame_labels(written(tmp_path / "other.km", lines))
    assert (again.values == labels).all() and again.lengths.tolist() == lengths[:-1]


@pytest.mark.parametrize("text, message", [
    ("", "is empty"), ("1 2\n1 2 x 3\n", ":2: found '1 2 x 3'"), ("1\n-1\n", ":2: "), ("1.5\n", ":1: "), ("1\t2\n", ":1: "),
    ("1\n\n1234567\n", ":3: a label has more than 6 digits")])
def test_invalid_labels(tmp_path, text, message):
    path = written(tmp_path / "train.km", text)
    with pytest.raises(DataError, match=re.escape(path) + ".*" + message):
        read_frame_labels(path)


def test_labels_of_train_and_valid_have_the_same_clusters(tmp_path):
    paths = [str(tmp_path / name) for name in ("train.km", "valid.km", "other.km")]
    write_description(paths[0], LabelDescription(100.0, "a" * 64, 10, "mfcc", "1"))
    write_description(paths[1], LabelDescription(100.0, "a" * 64, 10, "mfcc", "2"))
    require_same_clusters(paths)
    write_description(paths[2], LabelDescription(100.0, "b" * 64, 10, "mfcc", "3"))
    with pytest.raises(DataError, match="train.km and .*other.km come from different clusters.*--mode=labels"):
        require_same_clusters(paths)


def test_expected_labels_are_kaldis_frames():
    for samples in list(range(0, 1300)) + [16000 * 3600 + extra for extra in range(0, 320, 7)]:
        frames = 0 if samples < 400 else 1 + (samples - 400) // 160
        assert expected_labels(samples / 16000.0, 100) == frames
