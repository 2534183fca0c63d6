import copy
import math
import types

import pytest

from open_seq2seq.decoding.greedy import GreedyDecoder
from open_seq2seq.encoders import TDNNEncoder
from open_seq2seq.evaluation.error_rates import ErrorRate
from open_seq2seq.evaluation.record import model_fingerprint, record_evaluation, recorded_word_error_rate

VOCABULARY = types.SimpleNamespace(characters=tuple("ab "))
PARAMS = {"encoder": TDNNEncoder, "encoder_params": {"convnet_layers": [{"repeat": 1, "dropout_keep_prob": 0.8}],
                                                     "activation_fn": math.sin, "initializer": math.cos},
          "data_layer_params": {"num_audio_features": 64, "window_size": 0.02, "dataset_files": ["dev.csv"]}}
GREEDY = GreedyDecoder(VOCABULARY)
GRAPH = types.SimpleNamespace(params=PARAMS, decoder=GREEDY, data_layer=types.SimpleNamespace(
    manifests=["corpus/dev.csv", "corpus/other.csv"], vocabulary=VOCABULARY))
# a custom data layer
OTHER = types.SimpleNamespace(params=PARAMS, decoder=GREEDY, data_layer=types.SimpleNamespace(vocabulary=VOCABULARY))


def result(edits):
    return types.SimpleNamespace(word_error_rate=ErrorRate(edits, 8), character_error_rate=ErrorRate(1, 40), num_utterances=3)


def test_the_last_evaluation_of_a_checkpoint_counts(tmp_path):
    first, second = str(tmp_path / "model.ckpt-5"), str(tmp_path / "model.ckpt-10")
    assert recorded_word_error_rate(first) is None
    for checkpoint, edits in ((first, 4), (second, 3), (second, 2)):
        record_evaluation(checkpoint, GRAPH, result(edits))
    assert recorded_word_error_rate(first) == (0.5, "dev.csv, other.csv")
    assert recorded_word_error_rate(second) == (0.25, "dev.csv, other.csv")
    # the best model is one of those that were evaluated
    assert recorded_word_error_rate(str(tmp_path / "best_models" / "val_loss=1.2000-step-5")) == (0.5, "dev.csv, other.csv")
    assert recorded_word_error_rate(str(tmp_path / "model.ckpt-7")) is None


def test_a_beam_search_does_not_count_as_the_word_error_rate_of_the_network(tmp_path):
    checkpoint = str(tmp_path / "model.ckpt-5")
    beam = types.SimpleNamespace(params=PARAMS, decoder=types.SimpleNamespace(name="beam"), data_layer=GRAPH.data_layer)
    record_evaluation(checkpoint, beam, result(1))
    assert recorded_word_error_rate(checkpoint) is None
    record_evaluation(checkpoint, GRAPH, result(4))
    record_evaluation(checkpoint, beam, result(1))
    assert recorded_word_error_rate(checkpoint)[0] == 0.5


@pytest.mark.parametrize("damage", ["{\"step\": 5, \"we", "[]", "null", "{\"step\": 5}", "\x00"])
def test_damaged_lines_are_skipped(tmp_path, damage):
    checkpoint = str(tmp_path / "model.ckpt-5")
    (tmp_path / "evaluations.jsonl").write_text(damage + "\n")
    record_evaluation(checkpoint, OTHER, result(4))
    (tmp_path / "evaluations.jsonl").open("a").write(damage + "\n")
    assert recorded_word_error_rate(checkpoint) == (0.5, "SimpleNamespace")


def test_a_folder_that_cannot_be_written(tmp_path, capsys):
    record_evaluation(str(tmp_path / "gone" / "model.ckpt-5"), GRAPH, result(4))
    assert "could not be recorded" in capsys.readouterr().out


def changed(*path, to):
    params = copy.deepcopy(PARAMS)
    place = params
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = to
    return params


def test_only_evaluations_of_this_model_count(tmp_path):
    checkpoint = str(tmp_path / "model.ckpt-5")
    record_evaluation(checkpoint, GRAPH, result(4))
    other = changed("data_layer_params", "window_size", to=0.025)
    record_evaluation(checkpoint, types.SimpleNamespace(params=other, decoder=GREEDY, data_layer=GRAPH.data_layer), result(7))
    for params, rate in ((PARAMS, 0.5), (other, 0.875)):
        assert recorded_word_error_rate(checkpoint, model_fingerprint(params, "ab "))[0] == rate
    assert recorded_word_error_rate(checkpoint, model_fingerprint(PARAMS, " ab")) is None
    # a line of before there were fingerprints: nobody knows of what
    (tmp_path / "evaluations.jsonl").write_text('{"step": 5, "wer": 0.25, "data_set": "dev.csv"}\n')
    assert recorded_word_error_rate(checkpoint, model_fingerprint(PARAMS, "ab ")) is None
    assert recorded_word_error_rate(checkpoint) == (0.25, "dev.csv")


@pytest.mark.parametrize("path, to, same", [
    (("data_layer_params", "num_audio_features"), 80, False), (("encoder_params", "activation_fn"), math.tan, False),
    (("encoder_params", "convnet_layers", 0, "repeat"), 2, False),
    (("evaluate_ema",), True, True), (("evaluate_ema",), False, False),
    (("encoder_params", "convnet_layers", 0, "dropout_keep_prob"), 0.5, True),
    (("encoder_params", "initializer"), math.tan, True), (("data_layer_params", "dataset_files"), ["test.csv"], True)])
def test_a_fingerprint_changes_with_what_changes_the_transcripts(path, to, same):
    assert (model_fingerprint(changed(*path, to=to), "ab ") == model_fingerprint(PARAMS, "ab ")) == same


def test_the_normalization_of_references_counts_only_where_it_is_chosen():
    none = changed("data_layer_params", "normalization", to=None)
    none["data_layer_params"]["unknown_characters"] = "refuse"
    assert model_fingerprint(none, "ab ") == model_fingerprint(PARAMS, "ab ")
    others = [model_fingerprint(changed("data_layer_params", name, to=value), "ab ") for name, value in (
        ("normalization", ["lower"]), ("normalization", ["lower", "punctuation"]), ("unknown_characters", "drop"))]
    assert len({model_fingerprint(PARAMS, "ab "), *others}) == 4
