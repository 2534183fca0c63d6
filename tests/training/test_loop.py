"""The order in which things happen in a step, and what ends the loop. Everything around ``TrainingRun`` only notes its calls."""
import contextlib
import types

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.distributed.group import Single
from open_seq2seq.errors import DataError, DeviceError
from open_seq2seq.training import loop
from open_seq2seq.training.loop import TrainingRun
from open_seq2seq.training.requests import Request, Requests


class Noted:
    """An object whose methods note that they were called."""

    def __init__(self, name, calls, **attributes):
        self._name, self._calls = name, calls
        vars(self).update(attributes)

    def __getattr__(self, method):
        return lambda *arguments, **options: self._calls.append("%s.%s" % (self._name, method))


class Run(TrainingRun):
    """A run of five steps, with an evaluation after every second one and a checkpoint after every third.

    Attributes:
      calls: list of the calls that were made.
      results: list of what the session returns for the last batch of each step, or an exception; by default a finite step.
    """

    def __init__(self, iter_size=1, evaluates=True, diagnostics=False, **params):
        self.calls, self.results, self.progress = [], [], []
        calls = self.calls

        def shape_step_of_batch(number):
            return types.SimpleNamespace(accumulate_fetches=lambda: "accumulate %d" % number,
                                         update_fetches=lambda *options: "update %d" % number)

        self.graph = types.SimpleNamespace(
            iter_size=iter_size, last_step=5, number_of_shape_step=lambda number: 0,
            eval_steps=2, evaluation="dev" if evaluates else None, task_evaluations={}, requests=Requests(Single()),
            feed=dict,
            average_statistics="average_statistics", data_layer=Noted("data_layer", calls),
            shape_step_of_batch=shape_step_of_batch,
            shape_step_to_update=lambda number, step: shape_step_of_batch(number))
        self.params = dict({"save_checkpoint_steps": 3, "data_layer_params": {}}, **params)
        self.group, self.session = Single(), types.SimpleNamespace(run=self._fetch)
        self.run_directory = types.SimpleNamespace(checkpoints="run")
        self.skipped_steps, self.epochs = Noted("skipped_steps", calls), Noted("epochs", calls, figures={})
        self.saving = Noted("saving", calls, is_due=False, writes=False)
        self.stopping = Noted("stopping", calls, time_is_up=False, stop_reason=None, figures={})
        self.log = Noted("log", calls, wants=lambda step: (False, False))
        self.metrics, self.device = Noted("metrics", calls), types.SimpleNamespace(
            threads=1, graph_memory=None, before_step=lambda *progress: self.progress.append(progress))
        self.diagnostics = Noted("diagnostics", calls, is_due=lambda step: step == 1) if diagnostics else None
        self.step = self.micro_batches = 0
        self.evaluation = self.stop = self._last_loss = None
        self.evaluation_is_pending = False

    position, _batch_utterances = {}, 4

    def _fetch(self, fetches, feed=None):
        self.calls.append(fetches)
        if not fetches.startswith("update"):
            return {}
        result = self.results.pop(0) if self.results else {}
        if isinstance(result, Exception):
            raise result
        return dict({"loss": np.float32(2.0), "finite": True, "learning_rate": 0.5}, **result)

    def called(self):
        """The calls since the last time."""
        calls, self.calls[:] = list(self.calls), []
        return calls


@pytest.fixture
def evaluated(monkeypatch):
    """Makes evaluations note themselves; their results are appended to the list, None by default: interrupted."""
    results = []

    def run_all(session, evaluation, others, is_interrupted):
        session.run("evaluation of " + evaluation)
        return results.pop(0) if results else None

    monkeypatch.setattr(loop, "run_all", run_all)
    monkeypatch.setattr(loop, "log_all", lambda result: None)
    return results


def out_of_memory(reported):
    error = DeviceError("out of memory")
    error.out_of_memory = reported
    return error


BATCH = ["skipped_steps.batch", "log.batch"]
MADE = ["skipped_steps.made", "log.step", "epochs.step"]
EVALUATION = ["average_statistics", "evaluation of dev", "saving.save_if_best", "log.evaluated", "epochs.evaluated",
              "stopping.evaluated"]


def test_a_step(evaluated):
    run = Run()
    assert run.one_step() == 2.0 and run.step == run.micro_batches == 1
    assert run.called() == ["update 0"] + BATCH + MADE + ["epochs.end_if_due", "saving.report"]


def test_the_device_is_told_the_progress_before_each_step(evaluated):
    run = Run()
    run.results = [{}, {"finite": False, "loss": np.float32(np.inf)}, {"loss": np.float32(1.5)}]
    for _ in range(4):
        run.one_step()
    assert run.progress == [(0, 5, None), (1, 5, 2.0), (1, 5, 2.0), (2, 5, 1.5)]


def test_a_step_of_three_batches(evaluated):
    run = Run(iter_size=3)
    run.one_step()
    run.one_step()
    assert (run.step, run.micro_batches) == (2, 6)
    assert [call for call in run.called() if call.split()[0] in ("accumulate", "update")] == [
        "accumulate 0", "accumulate 1", "update 2", "accumulate 3", "accumulate 4", "update 5"]


def test_an_evaluation_comes_before_the_line_of_the_epoch_and_the_checkpoint(evaluated):
    run = Run(save_checkpoint_steps=2)
    evaluated.append("result")
    run.one_step()
    run.called()
    run.one_step()
    assert run.called() == ["update 1"] + BATCH + MADE + EVALUATION + ["epochs.end_if_due", "saving.save", "saving.report"]
    assert run.evaluation == "result" and not run.evaluation_is_pending


def test_diagnostics_come_before_the_evaluation_and_their_time_is_excluded(evaluated):
    run = Run(diagnostics=True)
    run.one_step()
    assert run.called() == ["update 0"] + BATCH + MADE + ["diagnostics.made", "diagnostics.report", "log.exclude",
                                                          "epochs.end_if_due", "saving.report"]


def test_a_skipped_step_does_not_count_and_takes_its_batches(evaluated):
    run = Run(iter_size=2, save_checkpoint_steps=1)
    run.results = [{"finite": False}]
    run.one_step()
    assert (run.step, run.micro_batches) == (0, 2)
    assert run.called() == ["accumulate 0"] + BATCH + ["update 1"] + BATCH + ["skipped_steps.skipped", "saving.report"]
    # a request to save is carried out after it nevertheless
    run.graph.requests.ask(Request.SAVE)
    run.results = [{"finite": False}]
    run.one_step()
    assert run.called()[-3:] == ["skipped_steps.skipped", "saving.save", "saving.report"]


def test_the_time_since_the_last_checkpoint_and_the_time_of_the_training_make_requests(evaluated):
    run = Run()
    run.saving.is_due = True
    run.one_step()
    assert "saving.save" in run.called() and run.stop is None
    run.saving.is_due, run.stopping.time_is_up = False, True
    evaluated.append("result")
    run.one_step()
    # what the clock stops ends as at the last step, with an evaluation
    assert run.stop is Request.TIME_IS_UP and "evaluation of dev" in run.called()


def test_a_signal_leaves_the_evaluation_to_the_resumed_run(evaluated):
    run = Run(diagnostics=True)
    run.one_step()
    run.called()
    run.graph.requests.ask(Request.SIGTERM)
    run.one_step()
    calls = run.called()
    assert run.stop is Request.SIGTERM and run.evaluation_is_pending
    assert "evaluation of dev" not in calls and not any(call.startswith("diagnostics") for call in calls)


def test_an_interrupted_evaluation_is_pending_and_the_best_model_unchanged(evaluated, capsys):
    run = Run()
    run.one_step()
    run.graph.requests.ask(Request.SAVE)
    run.called()
    evaluated.append(None)
    run.step = 1
    run.one_step()
    calls = run.called()
    assert run.evaluation_is_pending and "saving.save_if_best" not in calls and calls[-2:] == ["saving.save", "saving.report"]
    assert "*** Evaluation interrupted; it will run again on resume\n" in capsys.readouterr().out


def test_the_loop_makes_all_steps_and_saves_the_last_one(evaluated):
    run = Run(save_checkpoint_steps=None)
    evaluated.extend(["a", "b", "c"])
    result = run.run()
    calls = run.called()
    assert (result.step, result.loss, result.evaluation, result.stop) == (5, 2.0, "c", None)
    # after the steps 2 and 4, and after the last one
    assert calls.count("evaluation of dev") == 3 and calls.count("epochs.end_if_due") == 5
    assert calls[0] == "log.restart"
    assert calls[-6:] == ["saving.save", "saving.wait", "saving.close", "stopping.report_stop", "metrics.write",
                          "log.finish"]


def test_the_loop_begins_with_a_pending_evaluation_and_ends_when_training_has_to_stop(evaluated):
    run = Run()
    run.evaluation_is_pending, run.step = True, 2
    run.stopping.stop_reason = "no improvement for 3 epochs"
    evaluated.append("result")
    result = run.run()
    calls = run.called()
    assert (result.step, result.evaluation) == (2, "result") and calls[1:7] == EVALUATION
    assert not any(call.startswith("update") for call in calls) and "saving.save" in calls


@pytest.mark.parametrize("error, expected", [
    (out_of_memory("OOM when allocating"),
     (DeviceError, "out of memory at step 1: OOM when allocating. Lower batch_size_per_gpu")),
    (DeviceError("it failed"), (DeviceError, "it failed")),
    (DataError("unreadable"), (DataError, "unreadable"))])
def test_an_error_closes_the_files_and_is_the_reason_in_the_metrics(evaluated, error, expected):
    run = Run()
    run.results = [error]
    with pytest.raises(expected[0], match=expected[1]):
        run.run()
    assert run.called()[-2:] == ["metrics.write", "saving.close"]


def test_a_stream_that_ends_reports_the_rejected_files(evaluated):
    run = Run()
    run.results = [tf.errors.OutOfRangeError(None, None, "end")]
    with contextlib.suppress(tf.errors.OutOfRangeError):
        run.one_step()
    assert run.called() == ["update 0", "data_layer.raise_if_too_many_rejected"]
