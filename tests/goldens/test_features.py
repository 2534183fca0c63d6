"""The features of the original OpenSeq2Seq, by both engines and both backends."""
import glob
import json
import os

import numpy as np
import pytest
import soundfile
import tensorflow.compat.v1 as tf

from open_seq2seq.config.parameters import Report, check_parameters
from open_seq2seq.data.speech2text.feature_graph import FeatureGraph
from open_seq2seq.data.speech2text.features import extract_features

VARIANTS = ("logfbank64_librosa_jasper5x3", "logfbank64_librosa_nomelbasis_globalnorm", "logfbank64_librosa_hamming_gain",
            "logfbank64_psf", "spectrogram161_librosa", "spectrogram161_psf", "mfcc13_librosa", "mfcc13_psf")
TOLERANCE = 1e-3  # absolute, after normalisation


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
@pytest.mark.parametrize("variant", VARIANTS)
def test_graph_computes_the_original_features(goldens, graph, variant):
    params = parameters_of(goldens, variant)
    function = FeatureGraph(params)
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
