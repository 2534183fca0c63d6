"""The cost model, compared with times calculated by hand, and its command."""
import json
import os

import pytest

from open_seq2seq.errors import UsageError
from open_seq2seq.launch import cost_model
from open_seq2seq.launch.cost_model import (
    Cluster,
    Link,
    Training,
    all_reduce_seconds,
    predict,
    ring_all_reduce_seconds,
)
from tests.paths import REPOSITORY

CONFIG = os.path.join(REPOSITORY, "configs", "speech2text", "jasper5x3_LibriSpeech_nvgrad_masks_1p.py")
WORDS = ["--config_file", CONFIG, "--step_seconds", "0.5", "--bandwidth", "20", "--network_bandwidth", "100"]


@pytest.mark.parametrize("devices,seconds", [(1, 0.0), (2, 0.1), (4, 0.15), (8, 0.175)])
def test_ring_without_latency_is_bound_by_twice_the_bytes(devices, seconds):
    assert ring_all_reduce_seconds(100e6, devices, Link(1e9, 0.0)) == pytest.approx(seconds, rel=1e-12)


def test_every_message_of_every_buffer_waits_for_its_latency():
    # 4 devices: 6 messages, in 5 buffers, 10 us each
    assert ring_all_reduce_seconds(0.0, 4, Link(1e9, 1e-5), buffers=5) == pytest.approx(3e-4, rel=1e-12)


def test_hierarchical_adds_the_ring_in_a_server_and_that_of_the_servers():
    cluster = Cluster(8, Link(20e9, 0.0), Link(100e9, 0.0), True)
    # 16 devices: 2 * 7/8 * 1 GB / 20 GB/s inside, 2 * 1/2 * 1 GB / 100 GB/s between the two servers
    assert all_reduce_seconds(1e9, 16, cluster) == pytest.approx(0.0875 + 0.01, rel=1e-12)
    assert all_reduce_seconds(1e9, 8, cluster) == pytest.approx(0.0875, rel=1e-12)
    assert all_reduce_seconds(1e9, 4, cluster) == pytest.approx(0.075, rel=1e-12)


def test_a_flat_ring_is_as_fast_as_its_slowest_link():
    cluster = Cluster(2, Link(20e9, 1e-5), Link(1e9, 5e-5), False)
    assert all_reduce_seconds(1e9, 4, cluster) == pytest.approx(1.5 + 6 * 5e-5, rel=1e-12)
    # within one server the network is not used
    assert all_reduce_seconds(1e9, 2, cluster) == pytest.approx(0.05 + 2 * 1e-5, rel=1e-12)


def test_a_server_with_fewer_devices_is_an_error():
    with pytest.raises(ValueError, match="12 devices are not a multiple of 8 devices per server"):
        all_reduce_seconds(1.0, 12, Cluster(8, Link(1.0, 0.0), Link(1.0, 0.0), True))


def test_prediction_by_hand():
    training = Training(step_seconds=0.9, batch_size=32, gradient_bytes=1e9, buffers=1, overlap=0.0, micro_batches=1)
    cluster = Cluster(8, Link(10e9, 0.0), Link(10e9, 0.0), True)
    two = predict(training, 2, cluster)
    assert two.all_reduce_seconds == pytest.approx(0.1) and two.exposed_seconds == pytest.approx(0.1)
    assert two.step_seconds == pytest.approx(1.0) and two.efficiency == pytest.approx(0.9)
    assert two.speedup == pytest.approx(1.8) and two.utterances_per_second == pytest.approx(64.0)


def test_one_device_does_not_communicate():
    alone = predict(Training(0.9, 32, 1e9, 4, 0.0, 1), 1, Cluster(8, Link(1.0, 1.0), Link(1.0, 1.0), True))
    assert alone.efficiency == 1.0 and alone.all_reduce_seconds == 0.0 and alone.step_seconds == 0.9


@pytest.mark.parametrize("overlap,micro_batches,exposed", [
    (0.0, 1, 0.1), (0.05, 1, 0.07), (0.5, 1, 0.0), (0.05, 3, 0.09)])
def test_communication_overlaps_only_with_the_last_backward_pass(overlap, micro_batches, exposed):
    # the backward pass is two thirds of 0.9 s; of three accumulated batches only the last can overlap with communication
    training = Training(0.9, 32, 1e9, 1, overlap, micro_batches)
    prediction = predict(training, 2, Cluster(8, Link(10e9, 0.0), Link(10e9, 0.0), True))
    assert prediction.exposed_seconds == pytest.approx(exposed, abs=1e-12)


def test_command_counts_the_parameters_of_the_config(capsys):
    cost_model.main(WORDS + ["--devices", "8,512", "--json"])
    table = json.loads(capsys.readouterr().out)
    assert table["parameters"] == 109709085
    assert table["training"]["gradient_bytes"] == 4 * 109709085
    assert table["training"]["buffers"] == 4  # 438.8 MB in pieces of 128 MB
    eight, many = table["predictions"]
    expected = 2 * 7 / 8 * 438836340 / 20e9 + 14 * 4 * 10e-6
    assert eight["all_reduce_seconds"] == pytest.approx(expected, rel=1e-9)
    expected += 2 * 63 / 64 * 438836340 / 100e9 + 126 * 4 * 30e-6
    assert many["all_reduce_seconds"] == pytest.approx(expected, rel=1e-9)
    assert many["efficiency"] == pytest.approx(0.5 / (0.5 + expected), rel=1e-9)


def test_command_prints_a_line_for_each_number_of_devices(capsys):
    cost_model.main(WORDS)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("109709085 parameters, 438.8 MB of gradients per step in 4 buffers")
    assert [int(line.split()[0]) for line in lines[2:]] == [1, 8, 16, 32, 64, 128, 256, 512]


@pytest.mark.parametrize("words,message", [
    (WORDS[:-2], "--network_bandwidth is missing"),
    (WORDS + ["--devices", "12"], "12 devices are not a multiple of 8 devices per server"),
])
def test_combinations_that_cannot_be_computed_are_usage_errors(words, message):
    with pytest.raises(UsageError, match=message):
        cost_model.main(words)


@pytest.mark.parametrize("flag,value", [
    ("--bandwidth", "0"), ("--bandwidth", "nan"), ("--step_seconds", "-1"), ("--overlap", "1.5"), ("--latency", "-1"),
    ("--devices", "8,x"), ("--devices", "0"), ("--devices_per_server", "0"), ("--bytes_per_number", "3")])
def test_invalid_values_are_errors_that_name_the_flag(flag, value):
    with pytest.raises(UsageError, match="argument %s: " % flag):
        cost_model.main(WORDS + [flag, value])
