"""Writes the files of an export: a frozen graph, its JSON and further formats, each by an atomic write."""
import os
import shutil

from open_seq2seq.checkpoints.subword_model import kept_model
from open_seq2seq.errors import DataError, JasperError, StorageError
from open_seq2seq.export.description import write_description
from open_seq2seq.export.freeze.frozen_graph import check_options, freeze
from open_seq2seq.export.freeze.saved_model import is_exported, require_replaceable, write_saved_model
from open_seq2seq.files import replaced_file, require_writable
from open_seq2seq.log_lines import log_line
from open_seq2seq.text.vocabulary import MODEL, Vocabulary, has_subwords, locate


def export_model(trained, options, directory, formats=("pb",), wer=None):
    """Freezes a model and writes it as ``jasper_infer_PRECISION.pb`` with its JSON, and in further formats.

    Args:
      trained: a ``TrainedModel``.
      options: ``ExportOptions``.
      directory: the output directory, created if it is missing.
      formats: any of "pb", "saved_model" and "onnx"; the pb is always written.
      wer: ``WordErrorRate`` of the checkpoint, or None.

    Returns:
      (``ExportDescription``, list of the paths written).

    Raises:
      JasperError: see ``freeze``.
      StorageError: a file cannot be written.
    """
    check_options(trained, options)
    made = not os.path.isdir(directory)
    try:
        os.makedirs(directory, exist_ok=True)
    except OSError as error:
        raise StorageError("cannot make the directory %s: %s" % (directory, error.strerror))
    try:
        return _written(trained, options, directory, formats, wer)
    except JasperError:
        if made and not os.listdir(directory):
            os.rmdir(directory)
        raise


def _written(trained, options, directory, formats, wer):
    precision = "float16" if options.half_precision else "float32"
    path = os.path.join(directory, "jasper_infer_%s.pb" % precision)
    require_writable(path)
    saved_model, onnx = os.path.join(directory, "saved_model"), path[:-len(".pb")] + ".onnx"
    # checked first, so that no pb is written without the other formats
    if "saved_model" in formats:
        require_replaceable(saved_model)
    if "onnx" in formats:
        from open_seq2seq.export.freeze.onnx_export import export_onnx, require_tf2onnx
        require_tf2onnx()
    _require_none_left({"saved_model": saved_model, "onnx": onnx}, formats)
    graph_def, description = freeze(trained, options)
    with replaced_file(path, "wb") as file:
        # the same bytes for the same model: the order of attributes is arbitrary otherwise
        file.write(graph_def.SerializeToString(deterministic=True))
    subword_model = _subword_model(trained)
    if subword_model is not None:
        # the pieces are in the JSON; the file is for the labels of new transcripts
        kept = path[:-len(".pb")] + MODEL
        with open(subword_model, "rb") as source, replaced_file(kept, "wb") as file:
            shutil.copyfileobj(source, file)
        description = description.with_file(kept)
    description = write_description(description._replace(wer=wer), path)
    written = [path] + ([kept] if subword_model is not None else [])
    if "saved_model" in formats:
        written.append(saved_model)
        write_saved_model(graph_def, description, saved_model)
    if "onnx" in formats:
        del graph_def
        written.append(export_onnx(path))
    return description, written


def _subword_model(trained):
    """Path of the SentencePiece model of a trained model; None for a vocabulary of characters, or where the file is lost."""
    if not has_subwords(trained.vocabulary):
        return None
    kept = kept_model(trained.checkpoint)
    if kept is not None:
        return kept
    try:
        vocabulary = Vocabulary.from_file(trained.params["data_layer_params"]["vocab_file"])
        if vocabulary.characters == tuple(trained.vocabulary):
            return locate(trained.params["data_layer_params"]["vocab_file"])
    except (KeyError, TypeError, DataError):
        pass
    log_line("Note: the file of the subword model is not next to %s and is not exported; transcription does not need it"
             % trained.checkpoint)
    return None


def _require_none_left(paths, formats):
    """Raises StorageError where a format of an earlier export would remain next to the new pb and look like the same model."""
    for name, path in paths.items():
        if name in formats or not (os.path.isfile(path) or is_exported(path)):
            continue
        raise StorageError("%s is from an earlier export and would remain next to the new model; add %s to --format to replace "
                           "it, remove it, or choose another --export_dir" % (path, name))
