"""Numbers and texts of the hosts, exchanged between ranks."""
import math

import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.distributed.exchange import Exchange, TextExchange
from open_seq2seq.distributed.group import Single


def test_a_single_process_gets_its_own_numbers_exactly(graph):
    exchange = Exchange(Single(), ["a", "b", "c"])
    values = {"a": 0.1, "b": 2 ** 53, "c": float("-inf")}
    with tf.Session() as session:
        assert exchange.all(session, values) == [values]
        assert exchange.sum(session, values) == values
        assert math.isnan(exchange.sum(session, dict(values, a=float("nan")))["a"])


def test_missing_names_and_numbers_that_would_be_rounded_are_errors(graph):
    exchange = Exchange(Single(), ["a", "b"])
    with tf.Session() as session:
        with pytest.raises(ValueError, match=r"expected numbers for \['a', 'b'\], got \['a'\]"):
            exchange.all(session, {"a": 1})
        with pytest.raises(ValueError, match="b is 9007199254740993, more than a float64 holds exactly"):
            exchange.sum(session, {"a": 1, "b": 2 ** 53 + 1})
    with pytest.raises(ValueError, match="a name occurs twice"):
        Exchange(Single(), ["a", "a"])


def test_a_text_is_cut_at_the_last_complete_character(graph):
    exchange = TextExchange(Single(), 8)
    with tf.Session() as session:
        for text, expected in (("", ""), ("a\nb", "a\nb"), ("12345678", "12345678"), ("123456789", "12345678"),
                            ("1234567\u00e9", "1234567")):
            assert exchange.all(session, text) == [expected]


@pytest.mark.slow
def test_sums_are_exact_and_equal_on_every_rank(four_ranks):
    results = [result["exchange"] for result in four_ranks]
    assert all(str(result) == str(results[0]) for result in results)
    numbers, sums = results[0]["all"], results[0]["sum"]
    assert [rank["loss"] for rank in numbers] == [0.1, 1e16, 0.2, -1e16]
    assert [rank["count"] for rank in numbers] == [2 ** 53 - rank for rank in range(4)]
    # added one after the other in float64 they would give 2.0 or 0.0
    assert sums["loss"] == math.fsum([0.1, 0.2])
    assert sums["count"] == float(4 * 2 ** 53 - 6)
    assert math.isnan(sums["bad"])
    # complete characters within 9 bytes, which are rounded up to 12
    assert results[0]["texts"] == ["rank 0", "", "R\u00e4nge, whose"[:11], "\u8a9e" * 4]
    # bytes of any length, zeros at the end included
    assert [bytes.fromhex(part) for part in results[0]["bytes"]] == [
        bytes(range(256)) * (rank * 20) + b"\0" * rank for rank in range(4)]
