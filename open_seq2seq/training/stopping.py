"""What evaluations and the clock decide about the course of a training: to end it, to lower its learning rate.

What ends a training before its last step: no improvement any more, or no time.
"""
import time

from open_seq2seq.log_lines import log_line
from open_seq2seq.training.metric_tracker import MetricTracker
from open_seq2seq.training.plateau import Plateau

SECONDS_PER_HOUR = 3600.0


class EarlyStop:
    """Ends a training that has not improved for ``es_epochs`` epochs, as Coqui STT does.

    Args:
      params: the checked config of mode "train"; used are early_stop and es_epochs.
      tracker: the training's ``MetricTracker``.
    """

    REMEDY = "--early_stop=False, a larger --es_epochs or another --es_min_delta goes on"

    def __init__(self, params, tracker):
        self._epochs = params["es_epochs"] if params["early_stop"] else None
        self._tracker = tracker

    @property
    def reason(self):
        """Why to stop after the last evaluation, or None; the same on every rank."""
        if self._epochs is None or not self._tracker.is_without_improvement_for(self._epochs):
            return None
        delta = " by at least %g" % self._tracker.min_delta if self._tracker.min_delta else ""
        return "no improvement%s for %d epochs; %s" % (delta, self._epochs, self._tracker)


class TimeLimit:
    """Counts the hours of a training, over all its processes, and tells when there are ``max_hours``.

    The time from the first step to the last of each process counts, evaluations included; not what it took to start. What a
    killed process did after its last checkpoint is done anew and counts once.

    Args:
      params: the checked config of mode "train"; used is max_hours.
      clock: function that returns seconds.
    """

    REMEDY = "A larger --max_hours or --max_hours=None goes on"
    initial_state = {"trained_seconds": 0.0}

    def __init__(self, params, clock=time.monotonic):
        self._clock = clock
        self._limit = float("inf") if params["max_hours"] is None else params["max_hours"] * SECONDS_PER_HOUR
        self._before, self._since = 0.0, clock()

    def start(self, trained_seconds):
        """Begins to count, from what the checkpoint says."""
        self._before, self._since = float(trained_seconds), self._clock()

    @property
    def seconds(self):
        """Seconds that the training has taken so far."""
        return self._before + self._clock() - self._since

    @property
    def was_up(self):
        """Whether the time was up before this process made a step; the same on every rank."""
        return self._before >= self._limit

    @property
    def reason(self):
        """Why to stop now, or None; by this process's clock, so that the ranks have yet to agree."""
        if self.seconds < self._limit:
            return None
        return "max_hours is %g, and the training has taken %.2f hours" % (
            self._limit / SECONDS_PER_HOUR, self.seconds / SECONDS_PER_HOUR)


INITIAL_STATE = dict(MetricTracker.initial_state, **Plateau.initial_state, **TimeLimit.initial_state)
"""What a ``SavedState`` is to keep of it, with its initial values."""


class StoppingPolicy:
    """The rules of one training and where it stands by them; the same on every rank, but for the clock.

    Args:
      params: the checked config of mode "train".
      graph: the ``TrainingGraph``; its ``state`` has :data:`INITIAL_STATE`.
    """

    def __init__(self, params, graph):
        self._state = graph.state
        self._tracker = MetricTracker(params, graph.steps_per_epoch, graph.evaluation and graph.evaluation.data_layer)
        self._early_stop = EarlyStop(params, self._tracker)
        self._plateau = Plateau(params, self._tracker, graph.state)
        self._time_limit = TimeLimit(params)
        self._first_step = 0

    def start(self, session, step):
        """Takes over where the checkpoint's training stood, after ``step`` steps; the hours begin to count."""
        self._first_step = step
        self._tracker.start(self._state, session, step)
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
        self._tracker.evaluated(self._state, session, step, result)
        if self._early_stop.reason is None:
            self._plateau.evaluated(session, back_to_best)

    @property
    def has_other_data(self):
        """Whether the checkpoint's evaluations were made on other data than this training's; known after :meth:`start`."""
        return self._tracker.has_other_data

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
