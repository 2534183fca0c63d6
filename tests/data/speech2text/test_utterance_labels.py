"""Labels of a data set's utterances: their place in the manifest, the dictionary's indices, and what contradicts the audio."""
import re

import pytest

from open_seq2seq.data.speech2text.manifest import read_manifest
from open_seq2seq.data.speech2text.utterance_labels import UtteranceLabels
from open_seq2seq.errors import DataError


@pytest.fixture
def corpus(tmp_path):
    """A manifest of 3 rows, the second of which begins on line 4, with labels and a dictionary."""
    (tmp_path / "train.csv").write_text('wav_filename,wav_filesize,transcript\na.wav,1,"x\ny"\n\nb.wav,1,\nc.wav,1,z\n')
    (tmp_path / "train.km").write_text("5 0 0\n\n7 5\n")
    (tmp_path / "dict.km.txt").write_text("5 2\n0 2\n7 1\n9 0\n")
    return tmp_path


def labels_of(folder, **options):
    return UtteranceLabels([str(folder / "train.csv")], "km", **dict({"label_rate": 100}, **options))


def test_labels_belong_to_the_rows_of_the_manifest(corpus):
    labels = labels_of(corpus)
    rows = read_manifest(str(corpus / "train.csv"))
    assert [labels.labels_of(row).tolist() for row in rows] == [[4, 5, 5], [], [6, 4]]
    assert labels.labels_of(rows[0]).dtype == "int32" and len(labels.dictionary) == 8


@pytest.mark.parametrize("name, text, message", [
    ("train.km", "5 0\n7\n", "train.km has 2 lines, and .*train.csv has 3 utterances"),
    ("train.km", "5 0\n\n5 7 3 9 3\n", "train.km:3: the label 3 is not in .*dict.km.txt.*2 frames"),
    ("dict.km.txt", "", "dict.km.txt is empty"), ("train.km.json", "{", "train.km.json is damaged"),
    ("train.km.json", '{"label_rate": 50, "clusters": "a", "num_clusters": 8, "features": "mfcc", "identity": ""}',
     "train.km has 50 labels per second, and label_rate is 100")])
def test_contradictions(corpus, name, text, message):
    (corpus / name).write_text(text)
    with pytest.raises(DataError, match=message):
        labels_of(corpus)


def test_rate_must_be_known(corpus):
    with pytest.raises(DataError, match=re.escape(str(corpus / "train.km")) + ".*set label_rate"):
        labels_of(corpus, label_rate=None)


@pytest.mark.parametrize("frames, fits", [(96, True), (95, False), (100, True), (101, False)])
def test_labels_differ_from_the_audio_by_at_most_two(corpus, frames, fits):
    class Utterance:
        manifest, row, duration, wav_filename, id = str(corpus / "train.csv"), 5, 1.0, "b.wav", "train.csv:5"

    (corpus / "train.km").write_text("0\n%s\n0\n" % " ".join(["5"] * frames))
    labels = labels_of(corpus)
    Utterance.row = read_manifest(str(corpus / "train.csv"))[1].row
    if fits:
        labels.check([Utterance])
    else:
        with pytest.raises(DataError, match=r"train.km:2 has %d labels, and b.wav .* has 98 frames at 100 labels" % frames):
            labels.check([Utterance])
