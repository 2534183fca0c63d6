"""Manifests and utterance names for scoring an exported model."""
import os

import pytest

from open_seq2seq.errors import DataError
from open_seq2seq.export.runtime.scoring import find_manifests, utterance_names


def test_names_are_those_of_the_audio_files_and_unique():
    assert utterance_names(["a/84-121123-0000.wav", "b.c.flac"]) == ["84-121123-0000", "b_c"]
    names = utterance_names(["x/a.wav", "y/a.wav", "a_2.wav", "a b$(rm).wav", "-n.wav", "...", "z/a.wav"])
    assert names[:2] == ["a", "a_2"] and names[3] == "a_b__rm_" and names[4] == "n"
    assert len(set(names)) == 7 and not any("." in name or "/" in name for name in names)


def test_manifests_are_found(tmp_path):
    with pytest.raises(DataError, match="is not a directory"):
        find_manifests(str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match="holds no .csv file"):
        find_manifests(str(tmp_path))
    with pytest.raises(DataError, match="there is no manifest .*c.csv; expected a CSV file in --data_dir"):
        find_manifests(str(tmp_path), ["c.csv"])
    for name in ("b.csv", "a.csv"):
        (tmp_path / name).write_text("")
    assert [os.path.basename(path) for path in find_manifests(str(tmp_path))] == ["a.csv", "b.csv"]
    assert find_manifests(str(tmp_path), ["b.csv"]) == [str(tmp_path / "b.csv")]
    # a path needs no --data_dir
    assert find_manifests(str(tmp_path / "nowhere"), [str(tmp_path / "b.csv")]) == [str(tmp_path / "b.csv")]
    with pytest.raises(DataError, match="is not a directory"):
        find_manifests(str(tmp_path / "nowhere"), [str(tmp_path / "b.csv"), "c.csv"])
    (tmp_path / "librivox-dev-clean.csv").write_text("")
    assert find_manifests(str(tmp_path)) == [str(tmp_path / "librivox-dev-clean.csv")]
