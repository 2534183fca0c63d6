"""The features of the original OpenSeq2Seq, by both engines and both backends."""
import glob
import json
import os

import numpy as np
import pytest
import soundfile
import tensorflow.compat.v1 as tf

from open_seq2seq.config.parameters import Report, check_parameters
from open_seq2seq.data.speech2text.augmentation import change_duration, masked
from open_seq2seq.data.speech2text.feature_graph import FeatureGraph, make_feature_function
from open_seq2seq.data.speech2text.features import extract_features

VARIANTS = ("logfbank64_librosa_jasper5x3", "logfbank64_librosa_nomelbasis_globalnorm", "logfbank64_librosa_hamming_gain",
            "logfbank64_psf", "spectrogram161_librosa", "spectrogram161_psf", "mfcc13_librosa", "mfcc13_psf")
TOLERANCE = 1e-3  # absolute, after normalization


def parameters_of(goldens, variant):
    with open(os.path.join(goldens, "features", "info.json")) as info:
        given = json.load(info)[variant]["params"]
    report = Report()
    checked = check_parameters(FeatureGraph.PARAMETERS, given, "data_layer_params", report)
    assert not report.problems
    return checked


def recordings(goldens):
    for path in sorted(glob.glob(os.path.join(goldens, "features", "wav", "*.wav"))):
        yield os.path.basename(path)[:-len(".wav")], soundfile.read(path, dtype="float32")[0]


def golden(goldens, recording, variant):
    with np.load(os.path.join(goldens, "features", "%s__%s.npz" % (recording, variant))) as arrays:
        return arrays["features"], float(arrays["duration"])


@pytest.mark.shared
@pytest.mark.parametrize("engine", ["graph", "auto"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_graph_computes_the_original_features(goldens, graph, variant, engine):
    params = dict(parameters_of(goldens, variant), feature_engine=engine)
    function = make_feature_function(params)
    waveform = tf.placeholder(tf.float32, [None])
    features, num_frames = function(waveform), function.num_frames(tf.size(waveform))
    checked = 0
    with tf.Session() as session:
        for recording, samples in recordings(goldens):
            expected, duration = golden(goldens, recording, variant)
            found, frames = session.run([features, num_frames], {waveform: samples})
            assert len(samples) / 16000 == duration
            assert found.shape == expected.shape
            assert frames == len(expected) == function.num_frames(len(samples))
            assert np.abs(found - expected).max() < TOLERANCE, recording
            checked += 1
    assert checked == 6


@pytest.mark.shared
@pytest.mark.parametrize("variant", VARIANTS)
def test_reference_libraries_compute_the_original_features(goldens, variant):
    params = parameters_of(goldens, variant)
    for recording, samples in recordings(goldens):
        expected, _ = golden(goldens, recording, variant)
        found = extract_features(samples, params)
        assert found.shape == expected.shape
        assert np.abs(found - expected).max() < TOLERANCE, recording


def augmentation_of(goldens, variant):
    with open(os.path.join(goldens, "features", "info.json")) as info:
        return json.load(info)[variant]["augmentation"]


@pytest.mark.shared
def test_masks_are_the_original_ones_given_its_draws(goldens, graph):
    variant = "aug_specaug_seed0"
    given = augmentation_of(goldens, variant)
    expected, _ = golden(goldens, "spk1_snt1", variant)
    rng = np.random.RandomState(0)
    intervals = {}
    for kind, size in (("freq", 64), ("time", len(expected))):
        intervals[kind] = []
        for _ in range(given["n_%s_mask" % kind]):
            width = rng.randint(given["width_%s_mask" % kind] + 1)
            intervals[kind].append((rng.randint(size - width), width))
    waveform = dict(recordings(goldens))["spk1_snt1"]
    features = FeatureGraph(parameters_of(goldens, VARIANTS[0]))(tf.constant(waveform))
    with tf.Session() as session:
        found = session.run(masked(features, tf.constant(intervals["freq"]), tf.constant(intervals["time"])))
    np.testing.assert_array_equal(found == 0, expected == 0)
    assert np.abs(found - expected).max() < TOLERANCE


@pytest.mark.shared
@pytest.mark.parametrize("variant", ["aug_speed_noise_seed0", "aug_speedlist_seed0"])
def test_speed_and_noise_are_the_original_ones_given_its_draws(goldens, variant):
    """Draws, shape and duration agree exactly; the features to the difference between two resampling filters.

    The original's came from resampy 0.2.2, ours from soxr: alike but for the last 400 Hz below half the sampling rate, which
    each filter's transition takes differently (the last two features), and for near-silent bins. resampy 0.4.3, whose filter
    is another, differs from the original by four times as much.
    """
    given = augmentation_of(goldens, variant)
    expected, duration = golden(goldens, "spk1_snt1", variant)
    waveform = dict(recordings(goldens))["spk1_snt1"]
    rng = np.random.RandomState(0)
    ratio = given["speed_perturbation_ratio"]
    ratio = rng.choice(ratio) if isinstance(ratio, list) else 1 + (2 * rng.rand() - 1) * ratio
    changed = change_duration(waveform / np.abs(waveform).max(), 16000, ratio)
    if "noise_level_min" in given:
        level = rng.randint(given["noise_level_min"], given["noise_level_max"])
        changed = changed + rng.randn(len(changed)) * 10 ** (level / 20)
    assert len(changed) / 16000 == duration
    difference = np.abs(extract_features(changed, parameters_of(goldens, VARIANTS[0])) - expected)
    assert difference.shape == expected.shape
    assert np.sqrt(np.mean(difference ** 2)) < 0.01
    assert difference[:, :62].max() < 0.1
    assert difference.max() < 0.2
