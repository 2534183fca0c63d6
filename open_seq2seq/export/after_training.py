"""``--export_dir`` in training: checks before the training whether its model can be exported, exports the best one at the end."""
import os
import tempfile

from open_seq2seq.checkpoints.files import latest_checkpoint
from open_seq2seq.errors import ConfigError, JasperError, StorageError, UsageError
from open_seq2seq.export.freeze.frozen_graph import check_options
from open_seq2seq.export.freeze.trained_model import TrainedModel
from open_seq2seq.export.mode import export_and_report, options_of, trained_model_of_config
from open_seq2seq.text.vocabulary import Vocabulary


def check_before_training(experiment, arguments):
    """Checks an export as far as possible without a trained model.

    Args:
      experiment: an ``Experiment`` with params of "export".
      arguments: the command line's flags.

    Raises:
      JasperError: see ``--mode=export``: the network or the flags cannot be exported, the vocabulary or the folder is wrong.
    """
    params = experiment.params["export"]
    vocab_file = params["data_layer_params"].get("vocab_file")
    if vocab_file is None:
        raise ConfigError('%s: base_params["data_layer_params"]["vocab_file"] is missing; the exported model contains its '
                          "vocabulary" % experiment.path)
    characters = tuple(Vocabulary.from_file(vocab_file).characters)
    check_options(TrainedModel(experiment.base_model, params, characters, None, experiment.sha256), options_of(arguments))
    if os.path.exists(arguments.export_dir) and not os.path.isdir(arguments.export_dir):
        raise UsageError('--export_dir "%s" is a file; expected a folder, which may be missing' % arguments.export_dir)


def check_folder(path):
    """Makes sure that the model's folder can be created and written, without leaving files. For the rank that exports.

    Raises:
      StorageError: it cannot be written.
    """
    existing = os.path.abspath(path)
    while not os.path.exists(existing):
        existing = os.path.dirname(existing)
    try:
        with tempfile.TemporaryDirectory(dir=existing):
            pass
    except OSError as error:
        raise StorageError('--export_dir "%s" cannot be written: %s: %s. Choose another, or fix its permissions' % (
            path, existing, error.strerror))


def export_best(experiment, arguments, directory):
    """Exports the best model of a finished training, or the last one of a training without evaluations.

    Args:
      experiment, arguments: see :func:`check_before_training`.
      directory: the training's ``RunDirectory``.

    Returns:
      The ``ExportDescription``.

    Raises:
      JasperError: it cannot be written.
    """
    try:
        # not a checkpoint of load_checkpoint_dir, nor the best one of an earlier run
        best = latest_checkpoint(directory.checkpoints, best=True) if "eval" in experiment.params else None
        checkpoint = best or latest_checkpoint(directory.checkpoints) or directory.require_checkpoint()
        # the training has already printed the notes
        trained = trained_model_of_config(experiment._replace(notes=[]), directory, checkpoint)
        return export_and_report(trained, options_of(arguments), arguments.export_dir, arguments.format)
    except JasperError as error:
        raise type(error)("the training is finished and saved, but its export failed: %s. When this is fixed, --mode=export "
                          "%s--export_dir=%s exports it" % (error, "--restore_best_checkpoint=True " if "eval" in
                                                          experiment.params else "", arguments.export_dir))
