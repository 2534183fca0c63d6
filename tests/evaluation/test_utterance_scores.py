"""Scores of utterances: rules for empty texts, blanks, JSON and back."""
import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from open_seq2seq.evaluation.utterance_scores import realigned, score_as_dict, score_from_dict, score_utterance
from open_seq2seq.evaluation.word_alignment import SCLITE

TEXTS = st.text(st.characters(blacklist_categories=["Cs"]), max_size=12)


@settings(max_examples=150, deadline=None)
@given(TEXTS, TEXTS, st.dictionaries(TEXTS, TEXTS, max_size=2), st.one_of(st.none(), st.floats(0, 1e6)))
def test_json_and_back(reference, hypothesis, columns, loss):
    score = score_utterance("dev.csv:2", reference, hypothesis, "a.wav", "/data/a.wav", columns, 1.5, loss, 0.25)
    stored = json.loads(json.dumps(score_as_dict(score), allow_nan=False))
    assert score_from_dict(stored) == score
    assert [word for _, word, _ in stored["alignment"] if word is not None] == reference.split()


@pytest.mark.parametrize("reference, hypothesis, words, wer, is_correct", [
    ("", "", (0, 0, 0, 0), 0.0, True), ("", "um hm", (0, 0, 0, 2), None, False), ("um", "", (0, 0, 1, 0), 1.0, False),
    (" a \u00a0 b ", "a b", (2, 0, 0, 0), 0.0, True), ("Paris.", "paris", (0, 1, 0, 0), 1.0, False)])
def test_rules(reference, hypothesis, words, wer, is_correct):
    score = score_utterance("", reference, hypothesis)
    assert (score.words, score_as_dict(score)["wer"], score.is_correct) == (words, wer, is_correct)


def test_numbers_that_json_does_not_have_are_null():
    values = score_as_dict(score_utterance("", "a", "a", loss=math.inf, entropy=math.nan))
    assert values["loss"] is None and values["entropy"] is None


def test_other_costs_change_the_words_only():
    score = score_utterance("", "v w x a b", "a b y z q")
    found, = realigned([score], SCLITE)
    assert found.words == (2, 0, 3, 3) and found.characters == score.characters and found.operations == "DDDCCIII"


@pytest.mark.parametrize("change", [
    {"reference": "one more"}, {"words": {"correct": 1, "substitutions": 0, "deletions": 0, "insertions": 5}}, {"alignment": []}])
def test_dicts_that_contradict_themselves_are_refused(change):
    values = dict(score_as_dict(score_utterance("dev.csv:2", "one", "two")), **change)
    with pytest.raises(ValueError, match="dev.csv:2"):
        score_from_dict(values)
