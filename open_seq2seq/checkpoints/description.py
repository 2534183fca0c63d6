"""How a checkpoint was trained, by its manifest or its folder: resolved config, vocabulary, ``width_multiplier``."""
import glob
import os

from open_seq2seq.checkpoints.files import BEST_MODELS
from open_seq2seq.checkpoints.manifest import manifest_path, read_manifest
from open_seq2seq.checkpoints.subword_model import model_next_to, subword_digest
from open_seq2seq.data.speech2text.features import PARAMETERS as FEATURE_PARAMETERS
from open_seq2seq.data.tasks import data_layer_params_of
from open_seq2seq.errors import CheckpointError, UsageError
from open_seq2seq.files import parsed_json
from open_seq2seq.log_lines import log_line
from open_seq2seq.text import steps
from open_seq2seq.text.vocabulary import has_subwords, shown_labels


def resolved_config_of(checkpoint):
    """The resolved config of the run that wrote a checkpoint.

    It is in the manifest. Without one, it is the newest ``resolved_config_DATE.json`` of the run's folder.

    Args:
      checkpoint: path without extension.

    Returns:
      (the resolved config, a dict; path of the file that contains it); None if there is none.

    Raises:
      OSError: the file cannot be read.
      CheckpointError: it is not a JSON object.
    """
    manifest = read_manifest(checkpoint)
    if manifest is not None and isinstance(manifest.get("resolved_config"), dict):
        return manifest["resolved_config"], manifest_path(checkpoint)
    path = _resolved_config_in_run_folder(os.path.dirname(checkpoint) or ".")
    if path is None:
        return None
    try:
        with open(path, encoding="utf-8") as file:
            config = parsed_json(file.read())
        if not isinstance(config, dict):
            raise ValueError("it contains a %s, expected an object" % type(config).__name__)
        return config, path
    except ValueError as error:
        raise CheckpointError("%s is not the resolved config of a run (%s)" % (path, error))


def vocabulary_of(checkpoint):
    """The characters that a checkpoint was trained with, a tuple, or None if they are not known."""
    manifest = read_manifest(checkpoint)
    characters = manifest.get("vocabulary") if manifest is not None else None
    if characters is None:
        try:
            found = resolved_config_of(checkpoint)
            characters = found[0].get("vocabulary") if found is not None else None
        except (OSError, CheckpointError):
            return None
    known = isinstance(characters, list) and all(isinstance(character, str) for character in characters)
    return tuple(characters) if known else None


TASK_LABELS = "task_labels"


def labels_of_tasks(data_layer):
    """What a manifest says of the tasks of a training: a dict with :data:`TASK_LABELS`, {} without tasks.

    It has for each task the characters of its transcripts or the names of its classes, in a list, or None.
    """
    found = getattr(data_layer, "task_vocabularies", None) or {}
    if not found:
        return {}
    return {TASK_LABELS: {name: None if vocabulary is None else list(
        getattr(vocabulary, "characters", None) or getattr(vocabulary, "names", None) or ()) or None
        for name, vocabulary in found.items()}}


def labels_of_task(checkpoint, task):
    """The characters or classes of a task that a checkpoint was trained with, a tuple; None if they are not known."""
    manifest = read_manifest(checkpoint)
    tasks = manifest.get(TASK_LABELS) if manifest is not None else None
    labels = tasks.get(task) if isinstance(tasks, dict) else None
    return tuple(labels) if isinstance(labels, list) and all(isinstance(label, str) for label in labels) else None


def require_vocabulary(checkpoint, characters, sha256=None, task=None):
    """Refuses a checkpoint that is known to be trained with another vocabulary: its outputs stand for other characters.

    Args:
      checkpoint: path without extension.
      characters: of the config, or None if its data layer has none.
      sha256: of the config's subword model; None without one.
      task: name of the task whose labels these are; None: the main task, or a model without tasks.

    Raises:
      CheckpointError: they differ.
    """
    trained_with = vocabulary_of(checkpoint) if task is None else labels_of_task(checkpoint, task)
    if characters is not None and trained_with not in (None, tuple(characters)):
        raise CheckpointError("checkpoint %s has another vocabulary: it was trained with %s, the config has %s. "
                              "Give the vocab_file that it was trained with; to train for another vocabulary, start with "
                              "--load_model=%s" % (checkpoint, *map(_described, (trained_with, characters)), checkpoint))
    trained_sha256 = subword_digest(checkpoint) if task is None else None
    if sha256 is not None and trained_sha256 not in (None, sha256):
        raise CheckpointError("checkpoint %s has another subword model: the pieces are those of the config's vocab_file, but "
                              "text is divided into other pieces (SHA-256 %s, the config's %s). Give vocab_file=%s, the model of "
                              "its training" % (checkpoint, trained_sha256[:12], sha256[:12],
                                                model_next_to(checkpoint, trained_sha256)))


def _described(labels):
    return ("" if has_subwords(labels) else "the characters ") + shown_labels(labels)


def _resolved_config_in_run_folder(folder):
    """The newest resolved config in a run's folder; if the checkpoints are in ``logs/``, it is one folder above."""
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
      checkpoint: path without extension. If it is not known how it was trained, nothing is checked here; restoring checks shapes.

    Raises:
      UsageError: the multipliers differ, and so do the channels.
    """
    try:
        trained = next(iter(resolved_config_of(checkpoint)[0]["params"].values()))
        multiplier, before = float(trained["width_multiplier"]), _channels(trained)
        now = _channels(params)
    except (OSError, CheckpointError, ValueError, OverflowError, TypeError, KeyError, AttributeError, StopIteration):
        return
    if multiplier != params["width_multiplier"] and before != now:
        raise UsageError("checkpoint %s was trained with width_multiplier %g, and this command has %g: its layers have %s "
                         "channels, those of the config %s. Give --width_multiplier=%g" % (
                             checkpoint, multiplier, params["width_multiplier"], _listed(before), _listed(now), multiplier))


# they change the speed, the noise and the padding, not what a model has learned
_NOT_LEARNED = ("feature_engine", "dither", "pad_to")


def note_on_features(params, checkpoint):
    """Prints a note if a checkpoint is known to be trained with other features or transcripts than those of a config.

    Args:
      params: the checked config of a mode.
      checkpoint: path without extension.
    """
    try:
        of_training = next(iter(resolved_config_of(checkpoint)[0]["params"].values()))
        trained, task = of_training["data_layer_params"], (of_training.get("tasks") or {}).get(params.get("selected_task"))
        if task is not None:
            # a task may have a normalization of its own
            trained = data_layer_params_of(trained, task["data"])
        differing = [(parameter.name, trained.get(parameter.name, parameter.default), params["data_layer_params"][parameter.name])
                     for parameter in FEATURE_PARAMETERS if parameter.ignored is None and parameter.name not in _NOT_LEARNED]
        differing = [(name, before, now) for name, before, now in differing if before != now]
        texts, own_texts = steps.chosen(trained), steps.chosen(params["data_layer_params"])
    except (OSError, CheckpointError, ValueError, TypeError, KeyError, AttributeError, StopIteration):
        # it is not known, or it is a custom data layer
        return
    if differing:
        log_line("Note: checkpoint %s was trained with other features than the config computes, so more words are wrong: %s. "
                 "Compute those of its training with %s" % (
                     checkpoint, ", ".join("%s was %r and is %r" % difference for difference in differing),
                     " ".join("--data_layer_params/%s=%s" % (name, before) for name, before, _ in differing)))
    if texts != own_texts:
        log_line("Note: checkpoint %s was trained with other transcripts than those of the config: data_layer_params had %s, "
                 "now %s" % (checkpoint, steps.described(texts), steps.described(own_texts)))


def _channels(params):
    return [layer["num_channels"] for layer in params["encoder_params"]["convnet_layers"]]


def _listed(channels):
    return ", ".join(map(str, channels))
