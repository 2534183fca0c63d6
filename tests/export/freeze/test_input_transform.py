"""Exports of a network with an input transform: the layer is part of the graph, and padding stays zero after it."""
import numpy as np
import pytest

from open_seq2seq.export.freeze.frozen_graph import ExportOptions
from open_seq2seq.export.runtime.checkpoint_model import CheckpointModel
from open_seq2seq.export.runtime.exported_model import ExportedModel
from tests.export.networks import FEATURES, batch, largest_difference, layer, trained_model, write

TRANSFORM = {"context": 2, "num_features": FEATURES, "size": 12}
LAYERS = [layer(stride=[2]), layer(repeat=2, residual=True, residual_dense=True), layer(kernel_size=[1])]


@pytest.mark.parametrize("options", [
    ExportOptions(None, None), ExportOptions(4, 160), ExportOptions(None, None, folded=False),
    ExportOptions(None, None, fast_convolutions=True)], ids=["dynamic", "static", "not folded", "fast"])
def test_logits_are_those_of_the_checkpoint(tmp_path, options, monkeypatch):
    monkeypatch.setattr("open_seq2seq.encoders.fast_convolutions.LEAST_GAIN", 0.0)  # at any size
    trained = trained_model(tmp_path, LAYERS, input_transform=TRANSFORM)
    features, lengths = batch()
    # the inputs of an exported model are zero after the valid frames
    features *= (np.arange(features.shape[1]) < lengths[:, None])[:, :, None]
    with CheckpointModel(None, trained) as model:
        expected = model.logits(features, lengths)
    path, description = write(trained, options, tmp_path / "model.pb")
    # the mask counts the frames of the transform
    assert description.mask_changes == 0 and description.subsampling == 2
    with ExportedModel(path) as model:
        assert largest_difference(expected, model.logits(features, lengths)) < 1e-5


@pytest.mark.slow
@pytest.mark.usefixtures("needs_onnx")
def test_onnx(tmp_path):
    from open_seq2seq.export.freeze.onnx_export import export_onnx
    from open_seq2seq.export.runtime.onnx_model import OnnxModel
    trained = trained_model(tmp_path, LAYERS, input_transform=TRANSFORM)
    path, _ = write(trained, ExportOptions(None, None), tmp_path / "model.pb")
    export_onnx(path)
    features, lengths = batch()
    features *= (np.arange(features.shape[1]) < lengths[:, None])[:, :, None]
    with CheckpointModel(None, trained) as expected, OnnxModel(path[:-len("pb")] + "onnx") as model:
        assert largest_difference(expected.logits(features, lengths), model.logits(features, lengths)) < 1e-5
