"""Several tasks on one encoder: a decoder and a loss for each, and the weighted sum of the losses.

A batch has targets of every task, with weight 0 in rows that do not belong to it. So every step of every rank runs the same
operations, whichever tasks its rows belong to.
"""
import collections
import contextlib

import tensorflow.compat.v1 as tf

from open_seq2seq.data.speech2text.frame_targets import FrameGeometry
from open_seq2seq.data.tasks import FEATURES, TRANSCRIPT
from open_seq2seq.decoders.gradient_scaling import reversed_gradient, scaled_gradient, strength
from open_seq2seq.encoders.interface import EncoderOutput
from open_seq2seq.losses.ctc_loss import LossOutput, weighted_mean
from open_seq2seq.models.parts import accepted, with_defaults_of
from open_seq2seq.models.task_params import UNCERTAINTY, decoder_scope, main_task
from open_seq2seq.optimizers.parallel_schedule import schedule_step

TaskOutput = collections.namedtuple("TaskOutput", "name kind logits logit_lengths prediction loss targets weight term")
TaskOutput.__doc__ = """The output of a task.

name, kind: of the task, str. logits, logit_lengths: those of its decoder.
prediction: int32 [B, T'], the most probable output of every frame; kind "label": int32 [B], the most probable class; kind
  "features": None, the logits are the prediction.
loss: LossOutput, None in infer mode; its loss is the mean over the rows of the batch of weight * loss.
targets: TaskTargets, None in infer mode.
weight: float32 scalar, the factor of the loss in the sum. term: float32 scalar, what the task adds to the sum: weight * loss, and
  for a learned weight its penalty. None in infer mode.
"""


MultiTaskLoss = collections.namedtuple("MultiTaskLoss", LossOutput._fields + ("task_sums",))
MultiTaskLoss.__doc__ = """The loss of a model with tasks.

loss: float32 scalar, the sum of the tasks' terms. per_utterance: float32 [B], of the main task. counted: bool [B], False in rows
where a task has no finite loss.
task_sums: float32 [tasks, 3]: the sum of the losses of the task's rows, the number of these rows, the weight of the task.
"""


def output_sizes(data_layer):
    """What a model takes as ``vocabulary_size``: dict name -> size of the output for a data layer with tasks, else an int."""
    return dict(getattr(data_layer, "task_outputs", None) or {}) or data_layer.vocabulary.size


class TaskHeads:
    """The decoders and losses of all tasks.

    Args:
      params: checked dict of the model's params, with tasks.
      mode: "train", "eval" or "infer".
      sizes: dict from names of tasks to numbers of classes, of labels without the blank, or of values of a frame of features.
      execution: an :class:`~open_seq2seq.encoders.interface.Execution`.

    Raises:
      ConfigError: params that a part does not accept.
    """

    def __init__(self, params, mode, sizes, execution):
        self._heads = [_TaskHead(params, name, mode, sizes[name], execution) for name in params["tasks"]]
        names = list(params["tasks"])
        # where an evaluation builds one task only, the main one may be another
        self._main = names.index(main_task(params)) if main_task(params) in names else 0

    def __call__(self, encoder_output, batch):
        """Connects all tasks to the encoder, in the variable scope of the model.

        Args:
          encoder_output: EncoderOutput, with ``layers`` if a task takes one.
          batch: Batch with ``targets`` of the tasks in their order; mode infer does not use them.

        Returns:
          (TaskOutput of the main task, list of TaskOutput of all tasks).
        """
        targets = [None] * len(self._heads) if not self._heads[0].has_loss else batch.targets
        outputs = [head(encoder_output, own) for head, own in zip(self._heads, targets)]
        return outputs[self._main], outputs


class _TaskHead:
    """One task. ``has_loss``: whether the mode has losses."""

    def __init__(self, params, name, mode, size, execution):
        task = params["tasks"][name]
        decoder, loss = task["decoder"], task["loss"]
        self._name, self._kind, self._layer = name, task["data"]["kind"], task["layer"]
        self._scope = decoder_scope(params, name)
        encoder, encoder_params = params["encoder"], params["encoder_params"]
        if self._layer is not None:
            encoder_params = encoder.params_up_to(encoder_params, self._layer)
        geometry = {}
        if self._kind == FEATURES:
            geometry = accepted(decoder, geometry=FrameGeometry(
                lambda frames: encoder.output_frames(encoder_params, frames), 1.0))
        self._decoder = decoder(with_defaults_of(params, task["decoder_params"]), size, mode, **geometry)
        self.has_loss = mode != "infer"
        if self.has_loss:
            self._loss = loss(task["loss_params"], **accepted(loss, host_scope=execution.host_scope,
                                                      data_params=params["data_layer_params"]))
        self._weight = task["weight"] if mode == "train" else 1.0
        self._gradient = _GradientIntoEncoder(task, params["max_steps"]) if mode == "train" else None
        self._max_steps = params["max_steps"]

    def __call__(self, encoder_output, targets):
        """The TaskOutput."""
        if self._layer is not None:
            encoder_output = EncoderOutput(*encoder_output.layers[self._layer])
        if self._gradient is not None:
            encoder_output = encoder_output._replace(outputs=self._gradient(encoder_output.outputs))
        with tf.variable_scope(self._scope) if self._scope else contextlib.nullcontext():
            decoder_output = self._decoder(encoder_output)
            logits, lengths = decoder_output.logits, decoder_output.logit_lengths
            prediction = None
            if self._kind != FEATURES:
                prediction = tf.argmax(logits, 2 if self._kind == TRANSCRIPT else 1, output_type=tf.int32, name="prediction")
            loss = weight = term = None
            if self.has_loss:
                loss = self._loss(logits, lengths, targets.labels, targets.label_lengths, weights=targets.weights)
                weight, term = self._weighted(loss.loss, targets)
        return TaskOutput(self._name, self._kind, logits, lengths, prediction, loss, targets, weight, term)

    def _weighted(self, loss, targets):
        """(weight, term), float32 scalars."""
        if self._weight == UNCERTAINTY:
            return self._of_uncertainty(loss, targets)
        weight = scheduled(self._weight, self._max_steps)
        return weight, loss if self._weight == 1.0 else weight * loss

    def _of_uncertainty(self, loss, targets):
        """Homoscedastic uncertainty (arXiv:1705.07115, eq. 10): loss / (2 s^2) + ln s for regression, else loss / s^2 + ln s."""
        # the parameter is ln(s^2), as in section 3.2, which any real number is valid for
        log_variance = tf.get_variable("log_variance", [], initializer=tf.zeros_initializer())
        precision = tf.exp(-log_variance) * (0.5 if self._kind == FEATURES else 1.0)
        # the loss is a mean over all rows of the batch, so the penalty counts for the share of the rows that are the task's; a
        # batch without any of them has no influence on the uncertainty
        return precision, precision * loss + 0.5 * log_variance * tf.reduce_mean(targets.weights)


def scheduled(value, max_steps):
    """float32 scalar: a number, or the value of a checked schedule (``models/task_params.py``) at the step of the training."""
    if not isinstance(value, dict):
        return tf.constant(value, tf.float32)
    step = schedule_step()
    if step is None:
        return tf.constant(value["end"], tf.float32)
    first, last = value["first_step"], value["last_step"] or max_steps
    progress = tf.clip_by_value((tf.cast(step, tf.float32) - first) / float(max(last - first, 1)), 0.0, 1.0)
    return value["start"] + (value["end"] - value["start"]) * progress


def summed(main, tasks):
    """The MultiTaskLoss of a model; None without losses.

    Args:
      main: TaskOutput of the main task.
      tasks: list of TaskOutput.
    """
    if main.loss is None:
        return None
    with tf.name_scope("sum_of_tasks"):
        counted = [tf.logical_or(task.loss.counted, tf.equal(task.targets.weights, 0.0)) for task in tasks]
        sums = []
        for task in tasks:
            rows = tf.cast(task.loss.counted, tf.float32) * tf.cast(task.targets.weights > 0.0, tf.float32)
            total = weighted_mean(task.loss.per_utterance, rows) * tf.cast(tf.size(rows), tf.float32)
            sums.append(tf.stack([total, tf.reduce_sum(rows), task.weight]))
        return MultiTaskLoss(tf.add_n([task.term for task in tasks]), main.loss.per_utterance,
                             tf.reduce_all(tf.stack(counted), 0), tf.stack(sums))


class _GradientIntoEncoder:
    """Scales or reverses the gradient of a task where it enters the encoder."""

    def __init__(self, task, max_steps):
        self._scale, adversarial = task["encoder_gradient_scale"], task["adversarial"]
        self._reversal = None
        if adversarial:
            own = adversarial if isinstance(adversarial, dict) else {"strength": 1.0, "steps": None}
            self._reversal = own["strength"], own["steps"] or max_steps

    def __call__(self, outputs):
        if self._scale == 1.0 and self._reversal is None:
            return outputs
        outputs = tf.cast(outputs, tf.float32)
        if self._reversal is None:
            return scaled_gradient(outputs, self._scale)
        final, steps = self._reversal
        step = schedule_step()
        factor = 1.0 if step is None else strength(step, steps)
        return reversed_gradient(outputs, factor * final * self._scale)
