import json
import os
import shutil

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.devices import select_device
from open_seq2seq.devices.cpu import Cpu
from open_seq2seq.errors import CheckpointError, DataError, DeviceError
from open_seq2seq.export import load_model, model_in_folder
from open_seq2seq.export.description import CHECKSUM, Tensor, read_description, write_description
from open_seq2seq.export.freeze.frozen_graph import ExportOptions
from open_seq2seq.export.runtime import graph_file
from open_seq2seq.export.runtime.exported_model import ExportedModel, model_on_device
from open_seq2seq.files import file_digest
from tests.export.networks import FEATURES, batch, trained_model, write


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """static.pb (batches of 2, 64 frames), audio.pb and their JSON."""
    folder = tmp_path_factory.mktemp("models")
    trained = trained_model(folder)
    write(trained, ExportOptions(2, 64), folder / "static.pb")
    write(trained, ExportOptions(1, 64, with_features=True), folder / "audio.pb")
    return folder


@pytest.mark.parametrize("features, lengths, message", [
    (np.zeros([3, 48, FEATURES]), [48, 48, 48], "the batch has 3 utterances, and .*static.pb was exported for 2 at a time"),
    (np.zeros([1, 80, FEATURES]), [80], r"80 feature frames \(0.8 s\), and .* for 64 at most .* --frames=80 or"),
    (np.zeros([1, 48, 64]), [48], r"float64 \[1, 48, 64\], expected float \[batch, frames, 8\]"),
    (np.zeros([48, FEATURES]), [48], r"expected float \[batch, frames, 8\]"),
    (np.zeros([1, 48, FEATURES], np.int32), [48], r"int32 \[1, 48, 8\], expected float"),
    (np.zeros([1, 48, FEATURES]), [49], "a length is 49, expected 0 to 48"),
    (np.zeros([1, 48, FEATURES]), [-1], "a length is -1"),
    (np.zeros([1, 48, FEATURES]), [48, 48], r"the lengths are int64 \[2\], expected integers \[1\]"),
    (np.full([1, 48, FEATURES], np.nan), [48], "utterance 0 of the batch has features that are not finite"),
    (np.zeros([0, 48, FEATURES]), np.zeros([0], int), "the batch is empty"),
])
def test_wrong_batches_are_refused(folder, features, lengths, message):
    with ExportedModel(str(folder / "static.pb")) as model, pytest.raises(DataError, match=message):
        model.logits(features, np.asarray(lengths))


def test_padding_after_the_valid_frames_is_not_read(folder):
    features, lengths = batch(lengths=(48, 20))
    with ExportedModel(str(folder / "static.pb")) as model:
        logits, logit_lengths = model.logits(features, lengths)
        features[1, 20:] = np.nan
        again, _ = model.logits(features, lengths)
    assert logit_lengths.tolist() == [24, 10] and logits.shape == (2, 24, 6)
    np.testing.assert_array_equal(logits, again)


def test_audio(folder):
    waveform = np.random.RandomState(0).uniform(-0.1, 0.1, 9000).astype(np.float32)
    with ExportedModel(str(folder / "static.pb")) as static, ExportedModel(str(folder / "audio.pb")) as audio:
        expected, lengths = static.logits_of_audio([waveform])
        assert lengths.tolist() == [29] and expected.shape == (1, 29, 6)
        np.testing.assert_allclose(audio.logits_of_audio([waveform])[0], expected, atol=1e-4)
        with pytest.raises(DataError, match="computes its features itself"):
            audio.logits(*batch(lengths=(48,)))
        with pytest.raises(DataError, match="101 feature frames"):
            audio.logits_of_audio([np.zeros([16000], np.float32)])
        for bad, message in ((np.zeros([0]), "is empty"), (np.zeros([5, 2]), "one channel"),
                             (np.array([0.0, np.nan, np.inf]), "2 samples that are not finite .* the first is sample 1 of 3")):
            with pytest.raises(DataError, match=message):
                audio.logits_of_audio([bad])


def copy(folder, target, change):
    """static.pb and its JSON in another folder, the graph changed and its hash corrected."""
    graph_def = tf.GraphDef()
    graph_def.ParseFromString((folder / "static.pb").read_bytes())
    change(graph_def)
    (target / "model.pb").write_bytes(graph_def.SerializeToString())
    values = json.loads((folder / "static.json").read_text(encoding="utf-8"))
    values["sha256"] = {"pb": file_digest(str(target / "model.pb"))}
    del values[CHECKSUM]
    (target / "model.json").write_text(json.dumps(values), encoding="utf-8")
    return str(target / "model.pb")


def test_a_graph_that_contradicts_its_json_is_refused(folder, tmp_path):
    def named_otherwise(graph_def):
        next(node for node in graph_def.node if node.name == "input_reshape").name = "mask"
        for node in graph_def.node:
            node.input[:] = ["mask" if name == "input_reshape" else name for name in node.input]

    def of_unknown_operations(graph_def):
        graph_def.node[-1].op = "NoSuchOperation"

    for change, message in ((named_otherwise, 'has no node "input_reshape"'),
                            (of_unknown_operations, "not a frozen graph that TensorFlow")):
        with pytest.raises(CheckpointError, match=message):
            ExportedModel(copy(folder, tmp_path, change))
    path = copy(folder, tmp_path, lambda graph_def: None)
    values = json.loads((tmp_path / "model.json").read_text(encoding="utf-8"))
    values["inputs"][1]["shape"] = [2, 33]
    (tmp_path / "model.json").write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(CheckpointError, match=r'"inputs" is \[2, 33\], expected \[2, 32\], by batch_size, frames and'):
        ExportedModel(path)


def test_a_graph_of_a_newer_tensorflow_is_refused_with_what_is_unknown(folder, tmp_path):
    from tensorflow.python.framework.function import Defun

    def add_function(graph_def):
        """The graph's last operation becomes a function's, into which TensorFlow does not look before it runs."""
        with tf.Graph().as_default() as graph:
            @Defun(tf.float32, func_name="last")
            def last(logits):
                return tf.tanh(logits)

            last(tf.placeholder(tf.float32, [2, 32, 6]))
            graph_def.library.CopyFrom(graph.as_graph_def().library)
        output = next(node for node in graph_def.node if node.name.endswith("decoder/logits"))
        name, output.name = output.name, "before"
        graph_def.node.add(name=name, op="last", input=["before"])
        return graph_def.library.function[0].node_def[0]

    def first_convolution(graph_def):
        return next(node for node in graph_def.node if node.op == "Conv2D")

    def unknown_attribute(node):
        node.attr["sparsity"].f = 0.5

    def unknown_operation(node):
        node.op = "Sparsify"

    cases = [(first_convolution, unknown_operation, "the operation Sparsify"), (add_function, unknown_operation,
                                                                               "the operation Sparsify")]
    if tf.__version__.startswith("1."):
        # TensorFlow 2 ignores unknown attributes of a graph that is newer than itself
        cases += [(first_convolution, unknown_attribute, "the attribute sparsity of the operation Conv2D"),
                  (add_function, unknown_attribute, "the attribute sparsity of the operation Tanh")]
    for find, change, unknown in cases:
        def newer(graph_def, find=find, change=change):
            graph_def.versions.producer = 9999
            change(find(graph_def))

        with pytest.raises(CheckpointError, match=r"newer TensorFlow \(graph version 9999, that of TensorFlow %s is \d+\).* "
                           "does not know %s. Export the checkpoint again, with TensorFlow" % (tf.__version__, unknown)):
            ExportedModel(copy(folder, tmp_path, newer))


def test_a_file_that_is_not_a_graph_is_refused(folder, tmp_path):
    path = copy(folder, tmp_path, lambda graph_def: None)
    (tmp_path / "model.pb").write_bytes(b"%PDF-1.7 no graph")
    with pytest.raises(CheckpointError, match="does not belong to"):
        ExportedModel(path)
    values = json.loads((tmp_path / "model.json").read_text(encoding="utf-8"))
    values["sha256"] = {"pb": file_digest(path)}
    (tmp_path / "model.json").write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(CheckpointError, match="is not a frozen graph"):
        ExportedModel(path)


def test_weights_as_variables(folder, monkeypatch):
    path, (features, lengths) = str(folder / "static.pb"), batch(lengths=(48, 20))
    with ExportedModel(path, Cpu()) as model:
        expected, _ = model.logits(features, lengths)
    monkeypatch.setattr(graph_file, "SMALLEST_BYTES", 16)
    with ExportedModel(path) as model:
        np.testing.assert_allclose(model.logits(features, lengths)[0], expected, atol=1e-5)
    graph_def = tf.GraphDef()
    graph_def.ParseFromString((folder / "static.pb").read_bytes())
    size = graph_def.ByteSize()
    weights = graph_file.take_out_weights(graph_def)
    taken = sum(array.nbytes for array in weights.values())
    # 8 convolutions, 2 residual products, the output layer, and their biases
    assert len(weights) >= 20 and taken > 5000 and size - graph_def.ByteSize() > 0.8 * taken


def test_the_float_graph_is_preferred_among_several_formats(tmp_path):
    def put(*names):
        for name in names:
            (tmp_path / name).write_text("")
        return os.path.basename(model_in_folder(str(tmp_path)))

    assert put("m.json") == tmp_path.name
    # quantized, without the original
    assert put("n.int8.json", "n.int8.onnx") == "n.int8.onnx"
    os.remove(str(tmp_path / "n.int8.onnx"))
    assert put("m.onnx") == "m.onnx"
    assert put("m.int8.json", "m.int8.onnx") == "m.onnx"
    assert put("m.pb") == "m.pb"
    with pytest.raises(CheckpointError, match="holds several models: m.pb, other.onnx"):
        put("other.json", "other.onnx")


def test_load_model_finds_the_one_in_a_folder(folder, tmp_path):
    copy(folder, tmp_path, lambda graph_def: None)
    with load_model(str(tmp_path)) as model:
        assert isinstance(model, ExportedModel) and model.description.batch_size == 2
    with pytest.raises(CheckpointError, match="holds several models: audio.pb, static.pb. Name one .*, e.g. .*/audio.pb"):
        load_model(str(folder))
    os.remove(str(tmp_path / "model.json"))
    with pytest.raises(CheckpointError, match="model.json is missing; expected it next to"):
        load_model(str(tmp_path))
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(CheckpointError, match="checkpoint in logdir"):
        load_model(str(empty))
    with pytest.raises(CheckpointError, match="there is no model"):
        load_model(str(tmp_path / "no.pb"))
    with pytest.raises(CheckpointError, match="there is no run folder"):
        load_model(str(tmp_path / "no"))


def test_a_model_that_the_host_would_partly_compute_is_refused(folder, fake_adapter, monkeypatch):
    with model_on_device(str(folder / "static.pb"), select_device("npu", training=False)) as model:
        assert model.logits(*batch(lengths=(48, 20)))[1].tolist() == [24, 10]
        monkeypatch.setenv("FAKE_ASCEND_FAIL", "logits@2:E40021")
        with pytest.raises(DeviceError, match="graph engine failed in inference with E40021, operator compilation failure"):
            model.logits(*batch(lengths=(48, 20)))
    path = os.path.join(fake_adapter.opp_path, "framework", "built-in", "tensorflow", "npu_supported_ops.json")
    with open(path) as file:
        operators = json.load(file)
    del operators["Conv2D"]
    with open(path, "w") as file:
        json.dump(operators, file)
    # matrix products are still offloaded
    with pytest.raises(DeviceError, match="silently run on the host:\n  Conv2D in .*inference.*not in the operator list"):
        model_on_device(str(folder / "static.pb"), select_device("npu", training=False))


@pytest.fixture(scope="module")
def dynamic_folder(tmp_path_factory):
    """dynamic.pb and dynamic_audio.pb, of any batch size and length, with their JSON."""
    folder = tmp_path_factory.mktemp("dynamic")
    trained = trained_model(folder)
    write(trained, ExportOptions(None, None), folder / "dynamic.pb")
    write(trained, ExportOptions(None, None, with_features=True), folder / "dynamic_audio.pb")
    return folder


def described_otherwise(folder, name, target, **changes):
    """A copy of a model whose description is consistent, but not that of the graph."""
    description = read_description(str(folder / name))
    shutil.copy(str(folder / name), str(target / "model.pb"))
    write_description(description._replace(**changes), str(target / "model.pb"))
    return str(target / "model.pb")


CHANGE = {"kernel_size": [5], "stride": [2], "dilation": [1], "padding": "SAME"}


@pytest.mark.parametrize("name, changes, message", [
    ("dynamic.pb", dict(frame_changes=[dict(CHANGE, stride=[4])], subsampling=4), "cannot compute logits of 64 frames"),
    ("dynamic.pb", dict(frame_changes=[], mask_changes=0, subsampling=1), "cannot compute logits of 64 frames"),
    ("dynamic.pb", dict(frame_changes=[CHANGE, CHANGE], subsampling=4),
     r"has logits \[32, 6\] for 64 frames, its JSON says \[16, 6\]"),
    ("dynamic.pb", dict(frame_changes=[CHANGE, dict(CHANGE, kernel_size=[10 ** 9], padding="VALID")], subsampling=4),
     r"has logits \[2048, 6\] for 4096 frames, its JSON says \[0, 6\]"),
    ("dynamic_audio.pb", dict(frame_changes=[dict(CHANGE, stride=[1 << 30])], subsampling=1 << 30),
     r"has logits \[\d+, 6\] for \d+ frames, its JSON says \[1, 6\]"),
    ("dynamic.pb", dict(batch_size=4, inputs=(("input", (4, 1, None, FEATURES), "float32"),
                                              ("input_reshape", (4, None), "float32")),
                        outputs=(("ForwardPass/fully_connected_ctc_decoder/logits", (4, None, 6), "float32"),)),
     r'node "input" of .* is float32 \[None, 1, None, 8\], its JSON says float32 \[4, 1, None, 8\]'),
])
def test_frames_and_sizes_that_contradict_the_graph_are_refused(dynamic_folder, tmp_path, name, changes, message):
    for key in ("inputs", "outputs"):
        if key in changes:
            changes = dict(changes, **{key: tuple(Tensor(*tensor) for tensor in changes[key])})
    with pytest.raises(CheckpointError, match=message):
        ExportedModel(described_otherwise(dynamic_folder, name, tmp_path, **changes))


def test_dynamic_models_with_their_own_description_are_loaded(dynamic_folder):
    waveform = np.random.RandomState(0).uniform(-0.1, 0.1, 9000).astype(np.float32)
    logits = []
    for name in ("dynamic.pb", "dynamic_audio.pb"):
        with ExportedModel(str(dynamic_folder / name)) as model:
            logits.append(model.logits_of_audio([waveform])[0])
    np.testing.assert_allclose(logits[0], logits[1], atol=1e-4)
