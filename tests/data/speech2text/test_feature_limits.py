"""``dynamic_range``, ``statistics_range`` and ``min_std_dev``: what they limit in all engines; the defaults change nothing."""
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.config.parameters import Report, check_parameters
from open_seq2seq.data.speech2text.feature_graph import make_feature_function
from open_seq2seq.data.speech2text.features import PARAMETERS, Geometry, extract_features
from open_seq2seq.errors import ConfigError

KINDS = [("librosa", "logfbank"), ("librosa", "spectrogram"), ("psf", "logfbank"), ("psf", "spectrogram")]
ENGINES = ["graph", "numpy", "compiled"]
# without normalization
RAW = {"features_mean": 0.0, "features_std_dev": 1.0}


def checked(**given):
    report = Report()
    given = dict({"num_audio_features": 32, "input_type": "logfbank", "backend": "librosa"}, **given)
    params = check_parameters(PARAMETERS, given, "data_layer_params", report)
    assert not report.problems
    return params


def compute(params, waveform):
    with tf.Graph().as_default(), tf.Session() as session:
        return session.run(make_feature_function(params)(tf.constant(waveform)))


def edited_speech():
    """Harmonics below 4 kHz, as of a resampled recording; an editor's digital silence in the middle and at the end."""
    time = np.arange(12000) / 16000
    voice = sum(np.sin(2 * np.pi * 150 * order * time) / order for order in range(1, 26)) * (1 + np.sin(2 * np.pi * 3 * time))
    waveform = np.round(3000 * voice) / 32768
    waveform[4000:6000] = waveform[11000:] = 0
    return waveform.astype(np.float32)


@pytest.mark.parametrize("backend,input_type", KINDS)
@pytest.mark.parametrize("given", [{"dynamic_range": 60.0}, {"min_std_dev": 1000.0}, {"statistics_range": 35.0},
                                   {"dynamic_range": 45.0, "min_std_dev": 2.0, "statistics_range": 40.0}],
                         ids=["dynamic_range", "min_std_dev", "statistics_range", "all"])
def test_all_engines_agree_and_stay_finite(backend, input_type, given):
    waveform = edited_speech()
    for normalization in ({}, {"norm_per_feature": True}) if backend == "librosa" else ({},):
        params = checked(backend=backend, input_type=input_type, **dict(given, **normalization))
        plain = compute(checked(backend=backend, input_type=input_type, **normalization), waveform)
        for engine in ("graph", "auto"):
            found = compute(dict(params, feature_engine=engine), waveform)
            np.testing.assert_allclose(found, extract_features(waveform, params), rtol=0, atol=1e-3)
            assert np.isfinite(found).all() and np.abs(found - plain).max() > 0.1


@pytest.mark.parametrize("engine,input_type,unit", [(engine, "logfbank", np.log(10) / 10) for engine in ENGINES] + [
    (engine, "spectrogram", 1.0) for engine in ("graph", "numpy")])
def test_the_range_is_that_many_decibels(engine, input_type, unit):
    waveform = edited_speech()
    plain = compute(checked(input_type=input_type, feature_engine=engine, **RAW), waveform)
    found = compute(checked(input_type=input_type, feature_engine=engine, dynamic_range=50.0, **RAW), waveform)
    np.testing.assert_allclose(found, np.maximum(plain, plain.max() - 50 * unit), atol=1e-3)
    assert found.max() - found.min() == pytest.approx(50 * unit, rel=1e-4) and plain.max() - plain.min() > 80 * unit


@pytest.mark.parametrize("engine", ENGINES)
def test_a_small_deviation_is_raised_and_a_large_one_stays(engine):
    waveform = edited_speech()
    common = {"norm_per_feature": True, "feature_engine": engine}
    raw = compute(checked(**dict(common, **RAW)), waveform)
    deviations = raw.std(axis=0)
    least = float(np.median(deviations))
    found = compute(checked(min_std_dev=least, **common), waveform)
    np.testing.assert_allclose(found, (raw - raw.mean(axis=0)) / np.maximum(deviations, least), atol=1e-3)
    # silence: a constant feature is 0, not the rounding error of its mean
    assert not np.any(compute(checked(min_std_dev=1e-3, **common), np.zeros(3000, np.float32)))


@pytest.mark.parametrize("backend,input_type", KINDS + [("psf", "mfcc")])
def test_the_defaults_add_no_operations(backend, input_type):
    """The values of OpenSeq2Seq's configs are those of the goldens, see test_features.py."""
    params = checked(backend=backend, input_type=input_type, num_audio_features=20, feature_engine="graph")
    assert (params["dynamic_range"], params["statistics_range"], params["min_std_dev"]) == (None, None, 0.0)
    waveform = edited_speech()
    np.testing.assert_allclose(compute(params, waveform), extract_features(waveform, params), rtol=0, atol=1e-3)
    with tf.Graph().as_default() as graph:
        make_feature_function(params)(tf.constant(waveform))
        maxima = [op.name for op in graph.get_operations() if op.type == "Maximum" and op.outputs[0].shape.ndims == 2]
    # a spectrogram has a floor of its own, which keeps the logarithm finite
    assert len(maxima) == (input_type == "spectrogram")


@pytest.mark.parametrize("engine", ENGINES)
def test_statistics_are_those_of_the_loud_frames(engine):
    """Pauses of another program do not change the features of the words."""
    waveform = edited_speech()
    common = {"norm_per_feature": True, "feature_engine": engine}
    raw = compute(checked(**dict(common, **RAW)), waveform)
    found = compute(checked(statistics_range=30.0, **common), waveform)
    counted = raw[raw.max(axis=1) >= raw.max() - 3 * np.log(10)]
    assert 20 < len(counted) < len(raw) - 10
    np.testing.assert_allclose(found, (raw - counted.mean(axis=0)) / counted.std(axis=0), atol=2e-3)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_louder_recording_has_the_same_features(engine):
    """The range is relative to the loudest energy of the utterance."""
    waveform = edited_speech()
    params = checked(dynamic_range=60.0, norm_per_feature=True, feature_engine=engine)
    np.testing.assert_allclose(compute(params, np.float32(0.25) * waveform), compute(params, waveform), atol=2e-3)


def test_a_range_of_cepstra_is_refused():
    with pytest.raises(ConfigError, match="dynamic_range is 60, but mfcc .*logfbank or spectrogram"):
        Geometry.of(checked(input_type="mfcc", num_audio_features=13, dynamic_range=60.0))
    report = Report()
    check_parameters(PARAMETERS, {"num_audio_features": 32, "dynamic_range": 0.0, "min_std_dev": -1.0}, "p", report)
    assert ['p["dynamic_range"] is 0.0' in report.problems[0], 'p["min_std_dev"] is -1.0' in report.problems[1]] == [True, True]
