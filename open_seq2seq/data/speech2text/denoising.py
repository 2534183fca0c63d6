"""Denoising: the features of clean audio as targets where the augmentation makes the input noisy."""
import tensorflow.compat.v1 as tf

from open_seq2seq.data.speech2text.augmentation import Augmentation, waveform_changes
from open_seq2seq.data.speech2text.waveform_effects import NAMES, with_recipe
from open_seq2seq.data.tasks import FEATURES
from open_seq2seq.errors import ConfigError

# they change what is spoken and when, so input and target need them alike; all other effects are noise
SPOKEN = ("tempo", "pitch", "pauses", "shift")


class CleanFeatures:
    """Features of a waveform with only those changes of the augmentation that are not noise, from the same random numbers.

    Args:
      params: checked params of the augmentation; None: no augmentation.
      sample_freq, seed: as of the Augmentation.
      features: function (waveform [samples], seed [2]) -> float32 [frames, F].
      training: False: every utterance has noise of its own in all evaluations, although their seeds are all the same.
    """

    def __init__(self, params, sample_freq, seed, features, training=True):
        self._features, self._augmentation, self._training = features, None, training
        # the same waveform makes the same features, which are not computed again
        self._is_input = params is None or not waveform_changes(params)
        if not self._is_input:
            self._augmentation = Augmentation(without_noise(params), sample_freq, seed)

    def appended(self, masked, features, waveform, seed):
        """The input features, followed by the clean ones: float32 [frames, 2 F].

        Args:
          masked: float32 [frames, F], the input.
          features: float32 [frames, F], the same before its masks.
          waveform: float32 [samples], before the augmentation.
          seed: int [2].
        """
        clean = features
        if not self._is_input:
            clean = self._features(self._augmentation.waveform(waveform, seed), seed)
        return tf.concat([masked, clean], 1)

    def seed_of(self, seed, waveform):
        """int64 [2], the seed of an utterance: in training ``seed``, in evaluations it also depends on the audio alone.

        Args:
          seed: int64 [2].
          waveform: float32 [samples] between -1 and 1.
        """
        if self._training:
            return seed
        # sums of integers do not depend on their order
        content = tf.reduce_sum(tf.cast(tf.round(waveform * 2.0 ** 15), tf.int64)) + tf.size(waveform, out_type=tf.int64)
        return tf.stack([seed[0], seed[1] + content])

    def appended_to(self, masks):
        """The same for batches of features of unchanged waveforms.

        Args:
          masks: function (features [B, T, F], lengths [B], seeds [B, 2]) -> features; None: no masks.

        Returns:
          Function of the same arguments -> [B, T, 2 F].
        """
        def appended(features, lengths, seeds):
            own = seeds if self._training else seeds + tf.cast(lengths, seeds.dtype)[:, tf.newaxis]
            return tf.concat([features if masks is None else masks(features, lengths, own), features], 2)

        return appended


def applied_augmentation(params, mode, tasks):
    """Checked params of the augmentation that a data layer applies.

    All of it in training, its noise where only denoising is evaluated.

    Args:
      params: checked params of the data layer.
      mode: of the data layer.
      tasks: sequence of TaskData, or None.

    Returns:
      A dict; None: nothing.
    """
    augmentation = params["augmentation"]
    if mode == "train" or augmentation is None:
        return augmentation
    return only_noise(augmentation) if mode == "eval" and tasks and all(task.kind == FEATURES for task in tasks) else None


def only_noise(params):
    """Checked params of an augmentation without what changes the speech or its time: a dict of the same keys."""
    effects = with_recipe(params)
    kept = {name: None if name in SPOKEN else effects[name] for name in NAMES}
    return dict(params, recipe=None, effects_probability=effects["effects_probability"], speed_perturbation_ratio=0.0, **kept)


def without_noise(params):
    """Checked params of an augmentation without its noise and masks: a dict of the same keys."""
    effects = with_recipe(params)
    kept = {name: effects[name] if name in SPOKEN else None for name in NAMES}
    return dict(params, recipe=None, effects_probability=effects["effects_probability"], noise_level_min=None,
                noise_level_max=None, n_freq_mask=0, n_time_mask=0, adaptive_time_masks=0.0, **kept)


def require_noise(tasks, params):
    """Raises ConfigError if a task would learn the features of its own input.

    Args:
      tasks: list of TaskData of a training.
      params: checked params of the augmentation; None: there is none.
    """
    for task in tasks:
        if task.kind == FEATURES and (params is None or waveform_changes(params) == waveform_changes(without_noise(params))
                                      and not (params["n_freq_mask"] + params["n_time_mask"] or params["adaptive_time_masks"])):
            raise ConfigError('task "%s" learns the features of clean audio, but data_layer_params["augmentation"] of the '
                              "training adds nothing to the input that it could remove. Add noise, reverberation or masks, or "
                              "remove the task" % task.name)
