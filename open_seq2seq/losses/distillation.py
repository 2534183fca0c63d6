"""Soft targets: the outputs of a trained model, the teacher, as targets of each frame (Hinton et al., arXiv:1503.02531)."""
import tensorflow.compat.v1 as tf

from open_seq2seq.config.parameters import Bool, FilePath, Float, Parameter, child_path
from open_seq2seq.data.speech2text.stored_features import ALONE
from open_seq2seq.encoders.shapes import check_tensor, dimension
from open_seq2seq.losses.ctc_loss import weighted_mean

PARAMETERS = (
    Parameter("model", FilePath(), default=None,
              doc="the teacher: a run's logdir, one of its checkpoints, or an exported NAME.pb; its outputs are computed in each "
                  "step"),
    Parameter("logits", FilePath(), default=None,
              doc="instead of model: the folder of the teacher's outputs for the training data, which --mode=features "
                  "--layer=logits wrote"),
    Parameter("best", Bool(), default=False, doc="of a logdir, take the best checkpoint, not the latest"),
    Parameter("temperature", Float(minimum=0.1, maximum=100.0), default=1.0,
              doc="the logits of both models are divided by it"),
    Parameter("weight", Float(minimum=0.0, maximum=1.0), default=0.5,
              doc="share of the teacher's loss; that of the transcripts has the rest"),
)


def check_rules(model_params, path, report):
    """Reports invalid combinations of ``teacher_params`` and other keys.

    Args:
      model_params: checked params of mode "train".
      path: names ``teacher_params`` in messages.
      report: receives the problems.
    """
    params = model_params["teacher_params"]
    if (params["model"] is None) == (params["logits"] is None):
        report.problem(child_path(path, "model"), "and logits are both %s; give one of them: model is a run's logdir, a "
                       "checkpoint or NAME.pb, logits a folder that --mode=features --layer=logits wrote" % (
                           "missing" if params["model"] is None else "given"))
    data = model_params.get("data_layer_params")
    stored = data.get("stored_features") if isinstance(data, dict) else None
    if isinstance(stored, dict) and (params["logits"] is not None or stored.get("use") == ALONE):
        report.problem(path, "and stored_features of data_layer_params are both given; %s" % (
            "compute the teacher's outputs with model instead of reading logits" if params["logits"] is not None else
            'a teacher gets features of the audio, so "use" has to be "append"'))
    if params["weight"] == 0.0:
        report.note(child_path(path, "weight"), "is 0, so the teacher has no effect")


def soft_target_losses(logits, teacher_logits, lengths, temperature):
    """The Kullback-Leibler divergence of the student's outputs from the teacher's, summed over the valid frames.

    It is multiplied by the square of the temperature, so that the size of its gradient does not depend on it.

    Args:
      logits: float32 or float16 [B, T, C], of the student.
      teacher_logits: float32 [B, T, C]; no gradient flows into them.
      lengths: int32 or int64 [B], valid frames.
      temperature: float above 0.

    Returns:
      float32 [B], nats. 0, without a gradient, for an utterance with a logit that is not finite.

    Raises:
      IncompatibleShapeError, IncompatibleDtypeError: an input is not as described.
    """
    check_tensor(logits, "soft targets: logits", 3, (tf.float32, tf.float16), known_last_dimension=True)
    check_tensor(teacher_logits, "soft targets: teacher_logits", 3, (tf.float32,))
    check_tensor(lengths, "soft targets: lengths", 1, (tf.int32, tf.int64))
    with tf.name_scope("soft_targets"):
        logits, teacher_logits = tf.cast(logits, tf.float32), tf.stop_gradient(teacher_logits)
        within = tf.sequence_mask(lengths, dimension(logits, 1))
        finite = tf.reduce_all(tf.is_finite(logits + teacher_logits), 2)
        usable = tf.reduce_all(tf.logical_or(finite, tf.logical_not(within)), 1)
        frames = tf.logical_and(within, usable[:, tf.newaxis])
        mask = tf.tile(frames[:, :, tf.newaxis], [1, 1, logits.shape.as_list()[-1]])
        # not only on the result: the gradient of an input that is NaN is NaN even if the result is not used
        student, teacher = (tf.nn.log_softmax(tf.where(mask, values, tf.zeros_like(logits)) / temperature)
                            for values in (logits, teacher_logits))
        divergences = tf.reduce_sum(tf.exp(teacher) * (teacher - student), 2)
        return temperature ** 2 * tf.reduce_sum(tf.where(frames, divergences, tf.zeros_like(divergences)), 1)


def mixed_losses(losses, counted, soft_losses, weight):
    """float32 [B]: (1 - weight) * loss + weight * soft loss; the loss alone for utterances that are not counted.

    Args:
      losses: float32 [B], of the transcripts.
      counted: bool [B], whether an utterance has a finite loss.
      soft_losses: float32 [B].
      weight: float from 0 to 1.
    """
    # an infinite loss times a weight of 0 would be NaN
    finite = tf.where(counted, losses, tf.zeros_like(losses))
    return tf.where(counted, (1.0 - weight) * finite + weight * soft_losses, losses)


def mixed_loss(loss, soft_losses, weight, rows=None, factor=None):
    """A LossOutput (or a namedtuple with its fields) with the teacher's loss mixed in.

    Args:
      loss: the LossOutput of the transcripts.
      soft_losses: float32 [B].
      weight: float from 0 to 1.
      rows: float32 [B], weights of the rows; None: all are 1.
      factor: float32 scalar, for a loss that is the sum of several tasks': the weight of the task that the teacher has; the loss
        per utterance is that of this task. None: there is one task.

    Returns:
      A LossOutput of the same type.
    """
    with tf.name_scope("mixed_loss"):
        mixed = mixed_losses(loss.per_utterance, loss.counted, soft_losses, weight)
        mean = weighted_mean(mixed, rows)
        if factor is not None:
            mean = loss.loss + factor * (mean - weighted_mean(loss.per_utterance, rows))
        return loss._replace(loss=mean, per_utterance=mixed)
