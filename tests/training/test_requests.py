"""Requests: what one rank asks for is done by all ranks after the same step."""
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.distributed.group import ProcessGroup, Single
from open_seq2seq.training.requests import Request, Requests, stop_among


class PairOfThis(ProcessGroup):
    """Two ranks; the values of the other one are given."""

    rank, size = 0, 2

    def __init__(self, others):
        self.others = others

    def average(self, tensors):
        return [(tensor + other) / 2.0 for tensor, other in zip(tensors, self.others[-len(tensors):])]

    def gather(self, tensor):
        other = tf.cast(self.others[-1], tf.int32)
        return tf.stack([tensor, tf.pad(other, [[0, tensor.shape.num_elements() - len(Request)]])])


def test_one_process_needs_no_operation(graph):
    requests = Requests(Single())
    loss = tf.constant(2.5)
    mean, fetches = requests.with_mean(loss)
    assert mean is loss and fetches == {} and requests.feed() == {}
    assert len(graph.get_operations()) == 1


def test_each_request_is_returned_once(graph):
    requests = Requests(Single())
    assert requests.take({}) == set() and not requests.signal_has_come
    for asked in (Request.SAVE, Request.SIGTERM, Request.SAVE):
        requests.ask(asked)
    assert requests.signal_has_come
    assert requests.take({}) == {Request.SAVE, Request.SIGTERM}
    assert requests.take({}) == set() and not requests.signal_has_come


@pytest.mark.parametrize("mine, theirs", [
    ((), ()), ((Request.SAVE,), ()), ((), (Request.SIGINT,)),
    ((Request.SAVE, Request.TIME_IS_UP), (Request.SAVE, Request.SIGTERM))])
def test_both_ranks_get_the_requests_of_either(graph, mine, theirs):
    others = [tf.constant(4.0), tf.constant([float(request in theirs) for request in Request])]
    requests = Requests(PairOfThis(others))
    mean, fetches = requests.with_mean(tf.constant(3.0))
    for request in mine:
        requests.ask(request)
    with tf.Session() as session:
        loss, values = session.run([mean, fetches], requests.feed())
        assert loss == 3.5
        assert requests.take(values) == set(mine) | set(theirs)
        assert list(requests.feed().values())[0].tolist() == [0.0] * len(Request)
        # between two steps
        for request in mine:
            requests.ask(request)
        assert requests.agree(session) == set(mine) | set(theirs)


def test_a_request_during_a_step_waits_for_the_next_step(graph):
    others = [tf.constant(0.0), tf.zeros([len(Request)])]
    requests = Requests(PairOfThis(others))
    mean, fetches = requests.with_mean(tf.constant(0.0))
    with tf.Session() as session:
        values = session.run(fetches, requests.feed())
        requests.ask(Request.SAVE)
        assert requests.take(values) == set()
        assert requests.take(session.run(fetches, requests.feed())) == {Request.SAVE}


def test_a_loss_that_is_not_finite_makes_no_request(graph):
    requests = Requests(PairOfThis([tf.constant(np.nan), tf.zeros([len(Request)])]))
    mean, fetches = requests.with_mean(tf.constant(1.0))
    with tf.Session() as session:
        loss, values = session.run([mean, fetches], requests.feed())
    assert np.isnan(loss) and requests.take(values) == set()


def test_a_signal_takes_precedence_over_the_clock():
    assert stop_among({Request.SAVE}) is None and stop_among(set()) is None
    assert stop_among({Request.SAVE, Request.TIME_IS_UP}) is Request.TIME_IS_UP
    assert stop_among({Request.TIME_IS_UP, Request.SIGTERM}) is Request.SIGTERM
    assert not Request.SAVE.stops and Request.TIME_IS_UP.stops
