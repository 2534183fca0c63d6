"""The figures of a data set and their text, Kaldi's lines, lists of words."""
import json

import pytest

from open_seq2seq.evaluation.analysis.kaldi import kaldi_counts, kaldi_lines
from open_seq2seq.evaluation.analysis.summary import summarize, summary_text
from open_seq2seq.evaluation.analysis.word_errors import word_errors, word_errors_as_dict
from open_seq2seq.evaluation.utterance_scores import score_utterance
from open_seq2seq.evaluation.word_alignment import EditCounts

TEXTS = [("the cat sat", "the hat sat on"), ("the cat", "cat"), ("a cat", "a hat"), ("", "um"), ("yes", "yes"), ("", "")]


@pytest.fixture
def scores():
    return [score_utterance("dev.csv:%d" % place, reference, hypothesis, columns={"speaker": "s%d" % (place % 2)}, duration=1.5,
                            loss=float(place), entropy=None if place == 5 else 0.5)
            for place, (reference, hypothesis) in enumerate(TEXTS)]


@pytest.mark.parametrize("words, wrong, sentences, missing, lines", [
    (EditCounts(1830, 70, 20, 10), 30, 120, 0,
     ["%WER 5.21 [ 100 / 1920, 10 ins, 20 del, 70 sub ]", "%SER 25.00 [ 30 / 120 ]",
      "Scored 120 sentences, 0 not present in hyp."]),
    (EditCounts(3, 0, 1, 0), 1, 2, 3, ["%WER 25.00 [ 1 / 4, 0 ins, 1 del, 0 sub ] [PARTIAL]", "%SER 50.00 [ 1 / 2 ]",
                                       "Scored 2 sentences, 3 not present in hyp."]),
    (EditCounts(0, 0, 0, 2), 1, 1, 0, ["%WER inf [ 2 / 0, 2 ins, 0 del, 0 sub ]", "%SER 100.00 [ 1 / 1 ]",
                                       "Scored 1 sentences, 0 not present in hyp."])])
def test_lines_of_kaldi(words, wrong, sentences, missing, lines):
    assert kaldi_lines(words, wrong, sentences, missing) == lines


def test_kaldi_splits_equal_totals_differently():
    score = score_utterance("", "a b", "b c")
    assert score.words.errors == 2
    assert kaldi_counts([score, score_utterance("", "x", "y")]) == (1, 1, 1, 1)


def test_figures(scores):
    summary = json.loads(json.dumps(summarize(scores, ["dev.csv:9"], absent=1), allow_nan=False))
    assert summary["utterances"] == 6 and summary["words"] == {
        "correct": 5, "substitutions": 2, "deletions": 1, "insertions": 2}
    assert summary["wer"] == 5 / 8 and summary["ser"] == 4 / 6 and summary["wrong_sentences"] == 4
    assert summary["wer_interval"][0] < summary["wer"] < summary["wer_interval"][1]
    # of two speakers with 3 errors in 6 words and 2 in 2: one of them twice, or both
    assert summary["wer_interval_by_speaker"] == [0.5, 1.0]
    assert summary["loss"] == 2.5 and summary["entropy"] == 0.5 and summary["audio_seconds"] == 9.0
    assert summary["kaldi"][0] == "%WER 62.50 [ 5 / 8, 2 ins, 1 del, 2 sub ] [PARTIAL]"
    assert [grouping["by"] for grouping in summary["groupings"]] == ["speaker", "length"]
    assert summary["errors"]["confusions"] == [{"reference": "cat", "hypothesis": "hat", "count": 2}]


def test_words_with_errors(scores):
    found = word_errors_as_dict(word_errors(scores))
    assert found["deletions"] == [{"word": "the", "count": 1}]
    assert found["insertions"] == [{"word": "on", "count": 1}, {"word": "um", "count": 1}]
    cat, the = found["damaged_words"][:2]
    assert cat == {"word": "cat", "occurrences": 3, "substitutions": 2, "deletions": 0, "insertions": 0, "error_rate": 2 / 3}
    assert (the["word"], the["deletions"], the["error_rate"]) == ("the", 1, 0.5)
    assert [word["word"] for word in found["highest_rates"]] == ["cat"]  # the others occur less than three times


def test_text_for_people(scores):
    text = summary_text(summarize(scores, ["dev.csv:9"], absent=1))
    lines = text.splitlines()
    assert lines[0].startswith("%WER 62.50 [") and "1 utterances were not scored: dev.csv:9" in lines
    assert any(line.startswith("WER  62.50 %  95 % interval ") for line in lines)
    assert "By speaker: 2 groups" in text and "      2  cat -> hat" in lines
    assert "By length" not in text  # one group is all
    assert summary_text(summarize([])).startswith("%WER nan [ 0 / 0,")


def test_of_many_groups_those_with_most_errors_are_shown():
    scores = [score_utterance("%d" % place, "a b c", "a b c" if place % 25 else "x", columns={"speaker": "s%02d" % (place % 50)})
              for place in range(100)]
    summary = summarize(scores)
    shown, everything = summary_text(summary), summary_text(summary, all_groups=True)
    assert "50 groups" in shown and "the 20 with the most errors" in shown and "\n  s00 " in shown and "\n  s49 " not in shown
    assert "\n  s49 " in everything
