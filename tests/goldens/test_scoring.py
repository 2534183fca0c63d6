"""Counts, alignments and tests of significance of jiwer, sclite, Kaldi and sc_stats on the same texts."""
import json
import os

import jiwer
import pytest

from open_seq2seq.evaluation.analysis.groups import counts_of, group_of, grouping_of
from open_seq2seq.evaluation.analysis.kaldi import kaldi_counts, kaldi_lines
from open_seq2seq.evaluation.analysis.significance import binomial_p, matched_pairs, mcnemar, sign_test, wilcoxon
from open_seq2seq.evaluation.utterance_scores import realigned, score_utterance
from open_seq2seq.evaluation.word_alignment import KALDI, SCLITE, align_by, count

pytestmark = pytest.mark.shared

SYSTEMS = ("hypA", "hypB")


@pytest.fixture(scope="module")
def read(goldens):
    def read(name):
        with open(os.path.join(goldens, "scoring", name + ".json"), encoding="utf-8") as file:
            return json.load(file)
    return read


def lower(text):
    """As sclite lower-cases: ASCII only."""
    return "".join(letter.lower() if letter.isascii() else letter for letter in text)


def scores_of(pairs, system, change=str):
    """Scores of pairs, a list of (id, reference, hypothesis of A, hypothesis of B)."""
    return [score_utterance(pair[0], change(pair[1]), change(pair[2 + SYSTEMS.index(system)]),
                            columns={"speaker": pair[0].split("_")[0]}) for pair in pairs]


@pytest.fixture(scope="module")
def pairs(read):
    return [(pair["id"], pair["reference"], pair["hypA"], pair["hypB"]) for pair in read("pairs")]


@pytest.mark.parametrize("system", SYSTEMS)
def test_words_and_characters_as_jiwer(read, pairs, system):
    names = {"equal": "C", "substitute": "S", "delete": "D", "insert": "I"}
    for version in ("3.0.5", "4.0.0"):
        golden = read("jiwer_" + version)[system]["per_utterance"]
        for score in scores_of(pairs, system):
            expected = golden[score.id]
            if "exception" in expected:
                assert version == "3.0.5" and not score.reference  # it refuses an empty reference
                continue
            assert [expected[name] for name in ("hits", "substitutions", "deletions", "insertions")] == list(score.words)
            # the goldens' ranges are of words of the reference or, for insertions, of the hypothesis
            operations = "".join(names[kind] * max(end - start, last - first)
                                 for kind, start, end, first, last in expected["ops"])
            assert score.operations == operations, score.id
            if "  " not in score.reference:  # jiwer counts every space as a character, here runs of spaces are one
                assert list(score.characters) == expected["char"], score.id


def test_totals_as_jiwer_with_empty_references(read, pairs):
    total = group_of("", scores_of(pairs, "hypA"))
    assert total.words.rate == pytest.approx(read("jiwer_4.0.0")["hypA"]["totals"]["all"]["wer"], abs=1e-12)
    scores = [score for score in scores_of(pairs, "hypA") if score.reference]
    expected = read("jiwer_3.0.5")["hypA"]["totals"]["without_empty_references"]
    assert [expected[name] for name in ("hits", "substitutions", "deletions", "insertions")] == list(group_of("", scores).words)


@pytest.mark.parametrize("case", ["insensitive", "sensitive"])
@pytest.mark.parametrize("system", SYSTEMS)
def test_alignments_counts_and_speakers_as_sclite(read, pairs, system, case):
    golden = read("sclite")["%s_case_%s" % (system, case)]
    change = lower if case == "insensitive" else str
    scores = realigned(scores_of(pairs, system, change), SCLITE)
    for score in scores:
        # sclite prints the words as they are in the files
        expected = [[kind] + [None if word is None else change(word) for word in words]
                    for kind, *words in golden["alignment"][score.id]]
        assert [list(column) for column in score.alignment] == expected, score.id
    speakers = grouping_of("speaker", counts_of(scores), [score.columns["speaker"] for score in scores])
    assert {group.name for group in speakers.groups} == set(golden["speakers"])
    for group, expected in [(group, golden["speakers"][group.name]) for group in speakers.groups] + [
            (group_of("all", scores), golden["total"])]:
        assert list(group.words) == [expected[letter] for letter in "CSDI"]
        assert (group.utterances, group.wrong_sentences) == (expected["sentences"], expected["sentences_wrong"])
        assert group.words.length == expected["reference_words"]
        assert "%.2f" % (100 * group.words.rate) == "%.2f" % expected["wer_percent"]


def test_costs_of_sclite_make_more_errors():
    reference, hypothesis = "v w x a b".split(), "a b y z q".split()
    assert count(align_by(SCLITE, [reference], [hypothesis])[0]) == (2, 0, 3, 3)
    assert count(align_by(KALDI, [reference], [hypothesis])[0]).errors == 5
    assert score_utterance("", " ".join(reference), " ".join(hypothesis)).words == (0, 5, 0, 0)


@pytest.mark.parametrize("system", SYSTEMS)
def test_lines_and_counts_as_kaldi(read, pairs, system):
    golden, scores = read("kaldi")[system], scores_of(pairs, system)
    for score in realigned(scores, KALDI):
        expected = golden["per_utterance"][score.id]
        assert (score.words.insertions, score.words.deletions, score.words.substitutions) == (
            expected["ins"], expected["del"], expected["sub"]), score.id
    group = group_of("", scores)
    assert kaldi_lines(kaldi_counts(scores), group.wrong_sentences, group.utterances) == golden["lines"]


@pytest.mark.parametrize("name", ["pairs", "sig200"])
def test_significance_as_sc_stats(read, pairs, name):
    golden = read("significance")[name]
    texts = pairs if name == "pairs" else read("sig200_pairs")
    first, second = (realigned(scores_of(texts, system, lower), SCLITE) for system in SYSTEMS)
    found, expected = matched_pairs([score.operations for score in first], [score.operations for score in second]), \
        golden["matched_pairs"]
    assert found.segments == expected["segments"] and list(found.errors) == expected["errors_in_segments"]
    assert [round(value, 3) for value in (found.mean, found.standard_deviation, found.z)] == [
        expected["mean_difference"], expected["std"], expected["z"]]
    printed = {test: p for test, (_, p) in golden["printed_verdict_and_p"].items()}

    def agrees(p, text):
        # sc_stats cuts Z to two decimals
        return p < 0.001 if text == "<0.001" else p == pytest.approx(float(text), abs=0.005)

    assert agrees(found.p, printed["mapsswe"])
    sentences = mcnemar([score.is_correct for score in first], [score.is_correct for score in second])
    assert list(sentences[:4]) == [golden["mcnemar_sentences"][key] for key in (
        "both_right", "only_A_right", "only_B_right", "both_wrong")]
    assert agrees(sentences.p, printed["mcn"])
    speakers = [score.columns["speaker"] for score in first]
    rates = [[group.words.rate for group in grouping_of("", counts_of(scores), speakers).groups] for scores in (first, second)]
    assert agrees(sign_test(*rates).p, printed["sign"])
    assert agrees(wilcoxon(*rates).p_normal, printed["wilc"])


def test_mcnemar_is_exact_where_sc_stats_is_not(read):
    for discordant, least, printed, exact in read("significance")["sc_stats_mcnemar_N_min_printed_exact"]:
        assert binomial_p(least, discordant - least) == pytest.approx(exact, abs=6e-5)
        assert (abs(printed - exact) < 0.001) == (discordant <= 20)


def test_this_jiwer_agrees_too(pairs):
    references, hypotheses = zip(*[(pair[1], pair[2]) for pair in pairs if pair[1]])
    found, total = jiwer.process_words(list(references), list(hypotheses)), group_of("", [
        score for score in scores_of(pairs, "hypA") if score.reference]).words
    assert (found.hits, found.substitutions, found.deletions, found.insertions) == total
