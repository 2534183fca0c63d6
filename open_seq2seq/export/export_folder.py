"""Writes the files of an export: a frozen graph, its JSON and further formats, each by an atomic write."""
import os

from open_seq2seq.errors import JasperError, StorageError
from open_seq2seq.export.description import write_description
from open_seq2seq.export.freeze.frozen_graph import check_options, freeze
from open_seq2seq.export.freeze.saved_model import is_exported, require_replaceable, write_saved_model
from open_seq2seq.files import replaced_file, require_writable


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
    description = write_description(description._replace(wer=wer), path)
    written = [path]
    if "saved_model" in formats:
        written.append(saved_model)
        write_saved_model(graph_def, description, saved_model)
    if "onnx" in formats:
        del graph_def
        written.append(export_onnx(path))
    return description, written


def _require_none_left(paths, formats):
    """Raises StorageError where a format of an earlier export would remain next to the new pb and look like the same model."""
    for name, path in paths.items():
        if name in formats or not (os.path.isfile(path) or is_exported(path)):
            continue
        raise StorageError("%s is from an earlier export and would remain next to the new model; add %s to --format to replace "
                           "it, remove it, or choose another --export_dir" % (path, name))
