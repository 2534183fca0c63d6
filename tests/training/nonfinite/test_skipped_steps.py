"""Skipped steps: which are bad, how they are counted and named, when they end the training. The examination is replaced."""
import re
import types

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.distributed.group import Single
from open_seq2seq.errors import NonFiniteError
from open_seq2seq.training.metrics import Metrics, read_metrics
from open_seq2seq.training.nonfinite import skipped_steps
from open_seq2seq.training.nonfinite.investigation import SeenBatch
from open_seq2seq.training.nonfinite.layer_search import VARIABLE, First
from open_seq2seq.training.nonfinite.skipped_steps import NonFiniteBatches, SkippedSteps


class DataLayer:
    """Rows are named by their index; row 4 has two packed utterances."""

    def utterances_of_row(self, index):
        return [types.SimpleNamespace(id="%d%s" % (index, part)) for part in (("a", "b") if index == 4 else ("",))]


class Examination:
    """In place of ``Investigation``, which builds networks: notes which steps it is asked to examine."""

    found = None, None

    def __init__(self, params, graph, device, group, folder):
        self.folder, self.steps = folder, []

    def examine_step(self, session, step, seen_batches, loss, loss_scale):
        self.steps.append((step, [seen.number for seen in seen_batches]))
        self.first, self.file = self.found


@pytest.fixture
def make(graph, tmp_path, monkeypatch):
    """Function (lowest_loss_scale, iter_size, parameters) that returns the ``Training``."""
    monkeypatch.setattr(skipped_steps, "Investigation", Examination)

    class Training:
        def __init__(self, lowest_loss_scale=None, iter_size=1, **params):
            self.count = 0
            training = types.SimpleNamespace(iter_size=iter_size, data_layer=DataLayer(), optimization=types.SimpleNamespace(
                lowest_loss_scale=lowest_loss_scale))
            self.steps = SkippedSteps(
                dict({"max_bad_steps": 3, "bad_batches": 1, "batch_size_per_gpu": 2}, **params), training,
                types.SimpleNamespace(skip_reason="the gradient is not finite"), Single(), "run", keep_batches=True)
            self.metrics, self.session = Metrics(str(tmp_path / "metrics.jsonl")), tf.Session()
            self.number = 0

        def skip(self, step, losses=(float("nan"),), loss=None, scale=8.0, following=None):
            """Computes batches with these losses, and skips their step, after which the loss scale is ``following``."""
            for value in losses:
                # every second batch has a padding row
                indices = np.array([2 * self.number, -1 if self.number % 2 else 2 * self.number + 1])
                self.steps.batch(self.number, {"indices": indices, "batch_loss": value})
                self.number += 1
            self.count += 1
            self.steps.skipped(self.session, step, {"loss": np.float32(np.mean(losses) if loss is None else loss),
                                                    "learning_rate": np.float32(0.5), "loss_scale": np.float32(scale),
                                                    "next_loss_scale": np.float32(scale if following is None else following),
                                                    "skipped_steps": np.int64(self.count)}, self.metrics)

        @property
        def entries(self):
            return read_metrics(str(tmp_path / "metrics.jsonl"))

        @property
        def examined(self):
            return self.steps._investigation.steps
    return Training


def test_a_loss_that_is_not_finite_is_a_bad_step_with_its_utterances(make, capsys):
    training = make()
    training.skip(7)
    assert capsys.readouterr().out == (
        "*** Step 7 skipped: the loss is not finite (loss nan, loss scale 8, utterances 0, 1)\n")
    entry, = training.entries
    del entry["time"]
    assert entry == {"kind": "skipped", "step": 6, "reason": "the loss is not finite", "loss": None, "loss_scale": 8.0,
                     "bad": True, "utterances": ["0", "1"], "skipped_steps": 1}
    assert training.examined == [(7, [0])]


def test_only_the_batches_whose_loss_is_not_finite_are_named_with_all_packed_utterances(make, capsys):
    training = make(iter_size=3)
    training.skip(1, losses=(2.0, float("nan"), float("inf")), loss=float("nan"))
    # batch 1 has the row 2 and padding, batch 2 the rows 4, of two utterances, and 5
    assert "utterances 2, 4a, 4b, 5)" in capsys.readouterr().out
    assert training.examined == [(1, [0, 1, 2])]


def test_a_finite_loss_names_the_utterances_of_the_whole_step(make, capsys):
    training = make(iter_size=2)
    training.skip(1, losses=(2.0, 3.0))
    assert "skipped: the gradient is not finite (loss 2.5, loss scale 8, utterances 0, 1, 2)" in capsys.readouterr().out


def test_bad_steps_in_a_row_end_the_training_with_advice(make, capsys):
    training = make(max_bad_steps=2)
    training.skip(1)
    training.steps.made()  # interrupts the row
    training.skip(2)
    with pytest.raises(NonFiniteError) as error:
        training.skip(2)
    message = str(error.value)
    assert message.startswith("2 steps in a row were skipped (the loss is not finite), the last at step 2 with the utterances "
                              "4a, 4b, 5\n")
    assert "The learning rate is 0.5, the loss scale 8." in message and "max_bad_steps is 2" in message
    assert 'a lower loss_scaling, or "Backoff"' in message and "Checkpoints, if any, are in run" in message
    # only the first bad step is examined (bad_batches is 1); the others list all of their utterances in the line
    assert [step for step, _ in training.examined] == [1]


def test_what_was_found_is_in_the_message(make, monkeypatch):
    monkeypatch.setattr(Examination, "found", (First(VARIABLE, "conv11", None, None, "conv11/kernel"), "bad/step-1.npz"))
    training = make(max_bad_steps=1)
    with pytest.raises(NonFiniteError) as error:
        training.skip(1)
    assert "Found: the first value that is not finite is in layer conv11: in its variable conv11/kernel\n" in str(error.value)
    assert "- an earlier checkpoint: weights that are not finite stay so\n" in str(error.value)
    assert "--mode=replay --batch=bad/step-1.npz (docs/nonfinite.md)" in str(error.value)


def test_automatic_loss_scaling_that_lowers_its_scale_has_no_bad_steps(make, capsys):
    training = make(lowest_loss_scale=1.0, max_bad_steps=2)
    for scale in (512.0, 256.0, 128.0, 64.0):
        training.skip(1, losses=(2.0,), scale=scale, following=scale / 2.0)
    # the scale that overflowed
    assert re.findall("loss scale (.*?),", capsys.readouterr().out) == ["512", "256", "128", "64"]
    assert [entry["bad"] for entry in training.entries] == [False] and training.examined == []
    assert training.entries[0]["skipped_steps"] == 4
    # the scale has reached its minimum: the second step in a row that cannot lower it ends the training
    training.skip(1, losses=(2.0,), scale=32.0)
    with pytest.raises(NonFiniteError, match="the gradient is not finite"):
        training.skip(1, losses=(2.0,), scale=32.0)


def test_a_scale_that_cannot_fall_makes_even_the_first_step_a_bad_one_but_one_that_rises_does_not(make):
    training = make(lowest_loss_scale=1.0)
    training.skip(1, losses=(2.0,), scale=1.0, following=4.0)
    training.steps.made()
    training.skip(2, losses=(2.0,), scale=1.0)
    assert [entry["bad"] for entry in training.entries] == [False, True]


def test_a_loss_that_is_not_finite_is_bad_also_with_automatic_loss_scaling(make):
    training = make(lowest_loss_scale=1.0)
    training.skip(1, scale=4.0, following=2.0)
    assert [entry["bad"] for entry in training.entries] == [True] and [step for step, _ in training.examined] == [1]


class _Pair(Single):
    """Two ranks; the text of the other one is given."""

    size = 2

    def __init__(self, other):
        self._other = other

    def gather(self, tensor):
        size = tensor.shape.as_list()[0]
        return tf.stack([tensor, tf.constant(np.frombuffer(self._other.ljust(4 * size, b"\0"), np.int32))])


def test_every_rank_learns_of_the_batches_of_all_ranks(graph):
    batches = NonFiniteBatches(_Pair(b"[[9, 20, 21], [11, 5]]"), 2, 2)
    seen = [SeenBatch(8, {"indices": np.array([3, 4]), "batch_loss": 1.0}),
            SeenBatch(10, {"indices": np.array([6, -1]), "batch_loss": float("nan")})]
    with tf.Session() as session:
        assert batches.of_step(session, seen) == [(0, 10, [6]), (1, 9, [20, 21]), (1, 11, [5])]


def test_every_rank_learns_what_all_ranks_found(graph):
    batches = NonFiniteBatches(_Pair("\nforward\nÜberlauf".encode()), 1, 1)
    with tf.Session() as session:
        assert batches.findings(session, "a.npz", None, None) == [(0, "a.npz", None, None), (1, None, "forward", "Überlauf")]
