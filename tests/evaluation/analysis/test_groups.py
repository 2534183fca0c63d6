"""Groups of utterances: speakers, lengths, noise levels, columns; pooled rates and means over groups."""
import pytest

from open_seq2seq.evaluation.analysis.groups import grouping_as_dict, groupings, speaker_of
from open_seq2seq.evaluation.utterance_scores import score_utterance


def score(place, reference="a b c d", hypothesis="a b c d", duration=1.0, name=None, **columns):
    return score_utterance("dev.csv:%d" % place, reference, hypothesis, name or "%d.wav" % place, columns=columns,
                           duration=duration)


def names(scores, by, group_by=()):
    return {grouping.by: [(group.name, group.utterances) for group in grouping.groups]
            for grouping in groupings(scores, group_by)}[by]


def test_pooled_rates_and_the_mean_over_speakers():
    scores = [score(1, speaker="anna", hypothesis="a b c"), score(2, speaker="anna"),
              score(3, reference="x", hypothesis="y z", speaker="ben"), score(4, reference="", hypothesis="", speaker="cleo")]
    by_speaker = groupings(scores)[0]
    assert by_speaker.by == "speaker"
    anna, ben, cleo = by_speaker.groups
    assert (anna.name, anna.words, anna.wrong_sentences) == ("anna", (7, 0, 1, 0), 1)
    assert ben.words.rate == 2.0 and ben.interval == (2.0, 2.0)
    assert (cleo.utterances, cleo.words.length, cleo.interval) == (1, 0, None)
    # cleo has no words and so no rate
    assert by_speaker.mean == by_speaker.median == pytest.approx((1 / 8 + 2) / 2)
    assert by_speaker.standard_deviation == pytest.approx((2 - 1 / 8) / 2 ** 0.5)
    values = grouping_as_dict(by_speaker)
    assert values["groups"][0]["wer"] == 1 / 8 and values["groups"][2]["wer_interval"] is None


@pytest.mark.parametrize("name, columns, speaker", [
    ("x.wav", {"speaker_id": "7"}, "7"), ("dev/61/70968/61-70968-0000.flac", {}, "61"), ("x.wav", {}, None),
    ("61-70968-0000.wav", {"speaker": "anna"}, "anna"), ("2026-11-30.wav", {}, None)])
def test_speakers(name, columns, speaker):
    assert speaker_of(score(1, name=name, **columns)) == speaker


def test_lengths_in_seconds_or_else_in_words():
    assert names([score(1, duration=1.9), score(2, duration=2.0), score(3, duration=20.0)], "length") == [
        ("< 2 s", 1), ("2 to 5 s", 1), (">= 20 s", 1)]
    texts = ["", "a", "a b", "a b c d e", "a b c d e f", " ".join("a" * 21)]
    assert names([score(place, reference=text, duration=None) for place, text in enumerate(texts)], "length") == [
        ("0 words", 1), ("1 word", 1), ("2 to 5 words", 2), ("6 to 10 words", 1), ("21 or more words", 1)]


def test_noise_levels_are_in_their_order_and_in_steps_where_there_are_many():
    few = [score(place, snr=value) for place, value in enumerate(["10", "-5", "clean", "0 dB", "10"])]
    assert names(few, "noise") == [("-5", 1), ("0 dB", 1), ("10", 2), ("clean", 1)]
    many = [score(place, snr="%.1f" % (place - 3.5)) for place in range(30)] + [score(30, snr="inf"), score(31)]
    assert names(many, "noise") == [("< 0 dB", 4), ("0 to 5 dB", 5), ("5 to 10 dB", 5), ("10 to 15 dB", 5), ("15 to 20 dB", 5),
                                    (">= 20 dB", 7), ("(none)", 1)]


def test_other_columns():
    scores = [score(place, gender="mf"[place % 2], age=str(place), session="s1", speaker="x%d" % (place % 3))
              for place in range(40)]
    assert [grouping.by for grouping in groupings(scores)] == ["speaker", "length", "gender"]
    assert [grouping.by for grouping in groupings(scores, ["age", "session", "speaker"])] == [
        "speaker", "length", "age", "session", "gender"]
    assert names(scores, "age", ["age"]) == [("< 9.75", 10), ("9.75 to 19.5", 10), ("19.5 to 29.25", 10), (">= 29.25", 10)]
    assert [grouping.by for grouping in groupings([])] == []
