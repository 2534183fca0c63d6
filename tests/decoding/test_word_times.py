"""Words, their times and confidences from CTC paths written by hand; a path may be split anywhere."""
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from open_seq2seq.decoding.greedy import GreedyDecoder
from open_seq2seq.decoding.transcript import TimedCharacter, Word, make_transcript
from open_seq2seq.decoding.word_times import BestPath, WordBuilder, best_path, timed_words
from open_seq2seq.text.vocabulary import Vocabulary

VOCABULARY = list(" abc")
BLANK = 4


def path_of(text, probabilities=None, loud=None):
    """A dot is the blank, an underscore the space."""
    labels = np.array([BLANK if c == "." else VOCABULARY.index(" " if c == "_" else c) for c in text], int)
    probabilities = np.ones(len(text)) if probabilities is None else np.array(probabilities)
    return BestPath(labels, np.log(probabilities), np.zeros(len(text), bool) if loud is None else np.array(loud, bool))


def read(path, vocabulary=None, splits=()):
    builder = WordBuilder(vocabulary or VOCABULARY, len(vocabulary or VOCABULARY), 0.02)
    words, borders = [], [0] + sorted(splits) + [len(path.labels)]
    for first, end in zip(borders, borders[1:]):
        words += builder.add(BestPath(*[values[first:end] for values in path]), first)
    return words + builder.end()


def test_repeats_are_one_character_unless_a_blank_separates_them():
    assert [word.text for word in read(path_of("aa.abb__c.c"))] == ["aabb".replace("bb", "b"), "cc"]


def test_words_last_from_the_first_spike_to_the_last():
    assert read(path_of("..a.bb.._.c..")) == [
        Word("ab", 0.04, 0.12, 1.0, [TimedCharacter("a", 0.04, 0.08, 1.0), TimedCharacter("b", 0.08, 0.12, 1.0)]),
        Word("c", 0.2, 0.22, 1.0, [TimedCharacter("c", 0.2, 0.22, 1.0)])]


def test_a_word_lasts_as_long_as_its_sound_or_until_the_next_word():
    loud = [0, 0, 1, 1, 1, 1, 0, 1, 1, 0, 1, 1, 1]
    assert [(word.start, word.end) for word in read(path_of("..a......_cb_", loud=loud))] == [(0.04, 0.12), (0.2, 0.26)]
    assert [(word.start, word.end) for word in read(path_of("a.._...b", loud=[1] * 8))] == [(0.0, 0.14), (0.14, 0.16)]


def test_sound_more_than_half_a_second_after_a_spike_is_not_part_of_the_word():
    word, = read(path_of("a" + "." * 100, loud=[1] * 101))
    assert word.end == 0.52


def test_confidences_are_geometric_means_of_frames_and_of_characters():
    for splits in ((), (1,)):
        word, other = read(path_of("aa.b_c", [0.5, 0.9, 0.1, 0.4, 0.2, 0.3]), splits=splits)
        assert word.confidence == pytest.approx(np.sqrt(np.sqrt(0.5 * 0.9) * 0.4)) and other.confidence == pytest.approx(0.3)
        assert [character.confidence for character in word.characters] == pytest.approx([np.sqrt(0.5 * 0.9), 0.4])


def test_characters_of_a_decoder_give_the_words_of_its_path():
    """The same times and confidences in --mode=infer, from hypotheses, as in transcription, from paths."""
    random = np.random.RandomState(1)
    for _ in range(20):
        logits = random.normal(size=[60, BLANK + 1]).astype(np.float32) * 3 + [0, 0, 0, 0, 1]
        loud = np.repeat(random.randint(0, 2, 20), 3).astype(bool)
        hypothesis, = GreedyDecoder(Vocabulary(VOCABULARY)).hypotheses(logits[np.newaxis], [60])
        words = timed_words(hypothesis.characters, VOCABULARY, loud, 0.02)
        assert hypothesis.text.split() == [word.text for word in words]
        for word, other in itertools.zip_longest(words, read(best_path(logits, loud))):
            assert word[:3] == other[:3] and word.confidence == pytest.approx(other.confidence, rel=1e-4)
            assert [item[:3] for item in word.characters] == [item[:3] for item in other.characters]


def test_a_pause_ends_a_word_and_separates_equal_characters():
    builder = WordBuilder(VOCABULARY, BLANK, 0.02)
    words = builder.add(path_of("ab"), 0) + builder.add(path_of("b.c"), 2, after_pause=True) + builder.end()
    assert [word.text for word in words] == ["ab", "bc"]


def test_without_a_space_in_the_vocabulary_every_character_is_a_word():
    words = read(BestPath(np.array([0, 3, 1, 1, 3, 1, 2]), np.zeros(7), np.zeros(7, bool)), ["你", "好", "吗"])
    assert [(word.text, word.start) for word in words] == [("你", 0.0), ("好", 0.04), ("好", 0.1), ("吗", 0.12)]
    assert make_transcript(words, 1.0, "").text == "你好好吗"


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(st.text("aabc_..", max_size=40), st.lists(st.integers(0, 40), max_size=5),
       st.lists(st.booleans(), min_size=40, max_size=40))
def test_a_path_may_be_split_anywhere(text, splits, loud):
    path = path_of(text, loud=loud[:len(text)])
    whole = read(path)
    assert read(path, splits=[min(split, len(text)) for split in splits]) == whole
    collapsed = "".join(c for c, before in zip(text, " " + text) if c != before).replace(".", "")
    assert [word.text for word in whole] == [word for word in collapsed.split("_") if word]
    for before, after in zip(whole, whole[1:]):
        assert before.start < before.end <= after.start


def test_the_probabilities_of_a_best_path_are_the_softmax():
    logits = np.array([[0, 1, 700], [-800, -800, -800.5]])
    path = best_path(logits, np.array([True, False]))
    assert path.labels.tolist() == [2, 0]
    assert path.log_probabilities == pytest.approx([0, -np.log(2 + np.exp(-0.5))])


def test_segments_break_at_pauses_and_where_a_line_is_full():
    words = [Word("aaaa", i, i + 0.5, 1.0) for i in range(4)] + [Word("b", 10, 10.5, 1.0)]
    segments = make_transcript(words, 10.3).segments
    assert [(segment.text, segment.start, segment.end) for segment in segments] == [
        ("aaaa aaaa aaaa aaaa", 0, 3.5), ("b", 10, 10.3)]
    fast = [Word("x" * 20, 0.1 * i, 0.1 * i + 0.1, 1.0) for i in range(9)]
    assert [len(segment.words) for segment in make_transcript(fast, 1).segments] == [4, 4, 1]
    slow = [Word("x", 2 * i, 2 * i + 2, 1.0) for i in range(6)]
    assert [len(segment.words) for segment in make_transcript(slow, 12).segments] == [3, 3]


def test_tags_of_languages_are_not_words():
    vocabulary = ["a", " ", "<ky>"]
    path = BestPath(np.array([2, 2, 0, 2, 0, 1, 0, 3]), np.zeros(8, np.float32), np.ones(8, bool))
    builder = WordBuilder(vocabulary, 3, 0.02)
    assert [word.text for word in builder.add(path, 0) + builder.end()] == ["aa", "a"]
