"""The model of an iteration: the average of the jobs' models, chosen and combined as in Kaldi (nnet3-average)."""
import collections
import math

import numpy as np

from open_seq2seq.errors import NonFiniteError
from open_seq2seq.optimizers.max_change import COUNTER
from open_seq2seq.optimizers.optimize import SCOPE

MEAN, VARIANCE = "/moving_mean", "/moving_variance"
GLOBAL_STEP, LOSS_SCALE = "global_step", "loss_scale"
COUNTERS = (SCOPE + "/skipped_steps", "%s/%s" % (SCOPE, COUNTER))

JobResult = collections.namedtuple(
    "JobResult", "job values loss frame_loss statistic_frames steps utterances frames seconds gradient_norm problem")
JobResult.__doc__ = """What a job has trained.

job: its number. values: dict of variables' names -> arrays; None where another rank has them. loss: mean over its steps, as in
the log. frame_loss: the same for each encoder frame; inf for a job that failed. statistic_frames: feature frames that batch
norm's moving statistics are averages of, each batch with its weight in them. steps: steps that were made, skipped ones excluded.
utterances, frames: that it trained on. seconds: that it took. gradient_norm: of its last step. problem: why it failed, or "".
"""


def shares(results, is_first, settings):
    """The share of each job's model in the next one.

    Args:
      results: list of :class:`JobResult`; values are not used.
      is_first: whether it is the first iteration of the training.
      settings: the checked parallel_training.

    Returns:
      List of floats of sum 1. Jobs whose loss is far from the best one, or not finite, have none.

    Raises:
      NonFiniteError: no job has a finite loss.
    """
    losses = [result.frame_loss for result in results]
    finite = [loss for loss in losses if math.isfinite(loss)]
    if not finite:
        raise NonFiniteError("no job of the iteration has a finite loss: %s. Lower the learning rate, or the number of jobs in "
                             "parallel_training, by which it is multiplied" % "; ".join(
                                 "job %d: %s" % (result.job, result.problem or "loss %s" % result.loss) for result in results))
    best = min(finite)
    if is_first and settings["first_iteration"] == "best":
        kept = [number == losses.index(best) for number in range(len(losses))]
    else:
        kept = [math.isfinite(loss) and loss <= best + settings["max_loss_difference"] for loss in losses]
    return [is_kept / sum(kept) for is_kept in kept]


class Combination:
    """Adds up the models of jobs; each sum has float64 precision.

    Batch norm's statistics are pooled, weighted by the frames that they were measured on: the variance includes the differences
    of the means. All other floats are averaged; the loss scale is the lowest one; counters are those of ``start`` plus the jobs'
    own increments. Other integers are those of the first job.

    Args:
      start: dict of variables' names -> arrays, from which all jobs began.
    """

    def __init__(self, start):
        self._start, self.sums, self.frames = start, {}, 0.0
        self.lowest, self.added, self.integers = {}, {}, {}

    def add(self, values, share, statistic_frames):
        """Adds a job's model with a share; a share of 0 adds only counters."""
        for name in COUNTERS:
            if name in values:
                self.added[name] = self.added.get(name, 0) + values[name] - self._start[name]
        if not share:
            return
        self.frames += statistic_frames
        for name, value in values.items():
            if not np.issubdtype(np.asarray(value).dtype, np.floating):
                self.integers.setdefault(name, value)
                continue
            if name.endswith(LOSS_SCALE):
                self.lowest[name] = min(value, self.lowest.get(name, value))
                continue
            value = np.asarray(value, np.float64)
            if name.endswith(VARIANCE):
                value = value + np.square(np.asarray(values[name[:-len(VARIANCE)] + MEAN], np.float64))
            weight = statistic_frames if name.endswith((MEAN, VARIANCE)) else share
            self.sums[name] = self.sums[name] + weight * value if name in self.sums else weight * value

    def result(self, step):
        """Dict of variables' names -> arrays: the next model, at ``step``."""
        combined = {}
        for name, value in self._start.items():
            value = np.asarray(value)
            if name == GLOBAL_STEP:
                value = np.asarray(step, value.dtype)
            elif name in self.added:
                value = value + np.asarray(self.added[name], value.dtype)
            elif name in self.lowest:
                value = np.asarray(self.lowest[name], value.dtype)
            elif name in self.sums:
                value = self._mean_of(name).astype(value.dtype)
            else:
                value = np.asarray(self.integers.get(name, value))
            combined[name] = value
        return combined

    def _mean_of(self, name):
        if not name.endswith((MEAN, VARIANCE)):
            return self.sums[name]
        mean = self.sums[name] / self.frames
        if name.endswith(VARIANCE):
            mean = np.maximum(mean - np.square(self.sums[name[:-len(VARIANCE)] + MEAN] / self.frames), 0.0)
        return mean
