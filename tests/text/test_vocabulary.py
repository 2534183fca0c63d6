import os
import unicodedata

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from open_seq2seq.errors import DataError
from open_seq2seq.text.vocabulary import Vocabulary, check_labels, has_subwords

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
    (b"a\rb\r", "ab"),
    (b"a\n\n\r\nb", "ab"),
    (b"a 1234\nb\t4321\n", "ab"),
    (b"  12\na \n", " a"),
    (b"a\n\\\n", "a\\"),
    (b"<\na\n<ky>\n<zh-CN> 12\n", ["<", "a", "<ky>", "<zh-CN>"]),
    ("ä\nß\n語\n".encode(), "äß語"),
    ("\u0939\n\u093f\n\u200c\n\u200d\n".encode(), "\u0939\u093f\u200c\u200d"),
    ("\u0958\n".encode(), "\u0958"),  # one character that NFC would decompose into two
])
def test_file_format(write, data, characters):
    vocabulary = Vocabulary.from_file(write(data))
    assert vocabulary.characters == tuple(characters) and vocabulary.notes == []


@pytest.mark.parametrize("data, characters, skipped", [
    (b"# first\n# second\n \na\nb\n# the end\n", " ab", "3 comment lines are skipped (line 1: '# first')"),
    (b" \na\n# letters\nb\n", " ab", "1 comment line is skipped (line 3: '# letters')"),
    (b"# alphabet\n#\na\n\\# 12\nb\n", "a#b", "2 comment lines are skipped (line 1: '# alphabet')"),
])
def test_comments_of_an_alphabet_file_are_skipped_with_a_note(write, data, characters, skipped):
    path = write(data)
    vocabulary = Vocabulary.from_file(path)
    assert vocabulary.characters == tuple(characters)
    assert vocabulary.notes == ["vocabulary %s: %s; write \\# for the character #" % (path, skipped)]


def test_decomposed_characters_are_composed_with_a_note(write):
    path = write(unicodedata.normalize("NFD", "a\né 12\nö\n").encode())
    vocabulary = Vocabulary.from_file(path)
    assert vocabulary.characters == ("a", "é", "ö")
    assert vocabulary.notes == ["vocabulary %s: 2 characters are read in composed form (Unicode NFC), the first is 'é' (LATIN "
                                "SMALL LETTER E WITH ACUTE)" % path]


@pytest.mark.parametrize("data, message", [
    (b"a\nb\na\n", r"vocab.txt:3: character 'a' is already on line 1"),
    ("é\ne\u0301\n".encode(), r"vocab.txt:2: character 'é' is already on line 1"),
    (b" \na\n b\n", r"vocab.txt:3: the line is ' b', expected a single character"),
    (b"a\nsch\n", r"vocab.txt:2: the line is 'sch', expected a single character"),
    (b"a\nb -1.5\n", r"vocab.txt:2: the line is 'b -1.5', expected a single character"),
    (b"a\n12\n", r"vocab.txt:2: the line is '12', expected a single character"),
    ("a\n\ufeffb\n".encode(), r"vocab.txt:2: the line is '\\ufeffb', expected a single character"),
    ("a\n\ufeff\n".encode(), r"vocab.txt:2: U\+FEFF \(ZERO WIDTH NO-BREAK SPACE\) is a control or format character"),
    ("a\n\u2028\n".encode(), r"vocab.txt:2: U\+2028 \(LINE SEPARATOR\) is a control or format character"),
    ("a\n\u200b\n".encode(), r"vocab.txt:2: U\+200B \(ZERO WIDTH SPACE\) is a control or format character"),
    (b"a\n\t\n", r"vocab.txt:2: U\+0009 is a control or format character"),
    (b"a\n\0\n", r"vocab.txt:2: the vocabulary contains a NUL character"),
    ("a\nb\nc\nd\n".encode("utf-16"), r"vocab.txt:1: the vocabulary is UTF-16 text, .* iconv -f utf-16 -t utf-8"),
    (b"a\n#\nb\n", r"vocab.txt:2: the line is '#', which starts a comment, .* Write \\# for the character #"),
    (b"# nothing\n", "is empty"),
    (b"", "is empty"),
    (b"\r\n\r\n", "is empty"),
    (b"a\nb\n\xff\xfe\n", r"vocab.txt:3: the vocabulary is not UTF-8 text \(byte 0xff at position 4\)"),
])
def test_invalid_files_are_refused(write, data, message):
    with pytest.raises(DataError, match=message):
        Vocabulary.from_file(write(data))


def test_the_error_for_a_missing_file_names_both_places():
    with pytest.raises(DataError, match=r"vocabulary no/such.txt does not exist \(looked in .* and .*vocab_file"):
        Vocabulary.from_file("no/such.txt")


def test_unknown_characters_are_named_once_and_lower_case_is_suggested():
    with pytest.raises(DataError) as error:
        Vocabulary(LETTERS).encode("Hello Huge")
    assert str(error.value) == ("'H' (LATIN CAPITAL LETTER H) in 'Hello Huge' is not in the vocabulary; the lower-case character "
                                "is, so convert the transcripts to lower case")
    with pytest.raises(DataError, match=r"'5' \(DIGIT FIVE\), 'é' \(LATIN SMALL LETTER E WITH ACUTE\) in 'caf5é' are not in the "
                                        "vocabulary$"):
        Vocabulary(LETTERS).encode("caf5é")


@pytest.mark.parametrize("label", [-1, 28])
def test_decoding_refuses_a_label_without_a_character(label):
    with pytest.raises(IndexError, match="label %d" % label):
        Vocabulary(LETTERS).decode([0, label])


def test_labels_are_positions_in_the_file():
    assert Vocabulary(LETTERS).encode("a z'") == [1, 0, 26, 27]


@pytest.mark.parametrize("character, problem", [
    ("\ufffe", "U+FFFE is a noncharacter"), ("\uffff", "U+FFFF is a noncharacter"), ("\ufdd0", "U+FDD0 is a noncharacter"),
    ("\U0010ffff", "U+10FFFF is a noncharacter"),
    ("\u0378", "U+0378 is not assigned to a character in Unicode " + unicodedata.unidata_version),
    ("\ue000", "U+E000 is a private-use character"), ("\U000f0000", "U+F0000 is a private-use character"),
    ("\ufffd", "U+FFFD (REPLACEMENT CHARACTER) is the sign of a wrong decoding"),
    ("\ufffc", "U+FFFC (OBJECT REPLACEMENT CHARACTER) is a placeholder"),
    ("\u034f", "U+034F (COMBINING GRAPHEME JOINER) is an invisible"),
    ("\u115f", "U+115F (HANGUL CHOSEONG FILLER) is an invisible"),
    ("\u1160", "U+1160 (HANGUL JUNGSEONG FILLER) is an invisible"), ("\u3164", "U+3164 (HANGUL FILLER) is an invisible"),
    ("\uffa0", "U+FFA0 (HALFWIDTH HANGUL FILLER) is an invisible"), ("\u2800", "U+2800 (BRAILLE PATTERN BLANK) is an invisible"),
    ("\u17b4", "U+17B4 (KHMER VOWEL INHERENT AQ) is an invisible"),
    ("\ufe00", "U+FE00 (VARIATION SELECTOR-1) is a variation selector"),
    ("\ufe0f", "U+FE0F (VARIATION SELECTOR-16) is a variation selector"),
    ("\u180b", "U+180B (MONGOLIAN FREE VARIATION SELECTOR ONE) is a variation selector"),
    ("\U000e0100", "U+E0100 (VARIATION SELECTOR-17) is a variation selector"),
    ("\u00a0", "U+00A0 (NO-BREAK SPACE) is a space, and so is U+0020 (SPACE); keep one of them"),
    ("\u3000", "U+3000 (IDEOGRAPHIC SPACE) is a space, and so is U+0020 (SPACE); keep one of them"),
])
def test_what_cannot_be_a_label_is_named_by_its_code_point(write, character, problem):
    path = write(("# letters\n \n%s\na\n" % character).encode())
    with pytest.raises(DataError) as error:
        Vocabulary.from_file(path)
    assert str(error.value).startswith("%s:3: %s" % (path, problem))
    ((index, found),), _ = check_labels([" ", character, "a"])
    assert index == 1 and found.startswith(problem)


def test_a_lone_surrogate_cannot_be_a_label():
    assert check_labels("a\udcff")[0] == [(1, "U+DCFF is a lone surrogate, which is half of a character")]


@pytest.mark.parametrize("space, name", [("\u3000", "U+3000 (IDEOGRAPHIC SPACE)"), ("\u00a0", "U+00A0 (NO-BREAK SPACE)")])
def test_another_space_as_the_only_one_is_accepted_with_a_note(write, space, name):
    path = write(("%s\na\n" % space).encode())
    vocabulary = Vocabulary.from_file(path)
    assert vocabulary.characters == (space, "a")
    assert vocabulary.notes == ["vocabulary %s: %s is the only space; a normal space in a transcript (U+0020) is not in the "
                                "vocabulary" % (path, name)]
    assert [index for index, _ in check_labels([space, "a", "\u2003"])[0]] == [0, 2]


def test_letters_marks_and_joiners_of_many_scripts_are_labels():
    assert check_labels(" a'ßñжאبहि\u0301\u093f\u200c\u200d語あ한😀½€") == ([], [])


@settings(suppress_health_check=list(HealthCheck), deadline=None, max_examples=60)
@given(characters=st.lists(st.characters(blacklist_characters="#", blacklist_categories=["Cc", "Cf", "Cs", "Zl", "Zp"]).filter(
    lambda character: not check_labels(" " + character)[0]).filter(
    lambda character: len(unicodedata.normalize("NFC", character)) > 1 or unicodedata.normalize("NFC", character) == character),
    min_size=1, unique=True), data=st.data())
def test_any_characters_are_read_and_encoded(tmp_path_factory, characters, data):
    path = tmp_path_factory.mktemp("vocabulary") / "vocab.txt"
    path.write_bytes("\n".join(characters).encode("utf-8"))
    vocabulary = Vocabulary.from_file(str(path))
    text = "".join(data.draw(st.lists(st.sampled_from(characters))))
    assert vocabulary.characters == tuple(characters)
    assert vocabulary.decode(vocabulary.encode(text)) == text


def test_tags_of_languages_are_labels_but_not_text():
    vocabulary = Vocabulary([" ", "a", "b", "<ky>", "<tr>"])
    assert vocabulary.languages == {"ky": 3, "tr": 4} and vocabulary.size == 5
    assert vocabulary.decode([3, 1, 0, 2, 4]) == "a b" and "<" not in vocabulary.alphabet
    assert not has_subwords(vocabulary.characters) and type(Vocabulary.of(vocabulary.characters)) is Vocabulary
    with pytest.raises(DataError, match="'<'"):
        vocabulary.encode("<ky>")
