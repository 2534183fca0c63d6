"""The picture: a tone is bright where it belongs, however the file is cut into blocks."""
import numpy as np
import pytest
import soundfile

from open_seq2seq.transcription.web import spectrogram as module
from open_seq2seq.transcription.web.spectrogram import NUM_BANDS, spectrogram

RATE = 16000


@pytest.fixture
def picture(tmp_path):
    def of(samples):
        path = str(tmp_path / "a.wav")
        soundfile.write(path, samples, RATE, subtype="FLOAT")
        return spectrogram(path)
    return of


def tone(hz, seconds, level=0.5):
    return level * np.sin(2 * np.pi * hz * np.arange(int(seconds * RATE)) / RATE)


@pytest.mark.parametrize("hz", [200, 440, 1000, 3000, 7000])
def test_tone_is_brightest_in_its_band(hz, picture):
    drawn = picture(tone(hz, 1.0))
    assert drawn.points.shape == (101, NUM_BANDS) and drawn.points.dtype == np.uint8
    assert drawn.seconds_per_column == pytest.approx(0.01)
    brightest = drawn.points[5:95].argmax(axis=1)
    nearest = int(np.abs(np.array(drawn.band_hz) - hz).argmin())
    assert set(np.abs(brightest - nearest)) <= {0, 1}
    assert drawn.points.max() == 255


def test_level_is_in_decibels(picture):
    """20 dB less than the loudest are 20/80 of the range."""
    drawn = picture(np.concatenate([tone(1000, 1.0), tone(1000, 1.0, level=0.05)]))
    loud, soft = drawn.points[50].max(), drawn.points[150].max()
    assert loud == 255 and abs(int(soft) - (255 - 255 * 20 / 80)) <= 1


def test_onset_is_in_its_column(picture):
    drawn = picture(np.concatenate([np.zeros(RATE), tone(1000, 0.5)]))
    bright = np.flatnonzero(drawn.points.max(axis=1) > 200)
    assert abs(int(bright[0]) - 100) <= 1


def test_silence_is_dark(picture):
    assert picture(np.zeros(RATE)).points.max() == 0
    assert picture(1e-6 * np.random.RandomState(0).randn(RATE)).points.max() < 40


@pytest.mark.parametrize("num_samples", [1, 100, 160, 399, 400, 6400, 16000, 16001])
@pytest.mark.parametrize("pooled", [1, 3])
def test_blocks_do_not_show(num_samples, pooled, picture, monkeypatch):
    samples = np.random.RandomState(num_samples).uniform(-0.5, 0.5, num_samples)
    monkeypatch.setattr(module, "MAX_COLUMNS", -(-(1 + num_samples // 160) // pooled))
    whole = picture(samples)
    monkeypatch.setattr(module, "BLOCK_COLUMNS", 7)
    np.testing.assert_array_equal(picture(samples).points, whole.points)
    assert len(whole.points) == -(-(1 + num_samples // 160) // max(pooled, 1)) or num_samples < 480
    assert whole.points.any()


def test_a_click_survives_in_a_long_recording(picture, monkeypatch):
    monkeypatch.setattr(module, "MAX_COLUMNS", 20)
    samples = np.zeros(10 * RATE)
    samples[5 * RATE] = 1.0
    drawn = picture(samples)
    assert len(drawn.points) <= 20 and drawn.seconds_per_column == pytest.approx(0.51)
    assert set(np.flatnonzero(drawn.points.max(axis=1))) == {9}
