"""What a run reads from its directory at the start, and what it saves there on the way."""
import collections
import concurrent.futures
import math
import time

import numpy as np
import tensorflow.compat.v1 as tf

import open_seq2seq
from open_seq2seq.checkpoints.description import require_vocabulary
from open_seq2seq.checkpoints.files import BEST, ORDINARY, latest_checkpoint, remove_leftovers
from open_seq2seq.checkpoints.restore import STATE_SCOPE, describe_restore, open_checkpoint, restore
from open_seq2seq.checkpoints.transfer import transfer_into, whole_checkpoint
from open_seq2seq.checkpoints.writer import CheckpointWriter, values_of
from open_seq2seq.errors import JasperError, UsageError
from open_seq2seq.log_lines import log_line
from open_seq2seq.training.metric_tracker import NO_BEST

_Written = collections.namedtuple("_Written", "kind future")
_LINES = {ORDINARY: "Saved checkpoint %s (%.1f MB)", BEST: "Saved the best model so far, %s (%.1f MB)"}


class Saving:
    """The checkpoints of a training run: the latest ones, and the best apart from them.

    The training stands still while the variables are copied. A thread writes the copy; what goes wrong there is raised at the
    next call of :meth:`report`, :meth:`wait` or of a method that saves.

    Args:
      params: the checked config of mode "train".
      graph: the ``TrainingGraph``.
      run_directory: a ``RunDirectory``.
      writes: whether this process writes them; all ranks call the methods together.
      resolved_config: dict for JSON of what the run is made of, for the manifests.
      clock: function that returns seconds.
    """

    def __init__(self, params, graph, run_directory, writes, resolved_config=None, clock=time.monotonic):
        self._params, self._graph, self._run_directory, self._writes = params, graph, run_directory, writes
        self._resolved_config, self._clock = resolved_config, clock
        self._writers = {ORDINARY: CheckpointWriter(run_directory.checkpoints, params["num_checkpoints"]),
                         BEST: CheckpointWriter(run_directory.checkpoints, 1, BEST)}
        self._thread = concurrent.futures.ThreadPoolExecutor(max_workers=1)
        self._under_way = []
        self._last_saved, self._saved_at, self._began_elsewhere = None, clock(), False

    def restore(self, session, checkpoint):
        """Sets the variables, on the first rank.

        Args:
          session: the session, in which the variables have their initial values.
          checkpoint: path of what to go on from, of this run or in ``load_checkpoint_dir``; None for a fresh start, from what
            ``load_model`` names if it names something.
        """
        if self._writes:
            for name in remove_leftovers(self._run_directory.checkpoints):
                log_line("Removed %s, left by a process that was stopped while it saved" % name)
        if checkpoint is None:
            if self._params["load_model"]:
                source = whole_checkpoint(self._params["load_model"], self._params["restore_best_checkpoint"])
                transfer_into(session, source, self._params, self._characters, weights_only=True)
        elif self._run_directory.is_source(checkpoint):
            self._began_elsewhere = True
            transfer_into(session, checkpoint, self._params, self._characters, weights_only=False)
            # the best of another directory, perhaps on other data
            self.forget_best(session)
            self._require_steps_left(session, checkpoint)
        else:
            require_vocabulary(checkpoint, self._characters)
            log_line(describe_restore(restore(session, checkpoint, tf.global_variables())))
            for writer in self._writers.values():
                writer.recover()
            self._recover_best(session)

    @property
    def _characters(self):
        """The vocabulary, a tuple; None where a data layer of one's own has no characters."""
        characters = getattr(self._graph.data_layer.vocabulary, "characters", None)
        return None if characters is None else tuple(characters)

    def _require_steps_left(self, session, checkpoint):
        step = int(session.run(self._graph.optimization.global_step))
        if step >= self._graph.last_step:
            raise UsageError("load_checkpoint_dir goes on with %s, which has made %d steps, and the config ends at step %d: "
                             "max_steps and num_epochs count from the beginning of that training. Ask for more, or begin a count "
                             "of its own with --load_model=%s in place of --load_checkpoint_dir" % (
                                 checkpoint, step, self._graph.last_step, checkpoint))

    def _recover_best(self, session):
        """The best model may have been saved after the checkpoint that the run goes on from."""
        directory = self._run_directory
        best = latest_checkpoint(directory.checkpoints, best=True) or latest_checkpoint(directory.best_models)
        if best is None:
            return
        reader, state = open_checkpoint(best), self._graph.state.get(session)
        data = STATE_SCOPE + "stopping_data"
        if reader.has_tensor(data) and reader.get_tensor(data) != state["stopping_data"]:
            return  # the best on other evaluation data
        for name in ("best_loss", "best_wer"):
            if reader.has_tensor(STATE_SCOPE + name):
                value = float(reader.get_tensor(STATE_SCOPE + name))
                if value < state[name]:
                    self._graph.state.set(session, **{name: value})

    def forget_best(self, session):
        """Takes the next evaluation for the best, as the figures of before are not to be compared with it."""
        self._graph.state.set(session, best_loss=NO_BEST, best_wer=NO_BEST)

    def back_to_best(self, session):
        """Sets the weights, their statistics and the optimizer's slots to the best model's, on all ranks together.

        The step, the place in the data and the other numbers of ``graph.state`` stay.

        Returns:
          Path of the best model; None where there is none, and on ranks that do not write.
        """
        self.wait()
        best = latest_checkpoint(self._run_directory.checkpoints, best=True) if self._writes else None
        if best is not None:
            restore(session, best, [variable for variable in tf.global_variables() if not variable.op.name.startswith(
                (STATE_SCOPE, self._graph.optimization.global_step.op.name))])
        session.run(self._graph.broadcast)
        return best

    def started_at(self, step):
        """Takes note that the checkpoint of this step is there."""
        self._last_saved = step or None
        self._saved_at = self._clock()

    @property
    def is_due(self):
        """Whether ``save_checkpoint_secs`` have passed since the last checkpoint, by this process's clock."""
        seconds = self._params["save_checkpoint_secs"]
        return seconds is not None and self._writes and self._clock() - self._saved_at >= seconds

    def save(self, session, step, position):
        """Saves a checkpoint of this step, once.

        Args:
          session: the session.
          step: steps made.
          position: dict of what ``graph.state`` is to keep of the place in the data.
        """
        is_news = self._last_saved != step
        # only the rank that restores knows that the checkpoint lies where this run does not save
        if not is_news and not self._began_elsewhere:
            return
        self._last_saved, self._began_elsewhere = step, False
        if is_news:
            # all ranks together, and all of them know alike which step was the last
            session.run(self._graph.average_statistics)
        if self._writes:
            self._graph.state.set(session, **position)
            self._write(ORDINARY, session, step, position, None)
        self._saved_at = self._clock()

    def save_if_best(self, session, step, position, evaluation):
        """Saves the model apart if it is the best so far by ``best_metric``.

        Args:
          session, step, position: as of :meth:`save`.
          evaluation: the ``EvaluationResult`` of this step.
        """
        state = self._graph.state.get(session)
        # rounded as the state keeps them: an evaluation made again after a resume is no better than itself
        measured = {"loss": float(np.float32(evaluation.loss)), "wer": float(np.float32(evaluation.word_error_rate.rate))}
        better = {name: value for name, value in measured.items() if math.isfinite(value) and value < state["best_" + name]}
        self._graph.state.set(session, **dict(position, **{"best_" + name: value for name, value in better.items()}))
        metric = self._params["best_metric"]
        if metric in better and self._writes:
            self._write(BEST, session, step, position, {"name": metric, "value": measured[metric], "measured": measured})

    def _write(self, kind, session, step, position, metric):
        # one copy of the variables at a time for each kind: they take memory
        self._finish([written for written in self._under_way if written.kind == kind])
        values = values_of(session, tf.global_variables())
        facts = {
            "epoch": position["micro_batches"] // self._graph.data_layer.batches_per_epoch, "metric": metric,
            "state": {name[len(STATE_SCOPE):]: value.item() for name, value in values.items() if name.startswith(STATE_SCOPE)},
            "vocabulary": self._characters, "resolved_config": self._resolved_config,
            "version": open_seq2seq.__version__, "tensorflow": tf.__version__,
        }
        self._under_way.append(_Written(kind, self._thread.submit(self._writers[kind].write, step, values, facts)))

    def report(self):
        """Prints which checkpoints have been written since, without waiting.

        Raises:
          StorageError: one could not be.
        """
        self._finish([written for written in self._under_way if written.future.done()])

    def wait(self):
        """Waits until all checkpoints are on the disk; raises as :meth:`report`."""
        self._finish(list(self._under_way))

    def _finish(self, finished):
        for written in finished:
            self._under_way.remove(written)
            path, size = written.future.result()
            log_line(_LINES[written.kind] % (path, size / 1e6))

    def close(self):
        """Lets what is under way come to its end; for a run that ends with an error of its own, which this does not hide."""
        try:
            self.wait()
        except JasperError as error:
            log_line(str(error), from_every_rank=True)
        self._thread.shutdown()
        for writer in self._writers.values():
            writer.close()
