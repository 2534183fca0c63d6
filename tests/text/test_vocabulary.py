import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from open_seq2seq.errors import DataError
from open_seq2seq.text.vocabulary import Vocabulary

LETTERS = " abcdefghijklmnopqrstuvwxyz'"
PUBLIC_PATH = "open_seq2seq/test_utils/toy_speech_data/vocab.txt"


@pytest.fixture
def write(tmp_path):
    def write(data):
        path = tmp_path / "vocab.txt"
        path.write_bytes(data)
        return str(path)
    return write


def test_public_vocabulary_is_found_from_any_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    vocabulary = Vocabulary.from_file(PUBLIC_PATH)
    assert vocabulary.size == len(vocabulary) == 28
    assert "".join(vocabulary.characters) == LETTERS


def test_working_directory_comes_before_the_repository(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / PUBLIC_PATH
    os.makedirs(str(path.parent))
    path.write_text("x\ny\n")
    assert Vocabulary.from_file(PUBLIC_PATH).characters == ("x", "y")


@pytest.mark.parametrize("data, characters", [
    (b" \na\nb\n", " ab"),
    (b" \r\na\r\nb\r\n", " ab"),
    (b"\xef\xbb\xbfa\nb\n", "ab"),
    (b"a\n\n\r\nb", "ab"),
    (b"a 1234\nb\t4321\n", "ab"),
    ("ä\nß\n語\n".encode(), "äß語"),
])
def test_file_format(write, data, characters):
    assert Vocabulary.from_file(write(data)).characters == tuple(characters)


@pytest.mark.parametrize("data, message", [
    (b"a\nb\na\n", r"vocab.txt:3: character 'a' was already on line 1"),
    (b" \na\n b\n", r"vocab.txt:3: character ' ' was already on line 1"),
    (b"", "is empty"),
    (b"\r\n\r\n", "is empty"),
    (b"a\nb\n\xff\xfe\n", r"is not UTF-8 text \(byte 4\)"),
])
def test_unusable_files_are_explained(write, data, message):
    with pytest.raises(DataError, match=message):
        Vocabulary.from_file(write(data))


def test_missing_file_says_where_it_was_looked_for():
    with pytest.raises(DataError, match=r"vocabulary no/such.txt does not exist \(looked in .* and .*vocab_file"):
        Vocabulary.from_file("no/such.txt")


def test_unknown_characters_are_named_once_and_lower_case_is_suggested():
    with pytest.raises(DataError) as error:
        Vocabulary(LETTERS).encode("Hello Huge")
    assert str(error.value) == ("'H' (LATIN CAPITAL LETTER H) in 'Hello Huge' not in the vocabulary; in lower case it would be: "
                                "lower the transcripts' case")
    with pytest.raises(DataError, match=r"'5' \(DIGIT FIVE\), 'é' \(LATIN SMALL LETTER E WITH ACUTE\) in 'caf5é' not in the "
                                        "vocabulary$"):
        Vocabulary(LETTERS).encode("caf5é")


@pytest.mark.parametrize("label", [-1, 28])
def test_decoding_refuses_what_is_no_character(label):
    with pytest.raises(IndexError, match="label %d" % label):
        Vocabulary(LETTERS).decode([0, label])


def test_labels_are_positions_in_the_file():
    assert Vocabulary(LETTERS).encode("a z'") == [1, 0, 26, 27]


@settings(suppress_health_check=list(HealthCheck), deadline=None, max_examples=60)
@given(characters=st.lists(st.characters(blacklist_characters="\r\n\ufeff", blacklist_categories=["Cs"]), min_size=1,
                           unique=True), data=st.data())
def test_any_characters_survive_file_and_encoding(tmp_path_factory, characters, data):
    path = tmp_path_factory.mktemp("vocabulary") / "vocab.txt"
    path.write_bytes("\n".join(characters).encode("utf-8"))
    vocabulary = Vocabulary.from_file(str(path))
    text = "".join(data.draw(st.lists(st.sampled_from(characters))))
    assert vocabulary.characters == tuple(characters)
    assert vocabulary.decode(vocabulary.encode(text)) == text
