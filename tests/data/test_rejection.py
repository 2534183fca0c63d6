import csv

import pytest

from open_seq2seq.data import rejection
from open_seq2seq.data.rejection import Rejections
from open_seq2seq.data.speech2text.manifest import ManifestRow
from open_seq2seq.errors import DataError, StorageError


def row(number):
    return ManifestRow("train.csv", number, "%d.wav" % number, "/data/%d.wav" % number, "text", None)


def test_filters_are_counted_but_not_against_the_limit():
    rejections = Rejections(100, 0.01)
    for number in range(50):
        rejections.add(row(number), rejection.TOO_LONG, "20 s")
    rejections.add(row(50), rejection.MISSING_FILE, "gone")
    assert rejections.counts() == {"longer than max_duration": 50, "missing file": 1}
    assert list(rejections.counts()) == ["longer than max_duration", "missing file"]
    rejections.raise_if_too_many()
    rejections.add(row(51), rejection.NOT_AUDIO, "html")
    with pytest.raises(DataError):
        rejections.raise_if_too_many()


def test_the_error_names_counts_examples_of_every_reason_and_the_list(tmp_path):
    path = str(tmp_path / "rejected.csv")
    rejections = Rejections(20, 0.1, path)
    for number in range(2, 10):
        rejections.add(row(number), rejection.MISSING_FILE, "not there")
    rejections.add(row(10), rejection.NOT_AUDIO, "the file begins with '<html>'")
    with pytest.raises(DataError) as error:
        rejections.raise_if_too_many()
    assert str(error.value).splitlines() == [
        "9 of 20 utterances (45.00 %) cannot be used, more than max_rejected_fraction allows (10 %): 8 missing file, "
        "1 not audio.",
        "  train.csv:2: 2.wav: missing file: not there",
        "  train.csv:10: 10.wav: not audio: the file begins with '<html>'",
        "  train.csv:3: 3.wav: missing file: not there",
        "  train.csv:4: 4.wav: missing file: not there",
        "  train.csv:5: 5.wav: missing file: not there",
        "  ... and 4 more",
        "All of them are listed in %s. Fix or remove these rows, or raise data_layer_params[\"max_rejected_fraction\"] to "
        "continue without them" % path]


def test_nothing_left_is_refused_whatever_the_limit():
    rejections = Rejections(2, 1.0)
    rejections.add(row(2), rejection.TOO_SHORT, "0.1 s")
    rejections.raise_if_nothing_left(1)
    rejections.add(row(3), rejection.EMPTY_AUDIO, "no samples")
    with pytest.raises(DataError, match="none of the 2 utterances can be used: 1 shorter than min_duration, 1 empty audio"):
        rejections.raise_if_nothing_left(0)


def test_list_holds_every_row(tmp_path):
    path = tmp_path / "rejected.csv"
    rejections = Rejections(10, 1.0, str(path))
    rejections.write()
    assert not path.exists()
    rejections.add(row(2), rejection.UNKNOWN_CHARACTER, "'é', \"quoted\"\nand more")
    rejections.write()
    with open(str(path), newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [
            ["manifest", "row", "wav_filename", "reason", "detail"],
            ["train.csv", "2", "2.wav", "character outside the vocabulary", "'é', \"quoted\"\nand more"]]
    assert [item.name for item in tmp_path.iterdir()] == ["rejected.csv"]
    assert rejections.summary() == "1 of 10 utterances skipped: 1 character outside the vocabulary; listed in %s" % path


def test_list_that_cannot_be_written(tmp_path):
    rejections = Rejections(10, 1.0, str(tmp_path / "no" / "rejected.csv"))
    rejections.add(row(2), rejection.NOT_AUDIO, "html")
    with pytest.raises(StorageError, match="rejected.csv"):
        rejections.write()


def test_clean_data_says_nothing():
    rejections = Rejections(10, 0.0)
    rejections.raise_if_too_many()
    assert rejections.summary() == "" and len(rejections) == 0


def test_the_rows_of_other_manifests_stay_listed_and_old_ones_of_its_own_go(tmp_path):
    path = tmp_path / "rejected.csv"

    def listed():
        return [line.split(",")[0] for line in path.read_text().splitlines()[1:]]

    training = Rejections(10, 1.0, str(path), manifests=["train.csv"])
    training.add(row(2), rejection.MISSING_FILE, "gone")
    training.write()
    evaluation = Rejections(10, 1.0, str(path), manifests=["dev.csv"])
    evaluation.add(row(2)._replace(manifest="dev.csv"), rejection.MISSING_FILE, "gone")
    evaluation.write()
    assert listed() == ["train.csv", "dev.csv"]
    Rejections(10, 1.0, str(path), manifests=["train.csv"]).write()
    assert listed() == ["dev.csv"]
    Rejections(10, 1.0, str(path), manifests=["dev.csv"]).write()
    assert not path.exists()
