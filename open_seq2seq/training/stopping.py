"""What ends a training before its last step: no improvement any more, or no time."""
import time

SECONDS_PER_HOUR = 3600.0


class EarlyStop:
    """Ends a training that has not improved for ``es_epochs`` epochs, as Coqui STT does.

    Args:
      params: the checked config of mode "train"; used are early_stop and es_epochs.
      improvement: the training's ``Improvement``.
    """

    REMEDY = "--early_stop=False, a larger --es_epochs or another --es_min_delta goes on"

    def __init__(self, params, improvement):
        self._epochs = params["es_epochs"] if params["early_stop"] else None
        self._improvement = improvement

    @property
    def reason(self):
        """Why to stop after the last evaluation, or None; the same on every rank."""
        if self._epochs is None or not self._improvement.stale_for(self._epochs):
            return None
        delta = " by at least %g" % self._improvement.min_delta if self._improvement.min_delta else ""
        return "no improvement%s for %d epochs; %s" % (delta, self._epochs, self._improvement)


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
