import pytest

from open_seq2seq.evaluation.error_rates import ErrorRate, transcript_errors, word_error_rate


def test_rates_are_sums_over_the_set_not_means_of_rates():
    # 1 edit in 1 word and 0 in 3: 1/4, not (1 + 0) / 2
    errors = transcript_errors(["one", "two three four"], ["nine", "two three four"])
    assert errors.word_error_rate.rate == pytest.approx(0.25)
    assert errors.sentence_error_rate.rate == pytest.approx(0.5)
    # "one" -> "nine": insert n, o -> i (2 edits) over 3 + 14 characters
    assert errors.character_error_rate.edits == 2
    assert errors.character_error_rate.length == 17


@pytest.mark.parametrize("reference, hypothesis, rate", [
    ("a b c", "a b c", 0.0), ("a b c", "", 1.0), ("a b c", "a x c", 1 / 3), ("a", "a b c", 2.0), ("", "", 0.0),
    ("", "a", float("inf")), ("a  b", " a b ", 0.0)])
def test_word_error_rate_by_hand(reference, hypothesis, rate):
    assert word_error_rate(reference, hypothesis) == pytest.approx(rate)


def test_agrees_with_jiwer():
    jiwer = pytest.importorskip("jiwer", reason="jiwer is a test requirement (requirements-test.txt)")
    references = ["the cat sat", "on a mat today", "yes"]
    hypotheses = ["the cat sat down", "on mat to day", "no yes"]
    errors = transcript_errors(references, hypotheses)
    assert errors.word_error_rate.rate == pytest.approx(jiwer.wer(references, hypotheses))
    assert errors.character_error_rate.rate == pytest.approx(jiwer.cer(references, hypotheses))


def test_an_empty_rate_is_zero():
    assert ErrorRate().rate == 0.0
