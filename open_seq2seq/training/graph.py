"""The training graph: data, model and optimizer, and in train_eval mode the evaluation model."""
import contextlib
import functools
import re

import numpy as np
import tensorflow.compat.v1 as tf

from open_seq2seq.checkpoints.moving_average import MovingAverages, is_average
from open_seq2seq.checkpoints.restore import MODEL_SCOPE, SavedState
from open_seq2seq.data.speech2text.dataset import PREFETCHED_BATCHES
from open_seq2seq.decoding.greedy import GreedyDecoder
from open_seq2seq.distributed.group import Single
from open_seq2seq.encoders.input_transform import is_input_transform
from open_seq2seq.encoders.interface import ENCODER_VARIABLES
from open_seq2seq.evaluation.all_tasks import build_task_evaluations
from open_seq2seq.evaluation.evaluation_graph import build_evaluation
from open_seq2seq.experiment.assembly import build_data_layer, execution_of
from open_seq2seq.models.hubert_pretraining import PretrainingOutput
from open_seq2seq.models.multi_task import output_sizes
from open_seq2seq.models.task_params import config_of_task
from open_seq2seq.optimizers import Optimization
from open_seq2seq.optimizers.backstitch import check_dropout, is_backstitch_step
from open_seq2seq.optimizers.update_operations import cond_with_updates
from open_seq2seq.training.determinism import INITIAL_STATE as DETERMINISTIC_STATE
from open_seq2seq.training.determinism import averaged_at_every_step
from open_seq2seq.training.diagnostics.diagnostics import DiagnosticGraph, diagnosed_utterances
from open_seq2seq.training.epoch_log import INITIAL_STATE as EPOCH_STATE
from open_seq2seq.training.initial_values import seeded_by_name
from open_seq2seq.training.input_stream import next_batch
from open_seq2seq.training.metric_tracker import no_best
from open_seq2seq.training.nonfinite.batch_loss import watched_loss
from open_seq2seq.training.parallel.job_inputs import JobInputs
from open_seq2seq.training.requests import Requests
from open_seq2seq.training.shape_step import ShapeStep
from open_seq2seq.training.stopping import INITIAL_STATE

# ranks must not drop out the same activations
SEED_STEP = 1000003
BACKSTITCH_SCOPE = "backstitch"


class ShapeStepBuilder:
    """Builds the operations of a training step. Every call builds them for batches of another shape, on the same variables.

    Args:
      base_model: the model class.
      params: the checked config of mode "train".
      data_layer: the data layer of the training.
      last_step, steps_per_epoch: see ``Optimization``.
      device: a ``Device``.
      group: a ``ProcessGroup``.
      requests: the ``Requests`` that the ranks agree on at every step.
      learning_rate_factor, job: see ``Optimization``.
      optimization_class: ``Optimization`` or a subclass.
    """

    def __init__(self, base_model, params, data_layer, last_step, steps_per_epoch, device, group, requests,
                 learning_rate_factor=None, optimization_class=Optimization, job=None):
        self._params, self._requests, self._alternative = params, requests, group.alternative
        execution = execution_of(params, "train", device, group, data_layer)
        self.fast_convolutions = execution.fast_convolutions
        self._model = base_model(params, "train", output_sizes(data_layer), execution=execution)
        self.optimization = optimization_class(
            params, last_step, steps_per_epoch, all_reduce=group.average_gradients if group.size > 1 else None,
            wrap=lambda optimizer: device.wrap_optimizer(optimizer, params, group), learning_rate_factor=learning_rate_factor,
            encoder_variables=lambda: tf.get_collection(ENCODER_VARIABLES), job=job)
        self.averages = None
        if params["ema_decay"] is not None:
            self.averages = MovingAverages(params["ema_decay"], params["freeze_variables_regex"])
        self._device, self._accumulated_loss, self._batches_of_step = device, None, None
        if params["iter_size"] > 1:
            self._accumulated_loss = tf.get_variable("accumulated_loss", [], trainable=False, use_resource=False,
                                                     initializer=tf.zeros_initializer(),
                                                     collections=[tf.GraphKeys.LOCAL_VARIABLES])
            if device.keeps_overflows:
                self._batches_of_step = tf.get_variable("batches_of_step", [], tf.int32, trainable=False, use_resource=False,
                                                        initializer=tf.zeros_initializer(),
                                                        collections=[tf.GraphKeys.LOCAL_VARIABLES])

    def __call__(self, batch, data_wait=None):
        """The :class:`ShapeStep` for a batch.

        Args:
          batch: a Batch of tensors.
          data_wait: see :class:`ShapeStep`.
        """
        earlier = {key: len(tf.get_collection(key)) for key in (tf.GraphKeys.UPDATE_OPS, tf.GraphKeys.SUMMARIES)}

        def added(key):
            return tf.get_collection(key)[earlier[key]:]

        with seeded_by_name(self._params["random_seed"]):
            output = self._model(self._without_earlier_overflows(batch))
        moving_averages = added(tf.GraphKeys.UPDATE_OPS)
        loss = watched_loss(output, batch)
        total = loss if self._accumulated_loss is None else self._accumulated_loss + loss
        mean_loss, requests = self._requests.with_mean(total / self._params["iter_size"])
        tf.summary.scalar("train_loss", mean_loss)
        samples = {}
        if not isinstance(output, PretrainingOutput):
            samples = {"best_path": output.best_path, "logit_lengths": output.logit_lengths, "labels": batch.labels,
                       "label_lengths": batch.label_lengths}

        def second_pass():
            check_dropout(self._device)
            known = len(tf.get_collection(tf.GraphKeys.UPDATE_OPS))
            again = self._model(batch)
            return again.loss.loss, tf.get_collection(tf.GraphKeys.UPDATE_OPS)[known:]

        summaries = added(tf.GraphKeys.SUMMARIES)

        def shape_step(second_pass=None):
            known = len(tf.get_collection(tf.GraphKeys.SUMMARIES))
            train = self.optimization.operations(output.loss.loss, moving_averages, mean_loss, second_pass)
            accumulate, update = self._keeping_loss(loss, mean_loss, train)
            if self.averages is not None:
                update = self.averages.updated_after(update, train.gradients_finite)
            own_summaries = tf.get_collection(tf.GraphKeys.SUMMARIES)[known:]
            return ShapeStep(batch, output.loss, loss, mean_loss, train, accumulate, update, samples,
                             tf.summary.merge(summaries + own_summaries), requests, data_wait, None)

        if self._params["backstitch_scale"] == 0.0:
            return shape_step()
        plain = None
        if self._params["backstitch_interval"] != 1:
            with self._alternative():
                plain = shape_step()
        with tf.name_scope(BACKSTITCH_SCOPE):
            backstitch = shape_step(second_pass)
        return backstitch if plain is None else plain._replace(backstitch=backstitch)

    def _keeping_loss(self, loss, mean_loss, train):
        """(accumulate, update): the operations of ``train``, which also sum up the losses of a step's batches."""
        if self._accumulated_loss is None:
            return None, train.update
        accumulated, reset = [self._accumulated_loss.assign_add(loss, read_value=False)], []
        with tf.control_dependencies([mean_loss]):
            reset.append(self._accumulated_loss.assign(0.0, read_value=False))
        if self._batches_of_step is not None:
            with tf.control_dependencies([loss]):
                accumulated.append(self._batches_of_step.assign_add(1, read_value=False))
            with tf.control_dependencies([mean_loss]):
                reset.append(self._batches_of_step.assign(0, read_value=False))
        accumulate = tf.group(train.accumulate, *accumulated)
        with tf.control_dependencies([mean_loss]):
            return accumulate, tf.group(train.update, *reset)

    def _without_earlier_overflows(self, batch):
        """The batch; the device forgets the overflows before the step first, but keeps those of the step's earlier batches."""
        if not self._device.keeps_overflows:
            return batch
        if self._batches_of_step is None:
            cleared = self._device.clear_overflows()
        else:
            cleared = cond_with_updates(tf.equal(self._batches_of_step.read_value(), 0), self._device.clear_overflows, tf.no_op)
        with tf.control_dependencies([cleared]):
            return batch._replace(features=tf.identity(batch.features))


class TrainingGraph:
    """Everything that a training run computes, built in the current graph.

    Args:
      base_model: the model class.
      params: the checked config of mode "train".
      evaluation_params: the checked config of mode "eval", or None.
      device: a ``Device``.
      group: a ``ProcessGroup``.
      rejected_file: path of the list of rejected rows; None: no list is written.
      optimization_class: see ``ShapeStepBuilder``.

    Attributes:
      base_model, data_layer: of the training.
      iter_size: batches in a step.
      utterances_per_batch: float, the mean number of utterances in a batch of one rank.
      steps_per_epoch: steps that count as one epoch, at least 1: for ``num_epochs``, the learning rate and the log.
      last_step: step that the training ends after.
      eval_steps: steps between evaluations.
      shape_steps: list of ShapeStep, one for each of the data layer's buckets, or just one.
      optimization: the ``Optimization``.
      state: the ``SavedState``.
      averages: ``MovingAverages``, or None.
      job: ``JobInputs`` of a parallel training, or None.
      requests: the ``Requests``.
      evaluation: an ``Evaluation``, or None; with tasks that of the main task.
      task_evaluations: dict from the names of the other tasks that are evaluated to their evaluations; {} without tasks.
      diagnostics: a ``DiagnosticGraph``, or None.
      initialize: operation to run once, before the data.
      broadcast: operation; all ranks take the variables of the first rank.
      average_statistics: operation; all ranks take the mean of their moving statistics of batch norm.
    """

    def __init__(self, base_model, params, evaluation_params, device, group, rejected_file, optimization_class=Optimization):
        tf.set_random_seed(params["random_seed"] + SEED_STEP * group.rank)
        # jobs train alone; the group exchanges their models
        everybody, group = group, group if params["parallel_training"] is None else Single()
        self.data_layer = build_data_layer(params, "train", device, group, rejected_file)
        self.base_model, self.iter_size = base_model, params["iter_size"]
        self.utterances_per_batch = getattr(self.data_layer, "utterances_per_batch", params["batch_size_per_gpu"])
        self.steps_per_epoch = max(1, self.data_layer.batches_per_epoch // self.iter_size)
        self.last_step = params["max_steps"] or params["num_epochs"] * self.steps_per_epoch
        self.eval_steps = params["eval_steps"] or self.steps_per_epoch
        policy_steps, self.job = self.last_step, None
        if params["parallel_training"] is not None:
            self.job = JobInputs(params, self.data_layer, self.last_step)
            self.last_step = self.job.schedule.last_step
        self.requests = Requests(group)
        self.state = SavedState(micro_batches=0, batch_utterances=0, iter_size=0, evaluation_is_pending=0, **no_best(params),
                                **INITIAL_STATE, **EPOCH_STATE, **DETERMINISTIC_STATE)
        # fed to every step: a variable that is set after an evaluation would take another graph
        self._learning_rate_factor = None
        if params["reduce_lr_on_plateau"] or self.job is not None:
            self._learning_rate_factor = tf.placeholder_with_default(np.float32(1.0), [], "learning_rate_factor")
        builder = ShapeStepBuilder(base_model, params, self.data_layer, policy_steps, self.steps_per_epoch,
                                   device, group, self.requests, self._learning_rate_factor, optimization_class, self.job)
        self.optimization = builder.optimization
        self._iterators, self.shape_steps = [], []
        for number, bucket in enumerate(self.data_layer.buckets or [None]):
            with tf.name_scope("" if bucket is None else shape_scope(bucket.frames)):
                # which batch of the stream comes first is known only when a checkpoint has been read
                dataset = self._dataset(0, number)
                self._iterators.append(tf.data.Iterator.from_structure(tf.data.get_output_types(dataset),
                                                                       tf.data.get_output_shapes(dataset)))
                with group.alternative():
                    self.shape_steps.append(builder(*next_batch(self._iterators[-1], timed=not device.static_shapes)))
        self.notes = builder.fast_convolutions.notes()
        if self.job is not None:
            self.job.connect(self._iterators)
        statistics = self._statistics()
        together = params["deterministic"] and group.size > 1 and bool(statistics)
        if together:
            self.shape_steps = [shape_step._replace(update=averaged_at_every_step(shape_step.update, statistics, group))
                                for shape_step in self.shape_steps]
            self.shape_steps = [shape_step if shape_step.backstitch is None else shape_step._replace(
                backstitch=shape_step.backstitch._replace(update=averaged_at_every_step(
                    shape_step.backstitch.update, statistics, group))) for shape_step in self.shape_steps]
        self._backstitches = functools.partial(is_backstitch_step, params)
        self.averages = builder.averages
        self.evaluation = diagnostics = None
        observed = self.job is None or everybody.size == 1  # each rank would score all of the training subset
        if observed and diagnosed_utterances(params, device) and not getattr(base_model, "is_pretraining", False):
            diagnostics = DiagnosticGraph(base_model, params, evaluation_params, self.data_layer, device, everybody)
        self.task_evaluations = {}
        if evaluation_params is not None:
            of_main = config_of_task(evaluation_params)
            layer = build_data_layer(of_main, "eval", device, everybody, rejected_file)
            if hasattr(layer.vocabulary, "require_same"):
                self.data_layer.vocabulary.require_same(layer.vocabulary)
            with self.evaluated_weights(evaluation_params):
                observer = diagnostics.observer if diagnostics is not None and diagnostics.shares_evaluation else None
                self.evaluation = build_evaluation(base_model, of_main, "eval", layer, device, everybody, observer)
                self.task_evaluations = build_task_evaluations(base_model, evaluation_params, self.data_layer, device, everybody,
                                                               rejected_file)
        self.diagnostics = diagnostics
        if diagnostics is not None:
            with self.evaluated_weights(params):
                diagnostics.build(self.evaluation, self.task_evaluations)
        # the moving averages, the optimizer's slots and the step counter, too, not only what is trained
        self.broadcast = everybody.broadcast(tf.global_variables())
        self.average_statistics = tf.no_op() if together else self._average_statistics(statistics, group)
        self.initialize = self._initialization()

    def evaluated_weights(self, params):
        """Context manager: models built inside use the weights that are evaluated: with ``evaluate_ema`` the moving averages."""
        if self.averages is None or not params["evaluate_ema"]:
            return contextlib.nullcontext()
        return self.averages.in_place_of_weights()

    def feed(self):
        """What to feed to the last batch of a step."""
        feed = dict(self.requests.feed())
        if self._learning_rate_factor is not None:
            feed[self._learning_rate_factor] = self.state.get()["learning_rate_factor"]
        if self.job is not None:
            feed[self._learning_rate_factor] *= np.float32(self.job.learning_rate_factor)
            feed.update(self.job.feed())
        return feed

    def _initialization(self):
        """Operation that initializes all variables; the averages start at the weights."""
        initialized = tf.group(tf.global_variables_initializer(), tf.local_variables_initializer())
        if self.averages is None:
            return initialized
        with tf.control_dependencies([initialized]):
            return self.averages.start()

    @staticmethod
    def _statistics():
        """The variables of the network that are not trained."""
        trained = set(tf.trainable_variables())
        return [variable for variable in tf.global_variables()
                if variable not in trained and variable.op.name.startswith(MODEL_SCOPE)
                # the averages of weights and the input transform are the same on every rank
                and not is_average(variable.op.name) and not is_input_transform(variable.op.name)]

    @staticmethod
    def _average_statistics(statistics, group):
        """Every rank has seen another part of the data; the mean of their moving averages is what all of it would have given."""
        if group.size == 1:
            return tf.no_op()
        return tf.group(*[variable.assign(mean, read_value=False)
                          for variable, mean in zip(statistics, group.average([tf.identity(value) for value in statistics]))])

    def _dataset(self, first_batch, number):
        return self.data_layer.training_dataset(first_batch, number if self.data_layer.buckets else None)

    def epochs_done(self, step):
        """Complete epochs after ``step`` steps."""
        return step // self.steps_per_epoch

    def number_of_shape_step(self, number):
        """Position in ``shape_steps`` of the one for batch ``number`` of the stream; the same on every rank."""
        return self.data_layer.bucket_of_batch(number) if self.data_layer.buckets else 0

    def shape_step_of_batch(self, number):
        """The :class:`ShapeStep` for batch ``number`` of the stream."""
        return self.shape_steps[self.number_of_shape_step(number)]

    def shape_step_to_update(self, number, step):
        """The :class:`ShapeStep` for batch ``number`` of the stream, with which the update after ``step`` updates is made."""
        shape_step = self.shape_step_of_batch(number)
        return shape_step.backstitch if shape_step.backstitch is not None and self._backstitches(step) else shape_step

    def start_data(self, session, first_batch):
        """Sets the input to batch ``first_batch`` of the stream of training batches."""
        # not together with the variables' initial values: an NPU's adapter would leave them on the host
        session.run([iterator.make_initializer(self._dataset(first_batch, number))
                     for number, iterator in enumerate(self._iterators)])

    def start_longest_batch(self, session, number):
        """Sets the input of shape step ``number`` to the batch that takes the most memory.

        It is repeated for one step and for what is prefetched.
        """
        layer, count = self.data_layer, self.iter_size + PREFETCHED_BATCHES + 1
        session.run(self._iterators[number].make_initializer(layer.longest_dataset(count, number if layer.buckets else None)))

    def runs(self, samples, summary):
        """List of (name, list of what is fetched): every run of the session in a step, an evaluation and a diagnostic report.

        Args:
          samples, summary: see ``ShapeStep.update_fetches``.
        """
        runs = []
        for shape_step in self.shape_steps:
            name = "training, %s frames" % shape_step.batch.features.shape.as_list()[1]
            runs.append((name, list(shape_step.update_fetches(samples, summary).values())))
            if shape_step.backstitch is not None:
                runs.append((name + ", backstitch", tf.nest.flatten(shape_step.backstitch.update_fetches(samples, summary))))
            if shape_step.accumulate is not None:
                runs.append((name + ", accumulation", list(shape_step.accumulate_fetches().values())))
        for others in (self.evaluation, *self.task_evaluations.values(), self.diagnostics):
            runs += others.runs() if others is not None else []
        return runs

    @staticmethod
    def without_shape_scope(serialized_summary):
        """A ``tf.Summary`` whose tags are the same for batches of every shape."""
        summary = tf.Summary.FromString(serialized_summary)
        for value in summary.value:
            value.tag = re.sub("^(%s)?(%s/)?" % (shape_scope(r"\d+/"), BACKSTITCH_SCOPE), "", value.tag)
        return summary

    def sample(self, values):
        """The first utterance with a transcript in a fetched batch (``sample_fetches``) as (reference, prediction).

        None: with tasks, no row has a transcript of the main one.
        """
        vocabulary = self.data_layer.vocabulary
        if self.data_layer.task_outputs and not np.any(values["label_lengths"] > 0):
            return None
        # with several data sets, rows of the others have no labels
        row = int(np.argmax(values["label_lengths"] > 0))
        labels = values["labels"][row][:values["label_lengths"][row]]
        prediction = GreedyDecoder(vocabulary).decode_best_path(values["best_path"][row:row + 1],
                                                                values["logit_lengths"][row:row + 1])[0]
        return vocabulary.decode(labels), prediction


def shape_scope(frames):
    """Name scope of the operations for batches of ``frames`` frames, e.g. "bucket_1680"."""
    return "bucket_%s" % frames
