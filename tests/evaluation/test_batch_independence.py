"""An utterance's logits do not depend on what else is evaluated: batch size, order, selection, ranks, padding, static shapes."""
import functools
import re
import zlib

import numpy as np
import pytest
import soundfile
import tensorflow.compat.v1 as tf
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from open_seq2seq.config.overrides import Override
from open_seq2seq.data.speech2text.audio import read_audio
from open_seq2seq.data.speech2text.buckets import StaticShapes
from open_seq2seq.decoding.greedy import GreedyDecoder
from open_seq2seq.devices.cpu import Cpu
from open_seq2seq.distributed.group import Single
from open_seq2seq.evaluation.evaluation_graph import Evaluation, EvaluationGraph
from open_seq2seq.experiment.loading import load_experiment
from open_seq2seq.text.vocabulary import Vocabulary
from tests.export.networks import random_value, trained_model, write
from tests.fixtures.digits import CONFIG

RATE, COUNT = 16000, 8
SECONDS = (0.31, 1.7, 0.9, 0.32, 0.62, 1.1, 0.9, 0.05)
LAYERS = "[layer(11, 16, stride=[2]), layer(9, 16, **dense), layer(5, 24, dilation=[2]), layer(1, 32)]"
# masked, as those of Jasper, and others that see their padding
NETWORKS = {"masked": {}, "unmasked": {"use_conv_mask": False}, "instance norm": {"normalization": "instance_norm"},
            "any length": {"pad_to": 0}}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Folder with the audio of COUNT utterances, vocab.txt and config.py."""
    folder, random = tmp_path_factory.mktemp("utterances"), np.random.RandomState(1)
    for number, seconds in enumerate(SECONDS):
        # a new tone every 80 ms, in noise
        frequencies = np.repeat(random.uniform(200, 7000, int(seconds / 0.08) + 1), int(0.08 * RATE))[:int(seconds * RATE)]
        samples = 0.3 * np.sin(2 * np.pi * np.cumsum(frequencies) / RATE) + random.normal(0, 0.01, len(frequencies))
        soundfile.write(str(folder / ("%d.wav" % number)), samples, RATE, subtype="PCM_16")
    (folder / "vocab.txt").write_text("\n".join(" abcdefghijklmnopqrstuvwxyz'") + "\n")
    config = re.sub(r"(?s)(\"convnet_layers\": )\[.*?\](?=,\n +\"dropout)", lambda match: match.group(1) + LAYERS, CONFIG)
    (folder / "config.py").write_text("STEPS = 2\n" + config)
    return folder


class Network:
    """A network with fixed random weights, and its operations for batches of any length, or of the shapes of a data layer."""

    def __init__(self, corpus, name):
        self._corpus = corpus
        experiment = load_experiment(str(corpus / "config.py"), "infer", [
            Override(("data_layer_params", "vocab_file"), str(corpus / "vocab.txt"), ""),
            Override(("data_layer_params", "dataset_files"), [str(corpus / "dev.csv")], "")])
        self._params, self._base_model = experiment.params["infer"], experiment.base_model
        for key, value in NETWORKS[name].items():
            self._params["encoder_params" if key in self._params["encoder_params"] else "data_layer_params"][key] = value
        if name == "instance norm":
            for layer in self._params["encoder_params"]["convnet_layers"]:
                layer["residual"] = layer["residual_dense"] = False
        self._graphs = {}

    def evaluate(self, numbers, batch_size, workers=1, static=None, **data_params):
        """{number of the utterance: (logits of its valid frames, text)} of an evaluation of some utterances in some order."""
        (self._corpus / "dev.csv").write_text("wav_filename,wav_filesize,transcript\n" + "".join("%d.wav,1,\n" % n
                                                                                                for n in numbers))
        params, found = dict(self._params["data_layer_params"], **data_params), {}
        for worker in range(workers):
            layer = self._params["data_layer"](params, "infer", batch_size, seed=1, num_workers=workers, worker_id=worker,
                                               static_shapes=None if static is None else StaticShapes(*static))
            session, graph = self._graph(layer, None if static is None else (batch_size, tuple(layer.buckets)))
            with session.graph.as_default():
                for values in Evaluation(graph, layer).batches(session, with_logits=True):
                    for index, logits, length, text in zip(*[values[key] for key in ("indices", "logits", "lengths",
                                                                                     "transcripts")]):
                        number = int(layer.utterances[index].wav_filename[:-4])
                        assert number not in found
                        found[number] = logits[:length], text
        assert sorted(found) == sorted(numbers)
        return found

    def _graph(self, layer, shapes):
        """(session, EvaluationGraph) for the batches of a data layer."""
        if shapes not in self._graphs:
            session = tf.Session(graph=tf.Graph())
            with session.graph.as_default():
                graph = EvaluationGraph(self._base_model, self._params, "infer", layer, Cpu(), Single())
                values = {variable: random_value(np.random.RandomState(zlib.crc32(variable.op.name.encode())), variable.op.name,
                                                 variable.shape.as_list()) for variable in tf.global_variables()}
                session.run([tf.assign(variable, value) for variable, value in values.items()])
            self._graphs[shapes] = session, graph
        return self._graphs[shapes]


@pytest.fixture(scope="module")
def network_of(corpus):
    """A function of a name in NETWORKS that returns the Network."""
    return functools.lru_cache(maxsize=None)(lambda name: Network(corpus, name))


def assert_equal(found, expected, tolerance=1e-4):
    for number, (logits, text) in found.items():
        assert logits.shape == expected[number][0].shape
        np.testing.assert_allclose(logits, expected[number][0], atol=tolerance, err_msg="utterance %d" % number)
        assert text == expected[number][1]


@pytest.fixture(scope="module")
def alone(network_of):
    """A function of a network, and arguments of ``evaluate``, that returns the result of utterances evaluated one by one."""
    known = {}

    def of(network, **changes):
        key = network, repr(sorted(changes.items()))
        if key not in known:
            known[key] = network_of(network).evaluate(range(COUNT), 1, **changes)
            logits = np.concatenate([logits for logits, _ in known[key].values()])
            # different enough for an error to be seen
            assert logits.std(axis=0).mean() > 0.1 and len({text for _, text in known[key].values()}) >= COUNT // 2
        return known[key]
    return of


@settings(max_examples=6, deadline=None, derandomize=True, database=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture] if hasattr(HealthCheck, "function_scoped_fixture") else [])
@given(st.permutations(range(COUNT)), st.integers(1, COUNT), st.integers(1, 9), st.integers(1, 3),
       st.sampled_from([None, (None, 4), (None, 2), ([96, 192], 4)]), st.sampled_from([16, 48]), st.sampled_from([0.0, 1e-3]))
@example(list(range(COUNT)), COUNT, 8, 1, (None, 1), 16, 0.0)
def test_a_masked_network_does_not_see_the_batch(network_of, alone, order, count, batch_size, workers, static, pad_to, dither):
    found = network_of("masked").evaluate(order[:max(count, workers)], batch_size, workers, static, pad_to=pad_to, dither=dither,
                                          join_shorter_than=5.0 if static else 0)
    assert_equal(found, alone("masked", dither=dither))


@pytest.mark.parametrize("network", ["unmasked", "instance norm", "any length"])
def test_a_network_that_sees_its_padding_does_not_see_the_batch(network_of, alone, network):
    order = [5, 3, 6, 0, 2, 7, 1, 4]
    assert_equal(network_of(network).evaluate(order, 5, workers=2), alone(network))
    if network == "unmasked":
        # the shapes are those of the data set, whatever the batch
        assert_equal(network_of(network).evaluate(order, 3, static=(None, 2)), alone(network, static=(None, 2)))


@pytest.mark.parametrize("format", ["pb", "onnx"])
def test_exported_models_do_not_see_the_batch(corpus, tmp_path, format):
    if format == "onnx":
        pytest.importorskip("onnxruntime")
    from open_seq2seq.export import load_model
    from open_seq2seq.export.freeze.frozen_graph import ExportOptions
    from open_seq2seq.export.freeze.onnx_export import export_onnx
    trained = trained_model(tmp_path, data={"sample_freq": RATE})
    waveforms = [read_audio(str(corpus / ("%d.wav" % number)), RATE) for number in range(COUNT)]
    for options in (ExportOptions(None, None), ExportOptions(4, 176)):
        path, _ = write(trained, options, tmp_path / "model.pb")
        with load_model(export_onnx(str(path)) if format == "onnx" else str(path)) as model:
            decoder, found, expected = GreedyDecoder(Vocabulary(trained.vocabulary)), {}, {}
            for numbers, results in (([[n] for n in range(COUNT)], expected), ([[5, 3, 6, 0], [2, 7], [1, 4]], found)):
                for batch in numbers:
                    logits, lengths = model.logits_of_audio([waveforms[number] for number in batch])
                    for number, row, length, text in zip(batch, logits, lengths, decoder.decode_logits(logits, lengths)):
                        results[number] = row[:length], text
            assert_equal(found, expected)
