"""What the graph of a training needs for jobs: their schedule, what every step is fed with, and the batches of one job."""
import numpy as np
import tensorflow.compat.v1 as tf

from open_seq2seq.optimizers.parallel_schedule import ParallelSchedule, add_schedule_step


class JobInputs:
    """The inputs of a job in the graph of the training, built in the current graph.

    Args:
      params: the checked config of mode "train", with ``parallel_training``.
      data_layer: the training's, of a single worker: a job takes its batches from the stream of one process.
      steps: steps that the config asks for.

    Attributes:
      schedule: the ``ParallelSchedule``.
      step: int64 scalar, the step of the learning rate's policy.
      l2_factor: float32 scalar, factor of regularization losses and weight_decay; None: 1.
    """

    def __init__(self, params, data_layer, steps):
        settings, self._layer, self._iter_size = params["parallel_training"], data_layer, params["iter_size"]
        self.schedule = ParallelSchedule(settings, steps, _frames_per_batch(params, data_layer) * self._iter_size)
        with tf.name_scope("job"):
            self.step = tf.placeholder_with_default(np.int64(0), [], "learning_rate_step")
            self.l2_factor = None
            if settings["scale_l2"]:
                self.l2_factor = tf.placeholder_with_default(np.float32(1.0), [], "l2_factor")
            self._schedule_step = add_schedule_step()
            self._range = tf.placeholder(tf.int64, [2], "batches")
        self._scales_learning_rate, self._initializers, self._iteration, self._job_step = (
            settings["scale_learning_rate"], None, None, 0)

    def set(self, iteration, step):
        """Selects the step ``step``, counted from 0, of a job of an ``Iteration``."""
        self._iteration, self._job_step = iteration, step

    @property
    def learning_rate_factor(self):
        """Factor of the policy's learning rate, a float."""
        return float(self._iteration.jobs) if self._scales_learning_rate and self._iteration is not None else 1.0

    def feed(self):
        """What to feed to the selected step."""
        if self._iteration is None:
            return {}
        feed = {self.step: self.schedule.learning_rate_step(self._iteration, self._job_step),
                self._schedule_step: self.schedule.schedule_step(self._iteration, self._job_step)}
        if self.l2_factor is not None:
            feed[self.l2_factor] = 1.0 / self._iteration.jobs
        return feed

    def connect(self, iterators):
        """Builds the operations of :meth:`start` for the iterators of the graph, one for each bucket or just one."""
        buckets = range(len(iterators)) if self._layer.buckets else [None]
        # built once: operations that are added for every job would fill the graph
        self._initializers = [iterator.make_initializer(self._layer.training_dataset(self._range[0], bucket, self._range[1]))
                              for iterator, bucket in zip(iterators, buckets)]

    def start(self, session, first_batch, count):
        """Sets the input to ``count`` batches of the stream of training batches, beginning with ``first_batch``."""
        session.run(self._initializers, {self._range: [first_batch, first_batch + count]})


def _frames_per_batch(params, layer):
    """Mean number of feature frames in a batch; 1 where a custom data layer does not have the duration of its data."""
    if not hasattr(layer, "total_duration"):
        return 1.0
    seconds = layer.total_duration / max(len(layer.utterances), 1)
    utterances = getattr(layer, "utterances_per_batch", params["batch_size_per_gpu"])
    return utterances * seconds / params["data_layer_params"].get("window_stride", 0.01)
