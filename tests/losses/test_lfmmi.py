"""LFMMILoss against enumeration of all label sequences and paths, finite differences, and its edge cases."""
import itertools
import os

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.errors import ConfigError, DataError
from open_seq2seq.experiment.loading import load_experiment
from open_seq2seq.graph_analysis.graph_check import ERROR, check_graph
from open_seq2seq.graph_analysis.npu_operators import built_in_operator_list
from open_seq2seq.losses import LFMMILoss
from open_seq2seq.losses.lfmmi import denominator_log_sums, sequence_log_probabilities
from open_seq2seq.losses.lfmmi_graph import DenominatorGraph, LabelNgram
from open_seq2seq.npu_check.check import control_flow_of_adapter
from tests.losses.test_ctc_loss import ctc_by_enumeration
from tests.paths import REPOSITORY

# of the labels a, b, c; c occurs at the end only
TEXTS = ["ab", "aab", "ba", "abac", "bb"]


def labels_of(text):
    return ["abc".index(character) for character in text]


def logits_of(*shape):
    return np.random.RandomState(4).normal(size=shape).astype(np.float32) * 2.0


def sum_of_paths(graph, probabilities):
    """Log of the sum over all paths, each visited on its own."""
    total = 0.0
    for path in itertools.product(range(len(graph)), repeat=len(probabilities)):
        product, previous = graph.final[path[-1]], None
        for state, frame in zip(path, probabilities):
            arrival = graph.start.dot(graph.transitions[:, state]) if previous is None else graph.transitions[previous, state]
            product, previous = product * arrival * frame[graph.outputs[state]], state
        total += product
    return np.log(total)


def denominator(graph, logits, lengths, unknown_shapes=False):
    """(log sums, their gradient by the logits)."""
    with tf.Graph().as_default(), tf.Session() as session:
        inputs = tf.constant(logits)
        if unknown_shapes:
            inputs = tf.placeholder_with_default(inputs, [None, None, logits.shape[2]])
        sums = denominator_log_sums(graph, tf.nn.log_softmax(inputs), tf.constant(lengths, tf.int32))
        return session.run([sums, tf.gradients(sums, inputs)[0]])


@pytest.mark.parametrize("leak", [0.0, 0.1])
def test_denominator_is_the_sum_over_all_paths(leak):
    ngram = LabelNgram([labels_of(text) for text in TEXTS], 3, order=2)
    graph, logits, lengths = DenominatorGraph(ngram, leak), logits_of(3, 4, 4), [4, 2, 3]
    sums, gradient = denominator(graph, logits, lengths)
    probabilities = np.exp(logits - np.log(np.exp(logits).sum(2, keepdims=True))).astype(np.float64)
    expected = [sum_of_paths(graph, row[:length]) for row, length in zip(probabilities, lengths)]
    np.testing.assert_allclose(sums, expected, rtol=1e-5)
    steps = np.random.RandomState(2).normal(size=(4, 3, 4, 4)).astype(np.float32)
    changed = np.concatenate([logits + sign * 1e-2 * steps for sign in (1, -1)]).reshape(24, 4, 4)
    upper, lower = denominator(graph, changed, lengths * 8)[0].astype(np.float64).reshape(2, 4, 3)
    np.testing.assert_allclose((upper - lower) / 2e-2, (gradient * steps).sum((2, 3)), rtol=2e-3, atol=1e-4)
    for first, second in zip((sums, gradient), denominator(graph, logits, lengths, True)):
        np.testing.assert_allclose(first, second, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("order, smooth", [(2, True), (3, True), (4, False)])
def test_denominator_without_leaks_is_the_sum_over_all_label_sequences(order, smooth):
    """Each sequence has the probability of CTC times that of the n-gram, whatever the order."""
    ngram = LabelNgram([labels_of(text) for text in TEXTS], 3, order=order, smooth=smooth)
    logits, total = logits_of(1, 4, 4), 0.0
    for length in range(5):
        for labels in itertools.product(range(3), repeat=length):
            total += np.exp(ngram.log_probability(labels) - ctc_by_enumeration(logits[0], list(labels)))
    np.testing.assert_allclose(denominator(DenominatorGraph(ngram), logits, [4])[0], [np.log(total)], rtol=1e-5)


def test_ngram():
    sequences = [labels_of(text) for text in TEXTS]
    exact = LabelNgram(sequences, 3, order=3, smooth=False)
    row = dict(zip(exact.histories, np.exp(exact.log_probabilities)))
    np.testing.assert_allclose(row[(0, 1)], [1 / 3, 0, 0, 2 / 3])  # after "ab": once a, twice the end
    np.testing.assert_allclose(row[(-1,)], [3 / 5, 2 / 5, 0, 0])
    assert exact.log_probability(labels_of("ab")) == pytest.approx(np.log(3 / 5 * 2 / 3 * 2 / 3))
    assert exact.log_probability(labels_of("c")) == -np.inf
    smooth = LabelNgram(sequences, 3, order=3)
    np.testing.assert_allclose(np.exp(smooth.log_probabilities).sum(1), 1.0)
    assert np.isfinite(smooth.log_probability(labels_of("ccc")))
    pruned = LabelNgram(sequences, 3, order=3, min_count=2, max_histories=2)
    assert len(smooth.histories) > len(pruned.histories) == 1 + 3 + 2
    with tf.Graph().as_default(), tf.Session() as session:
        found = session.run(sequence_log_probabilities(
            pruned, tf.constant([[0, 0, 1], [1, 2, 2], [2, 2, 2]]), tf.constant([3, 1, 0])))
    np.testing.assert_allclose(found, [pruned.log_probability(labels) for labels in ([0, 0, 1], [1], [])], rtol=1e-6)


def test_an_ngram_of_too_many_labels_is_refused():
    with pytest.raises(ConfigError, match="5002 histories.*5000 labels and 1 .*ngram_histories.*smaller vocabulary"):
        LabelNgram([[0, 1, 2]] * 2, 5000, order=3, min_count=2, max_histories=1)


@pytest.fixture
def make_loss(tmp_path):
    """``make_loss(**params)``: the loss with the n-gram of TEXTS."""
    (tmp_path / "vocab.txt").write_text("a\nb\nc\n")
    (tmp_path / "train.csv").write_text("wav_filename,wav_filesize,transcript\n" + "".join(
        "%d.wav,1,%s\n" % (number, text) for number, text in enumerate(TEXTS)))
    (tmp_path / "dev.csv").write_text("wav_filename,wav_filesize,transcript\nother.wav,1,cab\n")

    def make(dataset="train.csv", **params):
        values = {parameter.name: parameter.default for parameter in LFMMILoss.PARAMETERS}
        values.update(params, transcripts=[str(tmp_path / "train.csv")])
        return LFMMILoss(values, data_params={"vocab_file": str(tmp_path / "vocab.txt"), "normalization": None,
                                              "unknown_characters": None, "dataset_files": [str(tmp_path / dataset)]})
    return make


def outputs(loss, logits, lengths, labels, label_lengths, weights=None):
    with tf.Graph().as_default(), tf.Session() as session:
        inputs = tf.constant(logits)
        output = loss(inputs, tf.constant(lengths), tf.constant(labels), tf.constant(label_lengths),
                      None if weights is None else tf.constant(weights, tf.float32))
        return session.run([output.loss, output.per_utterance, output.counted, tf.gradients(output.loss, inputs)[0]])


def test_loss_is_the_posterior_of_the_labels_and_its_regularization(make_loss):
    logits, labels = logits_of(2, 4, 4), [[0, 1, 0], [1, 1, 0]]
    ngram = LabelNgram([labels_of(text) for text in TEXTS], 3)
    expected = []
    for row, lengths in zip(logits, (3, 2)):
        sequence, scores = labels[len(expected)][:lengths], {}
        for length in range(5):
            for other in itertools.product(range(3), repeat=length):
                scores[other] = np.exp(ngram.log_probability(other) - ctc_by_enumeration(row, list(other)))
        expected.append(-np.log(scores[tuple(sequence)] / sum(scores.values())))
    plain = outputs(make_loss(leaky_hmm_coefficient=0.0, xent_regularize=0.0), logits, [4, 4], labels, [3, 2])
    np.testing.assert_allclose(plain[1], expected, rtol=1e-4)
    ctc = [ctc_by_enumeration(logits[0], [0, 1, 0]), ctc_by_enumeration(logits[1], [1, 1])]
    regularized = outputs(make_loss(leaky_hmm_coefficient=0.0, xent_regularize=0.5, l2_regularize=0.01), logits, [4, 4], labels,
                          [3, 2])
    np.testing.assert_allclose(regularized[1], expected + 0.5 * np.array(ctc) + 0.005 * np.square(logits).sum((1, 2)), rtol=1e-4)
    weighted = outputs(make_loss(), logits, [4, 4], labels, [3, 2], weights=[0.0, 1.0])
    assert weighted[0] == pytest.approx(weighted[1][1] / 2) and not weighted[3][0].any()


def test_utterances_without_a_loss_have_no_gradient(make_loss):
    logits = logits_of(3, 4, 4)
    logits[1, 2, 0] = np.nan
    logits[2, 3] = np.inf  # a padding frame
    # without smoothing no label sequence has one frame
    loss, per_utterance, counted, gradient = outputs(
        make_loss(ngram_smoothing=False, leaky_hmm_coefficient=0.0), logits, [1, 4, 3], [[0, 1], [0, 1], [1, 0]], [2, 2, 2])
    assert counted.tolist() == [False, False, True] and per_utterance[:2].tolist() == [0.0, 0.0]
    assert np.isfinite(loss) and np.isfinite(gradient).all() and not gradient[:2].any() and gradient[2, :3].any()
    assert not gradient[2, 3].any()


def test_static_inputs_give_a_graph_for_an_npu(make_loss):
    with control_flow_of_adapter(), tf.Graph().as_default() as graph:
        logits = tf.get_variable("logits", [2, 6, 4], use_resource=False)
        output = make_loss(l2_regularize=0.01)(logits, tf.constant([6, 4]), tf.constant([[0, 1], [1, 0]]), tf.constant([2, 1]))
        report = check_graph(graph, [output.loss, tf.gradients(output.loss, logits)[0]], built_in_operator_list())
    assert not [finding for finding in report.findings if finding.level == ERROR]


def test_transcripts_without_a_path_are_named(make_loss):
    make_loss(ngram_smoothing=False)
    with pytest.raises(DataError) as error:
        make_loss("dev.csv", ngram_smoothing=False)
    assert all(part in str(error.value) for part in ("dev.csv:2", "other.wav", "'cab'", "ngram_smoothing", "1 of 6"))
    make_loss("dev.csv")


def test_the_example_config_says_how_to_decode():
    path = os.path.join(REPOSITORY, "configs", "speech2text", "jasper_mini_digits_lfmmi.py")
    assert any("greedy" in note and "--lm_path" in note for note in load_experiment(path, "train").notes)
