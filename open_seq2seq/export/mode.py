"""``--mode=export``: exports a checkpoint of a config's run."""
import math
import os
import time

from open_seq2seq.checkpoints.description import note_on_features, require_trained_width, require_vocabulary
from open_seq2seq.checkpoints.run_directory import RunDirectory
from open_seq2seq.errors import ConfigError, UsageError
from open_seq2seq.evaluation.record import model_fingerprint, recorded_word_error_rate
from open_seq2seq.export.description import WordErrorRate
from open_seq2seq.export.export_folder import export_model
from open_seq2seq.export.formats import QUANTIZED
from open_seq2seq.export.freeze.frozen_graph import ExportOptions
from open_seq2seq.export.freeze.trained_model import TrainedModel
from open_seq2seq.log_lines import log_line
from open_seq2seq.text.vocabulary import Vocabulary


def run_export(experiment, arguments):
    """Exports the newest (or best) checkpoint of the config's logdir.

    Args:
      experiment: an ``Experiment`` loaded for "export".
      arguments: the command line's flags.

    Returns:
      The ``ExportDescription``.

    Raises:
      JasperError: the model cannot be exported or written.
    """
    import tensorflow.compat.v1 as tf
    # warnings advise to rewrite the code for TensorFlow 2
    tf.logging.set_verbosity(tf.logging.ERROR)
    directory, options = RunDirectory.of(experiment.params["export"], arguments.enable_logs), options_of(arguments)
    return directory.read_checkpoint(
        lambda checkpoint: export_and_report(trained_model_of_config(experiment, directory, checkpoint), options,
                                             arguments.export_dir, arguments.format),
        experiment.params["export"]["restore_best_checkpoint"])


def trained_model_of_config(experiment, directory, checkpoint=None):
    """The ``TrainedModel`` of a config.

    Args:
      experiment: an ``Experiment`` loaded for "export"; its notes are printed.
      directory: the ``RunDirectory`` of its run.
      checkpoint: path without extension; None: the newest (or best) in the directory.

    Raises:
      ConfigError: the config names no vocabulary.
      DataError: the vocabulary cannot be read.
      CheckpointError: there is no checkpoint, or it was trained with another vocabulary.
    """
    params = experiment.params["export"]
    for note in experiment.notes:
        log_line("Note: " + note)
    vocab_file = params["data_layer_params"].get("vocab_file")
    if vocab_file is None:
        raise ConfigError('%s: base_params["data_layer_params"]["vocab_file"] is missing; the model is exported with its '
                          "vocabulary" % experiment.path)
    checkpoint = checkpoint or directory.require_checkpoint(params["restore_best_checkpoint"])
    require_trained_width(params, checkpoint)
    vocabulary = Vocabulary.from_file(vocab_file)
    characters = tuple(vocabulary.characters)
    require_vocabulary(checkpoint, characters, vocabulary.sha256,
                       params["selected_task"] if params.get("decoder_scope") else None)
    note_on_features(params, checkpoint)
    return TrainedModel(experiment.base_model, params, characters, checkpoint, experiment.sha256)


def options_of(arguments):
    """The ``ExportOptions`` of the flags; defaults depend on whether the number of frames is dynamic."""
    dynamic = arguments.frames is None
    # under onnxruntime, fast convolutions save only a tenth of the time, with more than twice the weights
    fast = arguments.convolutions == "fast" or (
        arguments.convolutions is None and dynamic and not arguments.fp16 and not arguments.no_fold
        and "onnx" not in arguments.format)
    if arguments.with_features and "onnx" in arguments.format:
        raise UsageError("--with_features is for pb and saved_model; omit it, or remove onnx from --format")
    batch_size = arguments.batch_size
    if batch_size is None and not dynamic and (arguments.with_features or arguments.no_fold):
        # these graphs depend on the batch: one of any size has loops, or operations that compute shapes
        batch_size = 1
    return ExportOptions(batch_size, arguments.frames, arguments.with_features, arguments.fp16, not arguments.no_fold, fast)


def export_and_report(trained, options, directory, formats):
    """Exports a model, prints the files and tensors, and returns the ``ExportDescription``."""
    begin = time.time()
    log_line("Exporting %s" % trained.checkpoint)
    wer = _recorded_wer(trained, options)
    description, written = export_model(trained, options, directory, formats, wer)
    for path in written:
        log_line("Wrote %s%s" % (path, "" if os.path.isdir(path) else ", %.1f MB" % (os.path.getsize(path) / 1e6)))
    quantized = os.path.splitext(written[0])[0] + QUANTIZED + ".onnx"
    if os.path.exists(quantized):
        log_line("Note: %s is from an earlier export; run scripts/quantize_onnx.py again" % quantized)
    for kind, tensors in (("Input", description.inputs), ("Output", description.outputs)):
        for tensor in tensors:
            log_line("%s %s %s [%s]" % (kind, tensor.name, tensor.dtype, ", ".join(str(size or "?") for size in tensor.shape)))
    if description.depends_on_padding and description.frames is not None:
        log_line("Note: this network does not mask the padding, so the logits of an utterance shorter than %d frames differ from "
                 "those of evaluation; --frames=dynamic pads like evaluation" % description.frames)
    if description.wer is not None:
        log_line("WER %.4f on %s, measured by evaluation" % description.wer)
    log_line("Finished export in %.1f s" % (time.time() - begin))
    return description


def _recorded_wer(trained, options):
    """The ``WordErrorRate`` that an evaluation of the same model recorded, or None."""
    if options.half_precision:
        if recorded_word_error_rate(trained.checkpoint) is not None:
            log_line("Note: evaluation computes in float32; the WER of this model in float16 is not known and not written. "
                     "scripts/offline_inference.py measures it")
        return None
    recorded = recorded_word_error_rate(trained.checkpoint, model_fingerprint(trained.params, trained.vocabulary))
    # what is recorded for other fingerprints may be of another task
    if recorded is None and not trained.params.get("selected_task") and recorded_word_error_rate(trained.checkpoint) is not None:
        log_line("Note: %s was evaluated with other features, network parameters or evaluate_ema than this export has; its WER "
                 "is not written" % trained.checkpoint)
    # infinite where the references have no words
    return WordErrorRate(*recorded) if recorded is not None and math.isfinite(recorded[0]) else None
