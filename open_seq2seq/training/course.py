"""What evaluations and the clock decide about the course of a training: to end it, to lower its learning rate."""
from open_seq2seq.log_lines import log_line
from open_seq2seq.training.improvement import Improvement
from open_seq2seq.training.plateau import Plateau
from open_seq2seq.training.stopping import EarlyStop, TimeLimit

INITIAL_STATE = dict(Improvement.initial_state, **Plateau.initial_state, **TimeLimit.initial_state)
"""What a ``SavedState`` is to keep of it, with its initial values."""


class Course:
    """The rules of one training and where it stands by them; the same on every rank, but for the clock.

    Args:
      params: the checked config of mode "train".
      graph: the ``TrainingGraph``; its ``state`` has :data:`INITIAL_STATE`.
    """

    def __init__(self, params, graph):
        self._state = graph.state
        self._improvement = Improvement(params, graph.steps_per_epoch, graph.evaluation and graph.evaluation.data_layer)
        self._early_stop = EarlyStop(params, self._improvement)
        self._plateau = Plateau(params, self._improvement, graph.state)
        self._time_limit = TimeLimit(params)
        self._first_step = 0

    def start(self, session, step):
        """Takes over where the checkpoint's training stood, after ``step`` steps; the hours begin to count."""
        self._first_step = step
        self._improvement.start(self._state, session, step)
        self._plateau.start(session)
        self._time_limit.start(self._state.get(session)["trained_seconds"])
        if self.stop_reason is not None:
            log_line("Nothing to do: this training has been stopped at step %d: %s. %s" % (
                step, self.stop_reason, self._time_limit.REMEDY if self._time_limit.was_up else self._early_stop.REMEDY))

    def evaluated(self, session, step, result, back_to_best):
        """Takes an evaluation into account.

        Args:
          session: the session.
          step: steps made.
          result: ``EvaluationResult``.
          back_to_best: as of ``Plateau.evaluated``.
        """
        self._improvement.evaluated(self._state, session, step, result)
        if self._early_stop.reason is None:
            self._plateau.evaluated(session, back_to_best)

    @property
    def has_other_data(self):
        """Whether the checkpoint's evaluations were made on other data than this training's; known after :meth:`start`."""
        return self._improvement.has_other_data

    @property
    def stop_reason(self):
        """Why the training ends before its last step, or None; the same on every rank. The clock's reason is not among them
        before all ranks have agreed, see :attr:`time_is_up`."""
        return self._early_stop.reason or (self._time_limit.reason if self._time_limit.was_up else None)

    @property
    def time_is_up(self):
        """Whether ``max_hours`` are over by this process's clock."""
        return self._time_limit.reason is not None

    @property
    def figures(self):
        """What ``SavedState`` is to keep with a checkpoint."""
        return {"trained_seconds": self._time_limit.seconds}

    def report_stop(self, step, last_step):
        """Says why a training ends after ``step`` steps that was to have ``last_step``, unless :meth:`start` has."""
        reason = self._early_stop.reason or self._time_limit.reason
        if reason is not None and self._first_step < step < last_step:
            log_line("Stopped at step %d of %d: %s" % (step, last_step, reason))
