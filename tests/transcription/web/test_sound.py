"""What is played back, and which files are refused."""
import numpy as np
import pytest
import soundfile

from open_seq2seq.errors import DataError
from open_seq2seq.transcription.web.sound import check_sound, write_playback


def playback(source, tmp_path, max_seconds=60.0):
    target = str(tmp_path / "playback.wav")
    count = write_playback(str(source), target, 16000, max_seconds, "mine")
    samples, rate = soundfile.read(target)
    assert (rate, samples.ndim, len(samples)) == (16000, 1, count)
    return samples


@pytest.mark.parametrize("name, rate", [("a.wav", 16000), ("a.flac", 44100), ("a.ogg", 48000), ("a.aiff", 8000)])
def test_mono_at_the_models_rate(name, rate, tmp_path):
    path = tmp_path / name
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate)
    soundfile.write(str(path), np.stack([tone, np.zeros(rate)], axis=1), rate)
    check_sound(str(path), 1.0)
    samples = playback(path, tmp_path)
    assert len(samples) == 16000
    expected = 0.25 * np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)
    assert np.abs(samples - expected)[800:-800].max() < 0.01


def test_samples_beyond_one_are_clipped(tmp_path):
    soundfile.write(str(tmp_path / "loud.wav"), np.array([3.0, -3.0] * 100), 16000, subtype="FLOAT")
    np.testing.assert_allclose(playback(tmp_path / "loud.wav", tmp_path)[:2], [1, -1], atol=1e-4)


def test_too_long_by_its_header(wav):
    with pytest.raises(DataError, match="lasts 1.75 s; this server takes up to 1.7 s"):
        check_sound(str(wav(500, 1000)), 1.7)


def test_too_long_whatever_the_header_says(wav, tmp_path):
    with pytest.raises(DataError, match="this server takes up to 1.7 s"):
        playback(wav(500, 1000), tmp_path, max_seconds=1.7)


def test_not_a_number(tmp_path):
    samples = np.zeros(32000, np.float32)
    samples[24000] = np.nan
    soundfile.write(str(tmp_path / "nan.wav"), samples, 16000, subtype="FLOAT")
    with pytest.raises(DataError, match="^mine: non-finite samples: a sample is NaN or infinite at 1.500 s"):
        playback(tmp_path / "nan.wav", tmp_path)


@pytest.mark.parametrize("content, words", [
    (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "It is a PDF"),
    (b"<!DOCTYPE html><p>Sign in", "HTML or XML page"),
    (b"\x1aE\xdf\xa3" + bytes(50), "It is a WebM or Matroska file"),
    (b"\x00\x00\x00\x20ftypisom" + bytes(50), "It is an MP4 .* Convert it to WAV first"),
    (b"just text", "^This file is not a recording that can be read here. Expected WAV"),
])
def test_no_sound(content, words, tmp_path):
    path = tmp_path / "upload"
    path.write_bytes(content)
    with pytest.raises(DataError, match=words):
        check_sound(str(path), 60.0)
