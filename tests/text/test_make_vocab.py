"""scripts/make_vocab.py: the file, the tables, the warnings, and what is refused."""
import csv
import importlib.util
import os
import unicodedata

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from open_seq2seq.text.character_table import _LOOK_ALIKE, CharacterTable, look_alike, script_of
from open_seq2seq.text.vocabulary import Vocabulary
from tests.paths import REPOSITORY

specification = importlib.util.spec_from_file_location("make_vocab", os.path.join(REPOSITORY, "scripts", "make_vocab.py"))
make_vocab = importlib.util.module_from_spec(specification)
specification.loader.exec_module(make_vocab)

KYRGYZ = ["\u0431\u04af\u0433\u04af\u043d \u043a\u04af\u043d", "\u043a\u04e9\u043a \u0430\u0441\u043c\u0430\u043d",
          "\u043c\u0435\u043d \u043a\u0435\u043b\u0434\u0438\u043c"]


@pytest.fixture
def make(tmp_path, monkeypatch, capsys):
    """Function (transcripts, flags) -> (status, output) of make_vocab.py in a folder with m.csv."""
    monkeypatch.chdir(str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")

    def run(transcripts, *flags, header="transcript"):
        with open("m.csv", "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["wav_filename", *header.split(",")])
            writer.writerows([["%d.wav" % number, *([text] if isinstance(text, str) else text)]
                              for number, text in enumerate(transcripts)])
        status = make_vocab.main(["m.csv", *flags])
        captured = capsys.readouterr()
        return status, captured.out + captured.err
    return run


def line_with(output, text):
    return next(line for line in output.splitlines() if text in line)


@pytest.mark.parametrize("transcripts, expected", [
    (KYRGYZ, " " + "".join(sorted(set("".join(KYRGYZ)) - {" "}))),
    (["\u4f60\u597d", "\u597d\u5417"], "\u4f60\u5417\u597d"),                      # Chinese: no space
    (["\u0633\u0644\u0627\u0645 \u064a\u0627"], " \u0627\u0633\u0644\u0645\u064a"),   # Arabic
    (["e\u0301 q\u0303 #"], " #q\u00e9\u0303"),                                       # NFC; a mark without a composed form
])
def test_the_file_reads_back_equal_in_any_script(make, transcripts, expected):
    assert make(transcripts, "--output", "vocab.txt")[0] == 0
    vocabulary = Vocabulary.from_file("vocab.txt")
    assert "".join(vocabulary.characters) == expected
    for text in transcripts:
        assert vocabulary.decode(vocabulary.encode(vocabulary.composed(text))) == unicodedata.normalize("NFC", text)
    with open("vocab.txt", "rb") as file:
        first = file.read()
    assert make(reversed(transcripts), "--output", "vocab.txt", "--force")[0] == 0
    with open("vocab.txt", "rb") as file:
        assert file.read() == first


def test_the_letters_of_a_language(make):
    turkish = ["I\u015f\u0131k 12", "\u0130yi i\u0307yi, ba\u0219ka", "qu\u0131z"]
    status, output = make(turkish, "--language", "tr", "--output", "vocab.txt")
    assert status == 0 and "".join(Vocabulary.from_file("vocab.txt").characters) == " abiknoquyz\u0131\u015f"
    assert "outside the alphabet: q;" in output and "cannot write them: c\u00e7defg" in output
    assert '[{"letters": "tr"}, {"numbers": "tr"}, {"lower": "tr"}, "punctuation"]' in output
    assert make(turkish, "--language", "tr", "--lower")[0] == 2


def test_what_is_left_out_and_what_that_costs(make):
    for number, seconds in enumerate((3600, 1800, 7200)):
        soundfile.write("%d.wav" % number, np.zeros(seconds, np.int16), 1)
    status, output = make(["abab", "abC!", "ab"], "--min_count", "2", "--exclude", "!", "--output", "vocab.txt")
    assert status == 0 and Vocabulary.from_file("vocab.txt").characters == ("a", "b")
    assert "3 transcripts with 4 characters; 2 are excluded, which affects 1 rows (33.333 %), 0.50 hours" in output
    assert line_with(output, "U+0043").split() == ["\u2502", "C", "\u2502", "U+0043", "\u2502", "1", "\u2502", "1", "\u2502",
                                                   *"LATIN CAPITAL LETTER C".split(), "\u2502", "latin", "\u2502", "m.csv:3",
                                                   "\u2502", "fewer", "than", "2", "\u2502"]
    thresholds = [[cell.strip() for cell in line.split("\u2502")[1:-1]]
                  for line in output[output.index("Minimum counts"):].splitlines() if line.startswith("\u2502")]
    assert thresholds == [["1", "4", "0", "0", "0.000", "0.00", ""], ["2", "2", "2", "1", "33.333", "0.50", "!C"]]


def test_durations_of_a_column_and_lower_case(make):
    status, output = make([("Ab", "1800"), ("aB", "900"), ("c", "")], "--lower", "--min_count", "2", header="transcript,duration")
    assert status == 0 and "3 transcripts with 3 characters; 1 are excluded, which affects 1 rows (33.333 %), ? hours" in output
    assert "Nothing was written" in output and "lower 2" in output and os.listdir(".") == ["m.csv"]


def test_probable_mistakes_are_named_with_rows(make):
    mixed = KYRGYZ + ["\u043ce\u043d", "\u043a\u04e9\u043a a \u0430\u0441"]     # a Latin e in a word, a Latin a as a word
    status, output = make(mixed + ["don't", "don\u2019t", "a-b\u2013c", "d\u00a0e", "q\u0303", "5", "A", "\ufb01", "x\u00ady"],
                          "--output", "vocab.txt")
    assert status == 0
    for text in ("words with letters of several scripts: 1: '\u043ce\u043d' 1 times, first in m.csv:5",
                 "('e' (LATIN SMALL LETTER E), which looks like '\u0435' (CYRILLIC SMALL LETTER IE))",
                 "words in look-alike letters of another script than their row: 1: 'a' 1 times, first in m.csv:6",
                 "2 apostrophes look alike", "2 dashes look alike", "2 spaces look alike", "digits: '5'",
                 "combining marks that have no composed form: '\u0303' (COMBINING TILDE) 1", "letters in both cases: 'A'",
                 "compatibility forms of letters: '\ufb01'", "control and format characters: '\\xad' (SOFT HYPHEN) 1"):
        assert text in output, text
    # what cannot be a label is excluded with the reason
    assert "control or format" in line_with(output, "U+00AD")
    characters = Vocabulary.from_file("vocab.txt").characters
    assert characters[0] == " " and not {"\u00ad", "\u00a0"}.intersection(characters) and "\ufb01" in characters


def test_the_normalization_of_a_config(make, write_config):
    config = write_config('base_params["data_layer_params"].update(vocab_file="new.txt",\n'
                          '    normalization=["lower", {"map": {"&": " and "}}, "punctuation"])\n'
                          'train_params["data_layer_params"]["dataset_files"] = ["m.csv"]\n')
    assert make(["It's R&B!", "x-y..."])[0] == 0
    assert make_vocab.main(["--config_file", config, "--keep", "-", "--output", "new.txt"]) == 0
    assert "".join(Vocabulary.from_file("new.txt").characters) == " '-abdinrstxy"


@pytest.mark.parametrize("transcripts, flags, status, told", [
    (["a"], ["--output", "m.csv"], 2, ["m.csv exists", "--force"]),
    (["a"], ["--output", os.path.join("missing", "v.txt")], 3, ["missing"]),
    (["", " "], ["--output", "v.txt"], 3, ["m.csv", "no transcript has a character"]),
    (["ab"], ["--min_count", "2", "--output", "v.txt"], 3, ["every character", "--min_count"]),
    (["a"], ["--min_count", "0"], 2, ["--min_count"]),
    (["a"], ["--min_cuont", "2"], 2, ["--min_cuont", "unknown"]),
    (["a"], ["missing.csv"], 3, ["missing.csv"]),
])
def test_bad_input_writes_nothing(make, transcripts, flags, status, told):
    found, output = make(transcripts, *flags)
    assert found == status and all(text in output for text in told), output
    assert os.listdir(".") == ["m.csv"]


def test_look_alike_letters_are_of_their_scripts():
    assert len({len(letters) for letters in _LOOK_ALIKE.values()}) == 1
    for script, letters in _LOOK_ALIKE.items():
        assert all(letter == " " or script_of(letter) == script for letter in letters)
    assert look_alike("\u0430", "LATIN") == "a" and look_alike("K", "GREEK") == "\u039a" and look_alike("q", "CYRILLIC") is None


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text("abC \u0430", max_size=8), min_size=1, max_size=8), st.integers(1, 5))
def test_rows_and_thresholds_count_what_is_dropped(texts, min_count):
    table = CharacterTable()
    for number, text in enumerate(texts):
        table.add("m.csv:%d" % number, text)
    joined = "".join(texts)
    dropped = {character for character in joined if joined.count(character) < min_count}
    assert set(table.below(min_count)) == dropped
    assert table.rows_with(dropped) == [number for number, text in enumerate(texts) if dropped.intersection(text)]
    sets = [table.below(threshold) for threshold in table.thresholds()]
    assert all(len(first) < len(second) for first, second in zip(sets, sets[1:]))


def test_a_joint_alphabet_of_several_manifests_with_tags(make):
    for name, texts in (("tr", ["ev gel", "\u00f6rdek"] * 10), ("loud", ["AB"] * 3)):
        with open(name + ".csv", "w", encoding="utf-8") as file:
            file.write("wav_filename,transcript\n" + "".join("a.wav,%s\n" % text for text in texts))
    tags = ["--language_tags=ky=m.csv", "--language_tags=tr=tr.csv", "--language_tags=en=loud.csv"]
    status, output = make(KYRGYZ, "tr.csv", "loud.csv", *tags, "--min_count=4", "--output=joint.txt")
    assert status == 0
    assert Vocabulary.from_file("joint.txt").characters[-3:] == ("<en>", "<ky>", "<tr>")
    assert "latin" in line_with(output, "tr.csv ") and "cyrillic" in line_with(output, "m.csv ")
    assert "100 % of the rows of loud.csv" in output
    assert "loud.csv has capitals" in output
    status, output = make(KYRGYZ, "tr.csv", *tags[:1])
    assert status == 3 and "tr.csv:2" in output and "--language_tags" in output
    status, output = make([["a", "ky"], ["b", ""]], "--language_tags=locale", header="transcript,locale")
    assert status == 3 and "m.csv:3" in output and "locale" in output


def test_subwords_with_tags_of_a_column(make):
    pytest.importorskip("sentencepiece")
    rows = [["bir kun", "ky"], ["bir gun", "tr"]] * 20
    assert make(rows, "--language_tags=locale", "--subwords=10", "--output=joint.model", header="transcript,locale")[0] == 0
    vocabulary = Vocabulary.from_file("joint.model")
    assert vocabulary.size == 10 and sorted(vocabulary.languages) == ["ky", "tr"]
    labels = vocabulary.encode("bir kun")
    assert not set(labels) & set(vocabulary.languages.values())
    assert vocabulary.decode([vocabulary.languages["ky"]] + labels) == "bir kun"
    assert Vocabulary.of(vocabulary.characters).languages == vocabulary.languages
