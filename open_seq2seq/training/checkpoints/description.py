"""What a checkpoint's folder says of the run it is of: its resolved config, its vocabulary."""
import glob
import json
import os

from open_seq2seq.errors import CheckpointError
from open_seq2seq.training.checkpoints.files import BEST_MODELS
from open_seq2seq.training.checkpoints.manifest import manifest_path, read_manifest


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
