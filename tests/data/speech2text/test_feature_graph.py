"""Features in the graph: comparison with the reference libraries for settings without goldens, and edge cases."""
import subprocess
import sys

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.config.parameters import Report, check_parameters
from open_seq2seq.data.speech2text.compiled_features import CompiledFeatures, why_not_compiled
from open_seq2seq.data.speech2text.feature_graph import FeatureGraph, NumpyFeatures, make_feature_function
from open_seq2seq.data.speech2text.features import check_rules, extract_features


def checked(**given):
    given = {**{"num_audio_features": 64, "input_type": "logfbank", "backend": "librosa"}, **given}
    report = Report()
    params = check_parameters(FeatureGraph.PARAMETERS, given, "data_layer_params", report)
    assert not report.problems
    return params


def speech_like(samples, seed=0):
    """Harmonics under an envelope over a noise floor."""
    rng = np.random.RandomState(seed)
    time = np.arange(samples) / 16000
    voice = sum(np.sin(2 * np.pi * 130 * k * time) / k for k in range(1, 30)) * (1 + np.sin(2 * np.pi * 3 * time))
    return (0.1 * voice + 0.002 * rng.standard_normal(samples)).astype(np.float32)


def compute(params, waveform, seed=None):
    function = make_feature_function(params)
    features = function(tf.constant(waveform), seed)
    frames = function.num_frames(tf.size(waveform))
    with tf.Session() as session:
        found, num_frames = session.run([features, frames])
    assert found.dtype == np.float32
    assert found.shape == (num_frames, params["num_audio_features"])
    assert num_frames == function.num_frames(len(waveform))
    return found


FRAMINGS = [
    dict(window_size=0.025), dict(window_size=0.02, window_stride=0.0125), dict(sample_freq=22050), dict(num_fft=1024),
    dict(window="none", norm_per_feature=True), dict(window_size=0.032, window_stride=0.016), dict(sample_freq=8000),
    dict(input_type="spectrogram", num_audio_features=100, sample_freq=22050), dict(input_type="mfcc", num_audio_features=20),
    dict(backend="psf", window_size=0.025, pad_to=0), dict(backend="psf", window_size=0.04), dict(backend="psf", pad_to=16),
    dict(backend="psf", input_type="mfcc", num_audio_features=20, window_size=0.025),
    dict(backend="psf", input_type="spectrogram", num_audio_features=160, window_size=0.0201),
]


@pytest.mark.slow
@pytest.mark.parametrize("given", FRAMINGS, ids=lambda given: ",".join("%s=%s" % item for item in sorted(given.items())))
def test_any_framing_equals_the_reference_library(graph, given):
    params = checked(**given)
    waveform = speech_like(20011)
    expected = extract_features(waveform, params)
    for engine in ("graph", "auto"):
        np.testing.assert_allclose(compute(dict(params, feature_engine=engine), waveform), expected, rtol=0, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("samples", [2, 100, 159, 160, 161, 257, 320, 321, 1000])
@pytest.mark.parametrize("backend", ["librosa", "psf"])
def test_short_waveforms_equal_the_reference_library(graph, backend, samples):
    params = checked(backend=backend)
    waveform = speech_like(samples)
    expected = extract_features(waveform, params)
    assert len(expected) == (1 + samples // 160 if backend == "librosa" else 8)
    for engine in ("graph", "auto"):
        # two samples, reflected, are a constant and the highest frequency: the other bands are 100 dB below
        tolerance = 3e-3 if samples == 2 else 1e-3
        np.testing.assert_allclose(compute(dict(params, feature_engine=engine), waveform), expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("input_type", ["logfbank", "mfcc", "spectrogram"])
@pytest.mark.parametrize("backend", ["librosa", "psf"])
def test_one_sample_is_one_frame(graph, backend, input_type):
    found = compute(checked(backend=backend, input_type=input_type, num_audio_features=13, pad_to=1), np.float32([0.5]))
    assert found.shape == (1, 13)
    assert np.isfinite(found).all()


@pytest.mark.parametrize("engine", ["graph", "numpy", "auto"])
@pytest.mark.parametrize("input_type", ["logfbank", "mfcc", "spectrogram"])
@pytest.mark.parametrize("backend", ["librosa", "psf"])
def test_silence_gives_zeros(graph, backend, input_type, engine):
    """OpenSeq2Seq divides by a deviation of 0 and trains on NaN; here a constant feature becomes 0."""
    params = checked(backend=backend, input_type=input_type, num_audio_features=13, feature_engine=engine, pad_to=1)
    found = compute(params, np.zeros(4000, np.float32))
    if (backend, input_type) == ("psf", "mfcc"):
        # the cepstrum of a constant: the first coefficient differs from the rest, and psf normalizes all together
        expected = np.tile([[-np.sqrt(12)] + [np.sqrt(1 / 12)] * 12], (24, 1))
        np.testing.assert_allclose(found, expected, atol=1e-5)
    else:
        np.testing.assert_array_equal(found, np.zeros((24 if backend == "psf" else 26, 13)))


def test_a_single_frame_normalized_per_feature_is_zero(graph):
    found = compute(checked(norm_per_feature=True), speech_like(100))
    np.testing.assert_array_equal(found, np.zeros((1, 64)))


def test_silence_within_speech_stays_finite(graph):
    waveform = speech_like(16000)
    waveform[4000:9000] = 0
    params = checked(norm_per_feature=True)
    expected = extract_features(waveform, params)
    for engine in ("graph", "compiled"):
        np.testing.assert_allclose(compute(dict(params, feature_engine=engine), waveform), expected, rtol=0, atol=1e-3)


@pytest.mark.parametrize("engine", ["graph", "numpy", "compiled"])
def test_configured_statistics_are_used(graph, engine):
    waveform = speech_like(16000)
    mean, deviation = np.linspace(-9, -5, 64), np.linspace(2, 4, 64)
    given = dict(gain=1 / 32768, feature_engine=engine)
    raw = compute(checked(features_mean=0.0, features_std_dev=1.0, **given), waveform)
    assert -25 < raw.mean() < -1
    found = compute(checked(features_mean=mean, features_std_dev=list(deviation), **given), waveform)
    np.testing.assert_allclose(found, (raw - mean) / deviation, rtol=0, atol=1e-4)
    louder = compute(checked(features_mean=0.0, features_std_dev=1.0, **given), 2 * waveform)
    np.testing.assert_allclose(louder - raw, np.full_like(raw, np.log(4)), atol=1e-3)


@pytest.mark.parametrize("engine", ["graph", "numpy"])
def test_dither_has_its_level_and_follows_the_seed(graph, engine):
    """Dither in digital silence: white noise of deviation d has E|X|^2 = d^2 * sum(window^2) in every bin."""
    level = 1e-3
    given = dict(input_type="spectrogram", num_audio_features=161, features_mean=0.0, features_std_dev=1.0, dither=level,
                 feature_engine=engine)
    silence = np.zeros(32000, np.float32)
    first = compute(checked(**given), silence, tf.constant([1, 2]))
    np.testing.assert_array_equal(first, compute(checked(**given), silence, tf.constant([1, 2])))
    assert np.abs(first - compute(checked(**given), silence, tf.constant([1, 3]))).max() > 1
    power = np.mean(10 ** (first[:, 5:-5] / 10))
    assert power == pytest.approx(level ** 2 * np.sum(np.hanning(320) ** 2), rel=0.05)
    np.testing.assert_allclose(compute(checked(**given), silence), np.full((201, 161), -300), rtol=1e-5)


@pytest.mark.slow
def test_runs_in_a_dataset(graph):
    params = checked()
    waveforms = [speech_like(count, seed) for seed, count in enumerate((8000, 5000))]
    for engine in ("graph", "numpy", "compiled"):
        function = make_feature_function(dict(params, feature_engine=engine))
        dataset = tf.data.Dataset.from_generator(lambda: iter(waveforms), tf.float32, [None]).map(function)
        iterator = tf.data.make_initializable_iterator(dataset)
        features = iterator.get_next()
        assert features.shape.as_list() == [None, 64]
        with tf.Session() as session:
            session.run(iterator.initializer)
            for waveform in waveforms:
                np.testing.assert_allclose(session.run(features), extract_features(waveform, params), rtol=0, atol=1e-3)


def test_tensors_of_another_rank_or_type_are_refused(graph):
    function = FeatureGraph(checked())
    with pytest.raises(ValueError, match=r"float64 \(10,\), expected float32 \[samples\]"):
        function(np.zeros(10))
    with pytest.raises(ValueError, match=r"expected float32 \[samples\]"):
        function(np.zeros((10, 2), np.float32))


def test_compiled_dither_is_white_noise_of_its_level(graph):
    """White noise of deviation d has E|X|^2 = d^2 * sum(window^2) in every bin, and a filter sums up the bins."""
    params = checked(features_mean=0.0, features_std_dev=1.0, dither=1e-3, feature_engine="compiled")
    silence = np.zeros(160000, np.float32)
    first = compute(params, silence, tf.constant([1, 2]))
    np.testing.assert_array_equal(first, compute(params, silence, tf.constant([1, 2])))
    assert np.abs(first - compute(params, silence, tf.constant([1, 3]))).max() > 1
    noise = (1e-3 * np.random.RandomState(5).standard_normal(160000)).astype(np.float32)
    expected = extract_features(noise, dict(params, dither=0.0, gain=1 / 32768))
    np.testing.assert_allclose(np.exp(first[5:-5]).mean(0), np.exp(expected[5:-5]).mean(0), rtol=0.25)


def test_compiled_features_do_not_depend_on_the_other_frames_of_a_vector(graph):
    """The waveform's end, where frames are missing to fill a vector, gives what it gives within a longer one."""
    params = checked(features_mean=0.0, features_std_dev=1.0, gain=1.0, feature_engine="compiled")
    function, waveform = CompiledFeatures(params), speech_like(16000)
    whole = function.of_waveform(waveform)
    for frames in (1, 2, 3, 15, 16, 17, 31, 33):
        part = function.of_waveform(waveform[:160 * frames + 160])
        np.testing.assert_array_equal(part[:frames], whole[:frames])


def test_the_parameter_selects_the_engine():
    for given, kind in ((dict(), CompiledFeatures), (dict(backend="psf"), FeatureGraph), (dict(num_fft=1000), FeatureGraph),
                        (dict(input_type="mfcc", num_audio_features=13), FeatureGraph),
                        (dict(feature_engine="compiled"), CompiledFeatures), (dict(feature_engine="graph"), FeatureGraph),
                        (dict(feature_engine="numpy"), NumpyFeatures)):
        assert type(make_feature_function(checked(**given))) is kind, given


@pytest.mark.parametrize("given,told", [(dict(backend="psf"), 'backend "librosa" only'), (dict(num_fft=1000), "num_fft is 1000")])
def test_features_that_cannot_be_compiled_are_refused_with_the_reason(given, told):
    report, params = Report(), checked(**given)
    check_rules(dict(params, feature_engine="compiled"), "data_layer_params", report)
    problem, = report.problems
    assert "feature_engine" in problem and told in problem and '"graph"' in problem
    assert why_not_compiled(params) in problem


def test_without_llvmlite_the_features_are_computed_in_the_graph(monkeypatch):
    for module in ("open_seq2seq.data.speech2text.log_mel_code", "open_seq2seq.data.speech2text.vector_code"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, "llvmlite", None)
    assert type(make_feature_function(checked())) is FeatureGraph


@pytest.mark.slow
def test_the_graph_engine_does_not_import_librosa():
    code = ("import sys, open_seq2seq.data.speech2text.feature_graph, open_seq2seq.data.speech2text.augmentation;"
            "sys.exit(bool({'librosa', 'python_speech_features', 'numba'} & set(sys.modules)))")
    assert subprocess.call([sys.executable, "-c", code]) == 0
