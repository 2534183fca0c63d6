import os

import pytest

from open_seq2seq import cores


@pytest.mark.parametrize("available, count, shares", [
    (8, 2, [4, 4]), (8, 3, [2, 3, 3]), (2, 4, [1, 1, 1, 1]), (1, 1, [1]), (192, 8, [24] * 8)])
def test_shares_are_fair_and_none_is_empty(monkeypatch, available, count, shares):
    monkeypatch.delenv(cores.VARIABLE, raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(available)), raising=False)
    assert cores.shares_of_cores(count) == shares


def test_a_process_keeps_to_its_share_and_to_what_it_may_run_on(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {3, 4, 5, 6}, raising=False)
    for share, expected in (("2", 2), ("9", 4), ("0", 4), ("many", 4)):
        assert cores.usable_cores({cores.VARIABLE: share}) == expected
    assert cores.usable_cores({}) == 4
