"""When a training stops before its last step (early stopping, ``max_hours``), and when its learning rate is reduced."""
import time

from open_seq2seq.log_lines import log_line
from open_seq2seq.training.metric_tracker import MetricTracker
from open_seq2seq.training.plateau import Plateau

SECONDS_PER_HOUR = 3600.0


class EarlyStop:
    """Stops a training that has not improved for ``es_epochs`` epochs, as Coqui STT does.

    Args:
      params: the checked config of mode "train"; used are early_stop and es_epochs.
      tracker: the training's ``MetricTracker``.
    """

    REMEDY = "To continue, use --early_stop=False, a larger --es_epochs or another --es_min_delta"

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
    """Measures the hours of a training over all its parts, and stops it after ``max_hours``.

    The time from the first step to the last of each process counts, evaluations included; the start-up does not. What a killed
    process did after its last checkpoint is repeated and counts once.

    Args:
      params: the checked config of mode "train"; used is max_hours.
      clock: function that returns seconds.
    """

    REMEDY = "To continue, use a larger --max_hours or --max_hours=None"
    initial_state = {"trained_seconds": 0.0}

    def __init__(self, params, clock=time.monotonic):
        self._clock = clock
        self._limit = float("inf") if params["max_hours"] is None else params["max_hours"] * SECONDS_PER_HOUR
        self._before, self._since = 0.0, clock()

    def start(self, trained_seconds):
        """Begins to measure; ``trained_seconds`` is what the checkpoint has."""
        self._before, self._since = float(trained_seconds), self._clock()

    @property
    def seconds(self):
        """Seconds that the training has taken so far."""
        return self._before + self._clock() - self._since

    @property
    def was_up(self):
        """Whether the time was up before the first step of this process; the same on every rank."""
        return self._before >= self._limit

    @property
    def reason(self):
        """Why to stop now, or None; by the clock of this process, so the ranks still have to agree."""
        if self.seconds < self._limit:
            return None
        return "max_hours is %g, and the training has taken %.2f hours" % (
            self._limit / SECONDS_PER_HOUR, self.seconds / SECONDS_PER_HOUR)


INITIAL_STATE = dict(MetricTracker.initial_state, **Plateau.initial_state, **TimeLimit.initial_state)
"""What a ``SavedState`` keeps of it, with initial values."""


class StoppingPolicy:
    """Decides after each evaluation, and by the clock, whether a training stops; the same on every rank, except for the clock.

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

    def start(self, step):
        """Restores the state of the checkpoint, after ``step`` steps, and begins to measure the hours."""
        self._first_step = step
        self._tracker.start(self._state, step)
        self._plateau.start()
        self._time_limit.start(self._state.get()["trained_seconds"])
        if self.stop_reason is not None:
            log_line("Nothing to do: this training was stopped at step %d: %s. %s" % (
                step, self.stop_reason, self._time_limit.REMEDY if self._time_limit.was_up else self._early_stop.REMEDY))

    def evaluated(self, step, result, back_to_best):
        """Notes an evaluation, and reduces the learning rate if that is due.

        Args:
          step: steps made.
          result: ``EvaluationResult``.
          back_to_best: see ``Plateau.evaluated``.
        """
        self._tracker.evaluated(self._state, step, result)
        if self._early_stop.reason is None:
            self._plateau.evaluated(back_to_best)

    @property
    def has_other_data(self):
        """Whether the checkpoint's evaluations were made on other data than this training's; valid after :meth:`start`."""
        return self._tracker.has_other_data

    @property
    def stop_reason(self):
        """Why the training stops before its last step, or None; the same on every rank.

        Of the clock's reasons only that of the processes before counts: on the others the ranks agree, see :attr:`time_is_up`.
        """
        return self._early_stop.reason or (self._time_limit.reason if self._time_limit.was_up else None)

    @property
    def time_is_up(self):
        """Whether ``max_hours`` have passed by the clock of this process."""
        return self._time_limit.reason is not None

    @property
    def figures(self):
        """Dict of what ``SavedState`` keeps with a checkpoint."""
        return {"trained_seconds": self._time_limit.seconds}

    def report_stop(self, step, last_step):
        """Prints why a training of ``last_step`` steps stops after ``step`` steps, unless :meth:`start` has printed it."""
        reason = self._early_stop.reason or self._time_limit.reason
        if reason is not None and self._first_step < step < last_step:
            log_line("Stopped at step %d of %d: %s" % (step, last_step, reason))
