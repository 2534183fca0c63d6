"""Parameters and geometry of the features; comparison of their matrices with the libraries."""
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from open_seq2seq.config.parameters import Report, check_parameters
from open_seq2seq.data.speech2text import mel
from open_seq2seq.data.speech2text.features import PARAMETERS, Geometry, extract_features
from open_seq2seq.errors import ConfigError


def checked(**given_values):
    report = Report()
    params = check_parameters(PARAMETERS, {"num_audio_features": 64, **given_values}, "data_layer_params", report)
    assert not report.problems, report.problems
    return params


@pytest.mark.parametrize("sample_freq,num_fft,count", [(16000, 512, 64), (8000, 256, 40), (22050, 1024, 80), (44100, 2048, 128)])
def test_slaney_filters_equal_librosa(sample_freq, num_fft, count):
    librosa = pytest.importorskip("librosa")
    expected = librosa.filters.mel(sr=sample_freq, n_fft=num_fft, n_mels=count, fmin=0, fmax=int(sample_freq / 2),
                                   dtype=np.float64)
    np.testing.assert_allclose(mel.slaney_mel_filters(sample_freq, num_fft, count), expected.T, rtol=0, atol=1e-12)


@pytest.mark.shared
def test_slaney_filters_equal_the_golden_basis(goldens):
    with np.load(os.path.join(goldens, "features", "mel_basis_16000_512_64.npz")) as arrays:
        np.testing.assert_allclose(mel.slaney_mel_filters(16000, 512, 64), arrays["mel_basis"].T, rtol=0, atol=1e-12)


@pytest.mark.parametrize("sample_freq,count", [(16000, 64), (16000, 26), (8000, 120), (16000, 200)])
def test_htk_filters_equal_python_speech_features(sample_freq, count):
    psf = pytest.importorskip("python_speech_features")
    expected = psf.get_filterbanks(count, 512, sample_freq, 0, sample_freq / 2)
    np.testing.assert_allclose(mel.htk_mel_filters(sample_freq, 512, count), expected.T, rtol=0, atol=1e-12)


def test_cosine_transform_is_orthonormal_and_ordered():
    matrix = mel.cosine_transform(26, 26)
    np.testing.assert_allclose(matrix.T @ matrix, np.eye(26), atol=1e-12)
    np.testing.assert_allclose(np.ones(26) @ matrix, [np.sqrt(26)] + [0] * 25, atol=1e-12)
    np.testing.assert_array_equal(matrix[:, :13], mel.cosine_transform(26, 13))


def test_cepstral_lifter_computed_by_hand():
    np.testing.assert_allclose(mel.cepstral_lifter(4, 6), [1, 2.5, 1 + 3 * np.sqrt(0.75), 4])


def test_defaults_are_those_of_openseq2seq():
    params = checked()
    assert (params["backend"], params["input_type"], params["pad_to"], params["dither"]) == ("psf", "spectrogram", 8, 0.0)
    assert params["window_size"] == 0.02 and params["window_stride"] == 0.01 and params["sample_freq"] == 16000


@pytest.mark.parametrize("values,message", [
    (dict(window_stride=1e-5), "160|0 samples at 16000 Hz; expected at least one"),
    (dict(backend="librosa", input_type="logfbank", num_fft=256), "num_fft is 256, shorter than the window of 320"),
    (dict(num_audio_features=162), "num_audio_features is 162, but a spectrogram of 320-sample transforms has at most 161"),
    (dict(backend="librosa", input_type="logfbank", features_mean=[1.0, 2.0]), "features_mean has 2 values, expected one or"),
])
def test_contradictions_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        Geometry.of(checked(**values))


@pytest.mark.parametrize("value", ["high", [], {"a": 1}, np.zeros((2, 2))])
def test_statistics_of_another_type_are_refused(value):
    report = Report()
    check_parameters(PARAMETERS, {"num_audio_features": 64, "features_mean": value}, "p", report)
    assert len(report.problems) == 1 and 'p["features_mean"]' in report.problems[0]


@settings(max_examples=60, deadline=None)
@given(samples=st.integers(1, 5000), pad_to=st.integers(0, 17), window=st.sampled_from([0.005, 0.01, 0.02, 0.025]),
       input_type=st.sampled_from(["logfbank", "spectrogram"]))
def test_psf_frames_are_counted(samples, pad_to, window, input_type):
    pytest.importorskip("python_speech_features")
    params = checked(num_audio_features=20, input_type=input_type, window_size=window, pad_to=pad_to)
    frames = Geometry.of(params).num_frames(samples)
    assert len(extract_features(np.ones(samples, np.float32), params)) == frames
    assert frames >= 1 and (not pad_to or frames % pad_to == 0)


def test_16_bit_samples_keep_their_scale():
    """gain multiplies 16-bit samples, as in OpenSeq2Seq: 1 / 32768 does not change the waveform."""
    pytest.importorskip("librosa")
    waveform = np.sin(np.arange(3200) * 0.3).astype(np.float32)
    params = checked(backend="librosa", gain=1 / 32768, features_mean=0.0, features_std_dev=1.0, num_audio_features=161)
    # a sine of amplitude 1 has a peak of (sum(window) / 2) ** 2 in the power spectrum, less at most 1.4 dB between bins
    peak = extract_features(waveform, params).max()
    assert 10 * np.log10((np.hanning(320).sum() / 2) ** 2) - 1.5 < peak < 10 * np.log10((np.hanning(320).sum() / 2) ** 2) + 0.01
