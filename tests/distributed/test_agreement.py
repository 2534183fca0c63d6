"""Ranks that differ in code, config or data stop, and each reports the differences."""
import json

import pytest

from open_seq2seq.distributed.agreement import check_agreement, fingerprint
from open_seq2seq.distributed.group import Single


def test_fingerprints_differ_where_values_do():
    params = {"lr": 0.02, "layers": [{"kernel": 11}, {"kernel": 13}], "name": None}
    assert fingerprint(params) == fingerprint(json.loads(json.dumps(params))) == fingerprint(dict(reversed(list(params.items()))))
    assert len({fingerprint(value) for value in (
        params, dict(params, lr=0.020000000000000004), dict(params, layers=[{"kernel": 13}, {"kernel": 11}]),
        dict(params, name="None"))}) == 4
    assert len(fingerprint([])) == 16


def test_a_single_process_needs_no_session():
    check_agreement(Single(), None, {"TensorFlow": "1.15.0"})


@pytest.mark.slow
def test_every_rank_reports_the_values_that_differ(four_ranks):
    results = [result["agreement"] for result in four_ranks]
    assert all(result == results[0] for result in results)
    assert results[0]["first"] == results[0]["last"] == "agreed"
    assert results[0]["versions"].splitlines()[1:-1] == ["  TensorFlow: 1.15.0 on rank 0, 2, 3; 2.6.5 on rank 1"]
    assert results[0]["data"].splitlines()[1:-1] == [
        "  data: 500 characters with fingerprint %s on rank 0-2; 500 characters with fingerprint %s on rank 3" % (
            fingerprint("0" * 500), fingerprint("1" * 500))]
    assert results[0]["absent"].splitlines()[1:-1] == ["  buckets: [400, 800] on rank 0; nothing on rank 1-3"]
