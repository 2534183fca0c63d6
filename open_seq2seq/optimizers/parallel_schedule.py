"""The schedule of a parallel training: iterations of jobs that train alone and whose models are then averaged.

It is that of Kaldi's nnet3 (steps/libs/nnet3/train/common.py): the number of jobs rises linearly over the iterations, and a job
trains with the learning rate times the number of jobs, because the average of N models moves by the mean of their changes. The
learning rate is a function of the data that all jobs together have trained on, whatever the number of jobs.
"""
import collections

import tensorflow.compat.v1 as tf

from open_seq2seq.config.parameters import Bool, Choice, FilePath, Float, Int, Parameter, child_path

_SCHEDULE_STEP = "schedule_step"  # a collection of the graph

PARAMETERS = (
    Parameter("jobs_initial", Int(minimum=1, maximum=10 ** 4), default=1, doc="jobs of the first iteration"),
    Parameter("jobs_final", Int(minimum=1, maximum=10 ** 4), doc="jobs of the last iteration; the number changes linearly"),
    Parameter("jobs_step", Int(minimum=1), default=1, doc="numbers of jobs above this are multiples of it"),
    Parameter("archive_steps", Int(minimum=1), default=None, doc="steps of a job between two averages; or archive_frames"),
    Parameter("archive_frames", Int(minimum=1), default=None,
              doc="feature frames that a job trains on between two averages, instead of archive_steps"),
    Parameter("processes", Int(minimum=1, maximum=10 ** 3), default=None,
              doc="processes on this machine that do jobs, the training itself included; None: on a CPU one for each core, at "
                  "most jobs_final, elsewhere 1. More on any machine: --mode=train_worker"),
    Parameter("folder", FilePath(), default=None,
              doc="directory that all processes share, for models and results of jobs; None: parallel/ in logdir"),
    Parameter("scale_learning_rate", Bool(), default=True, doc="multiply a job's learning rate by the number of jobs"),
    Parameter("scale_l2", Bool(), default=True, doc="divide regularization losses and weight_decay by the number of jobs"),
    Parameter("learning_rate", Choice("continuous", "constant"), default="continuous",
              doc="continuous: changes with every step; constant: within an iteration that of its beginning, as in Kaldi"),
    Parameter("optimizer_state", Choice("average", "reset"), default="average",
              doc="the optimizer's momentum and moments between iterations; reset: they begin at zero, as in Kaldi"),
    Parameter("first_iteration", Choice("best", "average"), default="best",
              doc="best: the first iteration keeps the model with the lowest loss, as in Kaldi, instead of the average"),
    Parameter("max_loss_difference", Float(above=0.0), default=1.0,
              doc="a job whose training loss for each encoder frame is above the lowest one by more than this is excluded from "
                  "the average"),
)

Iteration = collections.namedtuple("Iteration", "number jobs position steps end learning_rate_position is_first")
Iteration.__doc__ = """One iteration of a parallel training; a step is a batch, or ``iter_size`` batches.

number: int from 0. jobs: number of jobs. position: steps of all jobs before. steps: of each job; job k trains on the steps
position + k * steps and following. end: position of the next iteration. learning_rate_position: step of the policy where the
jobs begin, or, where it is constant, for all of their steps. is_first: whether it is the first of the training.
"""


def add_schedule_step():
    """Makes what :func:`schedule_step` returns in the current graph: int64 scalar, fed in jobs; elsewhere the global step."""
    step = tf.placeholder_with_default(tf.train.get_or_create_global_step() + 0, [], "schedule_step")
    tf.add_to_collection(_SCHEDULE_STEP, step)
    return step


def schedule_step():
    """int64 scalar that schedules of the training depend on, e.g. the release of a layer; None in a graph without training.

    It is the global step, except in a job of a parallel training: jobs of an iteration begin at different places of the data, and
    their global steps differ, but a schedule has to be at the same place in all of them.
    """
    steps = tf.get_collection(_SCHEDULE_STEP)
    return steps[-1] if steps else tf.train.get_global_step()


def check_rules(params, path, report):
    """Reports contradictions between checked params; ``path`` names them."""
    if (params["archive_steps"] is None) == (params["archive_frames"] is None):
        report.problem(child_path(path, "archive_steps"), "and archive_frames are %s; expected one of them: how much a job "
                       "trains on between two averages, e.g. archive_steps 100" % (
                           "missing" if params["archive_steps"] is None else "both given"))


def kaldi_jobs(iteration, iterations, initial, final, multiple=1):
    """Number of jobs of an iteration: Kaldi's get_current_num_jobs."""
    ideal = initial + (final - initial) * float(iteration) / iterations
    return int(0.5 + ideal) if ideal < multiple else int(0.5 + ideal / multiple) * multiple


def kaldi_plan(archives, initial, final, multiple=1):
    """List of (jobs, archives processed before) of each iteration, for a training on that many archives.

    As in Kaldi the jobs of all iterations are about ``archives``, not exactly.
    """
    count, rows, processed = max(1, int(archives * 2 / (initial + final))), [], 0
    for number in range(count):
        jobs = max(1, kaldi_jobs(number, count, initial, final, multiple))
        rows.append((jobs, processed))
        processed += jobs
    return rows


class ParallelSchedule:
    """The iterations of a training.

    Args:
      params: checked dict of :data:`PARAMETERS`.
      steps: steps that the config asks for.
      frames_per_step: mean number of feature frames in a step, for ``archive_frames``.

    Attributes:
      archive_steps: steps of a job.
      asked_steps: as given; the learning rate's policy ends there.
      last_step: steps after the last iteration, about ``asked_steps``.
      iterations: number of iterations.
    """

    def __init__(self, params, steps, frames_per_step):
        self.archive_steps = params["archive_steps"] or max(1, int(round(params["archive_frames"] / max(frames_per_step, 1.0))))
        self.archive_steps = min(self.archive_steps, max(1, steps // params["jobs_initial"]))
        self._is_constant, self.asked_steps = params["learning_rate"] == "constant", steps
        self._rows = kaldi_plan(max(1, steps // self.archive_steps), params["jobs_initial"], params["jobs_final"],
                                params["jobs_step"])
        self.iterations, self.most_jobs = len(self._rows), max(jobs for jobs, _ in self._rows)
        jobs, processed = self._rows[-1]
        self.last_step = (processed + jobs) * self.archive_steps

    def at(self, step):
        """The :class:`Iteration` that comes after ``step`` steps of the training.

        A training that was begun without parallel jobs may resume within an iteration, whose jobs are shorter then.
        """
        number = max(place for place, (_, processed) in enumerate(self._rows) if processed * self.archive_steps <= step)
        jobs, processed = self._rows[number]
        end = (processed + jobs) * self.archive_steps
        jobs = min(jobs, max(1, end - step))
        is_last = number == self.iterations - 1
        # the last one has exactly the final learning rate
        rate_position = self.asked_steps if self._is_constant and is_last else step
        return Iteration(number, jobs, step, max(1, (end - step) // jobs), end, rate_position, step == 0)

    @staticmethod
    def schedule_step(iteration, step):
        """The steps of all jobs before step ``step`` of a job, counted from 0: the same in all jobs of an iteration."""
        return iteration.position + step * iteration.jobs

    def learning_rate_step(self, iteration, step):
        """The step of the policy for step ``step`` of a job, counted from 0."""
        if self._is_constant:
            return iteration.learning_rate_position
        return iteration.learning_rate_position + step * iteration.jobs
