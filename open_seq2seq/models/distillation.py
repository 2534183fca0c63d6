"""A model that learns from the outputs of a teacher besides the transcripts (docs/distillation.md)."""
import tensorflow.compat.v1 as tf

from open_seq2seq.files import checksum_of
from open_seq2seq.losses.distillation import mixed_loss, soft_target_losses

LOGITS = "logits"   # the layer of --mode=features


def description_of_logits(characters):
    """What stored logits are, str: the ``features`` of a ``FeatureDescription``; other vocabularies have another one.

    Args:
      characters: the vocabulary, in the order of the logits.
    """
    return "layer %s of %d labels, vocabulary %s" % (LOGITS, len(characters), checksum_of(list(characters))[:16])


def taught_by(base_model, teacher, temperature, weight):
    """The model class whose loss in mode "train" contains soft targets. In other modes it is like ``base_model``.

    Args:
      base_model: a class like ``Speech2Text``.
      teacher: a function (features [B, T, F], feature_lengths [B]) -> float32 [B, T', V + 1], logits for the same frames and
        labels as the model's; its method ``features_of_model`` takes the features of a batch and returns those that the model
        gets.
      temperature: float above 0.
      weight: float from 0 to 1, see :func:`~open_seq2seq.losses.distillation.mixed_losses`.

    Returns:
      A class with the name of ``base_model``.
    """
    class Student(base_model):
        def __init__(self, params, mode, *arguments, **options):
            super().__init__(params, mode, *arguments, **options)
            self._is_taught = mode == "train"

        def __call__(self, batch):
            if not self._is_taught:
                return super().__call__(batch)
            output = super().__call__(batch._replace(features=teacher.features_of_model(batch.features)))
            logits = teacher(batch.features, batch.feature_lengths)
            soft = soft_target_losses(output.logits, logits, output.logit_lengths, temperature)
            rows, factor = getattr(batch, "weights", None), None
            if output.tasks:
                main = next(task for task in output.tasks if task.logits is output.logits)
                rows, factor = main.targets.weights, main.weight
            tf.summary.scalar("teacher_loss", tf.reduce_mean(soft))
            return output._replace(loss=mixed_loss(output.loss, soft, weight, rows, factor))

    for name in ("__name__", "__qualname__", "__module__", "__doc__"):
        setattr(Student, name, getattr(base_model, name))
    return Student
