"""Numbers of the host, exchanged between ranks."""
import json
import math

import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.distributed.exchange import Exchange, TextExchange
from open_seq2seq.distributed.group import Single

RANKS = '''
import json
import tensorflow.compat.v1 as tf
from open_seq2seq.distributed import open_group
from open_seq2seq.distributed.exchange import Exchange, TextExchange
group = open_group("cpu")
exchange = Exchange(group, ["loss", "count", "bad"])
texts = TextExchange(group, 9)
with tf.Session() as session:
    group.start(session)
    values = {"loss": [0.1, 1e16, 0.2, -1e16][group.rank], "count": 2 ** 53 - group.rank,
              "bad": float("inf") if group.rank else float("-inf")}
    text = ["rank 0", "", "R\u00e4nge, of which an end is lost", "\u8a9e\u8a9e\u8a9e\u8a9e\u8a9e"][group.rank]
    print(json.dumps([exchange.all(session, values), exchange.sum(session, values), texts.all(session, text)]))
    group.finish(session)
'''


def test_one_process_gets_its_own_numbers_back_exactly(graph):
    exchange = Exchange(Single(), ["a", "b", "c"])
    values = {"a": 0.1, "b": 2 ** 53, "c": float("-inf")}
    with tf.Session() as session:
        assert exchange.all(session, values) == [values]
        assert exchange.sum(session, values) == values
        assert math.isnan(exchange.sum(session, dict(values, a=float("nan")))["a"])


def test_numbers_that_were_not_announced_or_would_be_rounded_are_refused(graph):
    exchange = Exchange(Single(), ["a", "b"])
    with tf.Session() as session:
        with pytest.raises(ValueError, match=r"expected numbers for \['a', 'b'\], got \['a'\]"):
            exchange.all(session, {"a": 1})
        with pytest.raises(ValueError, match="b is 9007199254740993, more than a float64 holds exactly"):
            exchange.sum(session, {"a": 1, "b": 2 ** 53 + 1})
    with pytest.raises(ValueError, match="a name comes twice"):
        Exchange(Single(), ["a", "a"])


def test_a_text_comes_back_as_far_as_there_is_room(graph):
    exchange = TextExchange(Single(), 8)
    with tf.Session() as session:
        for text, whole in (("", ""), ("a\nb", "a\nb"), ("12345678", "12345678"), ("123456789", "12345678"),
                            ("1234567\u00e9", "1234567")):
            assert exchange.all(session, text) == [whole]


@pytest.mark.slow
def test_sums_are_exact_and_equal_on_every_rank(run_ranks):
    outcomes = [json.loads(outcome.out) for outcome in run_ranks(RANKS, size=4)]
    assert all(str(outcome) == str(outcomes[0]) for outcome in outcomes)
    everybody, sums, texts = outcomes[0]
    assert [rank["loss"] for rank in everybody] == [0.1, 1e16, 0.2, -1e16]
    assert [rank["count"] for rank in everybody] == [2 ** 53 - rank for rank in range(4)]
    # one after the other float64 would give 2.0 or 0.0
    assert sums["loss"] == math.fsum([0.1, 0.2])
    assert sums["count"] == float(4 * 2 ** 53 - 6)
    assert math.isnan(sums["bad"])
    # whole characters of at most 9 bytes, which are rounded up to 12
    assert texts == ["rank 0", "", "R\u00e4nge, of w"[:11], "\u8a9e" * 4]
