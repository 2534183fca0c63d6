"""Mel filters without a bin of the Fourier transform: found from their edges, noted by the config check."""
import numpy as np
import pytest

from open_seq2seq.config.parameters import Report, check_parameters
from open_seq2seq.data.speech2text.features import PARAMETERS, check_rules
from open_seq2seq.data.speech2text.mel import empty_htk_filters, empty_slaney_filters, htk_mel_filters, slaney_mel_filters


@pytest.mark.parametrize("empty, filters", [(empty_htk_filters, htk_mel_filters), (empty_slaney_filters, slaney_mel_filters)])
def test_empty_filters_are_those_that_are_zero(empty, filters):
    found = 0
    for sample_freq in (8000, 11025, 16000):
        for num_fft in (200, 512):
            for count in (13, 64, 79, 80, 81, 128, 161):
                indices = empty(sample_freq, num_fft, count)
                expected = np.flatnonzero(~filters(sample_freq, num_fft, count).any(axis=0))
                np.testing.assert_array_equal(indices, expected, err_msg="%s" % [sample_freq, num_fft, count])
                found += len(indices)
    assert found > 100


@pytest.mark.parametrize("params, note", [
    ({"backend": "psf", "num_audio_features": 80}, "16000 Hz and a Fourier transform of 512 samples 1 of the mel bands, the "
     "first of which is band 2, contain no frequency and are constant features; up to 73 features have no such band"),
    ({"backend": "psf", "num_audio_features": 64}, None), ({"backend": "librosa", "num_audio_features": 80}, None),
    ({"backend": "librosa", "num_audio_features": 128, "window_size": 0.016}, "with backend librosa")])
def test_constant_features_are_noted(params, note):
    report = Report()
    checked = check_parameters(PARAMETERS, dict(params, input_type="logfbank"), "data_layer_params", report)
    check_rules(checked, "data_layer_params", report)
    assert not report.problems
    if note is None:
        assert not report.notes
    else:
        assert len(report.notes) == 1 and note in report.notes[0] and "num_audio_features" in report.notes[0]
