"""Tests of significance by hand and against SciPy."""
import itertools

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from open_seq2seq.evaluation.analysis.significance import (
    binomial_p,
    matched_pairs,
    mcnemar,
    segment_errors,
    sign_test,
    wilcoxon,
)


@pytest.mark.parametrize("a, b, errors_a, errors_b", [
    # two correct words of both end a segment
    ("SCCS", "CCCC", [1, 1], [0, 0]),
    ("SCS", "CCC", [2], [0]),
    # an insertion between two correct words does not
    ("SCICS", "CCCC", [3], [0]),
    # insertions at the end and in an empty reference count, of either system
    ("CCC", "CCCI", [0], [1]), ("CCCI", "CCC", [1], [0]), ("", "II", [0], [2]),
    ("CDCCIC", "SCCCC", [1, 1], [1, 0]), ("CCCC", "CCCC", [], [])])
def test_segments(a, b, errors_a, errors_b):
    assert segment_errors([a], [b]).tolist() == [errors_a, errors_b]
    # utterances do not run into each other, and correct ones add nothing
    both = segment_errors(["CC", a, "", a, "C"], ["CC", b, "", b, "C"])
    assert both.tolist() == [errors_a * 2, errors_b * 2]


@st.composite
def _systems(draw):
    """Operations of two systems on the same references."""
    lengths = draw(st.lists(st.integers(0, 8), min_size=1, max_size=5))
    inserted = st.sampled_from(["", "", "", "I", "II"])
    return [["".join(draw(inserted) + draw(st.sampled_from("CCCCSD")) for _ in range(length)) + draw(inserted)
             for length in lengths] for _ in "AB"]


@settings(max_examples=100, deadline=None)
@given(_systems())
def test_segments_hold_all_errors(systems):
    errors = segment_errors(*systems)
    assert errors.sum(1).tolist() == [sum(len(text) - text.count("C") for text in texts) for texts in systems]
    assert (errors.sum(0) > 0).all()
    assert segment_errors(*systems[::-1]).tolist() == errors[::-1].tolist()


def test_matched_pairs_by_hand():
    # differences 1, 1, -1, 1
    found = matched_pairs(["SCCS", "CC", "S"], ["CCCC", "CS", "C"])
    assert (found.segments, found.mean, found.errors) == (4, 0.5, (3, 1))
    assert found.standard_deviation == pytest.approx(1.0) and found.z == pytest.approx(1.0)
    assert found.p == pytest.approx(2 * scipy.stats.norm.sf(1.0))
    for same in (["SS"], ["CC"], []):
        assert matched_pairs(same, same).p == 1.0 and matched_pairs(same, same).z is None
    # the same difference everywhere: as likely as heads each time
    always = matched_pairs(["SC"] * 6, ["CC"] * 6)
    assert (always.mean, always.z, always.p) == (1.0, None, 2 / 2 ** 6)


def test_mcnemar_and_sign_test_by_hand():
    found = mcnemar([True, True, True, False, False], [True, False, False, True, False])
    assert found == (1, 2, 1, 1, 1.0)
    # equal speakers do not count
    assert sign_test([0.1, 0.1, 0.1, 0.1, 0.1], [0.2, 0.2, 0.2, 0.2, 0.1]) == (4, 0, 1, pytest.approx(2 / 16))
    assert binomial_p(0, 0) == 1.0 and binomial_p(7, 14) == pytest.approx(0.1892, abs=6e-5)


def test_wilcoxon_is_the_share_of_signs_that_are_as_extreme():
    differences = np.array([0.03, -0.01, 0.02, 0.07, 0.04])
    found = wilcoxon(0.1 + differences, np.full(5, 0.1))
    assert (found.speakers, found.statistic) == (5, 14.0)
    sums = [sum(rank for rank, sign in zip(range(1, 6), signs) if sign) for signs in itertools.product([0, 1], repeat=5)]
    assert found.p == pytest.approx(sum(total >= 14 or total <= 1 for total in sums) / 32)


def test_wilcoxon_with_ties_and_zeros_by_hand():
    first = [0.1, 0.2, 0.3, 0.4, 0.5, 0.3, 0.2, 0.5]
    second = [0.2, 0.1, 0.1, 0.4, 0.2, 0.1, 0.4, 0.1]
    found = wilcoxon(first, second)
    # ranks 1.5, 1.5, 4, 4, 6, 4, 7 of seven differences; all but the first and the last 4 are positive
    assert (found.speakers, found.statistic) == (7, 22.5)
    assert found.z == pytest.approx((22.5 - 14) / (35 - (2 ** 3 - 2 + 3 ** 3 - 3) / 48) ** 0.5)
    assert found.p == found.p_normal == pytest.approx(2 * scipy.stats.norm.sf(found.z))
    assert wilcoxon([0.1], [0.1]).p == 1.0
