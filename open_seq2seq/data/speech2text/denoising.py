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
      params: checked params of the augmentation; None: no augmentation, as in evaluations.
      sample_freq, seed: as of the Augmentation.
      features: function (waveform [samples], seed [2]) -> float32 [frames, F].
    """

    def __init__(self, params, sample_freq, seed, features):
        self._features, self._augmentation = features, None
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

    @staticmethod
    def appended_to(masks):
        """The same for batches of features of unchanged waveforms.

        Args:
          masks: function (features [B, T, F], lengths [B], seeds [B, 2]) -> features; None: no masks.

        Returns:
          Function of the same arguments -> [B, T, 2 F].
        """
        return lambda features, lengths, seeds: tf.concat(
            [features if masks is None else masks(features, lengths, seeds), features], 2)


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
