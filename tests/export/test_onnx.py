"""Models in ONNX: the same logits under onnxruntime, with 8-bit weights nearly the same, and what is refused."""
import hashlib
import json
import os
import shutil
import sys

import numpy as np
import pytest

from open_seq2seq.encoders import fast_convolutions
from open_seq2seq.errors import CheckpointError, DataError, UsageError
from open_seq2seq.export import load_model
from open_seq2seq.export.description import read_description
from open_seq2seq.export.freeze.onnx_export import export_onnx
from open_seq2seq.export.quantize import compare, quantize
from open_seq2seq.export.runtime.exported_model import ExportedModel
from open_seq2seq.export.runtime.onnx_model import OnnxModel

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("needs_onnx")]

LENGTHS = np.array([61, 160, 1])
FEATURES = np.random.RandomState(5).normal(size=[3, 160, 16]).astype(np.float32)


@pytest.fixture
def copied(export, tmp_path):
    """Function from export options to a copy of the frozen graph in the test's folder."""
    def of(**options):
        made = export(**options)
        for extension in (".pb", ".json"):
            shutil.copy(made[:-len(".pb")] + extension, str(tmp_path / ("m" + extension)))
        return str(tmp_path / "m.pb")
    return of


@pytest.mark.parametrize("options", [
    {"batch_size": 4, "frames": 160}, {"batch_size": None, "frames": None}, {"batch_size": None, "frames": None, "folded": False},
    {"batch_size": None, "frames": None, "fast_convolutions": True}], ids=lambda options: "-".join(sorted(options)))
def test_onnxruntime_computes_the_same_logits(copied, options, monkeypatch):
    # the test's network is smaller than those with fast convolutions
    monkeypatch.setattr(fast_convolutions, "LEAST_GAIN", 0.0)
    pb = copied(**options)
    path = export_onnx(pb)
    assert path == pb[:-len(".pb")] + ".onnx"
    with ExportedModel(pb) as frozen, load_model(path) as model:
        assert isinstance(model, OnnxModel) and model.description == frozen.description
        expected, lengths = frozen.logits(FEATURES, LENGTHS)
        logits, logit_lengths = model.logits(FEATURES, LENGTHS)
    assert logits.shape == (3, 80, 29) and np.std(logits) > 0.1
    assert logit_lengths.tolist() == lengths.tolist() == [31, 80, 1]
    np.testing.assert_allclose(logits, expected, atol=1e-4)


def test_inputs_and_outputs_have_the_names_and_shapes_of_the_graph(copied):
    import onnx
    model = onnx.load(export_onnx(copied(batch_size=2, frames=160)))
    onnx.checker.check_model(model)
    shapes = {value.name: [size.dim_value for size in value.type.tensor_type.shape.dim]
              for value in list(model.graph.input) + list(model.graph.output)}
    assert shapes == {"input": [2, 1, 160, 16], "input_reshape": [2, 80],
                      "ForwardPass/fully_connected_ctc_decoder/logits": [2, 80, 29]}


def test_8_bit_weights_are_smaller_and_nearly_as_good(copied, tone_corpus, tmp_path):
    # more than a quarter of the size: in a small network the weights are only a part of the file
    path = export_onnx(copied(batch_size=None, frames=None))
    quantized = quantize(path)
    assert quantized == str(tmp_path / "m.int8.onnx") and os.path.getsize(quantized) < 0.9 * os.path.getsize(path)
    assert sorted(os.listdir(str(tmp_path))) == ["m.int8.json", "m.int8.onnx", "m.json", "m.onnx", "m.pb"]
    with OnnxModel(path) as exact, OnnxModel(quantized) as model:
        assert model.description.precision == "int8" and exact.description.precision == "float32"
        (expected, lengths), (logits, _) = exact.logits(FEATURES, LENGTHS), model.logits(FEATURES, LENGTHS)
        for row, length in enumerate(LENGTHS):
            alone, _ = model.logits(FEATURES[row:row + 1, :length], LENGTHS[row:row + 1])
            np.testing.assert_array_equal(logits[row, :lengths[row]], alone[0, :lengths[row]])
    valid = np.arange(expected.shape[1]) < lengths[:, np.newaxis]
    assert 1e-3 < np.sqrt(np.mean((logits - expected)[valid] ** 2)) / np.std(expected[valid]) < 0.1
    rates = compare(path, quantized, [str(tone_corpus / "dev.csv")])
    assert read_description(quantized).wer == (rates[1], "dev.csv")
    assert read_description(path).wer is None
    with pytest.raises(UsageError, match="has precision int8; expected a float32 model"):
        quantize(quantized)


def test_8_bit_logits_of_an_utterance_do_not_depend_on_its_batch(copied):
    loud, quiet, lengths = 10 * FEATURES[:1], FEATURES[1:2], np.array([160])
    for options in ({"batch_size": 2, "frames": 160}, {"batch_size": None, "frames": None}):
        with OnnxModel(quantize(export_onnx(copied(**options)))) as model:
            alone, both = model.logits(quiet, lengths)[0][0], (np.concatenate([quiet, loud]), np.repeat(lengths, 2))
            np.testing.assert_array_equal(model.logits(*both)[0][0], alone)
            # onnxruntime's result of a batch does
            batch = model._run(*both)[0]
            assert np.abs(batch - alone).max() > 1e-3 * np.abs(alone).max()


def test_wrong_files_are_refused(copied, tmp_path):
    path = export_onnx(copied(batch_size=2, frames=160))
    with OnnxModel(path) as model, pytest.raises(DataError, match="the batch has 3 utterances, and .* exported for 2"):
        model.logits(FEATURES, LENGTHS)
    with open(path, "ab") as file:
        file.write(b"more")
    with pytest.raises(CheckpointError, match="m.json does not belong to .*m.onnx"):
        OnnxModel(path)
    os.remove(str(tmp_path / "m.json"))
    with pytest.raises(CheckpointError, match="m.json is missing"):
        OnnxModel(path)


def test_a_file_that_is_not_a_model_is_refused(copied, tmp_path):
    path = export_onnx(copied(batch_size=2, frames=160))
    with open(path, "wb") as file:
        file.write(b"<html>")
    values = json.loads((tmp_path / "m.json").read_text())
    values["sha256"]["onnx"] = hashlib.sha256(b"<html>").hexdigest()
    del values["checksum"]
    (tmp_path / "m.json").write_text(json.dumps(values))
    with pytest.raises(CheckpointError, match="m.onnx is not a model that onnxruntime .* can run"):
        OnnxModel(path)


def test_a_graph_that_computes_features_is_refused(copied):
    with pytest.raises(UsageError, match="export without --with_features"):
        export_onnx(copied(batch_size=1, frames=160, with_features=True))


def test_without_the_packages_the_message_says_how_to_install_them(copied, monkeypatch):
    pb = copied(batch_size=2, frames=160)
    path = export_onnx(pb)
    for name in ("tf2onnx", "onnxruntime", "onnxruntime.quantization"):
        monkeypatch.setitem(sys.modules, name, None)
    for call in (lambda: export_onnx(pb), lambda: OnnxModel(path), lambda: quantize(path)):
        with pytest.raises(UsageError, match="cannot be imported .*setup.sh --onnx"):
            call()


@pytest.mark.parametrize("kernel_size,dilation", [(5, 2), (4, 3)])
def test_dilated_convolutions_of_any_length(untrained, randomized, tmp_path, kernel_size, dilation):
    """onnxruntime does not accept a dilation together with automatic padding; jasper5x3 has such a layer."""
    import copy

    from open_seq2seq.export.description import write_description
    from open_seq2seq.export.freeze.frozen_graph import ExportOptions, freeze
    params = copy.copy(untrained.params)
    params["encoder_params"] = copy.deepcopy(params["encoder_params"])
    params["encoder_params"]["convnet_layers"].append(dict(
        params["encoder_params"]["convnet_layers"][0], kernel_size=[kernel_size], stride=[1], dilation=[dilation]))
    trained = randomized(untrained._replace(params=params, checkpoint=str(tmp_path / "model.ckpt-1")))
    graph_def, description = freeze(trained, ExportOptions(None, None))
    with open(str(tmp_path / "m.pb"), "wb") as file:
        file.write(graph_def.SerializeToString())
    write_description(description, str(tmp_path / "m.pb"))
    with ExportedModel(str(tmp_path / "m.pb")) as frozen, OnnxModel(export_onnx(str(tmp_path / "m.pb"))) as model:
        for frames in (160, 48):
            lengths = np.minimum(LENGTHS, frames)
            expected = frozen.logits(FEATURES[:, :frames], lengths)[0]
            assert np.std(expected) > 0.1
            np.testing.assert_allclose(model.logits(FEATURES[:, :frames], lengths)[0], expected, atol=1e-4)
