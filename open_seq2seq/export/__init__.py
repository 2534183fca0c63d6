"""Trained models outside of training: export to frozen graphs, and one interface that runs any of them."""
import os
import sys

from open_seq2seq.checkpoints.file_checksums import compute_ahead
from open_seq2seq.errors import UsageError
from open_seq2seq.export.formats import INSTALL_ONNX, QUANTIZED, model_in_folder

__all__ = ["INSTALL_ONNX", "QUANTIZED", "load_model", "model_in_folder"]


def load_model(path, task=None):
    """Loads a model that computes logits; its path determines the kind.

    Args:
      path: NAME.pb or NAME.onnx with NAME.json next to it, a folder with one exported model, a run's folder (its newest
        checkpoint is taken), or a checkpoint in one.
      task: name of one of the tasks of a run; None: the main task. An exported model has one task.

    Returns:
      A ``runtime.logit_model.LogitModel``, with ``description``, ``logits``, ``logits_of_audio`` and ``close``.

    Raises:
      CheckpointError: there is no model, or it cannot be loaded.
      UsageError: there is no such task.
    """
    # imported on demand: TensorFlow takes seconds, and onnxruntime is optional
    if os.path.isdir(path):
        path = model_in_folder(path)
    if task is not None and path.endswith((".pb", ".onnx")):
        raise UsageError("%s is an exported model, which has one task; task %s was requested. Give the run's folder, or export "
                         "the task with run.py --mode=export --task=%s" % (path, task, task))
    if path.endswith(".pb"):
        from open_seq2seq.export.runtime.exported_model import ExportedModel
        return ExportedModel(path)
    if path.endswith(".onnx"):
        from open_seq2seq.export.runtime.onnx_model import OnnxModel
        return OnnxModel(path)
    if "tensorflow" not in sys.modules:
        # a second of one core, in which the other one reads the checkpoint
        compute_ahead(path)
    from open_seq2seq.export.runtime.checkpoint_model import CheckpointModel
    return CheckpointModel(path, task=task)
