"""Early stopping, the time limit and the plateau, with the numbers that a checkpoint keeps."""
import types

import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.checkpoints.restore import SavedState
from open_seq2seq.training.metric_tracker import MetricTracker
from open_seq2seq.training.plateau import Plateau
from open_seq2seq.training.stopping import INITIAL_STATE, EarlyStop, TimeLimit

DEFAULTS = {"stopping_metric": "loss", "es_min_delta": None, "early_stop": True, "es_epochs": 3, "reduce_lr_on_plateau": True,
            "plateau_epochs": 2, "plateau_reduction": 0.5, "max_hours": None}
EPOCH = 10  # steps


class Training:
    """The tracker, early stopping and plateau of a training.

    Args:
      values: state of a checkpoint, as ``state.get`` returned it.
      texts: transcripts of the evaluation data; None for a training without evaluations.
    """

    def __init__(self, values=None, step=0, epoch=EPOCH, texts=("one", "two"), **params):
        params = dict(DEFAULTS, **params)
        self.graph = tf.Graph()
        with self.graph.as_default():
            self.tracker = MetricTracker(params, epoch, None if texts is None else types.SimpleNamespace(utterances=[
                types.SimpleNamespace(transcript=text, duration=1.0) for text in texts]))
            self.state = SavedState(**INITIAL_STATE)
        if values is not None:
            self.state.set(**values)
        self.plateau = Plateau(params, self.tracker, self.state)
        self.early_stop = EarlyStop(params, self.tracker)
        self.tracker.start(self.state, step)
        self.plateau.start()

    def evaluate(self, step, loss, wer=1.0):
        """Returns whether the learning rate was reduced."""
        result = types.SimpleNamespace(loss=loss, word_error_rate=types.SimpleNamespace(rate=wer))
        self.tracker.evaluated(self.state, step, result)
        return self.plateau.evaluated(lambda: "best_dev-%d" % self.tracker.best_step)

    @property
    def factor(self):
        return float(self.state.get()["learning_rate_factor"])


def coqui(losses, min_delta, es_epochs, plateau_epochs):
    """The rule of Coqui STT's training loop, one loss an epoch: (epoch of the stop or None, epochs of the reductions)."""
    best, without, reductions = float("inf"), 0, []
    for epoch, loss in enumerate(losses, 1):
        without = without + 1 if loss > best - min_delta else 0
        best = min(best, loss)
        if without == es_epochs:
            return epoch, reductions
        if without > 0 and without % plateau_epochs == 0:
            reductions.append(epoch)
    return None, reductions


@pytest.mark.parametrize("losses, stop, reductions", [
    ([5.0, 4.0, 3.0, 2.0], None, []),
    ([5.0, 5.0, 5.0, 5.0, 5.0], 4, [3]),                      # three epochs without improvement
    ([5.0, 5.1, 5.1, 4.0, 4.1, 4.1, 4.1], 7, [3, 6]),         # an improvement restarts the count
    ([5.0, 4.98, 4.96, 4.94, 4.92], 4, [3]),                  # creeping down by less than es_min_delta is not an improvement
    ([5.0, 4.97, 4.9, 4.88, 4.8, 4.79], None, []),            # but below the lowest by as much is, in every second epoch
    ([2.0, 1.9375, 1.875, 1.8125], None, [])])                # and so is exactly as much
def test_stops_and_reduces_where_coqui_stt_does(losses, stop, reductions):
    assert coqui(losses, 0.0625, 3, 2) == (stop, reductions)
    training, reduced = Training(es_min_delta=0.0625), []
    for epoch, loss in enumerate(losses, 1):
        if training.evaluate(epoch * EPOCH, loss) and training.early_stop.reason is None:
            reduced.append(epoch)
        if training.early_stop.reason is not None:
            assert epoch == stop
            break
    else:
        assert stop is None
    assert reduced == reductions and training.factor == pytest.approx(0.5 ** len(reductions))


def test_the_reason_names_the_metric_and_its_best_value():
    training = Training(es_min_delta=0.06)
    for epoch, loss in enumerate([5.0, 1.25, 1.25, 1.24, 1.3], 1):
        assert training.early_stop.reason is None
        training.evaluate(epoch * EPOCH, loss)
    assert training.early_stop.reason == (
        "no improvement by at least 0.06 for 3 epochs; the best validation loss is 1.2400, of step 40")


@pytest.mark.parametrize("every", [5, 20])
def test_epochs_without_improvement_do_not_depend_on_the_evaluation_interval(every):
    training, steps = Training(reduce_lr_on_plateau=False), range(every, 200, every)
    for step in steps:
        training.evaluate(step, 3.0)
        if training.early_stop.reason is not None:
            break
    # the first evaluation was the improvement
    assert step == min(step for step in steps if step - every >= 3 * EPOCH)


def test_a_plateau_reduces_once_for_each_period_when_evaluations_are_rare():
    training = Training(early_stop=False, plateau_epochs=2)
    assert [training.evaluate(step, 3.0) for step in (10, 25, 35, 75, 80, 95)] == [False, False, True, True, False, True]
    assert training.factor == 0.125


def test_with_wer_every_improvement_counts_and_the_loss_is_ignored():
    training = Training(stopping_metric="wer", reduce_lr_on_plateau=False)
    for epoch, (loss, wer) in enumerate([(3.0, 0.5), (2.0, 0.499), (1.0, 0.499), (0.5, 0.499)], 1):
        training.evaluate(epoch * EPOCH, loss, wer)
    assert training.early_stop.reason is None
    training.evaluate(5 * EPOCH, 0.25, 0.499)
    assert training.early_stop.reason == "no improvement for 3 epochs; the best validation WER is 0.4990, of step 20"


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_is_no_improvement(bad):
    training = Training()
    for epoch in (1, 2):
        training.evaluate(epoch * EPOCH, bad)
    assert training.early_stop.reason is None
    training.evaluate(3 * EPOCH, bad)
    assert training.early_stop.reason == (
        "no improvement by at least 0.05 for 3 epochs; there is no finite validation loss yet")


def test_a_resumed_training_stops_and_reduces_at_the_same_evaluations(capsys):
    losses = [3.0, 2.5, 2.6, 2.7, 2.44, 2.6, 2.6, 2.6]
    whole = Training()
    outcomes = [(whole.evaluate(epoch * EPOCH, loss), whole.early_stop.reason, whole.factor)
                for epoch, loss in enumerate(losses, 1)]
    assert outcomes[-1][1] is not None and outcomes[-2][1] is None
    values = None
    for epoch, loss in enumerate(losses, 1):
        training = Training(values, step=(epoch - 1) * EPOCH)
        assert (training.evaluate(epoch * EPOCH, loss), training.early_stop.reason, training.factor) == outcomes[epoch - 1]
        values = training.state.get()
    # the training had stopped, and the resumed run reports it before another step
    assert Training(values, step=80).early_stop.reason == outcomes[-1][1]
    assert Training(values, step=80, early_stop=False).early_stop.reason is None
    assert Training(values, step=80, es_epochs=4, plateau_epochs=3).early_stop.reason is None
    assert "counted from step" not in capsys.readouterr().out


def test_another_rule_restarts_the_count(capsys):
    training = Training()
    for epoch in (1, 2, 3, 4):
        training.evaluate(epoch * EPOCH, 3.0)
    values = training.state.get()
    for change, message in (({"es_min_delta": 0.01}, "stopping_metric loss and es_min_delta 0.05, this one uses loss and 0.01"),
                         ({"stopping_metric": "wer"}, "stopping_metric loss and es_min_delta 0.05, this one uses wer and 0"),
                         ({"texts": ("one", "three")}, "this one uses loss and 0.05 on other data")):
        other = Training(values, step=40, **change)
        assert message in capsys.readouterr().out and other.early_stop.reason is None
        assert other.tracker.epochs_without_improvement == 0 and not other.evaluate(50, 3.0, 0.9)
    assert training.early_stop.reason is not None


def test_a_part_of_the_training_without_evaluations_keeps_the_state(capsys):
    training = Training()
    for epoch in (1, 2, 3):
        training.evaluate(epoch * EPOCH, 3.0)
    without = Training(training.state.get(), step=30, texts=None)
    values = without.state.get()
    other = Training(values, step=40)
    other.evaluate(50, 3.0)
    assert other.early_stop.reason is not None and "counted from step" not in capsys.readouterr().out
    assert not other.tracker.has_other_data and not without.tracker.has_other_data
    assert Training(values, step=40, texts=("one", "three")).tracker.has_other_data


def test_epochs_of_another_number_of_steps_are_the_same_epochs():
    training = Training()
    for epoch in (1, 2, 3):
        training.evaluate(epoch * EPOCH, 3.0)
    values = training.state.get()
    # another batch size: 30 steps were 3 epochs of 10 steps; an epoch now has 3
    other = Training(values, step=30, epoch=3)
    assert other.tracker.epochs_without_improvement == 2.0 and other.early_stop.reason is None
    other.evaluate(33, 3.0)
    assert other.early_stop.reason is not None


def test_without_the_plateau_rule_the_learning_rate_is_reset_with_a_note(capsys):
    training = Training(early_stop=False)
    for epoch in (1, 2, 3):
        training.evaluate(epoch * EPOCH, 3.0)
    values = training.state.get()
    printed = capsys.readouterr().out
    assert "*** Encountered a plateau: no improvement for 2 epochs (the best validation loss is 3.0000, of step 10). The " \
           "learning rate is multiplied by 0.5, to 0.5 of the policy's; the weights are reset to best_dev-10\n" in printed
    assert Training(values, step=30).factor == 0.5
    assert "The learning rate is 0.5 of the policy's" in capsys.readouterr().out
    assert Training(values, step=30, reduce_lr_on_plateau=False).factor == 1.0
    assert "reduced it to 0.5 of the policy's, and reduce_lr_on_plateau is now False" in capsys.readouterr().out


def test_max_hours_covers_all_parts_of_a_training():
    now = [1000.0]
    first = TimeLimit(dict(DEFAULTS, max_hours=1.5), clock=lambda: now[0])
    first.start(0.0)
    now[0] += 5399.0
    assert first.reason is None and first.seconds == 5399.0
    second = TimeLimit(dict(DEFAULTS, max_hours=1.5), clock=lambda: now[0])
    now[0] += 600.0  # what it takes to start does not count
    second.start(first.seconds - 600.0)
    assert second.reason is None
    now[0] += 1.0
    assert second.reason == "max_hours is 1.5, and the training has taken 1.50 hours"
    unlimited = TimeLimit(DEFAULTS, clock=lambda: now[0])
    unlimited.start(1e9)
    assert unlimited.reason is None
