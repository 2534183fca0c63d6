"""Networks that receive features piece by piece: the logits of the network computed at once, from every kind of model."""
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.errors import UsageError
from open_seq2seq.export import load_model
from open_seq2seq.export.freeze.frozen_graph import ExportOptions
from open_seq2seq.export.runtime.checkpoint_model import CheckpointModel
from open_seq2seq.export.runtime.incremental import IncrementalNetwork
from open_seq2seq.transcription.stream_network import WindowNetwork, stream_network
from tests.export.networks import FEATURES, layer, trained_model, write

STEP = 16
NETWORKS = {
    "dense": {},
    "not masked": {"use_conv_mask": False},
    "plain residual": {"layers": [layer(stride=[2], kernel_size=[11]), layer(repeat=2, residual=True), layer(num_channels=9)]},
    "separable": {"layers": [layer(type="sep_conv1d", stride=[2]), layer(type="sep_conv1d", repeat=2, residual=True,
                                                                        residual_dense=True)]},
    "two strides": {"layers": [layer(stride=[2]), layer(stride=[2], kernel_size=[7]), layer(dilation=[3])]},
    "not padded": {"layers": [layer(padding="VALID"), layer(stride=[2])], "use_conv_mask": False},
    "other activation": {"activation_fn": lambda values: tf.minimum(tf.nn.relu(values), 1.0)},
    "no activation": {"activation_fn": None},
    "block is dropped": {"drop_block_prob": 0.5, "drop_block_index": 1},
}


def features_of(frames, seed=0):
    return np.random.RandomState(seed).normal(size=[frames, FEATURES]).astype(np.float32)


def at_once(model, features):
    logits, lengths = model.logits(features[np.newaxis], [len(features)])
    return logits[0, :lengths[0]]


QUICK = ("dense", "not masked", "separable")


@pytest.mark.parametrize("name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow)
                                  for name in sorted(NETWORKS)])
def test_pieces_give_the_logits_of_the_whole(tmp_path, name):
    with CheckpointModel(None, trained_model(tmp_path, **NETWORKS[name])) as model:
        network = IncrementalNetwork(model.folded_network(), model.description.pad_to)
        features, draw = features_of(93), np.random.RandomState(1)
        expected = at_once(model, features)
        for _ in range(2):            # it can begin again
            found, position = [], 0
            while position < len(features):
                size = draw.randint(1, 30)
                network.add(features[position:position + size])
                position += size
                exact = len(network._exact)
                found.append(network.logits()[:exact])
                network.take(exact)
            found = np.concatenate(found + [network.logits()])
            np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())
            assert len(network._exact) == 0 and len(network.logits()) < len(expected)
            network.start()


@pytest.mark.parametrize("make", [lambda model: IncrementalNetwork(model.folded_network(), 16),
                                  lambda model: WindowNetwork(model, 64)])
def test_unfinished_features_give_the_logits_of_what_was_received(tmp_path, make):
    """Every step's logits, also of frames that are taken before they are exact."""
    with CheckpointModel(None, trained_model(tmp_path)) as model:
        network, features, taken = make(model), features_of(160), 0
        for end in range(STEP, len(features) + 1, STEP):
            network.add(features[end - STEP:end])
            expected = at_once(model, features[:end])[taken:]
            np.testing.assert_allclose(network.logits(), expected, atol=1e-4 * np.abs(expected).max())
            taking = max((end - 10) // 2 - taken, 0)
            network.take(taking)
            taken += taking
        assert len(network._features if hasattr(network, "_features") else network._exact) < 80


@pytest.mark.parametrize("name, options, kind", [
    ("dense", ExportOptions(None, None), IncrementalNetwork), ("separable", ExportOptions(2, 160), IncrementalNetwork)] + [
    pytest.param(*one, marks=pytest.mark.slow) for one in (
        ("plain residual", ExportOptions(1, 160, with_features=True), IncrementalNetwork),
        ("two strides", ExportOptions(None, None), IncrementalNetwork),
        ("dense", ExportOptions(None, None, folded=False), WindowNetwork),
        ("dense", ExportOptions(None, None, half_precision=True), WindowNetwork),
        ("dense", ExportOptions(None, None, fast_convolutions=True), IncrementalNetwork))])
def test_frozen_graphs(tmp_path, name, options, kind):
    trained = trained_model(tmp_path, **NETWORKS[name])
    path, _ = write(trained, options, tmp_path / "m.pb")
    with load_model(path) as model, CheckpointModel(None, trained) as checkpoint:
        network, features = stream_network(model, 32), features_of(64)
        assert type(network) is kind
        network.add(features)
        expected = at_once(checkpoint, features)
        tolerance = 0.02 if options.half_precision else 1e-4
        np.testing.assert_allclose(network.logits(), expected, atol=tolerance * np.abs(expected).max())


@pytest.mark.parametrize("frames", [None, 160])
@pytest.mark.parametrize("name", ["dense"] + [pytest.param(one, marks=pytest.mark.slow) for one in sorted(NETWORKS)
                                              if one not in ("dense", "other activation", "block is dropped", "not padded")])
def test_frozen_graphs_with_fast_convolutions(tmp_path, monkeypatch, name, frames):
    monkeypatch.setattr("open_seq2seq.encoders.fast_convolutions.LEAST_GAIN", 0.0)  # at any size
    trained = trained_model(tmp_path, **NETWORKS[name])
    path, _ = write(trained, ExportOptions(1, frames, fast_convolutions=True), tmp_path / "m.pb")
    with load_model(path) as model, CheckpointModel(None, trained) as checkpoint:
        fast = [operation.name for operation in model.session.graph.get_operations() if "/transformed_kernel" in operation.name]
        assert bool(fast) == (name != "separable")
        network, folded = stream_network(model, 32), checkpoint.folded_network()
        assert type(network) is IncrementalNetwork
        for found, expected in zip(model.folded_network().convolutions, folded.convolutions):
            assert (found.name, found.stride, found.dilation, found.padding, found.branches, found.opens_block) == (
                expected.name, expected.stride, expected.dilation, expected.padding, expected.branches, expected.opens_block)
            np.testing.assert_allclose(found.kernel, expected.kernel, atol=1e-5 * np.abs(expected.kernel).max())
        features = features_of(64)
        network.add(features)
        expected = at_once(checkpoint, features)
        np.testing.assert_allclose(network.logits(), expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.slow
def test_onnx(tmp_path, needs_onnx):
    from open_seq2seq.export.freeze.onnx_export import export_onnx
    for name in ("dense", "plain residual", "two strides", "separable"):
        trained = trained_model(tmp_path, **NETWORKS[name])
        with load_model(export_onnx(write(trained, ExportOptions(None, None), tmp_path / "m.pb")[0])) as model:
            network, features = stream_network(model, 32), features_of(64)
            network.add(features)
            expected = at_once(model, features)
            np.testing.assert_allclose(network.logits(), expected, atol=1e-4 * np.abs(expected).max())
            # tf2onnx renames the kernels of depthwise convolutions
            assert type(network) is (WindowNetwork if name == "separable" else IncrementalNetwork)


@pytest.mark.slow
def test_models_that_cannot_compute_streams(tmp_path):
    write(trained_model(tmp_path), ExportOptions(1, 64), tmp_path / "short.pb")
    with load_model(str(tmp_path / "short.pb")) as model:
        model.folded_network = lambda: None
        with pytest.raises(UsageError, match="static shape of 64 feature frames.*--frames=dynamic"):
            stream_network(model, 60)
    write(trained_model(tmp_path), ExportOptions(1, 64, with_features=True), tmp_path / "audio.pb")
    with load_model(str(tmp_path / "audio.pb")) as model:
        model.folded_network = lambda: None
        with pytest.raises(UsageError, match="without --with_features"):
            stream_network(model, 16)
    layers = [layer(stride=[2]), layer()]
    with CheckpointModel(None, trained_model(tmp_path, layers=layers, normalization="instance_norm")) as model:
        with pytest.raises(UsageError, match="cannot transcribe streams"):
            stream_network(model, 16)
