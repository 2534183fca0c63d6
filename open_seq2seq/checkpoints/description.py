"""What a checkpoint's folder says of the run it is of: its resolved config, its vocabulary.

Whether a command gives the ``width_multiplier`` that a checkpoint was trained with.
"""
import glob
import json
import os

from open_seq2seq.checkpoints.files import BEST_MODELS
from open_seq2seq.checkpoints.manifest import manifest_path, read_manifest
from open_seq2seq.errors import CheckpointError, UsageError


def resolved_config_of(checkpoint):
    """The resolved config of the run that a checkpoint is of.

    It is in the manifest. Beside checkpoints without one, the newest ``resolved_config_DATE.json`` of the run's folder is taken.

    Args:
      checkpoint: path without extension.

    Returns:
      (what the file holds, its path); None where there is none.

    Raises:
      OSError: the file cannot be read.
      CheckpointError: it is no JSON.
    """
    manifest = read_manifest(checkpoint)
    if manifest is not None and isinstance(manifest.get("resolved_config"), dict):
        return manifest["resolved_config"], manifest_path(checkpoint)
    path = _resolved_config_beside(os.path.dirname(checkpoint) or ".")
    if path is None:
        return None
    with open(path, encoding="utf-8") as file:
        try:
            return json.load(file), path
        except ValueError as error:
            raise CheckpointError("%s is no resolved config of a run (%s)" % (path, error))


def vocabulary_of(checkpoint):
    """The characters that a checkpoint's run was trained with, a tuple, or None where its folder does not say."""
    manifest = read_manifest(checkpoint)
    characters = manifest.get("vocabulary") if manifest is not None else None
    if characters is None:
        try:
            found = resolved_config_of(checkpoint)
            characters = found[0].get("vocabulary") if found is not None else None
        except (OSError, CheckpointError, AttributeError):
            return None
    return tuple(characters) if isinstance(characters, list) else None


def require_vocabulary(checkpoint, characters):
    """Refuses a checkpoint that was trained with other characters, as far as that is known: its outputs mean other letters.

    Args:
      checkpoint: path without extension.
      characters: of the config, or None where its data layer has none.

    Raises:
      CheckpointError: they differ.
    """
    trained_with = vocabulary_of(checkpoint)
    if characters is not None and trained_with not in (None, tuple(characters)):
        raise CheckpointError("checkpoint %s is of another vocabulary: it was trained with the characters %r, the config has %r. "
                              "Give the vocab_file that it was trained with; a training for other characters begins with "
                              "--load_model=%s" % (checkpoint, "".join(trained_with), "".join(characters), checkpoint))


def _resolved_config_beside(folder):
    """The newest resolved config in a run's folder; where checkpoints lie in ``logs/``, it lies above them."""
    folders = [folder, os.path.join(folder, os.pardir), os.path.join(folder, os.pardir, os.pardir)]
    for candidate in folders if os.path.basename(os.path.abspath(folder)) in ("logs", BEST_MODELS) else folders[:1]:
        found = sorted(glob.glob(os.path.join(glob.escape(candidate), "resolved_config_*.json")))
        if found:
            # the date is part of the name
            return os.path.normpath(found[-1])
    return None


def require_trained_width(params, checkpoint):
    """Refuses a network that is wider or narrower than the checkpoint's because of another ``width_multiplier``.

    Args:
      params: the checked config of a mode.
      checkpoint: path without extension. One that does not say how it was trained is left to the check of shapes.

    Raises:
      UsageError: the multiplier is another, and so are the channels.
    """
    try:
        trained = next(iter(resolved_config_of(checkpoint)[0]["params"].values()))
        multiplier, before = trained["width_multiplier"], _channels(trained)
        now = _channels(params)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, StopIteration):
        return
    if multiplier != params["width_multiplier"] and before != now:
        raise UsageError("checkpoint %s was trained with width_multiplier %g, and this command has %g: the layers have %s "
                         "channels there and %s here. Give --width_multiplier=%g" % (
                             checkpoint, multiplier, params["width_multiplier"], _listed(before), _listed(now), multiplier))


def _channels(params):
    return [layer["num_channels"] for layer in params["encoder_params"]["convnet_layers"]]


def _listed(channels):
    return ", ".join(map(str, channels))
