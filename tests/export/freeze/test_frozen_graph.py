"""Frozen graphs against the evaluation graph of the same checkpoint."""
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.decoding.greedy import collapse
from open_seq2seq.errors import CheckpointError, ConfigError, UsageError
from open_seq2seq.export.freeze.frozen_graph import ExportOptions, freeze
from open_seq2seq.export.freeze.trained_model import read_weights
from open_seq2seq.export.runtime.checkpoint_model import CheckpointModel
from open_seq2seq.export.runtime.exported_model import ExportedModel
from tests.export.networks import DENSE, VOCABULARY, batch, largest_difference, layer, trained_model, write

DYNAMIC, STATIC = ExportOptions(None, None), ExportOptions(4, 160)
NETWORKS = {
    "dense": {},
    "plain residual": dict(layers=[layer(stride=[2]), layer(repeat=2, residual=True), layer(residual=True)]),
    "residual first": dict(layers=[layer(residual=True, residual_dense=True, num_channels=8), layer(residual=True,
                                                                                                   residual_dense=True)]),
    "separable": dict(layers=[layer(stride=[2]), layer(type="sep_conv1d", repeat=2, residual=True, residual_dense=True),
                              layer(type="sep_conv1d", dilation=[2]), layer(type="sep_conv1d", kernel_size=[1])]),
    "two strides": dict(layers=[layer(stride=[2]), layer(), layer(stride=[2], repeat=2), layer()]),
    "late stride": dict(layers=[layer(), layer(stride=[2], kernel_size=[4]), layer(residual=True)]),
    "valid": dict(layers=[layer(padding="VALID", stride=[2]), layer(padding="VALID", dilation=[2]), layer(padding="VALID",
                                                                                                       stride=[3])]),
    "no normalization": dict(layers=[layer(stride=[2]), layer()], normalization=None),
    "dropped block": dict(drop_block_prob=0.1, drop_block_index=1),
    "no activation": dict(activation_fn=None),
    "other epsilon": dict(bn_epsilon=0.5),
}


# not folded, the graph is that of evaluation: what differs is the mask, and how lengths follow from it
@pytest.mark.slow
@pytest.mark.parametrize("name, folded", [(name, True) for name in sorted(NETWORKS)] + [
    (name, False) for name in ("dense", "separable", "two strides", "late stride", "valid")])
def test_logits_do_not_depend_on_the_padding(tmp_path, name, folded):
    trained = trained_model(tmp_path, **NETWORKS[name])
    features, lengths = batch()
    with CheckpointModel(None, trained) as model:
        expected = model.logits(features, lengths)
    # the last utterance is shorter than the VALID windows and still in the result
    assert expected[1][0] > expected[1][-1] >= 0
    for options in (DYNAMIC, STATIC):
        path, description = write(trained, options._replace(folded=folded), tmp_path / "model.pb")
        assert description.folded is folded
        with ExportedModel(path) as model:
            assert largest_difference(expected, model.logits(features, lengths)) < 2e-6
            # alone, without the padding of the batch
            alone = model.logits(features[1:2, :lengths[1]], lengths[1:2])
        assert largest_difference((expected[0][1:2, :alone[0].shape[1]], expected[1][1:2]), alone) < 2e-6


@pytest.mark.slow
def test_fast_convolutions_are_as_exact(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("open_seq2seq.encoders.fast_convolutions.LEAST_GAIN", 0.0)  # at any size
    trained = trained_model(tmp_path)
    features, lengths = batch()
    with CheckpointModel(None, trained) as model:
        expected = model.logits(features, lengths)
    plain, _ = freeze(trained, STATIC)
    for options in (DYNAMIC, STATIC):
        path, description = write(trained, options._replace(fast_convolutions=True), tmp_path / "model.pb")
        assert description.convolutions == "fast"
        with ExportedModel(path) as model:
            assert largest_difference(expected, model.logits(features, lengths)) < 4e-6
    fast, _ = freeze(trained, STATIC._replace(fast_convolutions=True))
    assert count(fast, "Conv2D") < count(plain, "Conv2D")
    assert "stay plain" not in capsys.readouterr().out
    smallest = sum(array.nbytes for array in read_weights(trained).values())
    monkeypatch.setattr("open_seq2seq.export.freeze.frozen_graph.LARGEST_GRAPH", smallest)
    limited, _ = freeze(trained, STATIC._replace(fast_convolutions=True))
    assert count(limited, "Conv2D") > count(fast, "Conv2D")
    assert "stay plain" in capsys.readouterr().out


def count(graph_def, operation):
    return sum(node.op == operation for node in graph_def.node)


@pytest.mark.slow
def test_operations_of_the_folded_graph(tmp_path):
    trained = trained_model(tmp_path)
    graph_def, _ = freeze(trained, STATIC)
    # 8 convolutions, one product for all residual branches of each of the two blocks, one for the logits
    assert count(graph_def, "Conv2D") == 8 + 2 + 1
    assert count(graph_def, "BiasAdd") == 8 + 1
    assert {node.op for node in graph_def.node} == {
        "Placeholder", "Const", "Conv2D", "BiasAdd", "Relu", "Mul", "AddV2" if count(graph_def, "AddV2") else "Add", "ConcatV2",
        "ExpandDims", "Squeeze"} | ({"Identity"} if count(graph_def, "Identity") else set())
    unfolded, _ = freeze(trained, STATIC._replace(folded=False))
    assert count(unfolded, "FusedBatchNormV3") == 8 + 1 + 2 and count(unfolded, "VariableV2") == 0
    # all shapes of the folded graph are static, as ATC needs them
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(graph_def, name="")
        assert all(output.shape.is_fully_defined() for operation in graph.get_operations() for output in operation.outputs)
        assert graph.get_tensor_by_name("input:0").shape.as_list() == [4, 1, 160, 8]
        assert graph.get_tensor_by_name("input_reshape:0").shape.as_list() == [4, 80]
        logits = graph.get_tensor_by_name("ForwardPass/fully_connected_ctc_decoder/logits:0")
        assert logits.shape.as_list() == [4, 80, len(VOCABULARY) + 1]


@pytest.mark.slow
def test_transcripts_are_those_of_the_evaluation_graph(tmp_path):
    trained = trained_model(tmp_path)
    features, lengths = batch(lengths=(48, 48, 40, 31, 20, 11, 5), seed=3)
    features *= 20  # large, so that the biases do not determine the transcripts
    with CheckpointModel(None, trained) as model:
        logits, logit_lengths = model.logits(features, lengths)
    expected = collapse(logits.argmax(2), logit_lengths, len(VOCABULARY))
    assert len({tuple(labels) for labels in expected}) >= 4
    path, _ = write(trained, DYNAMIC, tmp_path / "model.pb")
    with ExportedModel(path) as model:
        logits, logit_lengths = model.logits(features, lengths)
    assert collapse(logits.argmax(2), logit_lengths, len(VOCABULARY)) == expected


@pytest.mark.slow
def test_half_precision(tmp_path):
    trained = trained_model(tmp_path)
    features, lengths = batch()
    with CheckpointModel(None, trained) as model:
        expected = model.logits(features, lengths)
    path, description = write(trained, STATIC._replace(half_precision=True), tmp_path / "model.pb")
    assert description.precision == "float16" and description.inputs[0].dtype == "float32"
    with ExportedModel(path) as model:
        logits = model.logits(features, lengths)
        assert model.logits(features, lengths)[0].dtype == np.float32
    assert 1e-6 < largest_difference(expected, logits) < 1e-2


ROBUST = {"dynamic_range": 40.0, "statistics_range": 20.0, "min_std_dev": 2.0}


@pytest.mark.slow
@pytest.mark.parametrize("options, data", [
    (ExportOptions(None, None, with_features=True), {}), (ExportOptions(None, None, with_features=True), {"backend": "psf"}),
    (ExportOptions(3, 208, with_features=True), {"backend": "psf"}),
    (ExportOptions(3, 208, with_features=True), {"input_type": "mfcc"}),
    (ExportOptions(3, 208, with_features=True), ROBUST), (ExportOptions(None, None, with_features=True), ROBUST)])
def test_with_features(tmp_path, options, data):
    trained = trained_model(tmp_path, data=data)
    generator = np.random.RandomState(1)
    waveforms = [generator.uniform(-0.5, 0.5, length).astype(np.float32) for length in (32000, 12345)]
    with CheckpointModel(None, trained) as model:
        expected = model.logits_of_audio(waveforms)
    path, description = write(trained, options, tmp_path / "model.pb")
    assert [tensor.name for tensor in description.inputs] == ["audio", "audio_lengths"]
    with ExportedModel(path) as model:
        assert largest_difference(expected, model.logits_of_audio(waveforms)) < 1e-5


def test_folding_is_refused_for_layer_norm(tmp_path):
    trained = trained_model(tmp_path, layers=[layer(stride=[2]), layer()], normalization="layer_norm")
    with pytest.raises(ConfigError, match="--no_fold"):
        freeze(trained, DYNAMIC)
    features, lengths = batch(lengths=(48, 48))
    with CheckpointModel(None, trained) as model:
        expected = model.logits(features, lengths)
    path, description = write(trained, DYNAMIC._replace(folded=False), tmp_path / "model.pb")
    assert description.depends_on_padding
    with ExportedModel(path) as model:
        assert largest_difference(expected, model.logits(features, lengths)) < 2e-6


@pytest.mark.slow
def test_a_network_without_masks_keeps_its_mask_input(tmp_path):
    trained = trained_model(tmp_path, use_conv_mask=False)
    for folded in (True, False):
        graph_def, description = freeze(trained, STATIC._replace(folded=folded))
        assert {"input", "input_reshape"} <= {node.name for node in graph_def.node}
        assert description.depends_on_padding


@pytest.mark.parametrize("options, message", [
    (STATIC._replace(frames=161), "--frames is 161; expected a multiple of 16"),
    (STATIC._replace(folded=False, half_precision=True), "omit --no_fold"),
    (STATIC._replace(half_precision=True, fast_convolutions=True), "omit one of --fp16"),
])
def test_contradicting_options_are_refused(tmp_path, options, message):
    with pytest.raises(UsageError, match=message):
        freeze(trained_model(tmp_path), options)


def test_a_checkpoint_with_another_vocabulary_is_refused(tmp_path):
    trained = trained_model(tmp_path)._replace(vocabulary=tuple(" abcdefg"))
    for folded in (True, False):
        with pytest.raises(CheckpointError, match="has another vocabulary: it has 6 outputs, 5 labels .* 8 labels"):
            freeze(trained, DYNAMIC._replace(folded=folded))


@pytest.mark.slow
def test_a_checkpoint_with_another_architecture_is_refused(tmp_path):
    other = trained_model(tmp_path, layers=DENSE[:-1])
    with pytest.raises(CheckpointError, match="another architecture"):
        freeze(trained_model(tmp_path, step=8)._replace(checkpoint=other.checkpoint), DYNAMIC)


@pytest.mark.slow
@pytest.mark.parametrize("folded", [True, False])
def test_weights_that_are_not_finite_are_refused(tmp_path, monkeypatch, folded):
    monkeypatch.setattr("tests.export.networks.random_value", lambda generator, name, shape: np.full(shape, np.nan, np.float32))
    trained = trained_model(tmp_path)
    with pytest.raises(CheckpointError, match="not finite .* in .* variables, the first .*ForwardPass/"):
        freeze(trained, DYNAMIC._replace(folded=folded))


def test_a_weight_too_large_for_float16_is_refused(tmp_path, monkeypatch):
    def large(generator, name, shape):
        return np.full(shape, 3e4 if name.endswith("gamma") else 3.0, np.float32)

    monkeypatch.setattr("tests.export.networks.random_value", large)
    with pytest.raises(ConfigError, match="above float16's largest number"):
        freeze(trained_model(tmp_path), STATIC._replace(half_precision=True))
