"""Batch norm over several ranks, in real processes joined by Horovod, against one process with the whole batch.

Run as a script, this file is one of the ranks: its argument is the folder for its results.
"""
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.config.parameters import Report, check_parameters
from open_seq2seq.encoders import Execution, TDNNEncoder
from open_seq2seq.encoders.normalization import batch_norm

CASES = ("masked", "whole")  # statistics over valid frames, different padding per rank; over padding, equal padding
LENGTHS = np.array([24, 23, 18, 9, 12, 11, 8, 5], np.int32)
FEATURES, CHANNELS, FRAMES = 5, 6, 24
REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TIMEOUT = 300  # seconds; half of it is TensorFlow's start on a busy machine


def params(case):
    layers = [
        {"type": "conv1d", "kernel_size": [5], "stride": [2], "num_channels": CHANNELS},
        {"type": "conv1d", "kernel_size": [3], "num_channels": CHANNELS, "repeat": 2, "residual": True, "residual_dense": True},
        {"type": "conv1d", "kernel_size": [3], "num_channels": CHANNELS, "residual": True, "residual_dense": True},
        {"type": "sep_conv1d", "kernel_size": [3], "dilation": [2], "num_channels": CHANNELS},
    ]
    report = Report()
    checked = check_parameters(TDNNEncoder.PARAMETERS, {
        "convnet_layers": layers, "dropout_keep_prob": 1.0, "activation_fn": tf.nn.relu,
        "use_conv_mask": case == "masked", "mask_batch_norm": case == "masked"}, "encoder_params", report)
    assert not report.problems, report.problems
    return checked


def batch_of(case, step, rank, size):
    """(features, lengths, weights of the outputs) of one rank's share of a step's global batch."""
    generator = np.random.RandomState(step)
    # means far from zero and from the moving means, which begin at zero
    features = 2.0 * generator.randn(len(LENGTHS), FRAMES, FEATURES) + 5.0
    weights = generator.randn(len(LENGTHS), FRAMES // 2, CHANNELS)
    if case == "masked":
        weights *= (np.arange(FRAMES // 2) < ((LENGTHS + 1) // 2)[:, np.newaxis])[:, :, np.newaxis]
    share = slice(rank * len(LENGTHS) // size, (rank + 1) * len(LENGTHS) // size)
    # a stride of 2 pads an odd number of frames in another way
    frames = (LENGTHS[share].max() + 1) // 2 * 2 if case == "masked" else FRAMES
    return (features[share, :frames].astype(np.float32), LENGTHS[share],
            weights[share, :frames // 2].astype(np.float32))


def train(case, sum_over_ranks=None, average=list, rank=0, size=1):
    """Two steps' outputs, gradients and moving statistics, and the last after a step that is not finite on rank 0."""
    features = tf.placeholder(tf.float32, [len(LENGTHS) // size, None, FEATURES])
    lengths = tf.placeholder(tf.int32, [len(LENGTHS) // size])
    weights = tf.placeholder(tf.float32, [len(LENGTHS) // size, None, CHANNELS])
    execution = Execution(sum_over_ranks=sum_over_ranks)
    outputs = TDNNEncoder(params(case), "train", execution=execution)(features, lengths).outputs * tf.cast(
        tf.not_equal(weights, 0.0), tf.float32)
    loss = tf.reduce_mean(tf.reduce_sum(tf.square(outputs) * weights, [1, 2]))
    trained = tf.trainable_variables()
    gradients = average(tf.gradients(loss, trained))
    updates = tf.group(*tf.get_collection(tf.GraphKeys.UPDATE_OPS))
    moving = [variable for variable in tf.global_variables() if "/moving_" in variable.op.name]
    results = {}
    with tf.Session() as session:
        session.run([tf.assign(variable, 0.5 * np.random.RandomState(number).randn(*variable.shape.as_list()))
                     for number, variable in enumerate(trained)])
        session.run([variable.initializer for variable in moving])
        for step in range(3):
            feed = dict(zip((features, lengths, weights), batch_of(case, step, rank, size)))
            if step == 2 and rank == 0:
                feed[features][0, 0, 0] = np.inf
            output_values, gradient_values, _ = session.run([outputs, gradients, updates], feed)
            if step < 2:
                results["outputs/%d" % step] = output_values
                results.update(("gradient/%d/%s" % (step, variable.op.name), value)
                               for variable, value in zip(trained, gradient_values))
            results.update(("moving/%d/%s" % (step, variable.op.name), value)
                           for variable, value in zip(moving, session.run(moving)))
    return results


def run_ranks(size, folder):
    """Every rank's results in all cases, from ``size`` processes that train together."""
    from horovod.runner.common.util.hosts import get_host_assignments, parse_hosts
    from horovod.runner.http.http_server import RendezvousServer
    server = RendezvousServer()
    port = server.start()
    server.init(get_host_assignments(parse_hosts("localhost:%d" % size), size))
    processes = []
    try:
        for rank in range(size):
            environment = dict(os.environ, HOROVOD_CONTROLLER="gloo", HOROVOD_CPU_OPERATIONS="gloo", HOROVOD_GLOO_IFACE="lo",
                               HOROVOD_GLOO_RENDEZVOUS_ADDR="127.0.0.1", HOROVOD_GLOO_RENDEZVOUS_PORT=str(port),
                               HOROVOD_HOSTNAME="localhost", HOROVOD_CROSS_RANK="0", HOROVOD_CROSS_SIZE="1", OMP_NUM_THREADS="1",
                               PYTHONPATH=REPOSITORY)
            for scope in ("", "LOCAL_"):
                environment.update({"HOROVOD_%sRANK" % scope: str(rank), "HOROVOD_%sSIZE" % scope: str(size)})
            with open(os.path.join(folder, "%d.log" % rank), "wb") as log:
                processes.append(subprocess.Popen([sys.executable, os.path.abspath(__file__), folder], env=environment,
                                                  stdout=log, stderr=subprocess.STDOUT))
        for rank, process in enumerate(processes):
            if process.wait(TIMEOUT) != 0:
                with open(os.path.join(folder, "%d.log" % rank), errors="replace") as log:
                    pytest.fail("rank %d ended with status %d:\n%s" % (rank, process.returncode, log.read()[-4000:]))
    finally:
        for process in processes:
            process.kill()
            process.wait()
        server.stop()
    results = []
    for rank in range(size):
        with np.load(os.path.join(folder, "%d.npz" % rank)) as file:
            results.append(dict(file))
    return results


def check_close(actual, expected, tolerance):
    """Equal up to ``tolerance`` of the expected tensor's largest magnitude."""
    assert actual.shape == expected.shape
    assert np.abs(actual - expected).max() <= tolerance * np.abs(expected).max()


@pytest.mark.slow
def test_ranks_equal_one_process_with_the_whole_batch(needs_horovod, tmp_path):
    ranks = run_ranks(4, str(tmp_path))
    for case in CASES:
        with tf.Graph().as_default():
            expected = train(case)
        check_ranks([{name[len(case) + 1:]: value for name, value in rank.items() if name.startswith(case + "/")}
                     for rank in ranks], expected)


def check_ranks(ranks, expected):
    """Compares all that :func:`train` returns."""
    for step in range(2):
        whole = expected["outputs/%d" % step]
        outputs = np.zeros_like(whole)
        for number, rank in enumerate(ranks):
            share = rank["outputs/%d" % step]
            outputs[number * len(share):(number + 1) * len(share), :share.shape[1]] = share
        check_close(outputs, whole, 1e-5)
    gradients = [name for name in expected if name.startswith("gradient/")]
    moving = [name for name in expected if name.startswith("moving/")]
    assert len(gradients) == 2 * (9 + 2 * 8) and len(moving) == 3 * 2 * 8
    for rank in ranks:
        assert rank.keys() == expected.keys()
        for name in gradients:
            check_close(rank[name], expected[name], 1e-4)
        for name in moving:
            np.testing.assert_allclose(rank[name], expected[name], rtol=1e-5, atol=1e-6)
            np.testing.assert_array_equal(rank[name], ranks[0][name])
            if name.startswith("moving/2/"):
                # one rank's batch was not finite in any channel
                np.testing.assert_array_equal(rank[name], rank[name.replace("/2/", "/1/")])


def in_two_halves(total):
    """A sum over two ranks of which the other saw just what this one did."""
    return [2.0 * tensor for tensor in total]


@pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])
def test_statistics_by_hand(graph, masked):
    images = (np.arange(2 * 4 * 2, dtype=np.float32) ** 2 / 10.0 + 300.0).reshape(2, 1, 4, 2)
    mask = np.array([[1, 1, 1, 0], [1, 0, 0, 0]], np.float32) if masked else np.ones((2, 4), np.float32)
    with tf.variable_scope("norm", use_resource=False):
        outputs = batch_norm(tf.constant(images), True, 0.75, 1e-3, sum_over_ranks=in_two_halves,
                             mask=tf.constant(mask[:, :, np.newaxis]) if masked else None)
    mean_variable, variance_variable = [v for v in tf.global_variables() if "moving" in v.op.name]
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(tf.assign(mean_variable, [301.0, 290.0]))
        values = session.run(outputs)
        session.run(tf.get_collection(tf.GraphKeys.UPDATE_OPS))
        moving_mean, moving_variance = session.run([mean_variable, variance_variable])
    counted = images[:, 0][mask > 0].astype(np.float64)
    mean, variance, count = counted.mean(0), counted.var(0), 2 * len(counted)
    np.testing.assert_allclose(values, (images - mean) / np.sqrt(variance + 1e-3), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(moving_mean, 0.75 * np.array([301.0, 290.0]) + 0.25 * mean, rtol=1e-6)
    np.testing.assert_allclose(moving_variance, 0.75 + 0.25 * variance * count / (count - 1), rtol=1e-5)


def test_a_mean_far_from_zero_costs_no_accuracy_once_the_moving_mean_is_near(graph):
    images = (np.random.RandomState(0).randn(4, 1, 50, 3) + 1e4).astype(np.float32)
    with tf.variable_scope("norm", use_resource=False):
        outputs = batch_norm(tf.constant(images), True, 0.9, 1e-3, sum_over_ranks=in_two_halves)
    moving_mean = [v for v in tf.global_variables() if "moving_mean" in v.op.name][0]
    exact = images.astype(np.float64)
    expected = (exact - exact.mean((0, 1, 2))) / np.sqrt(exact.var((0, 1, 2)) + 1e-3)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(tf.assign(moving_mean, [1e4 + 3.0] * 3))
        # float32 itself has steps of 1e-3 at 1e4
        np.testing.assert_allclose(session.run(outputs), expected, atol=1e-4)


def test_one_sum_over_ranks_a_layer_and_none_in_evaluation():
    packed = []

    def record(tensors):
        packed.append([(tensor.dtype.name, tensor.shape.as_list()) for tensor in tensors])
        return tensors

    for mode, sums in (("eval", 0), ("train", 8)):
        with tf.Graph().as_default():
            TDNNEncoder(params("masked"), mode, execution=Execution(sum_over_ranks=record))(
                tf.zeros([2, FRAMES, FEATURES]), tf.constant([FRAMES, 3]))
        assert packed == [[("float32", [2 * CHANNELS + 1])]] * sums


def main(folder):
    from open_seq2seq.distributed.horovod_group import HorovodGroup
    group = HorovodGroup()
    results = {}
    for case in CASES:
        with tf.Graph().as_default():
            for name, value in train(case, group.sum, group.average, group.rank, group.size).items():
                results["%s/%s" % (case, name)] = value
    np.savez(os.path.join(folder, "%d.npz" % group.rank), **results)
    with tf.Session() as session:
        group.finish(session)


if __name__ == "__main__":
    main(*sys.argv[1:])
