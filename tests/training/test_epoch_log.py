"""The line of each epoch, and the measured wait for a batch."""
import types

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.checkpoints.restore import SavedState
from open_seq2seq.evaluation.error_rates import ErrorRate
from open_seq2seq.training.epoch_log import INITIAL_STATE, EpochLog
from open_seq2seq.training.input_stream import next_batch
from open_seq2seq.training.metrics import Metrics, read_metrics


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


def result(loss, edits):
    return types.SimpleNamespace(loss=loss, word_error_rate=ErrorRate(edits, 1000))


@pytest.fixture
def make(tmp_path):
    """Function (state of an earlier part or None) that returns an EpochLog of four steps an epoch, its state, its clock."""
    def make(state=None):
        clock, state = Clock(), state or SavedState(**INITIAL_STATE)
        training = types.SimpleNamespace(state=state, steps_per_epoch=4, epochs_done=lambda step: step // 4)
        log = EpochLog(training, Metrics(str(tmp_path / "metrics.jsonl")), clock)
        return log, state, clock
    return make


def test_a_line_and_metrics_for_each_epoch(make, tmp_path, capsys):
    log, _, clock = make()
    for step, loss in enumerate([3.0, 2.0, 1.5, 1.5, 1.0, 1.0, 0.5, 0.5], 1):
        clock.now += 3.0
        log.step(loss, np.float32(0.01))
        if step in (2, 8):
            clock.now += 1.25
            log.evaluated(step, result(1.4 if step == 2 else 0.9, 231 if step == 2 else 300))
        log.end_if_due(step)
    assert capsys.readouterr().out.splitlines() == [
        "*** Epoch 1: train loss 2.0000, dev loss 1.4000 (at step 2), dev WER 0.2310 (at step 2), best WER 0.2310 at step 2, "
        "learning rate 0.01, 13 s",
        "*** Epoch 2: train loss 0.7500, dev loss 0.9000, dev WER 0.3000, best WER 0.2310 at step 2, learning rate 0.01, 13 s"]
    first, second = read_metrics(str(tmp_path / "metrics.jsonl"))
    assert (first["kind"], first["step"], first["epoch"], first["train_loss"], first["seconds"]) == ("epoch", 4, 1, 2.0, 13.25)
    assert (second["dev_loss"], second["dev_word_error_rate"], second["evaluated_at"]) == (0.9, 0.3, 8)
    assert (second["best_word_error_rate"], second["best_step"]) == (0.231, 2)
    assert second["learning_rate"] == pytest.approx(0.01)


def test_the_lowest_wer_on_other_data_is_not_the_best(make, capsys):
    log, state, _ = make()
    log.evaluated(4, result(1.4, 100))
    state.set(**log.figures)
    for has_other_data, best in ((False, "best WER 0.1000 at step 4"), (True, "best WER 0.3000 at step 8")):
        resumed, _, _ = make(state)
        resumed.start(has_other_data)
        resumed.step(1.0, np.float32(0.01))
        resumed.evaluated(8, result(1.4, 300))
        resumed.end_if_due(8)
        assert best in capsys.readouterr().out


def test_without_evaluations(make, capsys):
    log, _, clock = make()
    for step in range(1, 5):
        clock.now += 0.5
        log.step(float(step), 0.002)
        log.end_if_due(step)
    assert capsys.readouterr().out == "*** Epoch 1: train loss 2.5000, learning rate 0.002, 2.0 s\n"


def test_the_line_of_an_interrupted_epoch_covers_both_parts(make, capsys):
    log, state, clock = make()
    for step, loss in ((1, 4.0), (2, 3.0)):
        clock.now += 7.0
        log.step(loss, 0.5)
        log.end_if_due(step)
    log.evaluated(2, result(1.0, 100))
    state.set(**log.figures)
    resumed, _, clock = make(state)
    resumed.start()
    for step, loss in ((3, 2.0), (4, 1.0)):
        clock.now += 7.0
        resumed.step(loss, 0.25)
        resumed.end_if_due(step)
    assert capsys.readouterr().out == (
        "*** Epoch 1: train loss 2.5000, best WER 0.1000 at step 2, learning rate 0.25, 28 s\n")


def test_the_wait_for_a_batch_is_between_the_time_of_its_features_and_that_of_the_run(graph):
    import time
    made = []

    def features(number):
        began = time.time()
        np.linalg.svd(np.random.RandomState(number).randn(200, 200))  # takes time, like features
        made.append(time.time() - began)
        return np.zeros([2, 5, 3], np.float32)

    dataset = tf.data.Dataset.range(3).map(lambda number: (
        tf.numpy_function(features, [number], tf.float32),) + tuple(tf.zeros([2], tf.int32) for _ in range(5)))
    iterator = tf.data.make_initializable_iterator(dataset)
    batch, wait = next_batch(iterator, timed=True)
    with tf.Session() as session:
        session.run(iterator.initializer)
        for number in range(3):
            began = time.time()
            seconds, array = session.run([wait, batch.features])
            took = time.time() - began
            assert array.shape == (2, 5, 3)
            assert 0.0 < seconds <= took + 1e-3
            # current TensorFlow begins with an element before it is asked for it
            assert seconds >= made[number] - 1e-3 or not tf.__version__.startswith("1.")


def test_no_clock_operation_is_added_where_the_step_is_compiled(graph):
    iterator = tf.data.make_initializable_iterator(tf.data.Dataset.from_tensors(tuple(tf.zeros([2]) for _ in range(6))))
    before = {operation.name for operation in graph.get_operations()}
    assert next_batch(iterator, timed=False)[1] is None
    added = [operation.type for operation in graph.get_operations() if operation.name not in before]
    assert "Timestamp" not in added and "IteratorGetNext" in added
