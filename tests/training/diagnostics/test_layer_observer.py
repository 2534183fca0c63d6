"""Statistics of layers, compared with NumPy."""
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.checkpoints.graph_variables import graph_variables
from open_seq2seq.distributed.group import Single
from open_seq2seq.training.diagnostics.layer_observer import VARIANCE_EPSILON, LayerObserver, LayerStatistics
from open_seq2seq.training.diagnostics.layer_progress import LayerProgress, table

MEAN, VARIANCE = np.array([0.5, -1.0, 0.0], np.float32), np.array([4.0, 0.25, 0.0], np.float32)


class _Twice(Single):
    """Two ranks with the same observations."""

    size = 2

    def gather(self, tensor):
        return tf.stack([tensor, tensor])


def _batches():
    draw = np.random.RandomState(1)
    return [(draw.normal(size=[2, 5, 3]).astype(np.float32), np.array([5, 3], np.int32)),
            (draw.normal(size=[3, 4, 3]).astype(np.float32), np.array([1, 4, 2], np.int32))]


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("group", [Single(), _Twice()])
def test_statistics_are_those_of_all_frames(graph, masked, group):
    inputs, lengths = tf.placeholder(tf.float32, [None, None, 3]), tf.placeholder(tf.int32, [None])
    observer = LayerObserver()
    mask = tf.expand_dims(tf.sequence_mask(lengths, tf.shape(inputs)[1], tf.float32), 2)
    observer.normalization("ForwardPass/net/conv11/bn", tf.expand_dims(inputs, 1), mask if masked else None, tf.constant(MEAN),
                           tf.constant(VARIANCE))
    # the third channel is 0 in all valid frames, and not in the padding
    dead = tf.concat([inputs[:, :, :2], inputs[:, :, 2:] * (1.0 - mask)], 2)
    observer.activation("ForwardPass/net/conv11", dead, lengths)
    statistics = LayerStatistics(observer, group)
    frames = []
    with tf.Session() as session:
        for features, valid_lengths in _batches():
            observed = session.run(observer.observations[0], {inputs: features, lengths: valid_lengths})
            statistics.add(observed)
            frames += [utterance[:length if masked else None] for utterance, length in zip(features, valid_lengths)]
        found = statistics.result(session)
    frames = np.concatenate(frames).astype(np.float64)
    drifts = np.log((frames.var(0) + VARIANCE_EPSILON) / (VARIANCE + VARIANCE_EPSILON))
    assert found == {"conv11": {
        "mean_drift": pytest.approx(np.sqrt(np.mean((frames.mean(0) - MEAN) ** 2 / (VARIANCE + VARIANCE_EPSILON))), rel=1e-5),
        "variance_drift": pytest.approx(np.mean(np.abs(drifts)), rel=1e-5),
        "dead_channels": pytest.approx(1 / 3)}}


def test_a_restart_sets_the_sums_to_zero(graph):
    observer = LayerObserver()
    observer.activation("ForwardPass/net/conv11", tf.ones([1, 2, 4]), tf.constant([2]))
    statistics = LayerStatistics(observer, Single())
    with tf.Session() as session:
        statistics.add(session.run(observer.observations[0]))
        assert statistics.result(session)["conv11"]["dead_channels"] == 0.0
        statistics.restart()
        assert np.isnan(statistics.result(session)["conv11"]["dead_channels"])
        statistics.add(([], [np.zeros(4)]))
        assert statistics.result(session)["conv11"]["dead_channels"] == 1.0


def test_a_non_finite_utterance_is_excluded_and_a_non_finite_channel_gives_nan(graph):
    inputs, lengths = tf.placeholder(tf.float32, [None, None, 3]), tf.constant([5, 3])
    observer = LayerObserver()
    observer.normalization("ForwardPass/net/conv11/bn", tf.expand_dims(inputs, 1), None, tf.constant(MEAN), tf.constant(VARIANCE))
    observer.activation("ForwardPass/net/conv11", inputs, lengths)
    statistics = LayerStatistics(observer, Single())
    features, _ = _batches()[0]
    features[:, :, 1] = 0.0

    def found(session, batch):
        statistics.restart()
        statistics.add(session.run(observer.observations[0], {inputs: batch}))
        return statistics.result(session)["conv11"]
    with tf.Session() as session:
        good = found(session, features[:1])
        with_bad = np.concatenate([features[:1], np.full_like(features[1:], np.nan)])
        assert found(session, with_bad) == good and good["dead_channels"] == pytest.approx(1 / 3)
        # the weights of one channel are not finite: it is not dead, and its drift is unknown
        features[:, :, 0] = np.nan
        non_finite = found(session, features)
        assert non_finite["dead_channels"] == pytest.approx(1 / 3) and np.isnan(non_finite["mean_drift"])
        assert np.isnan(found(session, np.full_like(features, np.inf))["dead_channels"])


def test_a_network_without_observed_layers(graph):
    observer = LayerObserver()
    with tf.Session() as session:
        assert observer.observations == []
        assert LayerStatistics(observer, Single()).result(session) == {}


def test_progress_of_layers(graph):
    kernel = tf.get_variable("ForwardPass/net/conv11/kernel", initializer=np.array([3.0, 4.0], np.float32))
    gamma = tf.get_variable("ForwardPass/net/conv11/bn/gamma", initializer=np.array([12.0], np.float32))
    bias = tf.get_variable("ForwardPass/decoder/fully_connected/bias", initializer=np.zeros(2, np.float32))
    progress = LayerProgress([kernel, gamma, bias], ["conv11", "fully_connected"])
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        progress.start(graph_variables().read(session))
        for norms in ([2.0, 8.0], [4.0, 0.0]):
            progress.add(np.array(norms, np.float32))
        session.run([kernel.assign([3.0, 5.0]), gamma.assign([12.0]), bias.assign([0.0, 0.5])])
        values = graph_variables().read(session)
        first, second = progress.rows(values), progress.rows(values)
    assert first == [
        {"layer": "conv11", "parameter_norm": pytest.approx(np.sqrt(9 + 25 + 144)), "relative_change": pytest.approx(1 / 13),
         "gradient_norm": 3.0},
        # there is no change relative to nothing
        {"layer": "fully_connected", "parameter_norm": 0.5, "relative_change": None, "gradient_norm": 4.0}]
    assert [(row["relative_change"], row["gradient_norm"]) for row in second] == [(0.0, None), (0.0, None)]


def test_the_table_of_a_small_network_has_all_layers():
    lines = table([{"layer": "conv11", "relative_change": 0.012, "gradient_norm": 3.0, "dead_channels": 0.25, "mean_drift": 0.1,
                    "variance_drift": 0.2}, {"layer": "fully_connected", "relative_change": None, "gradient_norm": 20.0}])
    assert [line.split() for line in lines[1:]] == [["conv11", "1.20e-02", "3.00e+00", "0.250", "0.100", "0.200"],
                                                    ["fully_connected", "2.00e+01"]]
    assert lines[0].split() == ["layer", "change", "gradient", "dead", "mean", "drift", "var.", "drift"]


def test_the_table_of_a_large_network_merges_a_convolution_with_its_branches():
    rows = [{"layer": "conv%d%s" % (conv, branch), "relative_change": 0.001 * conv, "gradient_norm": norm}
            for conv in range(10, 50) for branch, norm in (("", 1.0), ("/res_0", 2.0))]
    lines = table(rows)
    assert [line.split()[0] for line in lines[1:]] == ["conv%d" % conv for conv in range(26, 50)]
    assert lines[1].split() == ["conv26", "2.60e-02", "2.00e+00"]
