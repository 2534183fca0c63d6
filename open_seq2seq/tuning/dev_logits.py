"""The logits of the evaluation data, computed once and kept in a file: trials of a search decode them again and again."""
import collections
import glob
import os
import zipfile

import numpy as np

from open_seq2seq.checkpoints.description import require_vocabulary
from open_seq2seq.errors import DataError, StorageError, UsageError
from open_seq2seq.evaluation.record import model_fingerprint
from open_seq2seq.evaluation.restored import restored
from open_seq2seq.experiment.saving import plain
from open_seq2seq.files import checksum_of, replaced_file
from open_seq2seq.log_lines import log_line
from open_seq2seq.progress import ProgressBar
from open_seq2seq.text import steps
from open_seq2seq.text.vocabulary import Vocabulary

DevLogits = collections.namedtuple("DevLogits", "checkpoint key vocabulary names references logits")
DevLogits.__doc__ = """What a search decodes.

checkpoint: path. key: hexadecimal digits that identify checkpoint, model and data. vocabulary: ``Vocabulary``. names: list of
str, manifest and line of each utterance. references: list of str. logits: list of float32 [T', V + 1], of the valid frames."""


def dev_logits(base_model, params, run_directory, arguments, device, group, folder, check):
    """The logits of the evaluation data: from the file of an earlier call, else from the network.

    Args:
      base_model, params, run_directory, arguments, device, group: see :func:`open_seq2seq.evaluation.modes.evaluate`.
      folder: the folder of the file.
      check: function of the vocabulary, called before the network runs.

    Returns:
      :class:`DevLogits`.

    Raises:
      UsageError: the data layer has no vocabulary file. DataError: the data have no transcript with a word.
      CheckpointError: there is no checkpoint, or it has another vocabulary.
    """
    layer_params = params["data_layer_params"]
    if not layer_params.get("vocab_file") or not layer_params.get("dataset_files"):
        raise UsageError("--mode=tune_lm needs a data layer with vocab_file and dataset_files, as Speech2TextDataLayer has")
    vocabulary = Vocabulary.from_file(layer_params["vocab_file"])
    checkpoint, identity = run_directory.read_checkpoint(lambda path: (path, _identity(path)), params["restore_best_checkpoint"])
    require_vocabulary(checkpoint, vocabulary.characters, vocabulary.sha256)
    check(vocabulary)
    files = layer_params["dataset_files"]
    manifests = [files] if isinstance(files, str) else list(files)

    # without the default of a parameter that earlier versions did not have, so their searches can be resumed
    unused = {parameter.name for parameter in steps.parameters()} - set(steps.chosen(layer_params))
    layer = {name: value for name, value in layer_params.items() if name not in unused}

    def key_of(identity):
        return checksum_of({"checkpoint": identity, "model": model_fingerprint(params, vocabulary.characters),
                            "data": [_content(path) for path in manifests], "layer": plain(layer)})[:16]

    key = key_of(identity)
    path = os.path.join(folder, "logits-%s.npz" % key)
    found = _read(path)
    if found is None:
        restored_checkpoint, found = _compute(base_model, params, run_directory, arguments, device, group)
        if restored_checkpoint != checkpoint:
            # a training has saved another one meanwhile
            checkpoint, key = restored_checkpoint, key_of(_identity(restored_checkpoint))
            path = os.path.join(folder, "logits-%s.npz" % key)
        _write(path, *found)
    else:
        log_line("Logits of %s on %d utterances: %s" % (os.path.basename(checkpoint), len(found[0]), path))
    names, references, logits = found
    if not any(reference.split() for reference in references):
        raise DataError("%s: no transcript has a word; --mode=tune_lm needs word error rates" % ", ".join(manifests))
    return DevLogits(checkpoint, key, vocabulary, names, references, logits)


def _identity(checkpoint):
    """What changes if a checkpoint is replaced: name, size and time of its files."""
    stats = [os.stat(path) for path in sorted(glob.glob(glob.escape(checkpoint) + ".*")) if not path.endswith(".json")]
    return [os.path.basename(checkpoint)] + [[stat.st_size, stat.st_mtime_ns] for stat in stats]


def _content(path):
    try:
        with open(path, "rb") as file:
            return [os.path.abspath(path), file.read().decode("latin-1")]
    except OSError as error:
        raise DataError("cannot read the manifest %s: %s" % (path, error.strerror))


def _compute(base_model, params, run_directory, arguments, device, group):
    """(the checkpoint, (names, references, logits) of the network in the order of the manifests)."""
    rows = {}
    with restored(base_model, params, "eval", run_directory, arguments, device, group) as (session, evaluation, checkpoint):
        layer = evaluation.data_layer
        with ProgressBar(layer.batches_per_epoch, description="logits") as bar:
            for done, values in enumerate(evaluation.batches(session, with_logits=True), 1):
                for index, logits, length in zip(values["indices"], values["logits"], values["lengths"]):
                    rows[int(index)] = np.array(logits[:length], np.float32)
                bar.update(done)
        layer.raise_if_too_many_rejected()
    # utterances whose audio could not be read have no logits
    utterances = [layer.utterances[index] for index in sorted(rows)]
    return checkpoint, ([utterance.id for utterance in utterances], [utterance.transcript for utterance in utterances],
                        [rows[index] for index in sorted(rows)])


def _write(path, names, references, logits):
    # one of an earlier checkpoint is of no further use
    for old in glob.glob(os.path.join(glob.escape(os.path.dirname(path)), "logits-*.npz")):
        os.remove(old)
    try:
        with replaced_file(path, "wb") as file:
            np.savez(file, names=np.array(names), references=np.array(references),
                     lengths=np.array([len(rows) for rows in logits]),
                     logits=np.concatenate(logits) if logits else np.zeros([0, 0], np.float32))
    except StorageError as error:
        log_line("Note: the logits are not kept for the next call: %s" % error)


def _read(path):
    """(names, references, logits) of a file; None if there is none or it is damaged."""
    try:
        if not zipfile.is_zipfile(path) and os.path.exists(path):
            # NumPy 1.16 prints a traceback for such a file
            raise ValueError("it is not a complete archive")
        with np.load(path, allow_pickle=False) as file:
            lengths, together = file["lengths"], file["logits"]
            names, references = ([str(text) for text in file[key]] for key in ("names", "references"))
        if lengths.sum() != len(together) or not len(lengths) == len(references) == len(names):
            raise ValueError("its arrays do not match")
        return names, references, np.split(together, np.cumsum(lengths)[:-1])
    except FileNotFoundError:
        return None
    except Exception as error:  # a damaged archive raises many kinds
        log_line("Note: %s is damaged (%s); the logits are computed again" % (path, error))
        return None
