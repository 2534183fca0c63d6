"""Loads a trained model from a run's folder: from the resolved config and a checkpoint, without executing the config.

A config is Python and runs with the user's rights, so a config found in a folder is never executed. The resolved config is JSON.
Of the classes and functions that it names, this module knows the project's own and TensorFlow's activations; a network with
others needs its config.
"""
import os

from open_seq2seq.checkpoints.description import labels_of_task, resolved_config_of
from open_seq2seq.checkpoints.manifest import is_damaged_manifest, manifest_path
from open_seq2seq.checkpoints.run_directory import RunDirectory
from open_seq2seq.config.parameters import Report, check_parameters
from open_seq2seq.data.speech2text.feature_graph import FeatureGraph
from open_seq2seq.data.speech2text.stored_features import TEACHER
from open_seq2seq.decoders import FullyConnectedCTCDecoder
from open_seq2seq.encoders import TDNNEncoder
from open_seq2seq.errors import CheckpointError, DataError, UsageError
from open_seq2seq.experiment.names import names_of
from open_seq2seq.experiment.saving import plain
from open_seq2seq.export.description import FEATURE_PARAMETERS, check_feature_params
from open_seq2seq.export.freeze.trained_model import TrainedModel
from open_seq2seq.models import Speech2Text
from open_seq2seq.models.task_params import config_of_task
from open_seq2seq.text import steps
from open_seq2seq.text.vocabulary import Vocabulary

_REMEDY = "Give the config that the model was trained with: run.py --config_file=FILE --mode=export --logdir=%s exports it"
# initializers and regularizers do not matter once the weights are trained
_TRAINING_ONLY = ("initializer", "initializer_params", "regularizer", "regularizer_params")


def trained_model_from_run(folder, best=False):
    """The ``TrainedModel`` of a run's newest checkpoint; arguments and errors are those of :func:`with_model_of_run`."""
    return with_model_of_run(folder, lambda trained: trained, best)


def with_model_of_run(folder, use, best=False, task=None):
    """What ``use`` returns for the model of a run's newest checkpoint.

    If a training deletes the checkpoint meanwhile, ``use`` is called again with the newest one.

    Args:
      folder: the run's ``logdir``, with or without ``--enable_logs``, or a copy of it, or a checkpoint in it (the path without
        extension, or its .index).
      use: function of a ``TrainedModel``.
      best: take the best checkpoint instead of the newest.
      task: name of one of several tasks with transcripts; None: the main task.

    Raises:
      UsageError: there is no such task, or it has no transcripts.
      CheckpointError: there is no checkpoint or no resolved config, or the network has unknown parts; and what ``use`` raises.
    """
    # a shell completes to the name with the extension
    if folder.endswith(".index") and os.path.isfile(folder):
        folder = folder[:-len(".index")]
    if os.path.isfile(folder + ".index"):
        return use(_trained_model(folder, os.path.dirname(folder) or ".", task))
    if not os.path.isdir(folder):
        raise CheckpointError("there is no run folder %s; expected the logdir of a training, or NAME.pb or NAME.onnx" % folder)
    return RunDirectory(folder).read_checkpoint(lambda checkpoint: use(_trained_model(checkpoint, folder, task)), best)


def _trained_model(checkpoint, folder, task=None):
    """The ``TrainedModel`` of a checkpoint (path without extension) in a run's folder."""
    path = folder
    try:
        found = resolved_config_of(checkpoint)
        if found is None:
            damaged = "%s is damaged or was changed, and " % manifest_path(checkpoint) if is_damaged_manifest(checkpoint) else ""
            raise CheckpointError("%s%s has no resolved_config_DATE.json, which describes the network of its checkpoints" % (
                damaged, folder))
        resolved, path = found
        sections = resolved["params"]
        name = next(name for name in ("eval", "infer", "train") if name in sections)
        section, base_model = sections[name], resolved["base_model"]
    except OSError as error:
        raise CheckpointError("cannot read %s: %s" % (error.filename, error.strerror))
    except CheckpointError as error:
        raise CheckpointError("%s. %s" % (error, _REMEDY % folder))
    except (ValueError, KeyError, TypeError, StopIteration) as error:
        raise CheckpointError("%s is not the resolved config of a run (%s: %s). " % (path, type(error).__name__, error)
                              + _REMEDY % folder)
    section = _section_of_task(section, task, path, folder)
    params = _params(base_model, section, path, folder)
    sha256 = resolved.get("sha256")
    characters = labels_of_task(checkpoint, section["selected_task"]) if section.get("selected_task") else None
    return TrainedModel(Speech2Text, params, characters or _vocabulary(resolved, section, path, folder), checkpoint,
                        sha256 if isinstance(sha256, str) else None)


def _section_of_task(section, task, path, folder):
    """The params of a resolved config reduced to one task."""
    if not isinstance(section, dict) or not section.get("tasks") and task is None:
        return section
    try:
        # the class knows the blocks of its params; the name of the class is checked later
        found = dict(config_of_task(dict(section, encoder=TDNNEncoder), task), encoder=section.get("encoder"))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError("%s has tasks that cannot be read (%s: %s). " % (path, type(error).__name__, error)
                              + _REMEDY % folder)
    if found["tasks"]:
        raise UsageError("--task=%s has no transcripts; --mode=infer --task=%s writes its classes" % (task, task))
    return found


def _params(base_model, section, path, folder):
    """The checked params of the network and its features."""
    report = Report()
    known = {"base_model": Speech2Text, "encoder": TDNNEncoder, "decoder": FullyConnectedCTCDecoder}
    if not isinstance(section, dict):
        raise CheckpointError("%s has no params. " % path + _REMEDY % folder)
    for key, name in (("base_model", base_model), ("encoder", section.get("encoder")), ("decoder", section.get("decoder"))):
        if name != plain(known[key]):
            report.problem(key, "is %s, expected %s" % (name, plain(known[key])))
    encoder = _network_params(section.get("encoder_params"), report, "encoder_params")
    encoder["activation_fn"] = _activation(encoder.get("activation_fn"), report)
    decoder = _network_params(section.get("decoder_params"), report, "decoder_params")
    data = section.get("data_layer_params")
    if not isinstance(data, dict):
        report.problem("data_layer_params", "is %r, expected a dict" % (data,))
        data = {}
    stored = data.get("stored_features")
    if stored is not None and not (isinstance(stored, dict) and stored.get("use") == TEACHER):
        report.problem('data_layer_params["stored_features"]', "is given: the model takes features that another model computes, "
                       "not only those of audio")
    text = check_parameters(steps.parameters(loads_languages=False), steps.chosen(data), "data_layer_params", report)
    data = {name: data[name] for name in FEATURE_PARAMETERS if name in data}
    check_feature_params(data, "data_layer_params", report)
    params = {
        "encoder": TDNNEncoder, "encoder_params": check_parameters(TDNNEncoder.PARAMETERS, encoder, "encoder_params", report),
        "decoder": FullyConnectedCTCDecoder,
        "decoder_params": check_parameters(FullyConnectedCTCDecoder.PARAMETERS, decoder, "decoder_params", report),
        "loss": None, "loss_params": {}, "initializer": None, "initializer_params": {}, "regularizer": None,
        "regularizer_params": {}, "evaluate_ema": section.get("evaluate_ema") is not False,
        "decoder_scope": section.get("decoder_scope"), "selected_task": section.get("selected_task"),
        "data_layer_params": dict(check_parameters(FeatureGraph.PARAMETERS, data, "data_layer_params", report), **text),
    }
    if not report.problems:
        TDNNEncoder.check_rules(params["encoder_params"], "encoder_params", report)
    if report.problems:
        raise CheckpointError("%s describes a network that cannot be built without the config:\n  %s\n%s" % (
            path, "\n  ".join(report.problems), _REMEDY % folder))
    return params


def _network_params(params, report, key):
    if not isinstance(params, dict):
        report.problem(key, "is %r, expected a dict" % (params,))
        return {}
    return {name: value for name, value in params.items() if name not in _TRAINING_ONLY}


def _activation(name, report):
    """The activation function with the dotted name that a resolved config has."""
    if name is None:
        return None
    functions = names_of("activation_fn")
    for short, function in functions.items():
        # the function's module differs between versions of TensorFlow
        if name == plain(function) or isinstance(name, str) and name.startswith("tensorflow.") and name.endswith("." + short):
            return function
    report.problem('encoder_params["activation_fn"]', "is %s, expected one of TensorFlow's: %s" % (
        name, ", ".join(sorted(functions))))
    return None


def _vocabulary(resolved, section, path, folder):
    """The characters that the resolved config lists, or else those of the vocabulary file that it names."""
    characters = resolved.get("vocabulary")
    if isinstance(characters, list) and characters and all(isinstance(one, str) for one in characters):
        return tuple(characters)
    vocab_file = section["data_layer_params"].get("vocab_file")
    try:
        if not isinstance(vocab_file, str):
            raise DataError("data_layer_params[\"vocab_file\"] is %r" % (vocab_file,))
        return Vocabulary.from_file(vocab_file).characters
    except DataError as error:
        raise CheckpointError("%s does not list the vocabulary, and: %s. " % (path, error) + _REMEDY % folder)
