"""When diagnostics report: at fixed intervals of steps, or as often as their share of the time allows."""
import math
import time

SHARE = 0.025  # of the time that automatic intervals give to diagnostics; the documented limit is 3 %
STEPS_TO_MEASURE = 20  # steps after which automatic intervals know the time of a step
MOST_REPORTS = 100  # of a training with automatic intervals: a figure can hardly show more


class Schedule:
    """The steps after which to report.

    Args:
      every: steps between reports; None: automatic, as often as their share of the time allows, and at most 100 reports.
      last_step: of the training.
      cost_in_steps: estimated cost of a report in training steps, for the first report.
      clock: function that returns seconds.

    Attributes:
      next_step: step of the next report of an automatic schedule; None: not known yet.
    """

    def __init__(self, every, last_step, cost_in_steps, clock=time.monotonic):
        self._every, self._clock = every, clock
        self._least, self._cost_in_steps = max(math.ceil(last_step / MOST_REPORTS), 1), cost_in_steps
        self._began_at = self._first_step = self.next_step = None
        self._spent = 0.0

    @property
    def is_automatic(self):
        """Whether the intervals follow from the time that reports take."""
        return self._every is None

    def start(self, step, preparation=0.0):
        """Starts to measure time.

        Args:
          step: updates made.
          preparation: seconds that the first run of the training's operations took; that of a report's may take as long.
        """
        self._began_at, self._first_step, self._preparation = self._clock(), step, preparation

    def use_clock(self, clock):
        """Starts to measure time again, with another clock."""
        self._clock, self._began_at = clock, clock()

    def is_due(self, step, before=None):
        """Whether a report is due after ``step`` updates; ``before``: updates at the last call, where not one before."""
        if not self.is_automatic:
            return step // self._every > (step - 1 if before is None else before) // self._every
        return self.next_step is not None and step >= self.next_step

    def can_plan_first(self, step):
        """Whether enough steps have been measured for :meth:`first`, which has not been called yet."""
        return self.is_automatic and self.next_step is None and step >= self._first_step + STEPS_TO_MEASURE

    def first(self, step):
        """The step of the first report: where it is within its share of the time, its preparation included."""
        seconds = self._cost_in_steps * (self._clock() - self._began_at) / (step - self._first_step)
        return self._affordable(step, self._preparation + seconds)

    def after(self, step, seconds):
        """The step of the next report: where one more that takes ``seconds``, as the last one, keeps all within their share."""
        self._spent += seconds
        return self._affordable(step, seconds)

    def _affordable(self, step, seconds):
        elapsed = self._clock() - self._began_at
        seconds_per_step = max(elapsed - self._spent, 1e-9) / max(step - self._first_step, 1)
        missing = (self._spent + seconds) / SHARE - elapsed
        return step + max(math.ceil(missing / seconds_per_step), self._least)
