"""The iterations of processes that Horovod or HCCL joins: every rank does a part of the jobs, and the models are summed."""
import numpy as np
import tensorflow.compat.v1 as tf

from open_seq2seq.distributed.gathering import gather_numbers
from open_seq2seq.log_lines import log_line
from open_seq2seq.training.parallel.combination import COUNTERS, LOSS_SCALE, Combination, JobResult, shares

# of a JobResult, as float64; the loss scale follows
_NUMBERS = ("loss", "frame_loss", "statistic_frames", "steps", "utterances", "frames", "seconds", "gradient_norm")


class RankExchange:
    """The iterations of all ranks: rank r does the jobs r, r + size, and so on. All ranks call the methods together.

    Args:
      group: a ``ProcessGroup``.
      session: a session.
      graph: the ``TrainingGraph``.
      params: the checked config of mode "train".
    """

    def __init__(self, group, session, graph, params):
        self._group, self._session, self._graph, self._settings = group, session, graph, params["parallel_training"]
        self._own = self._sums = self._names = None

    def iterate(self, runner, iteration, values, on_batch):
        """See ``FolderExchange.iterate``; a signal of any rank stops the iteration on all of them."""
        own = {}
        for job in range(self._group.rank, iteration.jobs, self._group.size):
            result = runner.run(iteration, job, values, on_batch)
            if result is None:
                break
            own[job] = result
            if result.problem:
                log_line("job %d: %s" % (job, result.problem), from_every_rank=True)
        if gather_numbers(self._group, self._session, [self._graph.requests.signal_has_come]).any():
            return None
        results, scales = self._gathered(iteration.jobs, own)
        weights = shares(results, iteration.is_first, self._settings)
        model = self._combined(values, own, results, weights, iteration.end)
        for name in model:
            if name.endswith(LOSS_SCALE):
                model[name] = np.asarray(min(scale for scale, weight in zip(scales, weights) if weight), model[name].dtype)
        return model, results, weights

    def _gathered(self, jobs, own):
        """(the results of all jobs without their models, their loss scales)."""
        numbers = np.zeros([jobs, len(_NUMBERS) + 1], np.float64)
        for job, result in own.items():
            scale = next((value for name, value in result.values.items() if name.endswith(LOSS_SCALE)), 1.0)
            numbers[job] = [getattr(result, name) for name in _NUMBERS] + [scale]
        ranks = gather_numbers(self._group, self._session, numbers.reshape(-1).view(np.int32)).view(np.float64)
        ranks = ranks.reshape(self._group.size, jobs, -1)
        rows = [ranks[job % self._group.size, job] for job in range(jobs)]
        results = []
        for job, row in enumerate(rows):
            found = dict(zip(_NUMBERS, row.tolist()))
            for name in ("steps", "utterances", "frames"):
                found[name] = int(found[name])
            problem = "" if np.isfinite(found["frame_loss"]) else "it failed on rank %d" % (job % self._group.size)
            results.append(JobResult(job=job, values=None, problem=problem, **found))
        return results, [row[-1] for row in rows]

    def _combined(self, values, own, results, weights, step):
        """The sum of all ranks' parts of the next model."""
        part = Combination(values)
        for job, result in own.items():
            part.add(result.values, weights[job], result.statistic_frames)
        first = next(job for job, weight in enumerate(weights) if weight)
        integers = own[first].values if first in own else {}
        total = self._sum({name: self._part_of(name, value, part, integers) for name, value in values.items()})
        part.frames = sum(result.statistic_frames for result, weight in zip(results, weights) if weight)
        for name, value in values.items():
            if name in COUNTERS:
                part.added[name] = np.rint(total[name]).astype(np.int64)
            elif np.issubdtype(value.dtype, np.floating):
                part.sums[name] = np.asarray(total[name], np.float64)
            else:
                part.integers[name] = np.rint(total[name]).astype(value.dtype)
        part.lowest = {}
        return part.result(step)

    @staticmethod
    def _part_of(name, value, part, integers):
        if name in COUNTERS:
            found = part.added.get(name)
        elif np.issubdtype(value.dtype, np.floating):
            found = part.sums.get(name)
        else:
            found = integers.get(name)
        return np.zeros(value.shape, np.float32) if found is None else np.asarray(found, np.float32)

    def _sum(self, arrays):
        """The sums over all ranks of a dict of float32 arrays."""
        if self._names is None:
            self._names = sorted(arrays)
            with self._session.graph.as_default(), tf.name_scope("average_of_jobs"), tf.control_dependencies(None):
                self._own = [tf.placeholder(tf.float32, arrays[name].shape) for name in self._names]
                self._sums = self._group.sum(self._own)
        sums = self._session.run(self._sums, dict(zip(self._own, [arrays[name] for name in self._names])))
        return dict(zip(self._names, sums))

    def end(self):
        """Nothing: the ranks end together."""

    def close(self):
        """Nothing: the launcher ends the ranks."""
