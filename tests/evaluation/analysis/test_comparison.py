"""Two evaluations of the same data: which utterances are compared, what changed, what the text says."""
import json

import pytest

from open_seq2seq.errors import DataError
from open_seq2seq.evaluation.analysis.comparison import compare, comparison_text, matched
from open_seq2seq.evaluation.utterance_scores import score_utterance

REFERENCES = ["a b c", "d e", "f", "g h i j"]


def scores(hypotheses, folder="dev.csv", references=REFERENCES, speakers="xxyy"):
    return [score_utterance("%s:%d" % (folder, place + 2), reference, hypothesis, "%d.wav" % place,
                            columns={"speaker": speakers[place]}) for place, (reference, hypothesis) in
            enumerate(zip(references, hypotheses))]


def test_what_changed():
    result = json.loads(json.dumps(compare(scores(["a b c", "d", "f", "x y z j"]), scores(["a b", "d e", "f", "g h i j"]))))
    assert (result["utterances"], result["words"], result["changed"]) == (4, 10, 3)
    assert result["wer"] == [0.4, 0.1] and result["difference"] == pytest.approx(-0.3)
    low, high = result["difference_interval"]
    assert low < -0.3 < high
    assert [(entry["id"], entry["errors_a"], entry["errors_b"]) for entry in result["better"]] == [
        ("dev.csv:5", 3, 0), ("dev.csv:3", 1, 0)]
    assert [entry["id"] for entry in result["worse"]] == ["dev.csv:2"]
    assert result["worse"][0]["hypothesis_b"] == "a b"
    assert result["mcnemar"]["only_a_correct"] == 1 and result["mcnemar"]["only_b_correct"] == 2
    assert result["sign"] == {"a_better": 0, "b_better": 1, "equal": 1, "p": 1.0}
    assert result["matched_pairs"]["errors"] == [4, 1]


def test_utterances_of_moved_manifests_are_matched_by_their_audio():
    first, second = scores(REFERENCES), scores(REFERENCES[:3], "/elsewhere/dev.csv")[::-1]
    same_a, same_b, only_a, only_b = matched(first, second)
    assert [score.wav_filename for score in same_a] == [score.wav_filename for score in same_b] == ["0.wav", "1.wav", "2.wav"]
    assert (only_a, only_b) == (["dev.csv:5"], [])


@pytest.mark.parametrize("other, message", [
    (scores(["a"], references=["a b x"]), "1 of 1 utterances have other references in the second evaluation: dev.csv:2"),
    ([score_utterance("test.csv:2", "a", "a")], "no utterance is in both evaluations: the first ids are dev.csv:2, dev.csv:3 and "
                                                "test.csv:2")])
def test_evaluations_of_other_data_are_refused(other, message):
    with pytest.raises(DataError, match=message):
        compare(scores(REFERENCES), other)


def test_text_for_people():
    references = ["a b c"] * 60
    speakers = "xyz" * 20
    first = scores(["a b c"] * 60, references=references, speakers=speakers)
    second = scores(["a b x"] * 30 + ["a b c"] * 30, references=references, speakers=speakers)
    text = comparison_text(compare(first, second), "run1", "run2", shown=2)
    assert "A: run1\nB: run2\n60 utterances, 180 words\n" in text and "WER of A 0.00 %, of B 16.67 %" in text
    assert "A is significantly better: p < 0.001 of the matched-pairs test" in text
    assert text.count("\nworse: ") == 2 and "... and 28 more that are worse" in text
    assert "B is better in 0 utterances and worse in 30" in text
    equal = comparison_text(compare(first, first))
    assert "The difference is not significant: p = 1.000" in equal and "0 hypotheses differ" in equal
