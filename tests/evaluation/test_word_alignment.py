"""Alignments by every rule against dynamic programming written out, and against jiwer."""
import jiwer
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from open_seq2seq.evaluation import word_alignment
from open_seq2seq.evaluation.word_alignment import KALDI, SCLITE, EditCounts, Rule, align, align_by, aligned_words, count

WORDS = st.lists(st.sampled_from(["a", "b", "c", "über", "don't"]), max_size=8)
PAIRS = st.lists(st.tuples(WORDS, WORDS), max_size=6)


def written_out(rule, reference, hypothesis):
    """(cost, operations) by the definition: each cell of the table takes the cheapest way, of equal ones the preferred."""
    table = {(0, 0): (0, "")}
    for row in range(len(reference) + 1):
        for column in range(len(hypothesis) + 1):
            ways = {}
            if column:
                ways["I"] = table[row, column - 1], rule.insertion, "I"
            if row:
                ways["D"] = table[row - 1, column], rule.deletion, "D"
            if row and column:
                is_equal = reference[row - 1] == hypothesis[column - 1]
                ways["S"] = table[row - 1, column - 1], 0 if is_equal else rule.substitution, "C" if is_equal else "S"
            if ways:
                name = min(ways, key=lambda way: (ways[way][0][0] + ways[way][1], rule.preference.index(way)))
                (cost, operations), more, letter = ways[name]
                table[row, column] = cost + more, operations + letter
    return table[len(reference), len(hypothesis)]


@settings(max_examples=150, deadline=None)
@given(PAIRS, st.sampled_from([SCLITE, KALDI, Rule(1, 1, 1, "DSI"), Rule(2, 1, 3, "ISD"), Rule(5, 2, 1, "SDI")]))
def test_alignments_by_rules(pairs, rule):
    found = align_by(rule, [pair[0] for pair in pairs], [pair[1] for pair in pairs])
    assert found == [written_out(rule, *pair)[1] for pair in pairs]


@settings(max_examples=150, deadline=None)
@given(WORDS, WORDS)
def test_alignments_have_the_fewest_errors_and_hold_both_texts(reference, hypothesis):
    operations = align(reference, hypothesis)
    assert count(operations).errors == written_out(KALDI, reference, hypothesis)[0]
    columns = aligned_words(operations, reference, hypothesis)
    assert [word for _, word, _ in columns if word is not None] == reference
    assert [word for _, _, word in columns if word is not None] == hypothesis
    assert all((kind == "C") == (first == second) for kind, first, second in columns)
    assert count(operations).length == len(reference)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(WORDS.filter(len), WORDS), min_size=1, max_size=6))
def test_counts_of_words_and_characters_as_jiwer(pairs):
    references, hypotheses = ([" ".join(pair[side]) for pair in pairs] for side in (0, 1))
    words, characters = EditCounts(0, 0, 0, 0), EditCounts(0, 0, 0, 0)
    for reference, hypothesis in zip(references, hypotheses):
        words += count(align(reference.split(), hypothesis.split()))
        characters += count(align(reference, hypothesis))
    for found, expected in ((words, jiwer.process_words(references, hypotheses)),
                            (characters, jiwer.process_characters(references, hypotheses))):
        assert found == (expected.hits, expected.substitutions, expected.deletions, expected.insertions)
    assert words.rate == pytest.approx(jiwer.wer(references, hypotheses))
    assert characters.rate == pytest.approx(jiwer.cer(references, hypotheses))


def test_many_pairs_are_aligned_in_several_tables(monkeypatch):
    pairs = [(list("abcde"[:place % 6]), list("badce"[:place % 5])) for place in range(40)]
    expected = [written_out(SCLITE, *pair)[1] for pair in pairs]
    for cells in (1, 200, 10 ** 6):
        monkeypatch.setattr(word_alignment, "_CELLS", cells)
        assert align_by(SCLITE, *zip(*pairs)) == expected


@pytest.mark.parametrize("counts, length, errors, rate", [
    ((3, 1, 0, 0), 4, 1, 0.25), ((0, 0, 0, 2), 0, 2, float("inf")), ((0, 0, 0, 0), 0, 0, 0.0), ((1, 0, 1, 4), 2, 5, 2.5)])
def test_rates(counts, length, errors, rate):
    found = EditCounts(*counts)
    assert (found.length, found.errors, found.rate) == (length, errors, rate)
