"""The checkpoints of a training run: what it restores at the start and what it saves."""
import collections
import concurrent.futures
import math
import time

import tensorflow.compat.v1 as tf

import open_seq2seq
from open_seq2seq.checkpoints.description import labels_of_tasks, note_on_features, require_vocabulary
from open_seq2seq.checkpoints.files import BEST, ORDINARY, latest_checkpoint, remove_leftovers
from open_seq2seq.checkpoints.graph_variables import graph_variables
from open_seq2seq.checkpoints.moving_average import started_averages
from open_seq2seq.checkpoints.restore import STATE_SCOPE, describe_restore, open_checkpoint, read_values, restore
from open_seq2seq.checkpoints.subword_model import KEY as SUBWORD_MODEL
from open_seq2seq.checkpoints.transfer import read_valid_checkpoint, transfer_into
from open_seq2seq.checkpoints.writer import CheckpointWriter
from open_seq2seq.errors import JasperError, UsageError
from open_seq2seq.log_lines import log_line
from open_seq2seq.training.metric_tracker import measured_values, metrics_of, no_best

_Written = collections.namedtuple("_Written", "kind future")
_LINES = {ORDINARY: "Saved checkpoint %s (%.1f MB)", BEST: "Saved the best model so far, %s (%.1f MB)"}


class Saving:
    """The checkpoints of a training run: the latest ones and the best one.

    The training waits while the variables are copied. A thread writes the copy; an error of the thread is raised by the next call
    of :meth:`report`, :meth:`wait` or a method that saves.

    Args:
      params: the checked config of mode "train".
      graph: the ``TrainingGraph``.
      run_directory: a ``RunDirectory``.
      writes: whether this process writes files; all ranks call the methods together.
      resolved_config: dict for JSON with config, command line and versions, for the manifests.
      clock: function that returns seconds.

    Attributes:
      writes: as given.
    """

    def __init__(self, params, graph, run_directory, writes, resolved_config=None, clock=time.monotonic):
        self._params, self._graph, self._run_directory, self.writes = params, graph, run_directory, writes
        self._resolved_config, self._clock = resolved_config, clock
        self._writers = {kind: CheckpointWriter(run_directory.checkpoints, keep, kind, run_directory.confirm_ownership)
                         for kind, keep in ((ORDINARY, params["num_checkpoints"]), (BEST, 1))}
        self._thread = concurrent.futures.ThreadPoolExecutor(max_workers=1)
        self._under_way = []
        self._last_saved, self._saved_at, self._began_elsewhere = None, clock(), False

    def restore(self, session, checkpoint):
        """Sets the variables, on the first rank.

        Args:
          session: the session in which the variables have their initial values.
          checkpoint: path of the checkpoint to resume from, of this run or in ``load_checkpoint_dir``; None for a fresh start,
            with the weights of ``load_model`` if that is set. If the owner of ``load_checkpoint_dir`` or of the directory
            ``load_model`` deletes the checkpoint meanwhile, the newest one there is restored.

        Returns:
          The steps made so far.

        Raises:
          CheckpointError: the checkpoint is damaged, or is of another network or vocabulary.
          UsageError: the training that ``load_checkpoint_dir`` continues has no steps left.
        """
        if self.writes:
            for name in remove_leftovers(self._run_directory.checkpoints):
                log_line("Removed %s, left by a process that was killed while it saved" % name)
        if checkpoint is None:
            if self._params["load_model"]:
                read_valid_checkpoint(self._params["load_model"], lambda path: self._transfer(session, path, weights_only=True),
                                      self._params["restore_best_checkpoint"])
            return 0
        if self._run_directory.is_source(checkpoint):
            self._began_elsewhere = True
            checkpoint, step = self._run_directory.read_source_checkpoint(
                lambda path: self._transfer(session, path, weights_only=False), checkpoint)
            # the best metric there may be of other data
            self.forget_best()
            self._require_steps_left(step, checkpoint)
            return step
        require_vocabulary(checkpoint, self._characters, getattr(self._graph.data_layer.vocabulary, "sha256", None))
        report, values = read_values(checkpoint, tf.global_variables(), state=self._graph.state)
        variables = graph_variables(session.graph)
        if len(values) < len(variables.names):
            values = dict(variables.read(session), **values)
        variables.write(session, started_averages(values))
        log_line(describe_restore(report))
        note_on_features(self._params, checkpoint)
        for writer in self._writers.values():
            writer.recover()
        self._recover_best()
        return self._step_of(values)

    def _step_of(self, values):
        return int(values[self._graph.optimization.global_step.op.name])

    def _transfer(self, session, checkpoint, weights_only):
        """Restores from another training's checkpoint, which its owner may delete meanwhile; returns its path and step."""
        _, values = transfer_into(session, checkpoint, self._params, self._characters, weights_only, self._graph.state)
        return checkpoint, self._step_of(values)

    @property
    def _characters(self):
        """The vocabulary, a tuple; None where a custom data layer has no characters."""
        characters = getattr(self._graph.data_layer.vocabulary, "characters", None)
        return None if characters is None else tuple(characters)

    def _require_steps_left(self, step, checkpoint):
        if step >= self._graph.last_step:
            raise UsageError("load_checkpoint_dir resumes from %s, which is at step %d, and the config ends at step %d: "
                             "max_steps and num_epochs count from the beginning of that training. Increase them, or start at "
                             "step 0 with --load_model=%s instead of --load_checkpoint_dir" % (
                                 checkpoint, step, self._graph.last_step, checkpoint))

    def _recover_best(self):
        """Restores the best metric, which may have been reached after the checkpoint that the run resumes from."""
        directory = self._run_directory
        best = latest_checkpoint(directory.checkpoints, best=True) or latest_checkpoint(directory.best_models)
        if best is None:
            return
        reader, state = open_checkpoint(best), self._graph.state.get()
        data = STATE_SCOPE + "stopping_data"
        if reader.has_tensor(data) and reader.get_tensor(data) != state["stopping_data"]:
            return  # measured on other evaluation data
        for name in ("best_" + metric for metric in metrics_of(self._params)):
            if reader.has_tensor(STATE_SCOPE + name):
                value = float(reader.get_tensor(STATE_SCOPE + name))
                if value < state[name]:
                    self._graph.state.set(**{name: value})

    def forget_best(self):
        """Resets the best metric: the next evaluation is the best so far."""
        self._graph.state.set(**no_best(self._params))

    def back_to_best(self, session):
        """Sets the weights, the batch-norm statistics and the optimizer's slots to those of the best model, on all ranks.

        The step, the position in the data and the other numbers of ``graph.state`` do not change.

        Returns:
          Path of the best model; None if there is none, and on ranks that do not write.
        """
        self.wait()
        best = latest_checkpoint(self._run_directory.checkpoints, best=True) if self.writes else None
        if best is not None:
            restore(session, best, [variable for variable in tf.global_variables() if not variable.op.name.startswith(
                self._graph.optimization.global_step.op.name)])
        session.run(self._graph.broadcast)
        return best

    def started_at(self, step):
        """Notes that the run starts at this step, whose checkpoint exists already."""
        self._last_saved = step or None
        self._saved_at = self._clock()

    @property
    def is_due(self):
        """Whether ``save_checkpoint_secs`` have passed since the last checkpoint, by this process's clock."""
        seconds = self._params["save_checkpoint_secs"]
        return seconds is not None and self.writes and self._clock() - self._saved_at >= seconds

    def save(self, session, step, position):
        """Saves a checkpoint of this step, once.

        Args:
          session: the session.
          step: steps made.
          position: dict of what ``graph.state`` keeps with the checkpoint.
        """
        is_new = self._last_saved != step
        # only the rank that restores knows whether the checkpoint is in another directory
        if not is_new and not self._began_elsewhere:
            return
        self._last_saved, self._began_elsewhere = step, False
        if is_new:
            # a collective operation: is_new is the same on every rank
            session.run(self._graph.average_statistics)
        if self.writes:
            self._graph.state.set(**position)
            self._write(ORDINARY, session, step, position, None)
        self._saved_at = self._clock()

    def save_if_best(self, session, step, position, evaluation):
        """Saves the model as the best one if it is the best so far by ``best_metric``.

        Args:
          session, step, position: see :meth:`save`.
          evaluation: the ``EvaluationResult`` of this step.
        """
        state = self._graph.state.get()
        # rounded as the state keeps them: an evaluation that is repeated after a resume is not better than the first time
        measured = measured_values(self._params, evaluation)
        better = {name: value for name, value in measured.items() if math.isfinite(value) and value < state["best_" + name]}
        self._graph.state.set(**dict(position, **{"best_" + name: value for name, value in better.items()}))
        metric = self._params["best_metric"]
        if metric in better and self.writes:
            self._write(BEST, session, step, position, {"name": metric, "value": measured[metric], "measured": measured})

    def _write(self, kind, session, step, position, metric):
        # at most one copy of the variables for each kind: copies take memory
        self._finish([written for written in self._under_way if written.kind == kind])
        values = dict(graph_variables(session.graph).read(session), **self._graph.state.arrays())
        vocabulary = self._graph.data_layer.vocabulary
        model = getattr(vocabulary, "model", None)
        facts = {
            "epoch": self._graph.epochs_done(step), "metric": metric,
            "state": {name[len(STATE_SCOPE):]: value.item() for name, value in values.items() if name.startswith(STATE_SCOPE)},
            "vocabulary": self._characters, "resolved_config": self._resolved_config, **labels_of_tasks(self._graph.data_layer),
            "version": open_seq2seq.__version__, "tensorflow": tf.__version__,
        }
        if model is not None:
            facts[SUBWORD_MODEL] = vocabulary.sha256
        self._under_way.append(_Written(kind, self._thread.submit(self._writers[kind].write, step, values, facts, model)))

    def report(self):
        """Prints which checkpoints have been written since the last call, without waiting.

        Raises:
          StorageError: one could not be written.
        """
        self._finish([written for written in self._under_way if written.future.done()])

    def wait(self):
        """Waits until all checkpoints are on the disk; raises the errors of :meth:`report`."""
        self._finish(list(self._under_way))

    def _finish(self, finished):
        for written in finished:
            self._under_way.remove(written)
            path, size = written.future.result()
            log_line(_LINES[written.kind] % (path, size / 1e6))

    def close(self):
        """Waits for the checkpoints that are being written. An error is only printed here: it does not hide that of the run."""
        try:
            self.wait()
        except JasperError as error:
            log_line(str(error), from_every_rank=True)
        self._thread.shutdown()
        for writer in self._writers.values():
            writer.close()
