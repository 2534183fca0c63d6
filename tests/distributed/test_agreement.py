"""Ranks that do not run the same thing are stopped, all of them, and told what differs."""
import json

import pytest

from open_seq2seq.distributed.agreement import check_agreement, fingerprint
from open_seq2seq.distributed.group import Single

RANKS = '''
import json
import tensorflow.compat.v1 as tf
from open_seq2seq.distributed import open_group
from open_seq2seq.distributed.agreement import check_agreement
from open_seq2seq.errors import DeviceError
group = open_group("cpu")
def check(session, facts):
    try:
        check_agreement(group, session, facts)
    except DeviceError as error:
        return str(error)
    return "agreed"
same = {"TensorFlow": "1.15.0", "data": "f" * 500}
with tf.Session() as session:
    group.start(session)
    first = check(session, dict(same, umlaut="\\u00e4"))
    versions = check(session, dict(same, TensorFlow="1.15.0" if group.rank != 1 else "2.6.5"))
    data = check(session, dict(same, data="%d" % (group.rank // 3) * 500))
    absent = check(session, same if group.rank else dict(same, buckets="[400, 800]"))
    last = check(session, same)
    group.finish(session)
print(json.dumps([first, versions, data, absent, last]))
'''


def test_fingerprints_differ_where_values_do():
    params = {"lr": 0.02, "layers": [{"kernel": 11}, {"kernel": 13}], "name": None}
    assert fingerprint(params) == fingerprint(json.loads(json.dumps(params))) == fingerprint(dict(reversed(list(params.items()))))
    assert len({fingerprint(value) for value in (
        params, dict(params, lr=0.020000000000000004), dict(params, layers=[{"kernel": 13}, {"kernel": 11}]),
        dict(params, name="None"))}) == 4
    assert len(fingerprint([])) == 16


def test_a_process_by_itself_agrees_without_a_session():
    check_agreement(Single(), None, {"TensorFlow": "1.15.0"})


@pytest.mark.slow
def test_every_rank_is_told_what_differs_and_where(run_ranks):
    outcomes = [json.loads(outcome.out) for outcome in run_ranks(RANKS, size=4)]
    assert all(outcome == outcomes[0] for outcome in outcomes)
    first, versions, data, absent, last = outcomes[0]
    assert first == last == "agreed"
    assert versions.splitlines()[1:-1] == ["  TensorFlow: 1.15.0 on rank 0, 2, 3; 2.6.5 on rank 1"]
    assert data.splitlines()[1:-1] == [
        "  data: 500 characters with fingerprint %s on rank 0-2; 500 characters with fingerprint %s on rank 3" % (
            fingerprint("0" * 500), fingerprint("1" * 500))]
    assert absent.splitlines()[1:-1] == ["  buckets: [400, 800] on rank 0; nothing on rank 1-3"]
