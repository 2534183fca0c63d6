"""Text becomes words of the vocabulary, or is excluded with the reason."""
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from open_seq2seq.text.normalization import Dropped, TextNormalizer
from open_seq2seq.text.vocabulary import Vocabulary

ENGLISH = Vocabulary(" abcdefghijklmnopqrstuvwxyz'")


@pytest.mark.parametrize("text, words", [
    ("the cat", "the cat"),
    ("  The\tCAT  sat.\u00a0", "the cat sat"),
    ("Don\u2019t \u2018stop\u2019!", "don't 'stop'"),
    ("well-known \u2014 e.g. \u201cU.S.\u201d", "well known e g u s"),
    ("\ufb01ne \uff21\uff22\uff23 so\u00adft \ufeffend", "fine abc soft end"),
    ("...", ""),
])
def test_english_text_is_converted(text, words):
    assert TextNormalizer(ENGLISH).normalize(text) == (words.split(), None)


@pytest.mark.parametrize("text, unknown", [
    ("room 12", "1"), ("a & b", "&"), ("50%", "5"), ("100 %", "1"), ("me@here", "@"), ("caf\u00e9", "\u00e9"),
    ("cafe\u0301", "\u00e9"), ("\u4f60\u597d", "\u4f60"), ("price \u20ac", "\u20ac")])
def test_what_would_be_spoken_and_cannot_be_written_is_unknown(text, unknown):
    assert TextNormalizer(ENGLISH).normalize(text)[1] == unknown


@pytest.mark.parametrize("characters, text, words", [
    (" abcdefghijklmnopqrstuvwxyz", "Don\u2019t", "dont"),
    (" ABCDEFGHIJKLMNOPQRSTUVWXYZ", "don\u2019t", "DONT"),
    (" abcABC", "Abc cBa", "Abc cBa"),
    (" abcdef-", "ab-c, d", "ab-c d"),
    # a combining mark that the vocabulary has stays, one that it lacks is composed: as in training
    (" ae\u0301", "ae\u0301 \u00e9", None),
    (" a\u00e9", "ae\u0301", "a\u00e9"),
    (" \u0434\u0430\u0439\u0438", "\u0414\u0430\u0438\u0306", "\u0434\u0430\u0439"),
])
def test_other_vocabularies(characters, text, words):
    found, unknown = TextNormalizer(Vocabulary(characters)).normalize(text)
    assert (" ".join(found), unknown) == (words, None) if words is not None else found == ["ae\u0301"] and unknown == "\u00e9"


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=30), st.sampled_from([ENGLISH, Vocabulary(" aé'"), Vocabulary(" ABC"), Vocabulary(" ae\u0301")]))
def test_words_have_characters_of_the_vocabulary_only_and_stay_as_they_are(text, vocabulary):
    words, unknown = TextNormalizer(vocabulary).normalize(text)
    assert all(word and set(word) <= set(vocabulary.characters) - {" "} for word in words)
    again = TextNormalizer(vocabulary).normalize(" ".join(words))
    assert again == (words, None)
    # what training accepts is not changed
    composed = vocabulary.composed(text.strip())
    if set(composed) <= set(vocabulary.characters):
        assert (words, unknown) == (composed.split(), None)


def test_special_words_are_unknown():
    vocabulary = Vocabulary(" abs</>unk")
    assert TextNormalizer(vocabulary).normalize("a <s> b")[1] == "<s>"


def test_the_report_counts_reasons_and_characters():
    dropped = Dropped()
    for line in range(5):
        dropped.add("with digits", "a.txt:%d" % (line + 1), "x" * 100 if line else "no 5", "5")
    dropped.add("empty", "a.txt:9", "")
    report = "\n".join(dropped.lines())
    assert dropped.total == 6
    for text in ("5 with digits", "a.txt:1: 'no 5'", "a.txt:3", "...", "1 empty", "'5' (DIGIT FIVE) 5"):
        assert text in report
    assert "a.txt:4" not in report and "x" * 90 not in report
