"""One job of a parallel training: some steps from a given model on its own part of the data."""
import functools
import time

import numpy as np
import tensorflow.compat.v1 as tf

from open_seq2seq.checkpoints.graph_variables import graph_variables
from open_seq2seq.checkpoints.source_names import slot_of
from open_seq2seq.errors import NonFiniteError
from open_seq2seq.training.parallel.combination import GLOBAL_STEP, JobResult


class JobRunner:
    """Trains jobs, one after the other, in one session.

    Args:
      params: the checked config of mode "train".
      graph: the ``TrainingGraph``, with a ``JobInputs``.
      session: a session on it.
      skipped_steps: the ``SkippedSteps`` of this process.
      metrics: ``Metrics`` for skipped steps.
      device: the ``Device``.
    """

    def __init__(self, params, graph, session, skipped_steps, metrics, device):
        self._params, self._graph, self._session, self._device = params, graph, session, device
        self._skipped_steps, self._metrics = skipped_steps, metrics
        encoder = params["encoder"]
        self._output_frames = lambda frames: encoder.output_frames(params["encoder_params"], frames)
        # the loss of a pre-training is a mean over frames already
        self._is_per_utterance = not getattr(graph.base_model, "is_pretraining", False)
        self._momentum = params["encoder_params"].get("bn_momentum", 0.9)
        self._initial_slots = {}
        if params["parallel_training"]["optimizer_state"] == "reset":
            self._initial_slots = session.run({
                variable.op.name: variable.initial_value for variable in tf.global_variables()
                if slot_of(variable.op.name) is not None or variable.op.name.endswith(("beta1_power", "beta2_power"))})

    def run(self, iteration, job, values, on_batch=None):
        """Trains a job.

        Args:
          iteration: the ``Iteration``.
          job: its number.
          values: dict of all variables' names -> arrays, the model of the iteration.
          on_batch: function that receives the job's number and what was fetched with each batch; None.

        Returns:
          JobResult; None if a signal asked the process to stop.

        Raises:
          DeviceError, DataError: the training itself cannot go on.
        """
        graph, session, iter_size = self._graph, self._session, self._graph.iter_size
        first_step = iteration.position + job * iteration.steps
        started = dict(values, **self._initial_slots)
        started[GLOBAL_STEP] = np.asarray(first_step, np.int64)
        variables = graph_variables(session.graph)
        variables.write(session, started)
        graph.job.start(session, first_step * iter_size, iteration.steps * iter_size)
        if on_batch is not None:
            on_batch = functools.partial(on_batch, job)
        progress, problem, began = _Progress(self._momentum), "", time.monotonic()
        batch = first_step * iter_size
        try:
            for step in range(iteration.steps):
                if graph.requests.signal_has_come:
                    return None
                graph.job.set(iteration, step)
                for _ in range(iter_size - 1):
                    batch = self._run_batch(batch, graph.shape_step_of_batch(batch).accumulate_fetches(), graph.job.feed,
                                            progress, on_batch)[0]
                shape_step = graph.shape_step_to_update(batch, first_step + step)
                batch, fetched = self._run_batch(batch, shape_step.update_fetches(), graph.feed, progress, on_batch)
                if bool(fetched["finite"]):
                    self._skipped_steps.made()
                    progress.made(fetched)
                else:
                    self._skipped_steps.skipped(session, first_step + step + 1, fetched, self._metrics)
        except NonFiniteError as error:
            problem = str(error)
        except tf.errors.OutOfRangeError:
            pass  # fewer batches: files have become unusable
        finally:
            self._skipped_steps.made()
        trained = variables.read(session)
        problem = problem or progress.problem() or _non_finite(trained)
        return JobResult(job, trained, progress.loss, float("inf") if problem else self._frame_loss(progress),
                         progress.statistic_frames, progress.steps, progress.utterances, progress.frames,
                         time.monotonic() - began, progress.gradient_norm, problem)

    def _run_batch(self, number, fetches, feed, progress, on_batch):
        """Runs batch ``number`` of the stream; returns (number of the next one, what was fetched)."""
        try:
            fetched = self._session.run(fetches, feed())
        except tf.errors.OutOfRangeError:
            raise
        except tf.errors.OpError:
            self._graph.data_layer.raise_if_too_many_rejected()
            raise
        self._skipped_steps.batch(number, fetched)
        progress.batch(fetched)
        if on_batch is not None:
            on_batch(fetched)
        return number + 1, fetched

    def _frame_loss(self, progress):
        if not self._is_per_utterance:
            return progress.loss
        return progress.loss / max(int(self._output_frames(progress.frames // max(progress.utterances, 1))), 1)


class _Progress:
    """Counts of a job."""

    def __init__(self, momentum):
        self._momentum, self._losses = momentum, []
        self.utterances = self.frames = 0
        self.statistic_frames, self.gradient_norm = 0.0, float("nan")

    def batch(self, fetched):
        valid = fetched["weights"] > 0
        frames = int(fetched["frames"][valid].sum())
        self.utterances, self.frames = self.utterances + int(valid.sum()), self.frames + frames
        # the weight that the batch has in the moving statistics
        self.statistic_frames = self._momentum * self.statistic_frames + (1.0 - self._momentum) * frames

    def made(self, fetched):
        self._losses.append(float(fetched["loss"]))
        self.gradient_norm = float(fetched["gradient_norm"])

    @property
    def steps(self):
        return len(self._losses)

    @property
    def loss(self):
        return float(np.mean(self._losses)) if self._losses else float("inf")

    def problem(self):
        return "" if self._losses else "it made no step"


def _non_finite(values):
    """A sentence if a variable is not finite, else ""."""
    for name, value in values.items():
        if np.issubdtype(value.dtype, np.floating) and not np.isfinite(value).all():
            return "%s is not finite" % name
    return ""
