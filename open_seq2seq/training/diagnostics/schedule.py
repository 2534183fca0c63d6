"""After which steps of a training diagnostics are made: at fixed intervals, or as often as their share of the time allows."""
import math
import time

SHARE = 0.025  # of the time that automatic intervals leave to diagnostics: what is promised is 3 %
STEPS_TO_LEARN = 20  # after which automatic intervals know what a step takes
MOST_REPORTS = 100  # in a training, of automatic intervals: a picture has no room for more


class Schedule:
    """After which steps to report.

    Args:
      every: steps between reports; None: as few as leave them within their share of the time, and at most 100 reports.
      last_step: of the training.
      cost_in_steps: how many training steps a report takes, as far as one knows before the first.
      clock: function that returns seconds.

    Attributes:
      next_step: after which to report next, of an automatic schedule; None: not known yet.
    """

    def __init__(self, every, last_step, cost_in_steps, clock=time.monotonic):
        self._every, self._clock = every, clock
        self._least, self._cost_in_steps = max(math.ceil(last_step / MOST_REPORTS), 1), cost_in_steps
        self._began_at = self._first_step = self.next_step = None
        self._spent = 0.0

    @property
    def is_automatic(self):
        """Whether the steps follow from the time that reports take."""
        return self._every is None

    def start(self, step, preparation=0.0):
        """The training goes on from ``step``.

        Args:
          step: updates made.
          preparation: seconds that it took to make the training's operations ready, and which it may take again for a report's.
        """
        self._began_at, self._first_step, self._preparation = self._clock(), step, preparation

    def use_clock(self, clock):
        """Begins once more, with another clock."""
        self._clock, self._began_at = clock, clock()

    def is_due(self, step):
        """Whether to report now that ``step`` updates have been made."""
        if not self.is_automatic:
            return step % self._every == 0
        return self.next_step is not None and step >= self.next_step

    def has_learnt(self, step):
        """Whether it is time to ask for :meth:`first`."""
        return self.is_automatic and self.next_step is None and step >= self._first_step + STEPS_TO_LEARN

    def first(self, step):
        """The step at which the first report is within its share of the time, its preparation included."""
        seconds = self._cost_in_steps * (self._clock() - self._began_at) / (step - self._first_step)
        return self._affordable(step, self._preparation + seconds)

    def after(self, step, seconds):
        """The step at which another report as the one just made, which took ``seconds``, leaves all within their share."""
        self._spent += seconds
        return self._affordable(step, seconds)

    def _affordable(self, step, seconds):
        elapsed = self._clock() - self._began_at
        seconds_per_step = max(elapsed - self._spent, 1e-9) / max(step - self._first_step, 1)
        missing = (self._spent + seconds) / SHARE - elapsed
        return step + max(math.ceil(missing / seconds_per_step), self._least)
