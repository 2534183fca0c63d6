"""What a run reads from its directory at the start, and what it saves there on the way."""
import os

import tensorflow.compat.v1 as tf

from open_seq2seq.log_lines import log_line
from open_seq2seq.training.checkpoints import (
    MODEL_SCOPE,
    CheckpointWriter,
    describe_restore,
    latest_checkpoint,
    open_checkpoint,
    restore,
)
from open_seq2seq.training.run_directory import RunDirectory


class Saving:
    """The checkpoints of a training run: the latest ones, and the best apart from them.

    Args:
      params: the checked config of mode "train".
      graph: the ``TrainingGraph``.
      run_directory: a ``RunDirectory``.
      writes: whether this process writes them; all ranks call the methods together.
    """

    def __init__(self, params, graph, run_directory, writes):
        self._params, self._graph, self._run_directory, self._writes = params, graph, run_directory, writes
        self._latest = CheckpointWriter(run_directory.checkpoints, params["num_checkpoints"])
        self._best = CheckpointWriter(run_directory.best_models, keep=1)
        self._last_saved = None

    def restore(self, session, checkpoint):
        """Sets the variables, on the first rank, from ``checkpoint``, or where it is None from what ``load_model`` names."""
        if checkpoint is not None:
            log_line(describe_restore(restore(session, checkpoint, tf.global_variables())))
            self._latest.recover()
            self._best.recover()
            self._recover_best_loss(session)
        elif self._params["load_model"]:
            weights = [variable for variable in tf.global_variables() if variable.op.name.startswith(MODEL_SCOPE)]
            source = self._params["load_model"]
            if not os.path.exists(source + ".index"):
                source = RunDirectory(source).require_checkpoint()
            log_line(describe_restore(restore(session, source, weights, partial=True)))

    def _recover_best_loss(self, session):
        """The best model may have been saved after the checkpoint that the run goes on from."""
        best = latest_checkpoint(self._run_directory.best_models)
        if best is not None:
            best_loss = float(open_checkpoint(best).get_tensor("training_state/best_loss"))
            if best_loss < self._graph.state.get(session)["best_loss"]:
                self._graph.state.set(session, best_loss=best_loss)

    def back_to_best(self, session):
        """Sets the weights, their statistics and the optimizer's slots to the best model's, on all ranks together.

        The step, the place in the data and the other numbers of ``graph.state`` stay.

        Returns:
          Path of the best model; None where there is none, and on ranks that do not write.
        """
        best = self._run_directory.find_checkpoint(best=True) if self._writes else None
        if best is not None:
            restore(session, best, [variable for variable in tf.global_variables() if not variable.op.name.startswith(
                ("training_state/", self._graph.optimization.global_step.op.name))])
        session.run(self._graph.broadcast)
        return best

    def started_at(self, step):
        """Takes note that the checkpoint of this step is there."""
        self._last_saved = step or None

    def save(self, session, step, position):
        """Saves a checkpoint of this step, once.

        Args:
          session: the session.
          step: steps made.
          position: dict of what ``graph.state`` is to keep of the place in the data.
        """
        if self._last_saved == step:
            return
        self._last_saved = step
        session.run(self._graph.average_statistics)
        if self._writes:
            self._graph.state.set(session, **position)
            self._latest.save(session, step)

    def save_if_best(self, session, step, position, evaluation):
        """Saves the model apart if it is the best so far by loss."""
        if evaluation.loss >= self._graph.state.get(session)["best_loss"]:
            return
        self._graph.state.set(session, best_loss=evaluation.loss, **position)
        if self._writes:
            self._best.save(session, step, "val_loss=%.4f-step" % evaluation.loss)
