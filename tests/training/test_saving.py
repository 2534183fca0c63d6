"""Checkpoints of a training run: what is saved, kept and restored, also by a thread and after a kill."""
import json
import os
import resource
import threading
import types

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.checkpoints.files import latest_checkpoint
from open_seq2seq.checkpoints.restore import SavedState
from open_seq2seq.checkpoints.run_directory import RunDirectory
from open_seq2seq.checkpoints.writer import CheckpointWriter
from open_seq2seq.errors import StorageError, UsageError
from open_seq2seq.text.vocabulary import Vocabulary
from open_seq2seq.training import saving
from open_seq2seq.training.metric_tracker import NO_BEST
from open_seq2seq.training.saving import Saving

PARAMS = {"num_checkpoints": 2, "save_checkpoint_secs": None, "best_metric": "loss", "load_model": None, "drop_layers": 0,
          "restore_best_checkpoint": False, "evaluate_ema": True, "copy_letters": True}


class Run:
    """A network of one variable, its session and its :class:`Saving`."""

    def __init__(self, directory, resolved_config=None, writes=True, clock=lambda: 0.0, source=None, **params):
        self.directory = str(directory)
        self.graph = tf.Graph()
        with self.graph.as_default():
            self.weight = tf.get_variable("ForwardPass/decoder/fully_connected/bias", [4], use_resource=False,
                                          initializer=tf.zeros_initializer())
            self.step_variable = tf.train.get_or_create_global_step()
            training = types.SimpleNamespace(
                state=SavedState(micro_batches=0, best_loss=NO_BEST, best_wer=NO_BEST, stopping_data=7),
                average_statistics=tf.no_op(),
                data_layer=types.SimpleNamespace(vocabulary=Vocabulary("abc")), last_step=100,
                epochs_done=lambda step: step // 4,
                optimization=types.SimpleNamespace(global_step=self.step_variable))
            self.state = training.state
            self.session = tf.Session()
            self.session.run(tf.global_variables_initializer())
            self.saving = Saving(dict(PARAMS, **params), training, RunDirectory(self.directory, load_checkpoint_dir=source),
                                 writes, resolved_config, clock)

    def __enter__(self):
        self._default = self.graph.as_default()
        self._default.__enter__()
        return self

    def __exit__(self, *error):
        self._default.__exit__(*error)
        self.saving.close()
        self.session.close()

    def set(self, step, value):
        self.weight.load(np.full([4], value, np.float32), self.session)
        self.step_variable.load(step, self.session)

    def save(self, step, value=0.0):
        self.set(step, value)
        self.saving.save(self.session, step, {"micro_batches": step})

    def evaluated(self, step, loss, wer):
        self.set(step, step)
        self.saving.save_if_best(self.session, step, {"micro_batches": step}, types.SimpleNamespace(
            loss=loss, word_error_rate=types.SimpleNamespace(rate=wer)))

    def checkpoints(self):
        self.saving.wait()
        return sorted(name[:-len(".index")] for name in os.listdir(self.directory) if name.endswith(".index"))

    def manifest(self, name):
        with open(os.path.join(self.directory, name + ".json")) as file:
            return json.load(file)


def bias(checkpoint):
    return tf.train.load_variable(checkpoint, "ForwardPass/decoder/fully_connected/bias").tolist()


def test_a_checkpoint_has_the_values_of_its_step_although_training_continues(tmp_path, monkeypatch, capsys):
    go_on = threading.Event()
    write = CheckpointWriter.write

    def slow_write(*arguments):
        assert go_on.wait(60)
        return write(*arguments)

    monkeypatch.setattr(CheckpointWriter, "write", slow_write)
    with Run(tmp_path, resolved_config={"params": 1}) as run:
        run.save(6, 1.5)
        # training continues while it is written
        run.set(7, 99.0)
        run.state.set(micro_batches=7)
        run.saving.report()
        assert capsys.readouterr().out == "" and os.listdir(str(tmp_path)) == []
        go_on.set()
        run.saving.wait()
        path = str(tmp_path / "model.ckpt-6")
        assert "*** Saved checkpoint %s (0.0 MB)" % path in capsys.readouterr().out
        assert bias(path) == [1.5] * 4 and tf.train.load_variable(path, "global_step") == 6
        manifest = run.manifest("model.ckpt-6")
    assert manifest["step"] == 6 and manifest["epoch"] == 1 and manifest["metric"] is None
    assert manifest["state"] == {"micro_batches": 6, "best_loss": NO_BEST, "best_wer": NO_BEST, "stopping_data": 7}
    assert manifest["vocabulary"] == ["a", "b", "c"] and manifest["resolved_config"] == {"params": 1}


def test_a_step_is_saved_once_and_the_last_ones_are_kept(tmp_path):
    with Run(tmp_path) as run:
        for step in (2, 2, 4, 6):
            run.save(step)
        assert run.checkpoints() == ["model.ckpt-4", "model.ckpt-6"]
        run.saving.started_at(8)
        run.save(8)
        assert run.checkpoints() == ["model.ckpt-4", "model.ckpt-6"]


def test_the_step_of_another_directorys_checkpoint_is_saved_in_this_one(tmp_path):
    with Run(tmp_path / "source") as run:
        run.save(6, 1.5)
        run.saving.wait()
    checkpoint = str(tmp_path / "source" / "model.ckpt-6")
    with Run(tmp_path / "own", source=str(tmp_path / "source"), drop_layers=0, evaluate_ema=True) as run:
        run.saving.restore(run.session, checkpoint)
        run.saving.started_at(6)
        # the other ranks, which restore nothing, have no part in this: a transfer would wait for them for ever
        never = tf.Assert(False, ["a transfer"])
        run.saving._graph.average_statistics = never
        # stopped before it has made a step of its own
        run.save(6, 1.5)
        assert run.checkpoints() == ["model.ckpt-6"]


@pytest.mark.parametrize("metric, kept, value", [("loss", 4, 1.0), ("wer", 6, 0.25)])
def test_the_best_one_is_kept_by_its_metric(tmp_path, metric, kept, value):
    with Run(tmp_path, best_metric=metric) as run:
        for step, loss, wer in ((2, 2.0, 0.5), (4, 1.0, 0.5), (6, 1.5, 0.25), (8, float("nan"), 0.5), (10, 1.5, 0.75)):
            run.evaluated(step, loss, wer)
            run.save(step)
        assert run.checkpoints() == ["best_dev-%d" % kept, "model.ckpt-10", "model.ckpt-8"]
        manifest = run.manifest("best_dev-%d" % kept)
        assert manifest["metric"]["name"] == metric and manifest["metric"]["value"] == value
        assert bias(latest_checkpoint(str(tmp_path), best=True)) == [kept] * 4
        # both are remembered, whichever decides
        state = run.state.get()
        assert state["best_loss"] == 1.0 and state["best_wer"] == 0.25


def test_the_best_value_is_remembered_on_resume_also_of_a_best_one_newer_than_the_checkpoint(tmp_path):
    with Run(tmp_path) as run:
        run.save(2)
        run.evaluated(4, 1.1, 0.5)
        run.saving.wait()
    with Run(tmp_path) as run:
        run.saving.restore(run.session, str(tmp_path / "model.ckpt-2"))
        assert run.state.get()["best_loss"] == np.float32(1.1)
        # the evaluation of step 4, run again, is not better than itself
        run.evaluated(4, 1.1, 0.5)
        run.evaluated(6, 1.2, 0.4)
        run.save(6)
        assert run.checkpoints() == ["best_dev-4", "model.ckpt-2", "model.ckpt-6"]
        run.evaluated(8, 1.0, 0.4)
        assert run.checkpoints() == ["best_dev-8", "model.ckpt-2", "model.ckpt-6"]


def test_the_best_one_on_other_evaluation_data_is_replaced_by_the_next_evaluation(tmp_path):
    with Run(tmp_path) as run:
        run.evaluated(2, 1.0, 0.5)
        run.saving.forget_best()
        run.state.set(stopping_data=8)
        run.save(2)
        run.saving.wait()
    with Run(tmp_path) as run:
        # what was forgotten is not taken from the best one of before
        run.saving.restore(run.session, str(tmp_path / "model.ckpt-2"))
        assert run.state.get()["best_loss"] == np.float32(NO_BEST)
        run.evaluated(4, 3.0, 0.9)
        assert run.checkpoints() == ["best_dev-4", "model.ckpt-2"]


def test_best_models_of_an_older_run_are_remembered(tmp_path):
    with Run(tmp_path / "best_models") as run:
        run.state.set(best_loss=0.5)
        run.save(2)
        run.saving.wait()
    with Run(tmp_path) as run:
        run.save(1)
        run.saving.wait()
        run.saving.restore(run.session, str(tmp_path / "model.ckpt-1"))
        assert run.state.get()["best_loss"] == 0.5


def test_what_a_killed_process_left_is_removed_at_the_start(tmp_path, capsys):
    (tmp_path / "model.ckpt-4.tmp").mkdir()
    (tmp_path / "model.ckpt-4.tmp" / "model.ckpt-4.index").write_text("half")
    with Run(tmp_path, writes=False) as run:
        run.saving.restore(run.session, None)
    assert (tmp_path / "model.ckpt-4.tmp").exists()
    with Run(tmp_path) as run:
        run.saving.restore(run.session, None)
    assert os.listdir(str(tmp_path)) == []
    assert "Removed model.ckpt-4.tmp, left by a process that was killed while it saved" in capsys.readouterr().out


def test_a_checkpoint_is_due_by_the_clock(tmp_path):
    now = [0.0]
    with Run(tmp_path, clock=lambda: now[0], save_checkpoint_secs=600.0) as run:
        run.saving.started_at(0)
        now[0] = 599.0
        assert not run.saving.is_due
        now[0] = 600.0
        assert run.saving.is_due
        run.save(5)
        assert not run.saving.is_due
        now[0] = 1201.0
        assert run.saving.is_due
    with Run(tmp_path / "other", clock=lambda: now[0], writes=False, save_checkpoint_secs=600.0) as run:
        now[0] = 10000.0
        assert not run.saving.is_due  # the first rank's clock decides
        run.save(5)
    assert not (tmp_path / "other").exists()


def test_a_full_disk_stops_the_training_at_the_next_report(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Run(tmp_path) as run:
        run.save(2)
        run.saving.wait()
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
        try:
            run.save(4)
            with pytest.raises(StorageError, match="cannot save checkpoint .*model.ckpt-4.*--continue_learning"):
                run.saving.wait()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert run.checkpoints() == ["model.ckpt-2"]
        assert tf.train.latest_checkpoint(str(tmp_path)) == str(tmp_path / "model.ckpt-2")


def test_an_error_on_the_way_does_not_lose_the_checkpoint_under_way(tmp_path):
    with pytest.raises(KeyboardInterrupt), Run(tmp_path) as run:
        run.save(2)
        raise KeyboardInterrupt
    assert latest_checkpoint(str(tmp_path)) == str(tmp_path / "model.ckpt-2")


@pytest.mark.parametrize("key", ["load_checkpoint_dir", "load_model"])
def test_a_checkpoint_that_its_owner_deletes_during_the_restore_is_replaced_by_the_newest(tmp_path, monkeypatch, capsys, key):
    source = str(tmp_path / "source")
    with Run(source) as owner:
        owner.save(2, 2.0)
        owner.saving.wait()
        found, transfer = [], saving.transfer_into

        def slow_transfer(session, checkpoint, *arguments, **options):
            found.append(checkpoint)
            if len(found) < 3:
                # keeps two: the owner continues to train meanwhile
                for step in (4 * len(found), 4 * len(found) + 2):
                    with owner.graph.as_default():
                        owner.save(step, float(step))
                owner.saving.wait()
            return transfer(session, checkpoint, *arguments, **options)

        monkeypatch.setattr(saving, "transfer_into", slow_transfer)
        own = {"load_model": source} if key == "load_model" else {"source": source}
        with Run(tmp_path / "own", **own) as run:
            checkpoint = None if key == "load_model" else run.saving._run_directory.prepare_training(False)
            run.saving.restore(run.session, checkpoint)
            assert run.session.run(run.weight).tolist() == [10.0] * 4
            assert run.session.run(run.step_variable) == (0 if key == "load_model" else 10)
    assert found == [os.path.join(source, "model.ckpt-%d" % step) for step in (2, 6, 10)]
    assert capsys.readouterr().out.count("was deleted by the training that owns the directory; reading the newest one") == 2


def test_an_error_in_a_checkpoint_that_stays_is_not_retried(tmp_path):
    with Run(tmp_path / "source") as run:
        run.save(100, 1.0)
        run.saving.wait()
    with Run(tmp_path / "own", source=str(tmp_path / "source")) as run:
        checkpoint = run.saving._run_directory.prepare_training(False)
        with pytest.raises(UsageError, match="model.ckpt-100, which is at step 100, and the config ends at step 100"):
            run.saving.restore(run.session, checkpoint)
