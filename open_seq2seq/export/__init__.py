"""Trained models outside of training: frozen graphs, their description, and one interface to run any of them."""
import glob
import os

from open_seq2seq.errors import CheckpointError


def load_model(path):
    """Loads a model to compute logits with; which kind, its path says.

    Args:
      path: NAME.pb or NAME.onnx with NAME.json beside it, a folder with one exported model, a run's folder (its newest
        checkpoint is taken), or a checkpoint in one.

    Returns:
      An object with the interface of ``batches.LogitModel``: ``description``, ``logits``, ``logits_of_audio``, ``close``.

    Raises:
      CheckpointError: there is no model, or it cannot be used.
    """
    # each imports what it needs: TensorFlow takes seconds, and onnxruntime need not be there
    if os.path.isdir(path):
        path = _in_folder(path)
    if path.endswith(".pb"):
        from open_seq2seq.export.exported_model import ExportedModel
        return ExportedModel(path)
    if path.endswith(".onnx"):
        from open_seq2seq.export.onnx_model import OnnxModel
        return OnnxModel(path)
    from open_seq2seq.export.checkpoint_model import CheckpointModel
    return CheckpointModel(path)


def _in_folder(folder):
    """The exported model in a folder, or the folder itself if it is a run's."""
    found = [name for extension in (".pb", ".onnx")
             for name in sorted(glob.glob(os.path.join(glob.escape(folder), "*" + extension)))
             if os.path.isfile(os.path.splitext(name)[0] + ".json")]
    if not found:
        return folder
    if len({os.path.splitext(name)[0] for name in found}) > 1:
        raise CheckpointError("%s holds several models: %s. Name one of them" % (
            folder, ", ".join(os.path.basename(name) for name in found)))
    return found[0]
