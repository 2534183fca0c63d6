"""The profile of a data set's audio: its numbers on known sounds, and what an evaluation is told."""
import collections

import numpy as np
import pytest
import soundfile

from open_seq2seq.data.effects.channel import through_rate
from open_seq2seq.data.speech2text.audio_profile import (
    AudioProfile,
    differences,
    measure_profile,
    measure_waveform,
    read_profile,
    write_profile,
)

RATE = 16000
Recording = collections.namedtuple("Recording", "audio_path duration")
USUAL = AudioProfile(32, 7900.0, -55.0, -6.0, 0.0, 1.0, 16.0)


def noise_bursts(floor=1e-3):
    """One second: bursts of noise of 0.1 with a floor between them."""
    random = np.random.RandomState(0)
    waveform = floor * random.standard_normal(RATE)
    waveform[2000:6000] += 0.1 * random.standard_normal(4000)
    waveform[9000:13000] += 0.1 * random.standard_normal(4000)
    return waveform.astype(np.float32)


def test_the_numbers_of_known_sounds():
    waveform = noise_bursts()
    peak = np.abs(waveform).max()
    band, floor, level, silence, offset = measure_waveform(waveform, RATE)
    assert offset < 0.01
    shifted = measure_waveform(waveform + np.float32(0.2), RATE)
    assert shifted[:2] == pytest.approx((band, floor), abs=0.1)
    assert shifted[4] == pytest.approx(0.2 / np.abs(waveform + 0.2).max(), abs=0.01)
    assert band > 6300 and silence == 0
    assert floor == pytest.approx(20 * np.log10(1e-3 / peak), abs=1) and level == pytest.approx(20 * np.log10(peak))
    assert measure_waveform(through_rate(waveform, RATE, 8000), RATE)[0] == pytest.approx(4000, rel=0.05)
    assert measure_waveform(noise_bursts(floor=0), RATE)[3] == pytest.approx(0.5, abs=0.05)
    assert measure_waveform(0.01 * waveform, RATE)[2] == pytest.approx(level - 40)


@pytest.mark.parametrize("samples", [0, 1, 319, 320, 16000])
def test_silence_and_short_audio_have_no_profile(samples):
    assert measure_waveform(np.zeros(samples, np.float32), RATE) is None


def test_a_data_set(tmp_path):
    recordings = []
    for number in range(3):
        path = str(tmp_path / ("%d.wav" % number))
        soundfile.write(path, noise_bursts(), RATE)
        recordings.append(Recording(path, 1.0 + number))
    (tmp_path / "1.wav").write_bytes(b"not audio")
    profile = measure_profile(recordings, RATE, 0.01)
    assert (profile.utterances, profile.shortest, profile.longest) == (2, 1.0, 3.0)
    write_profile(str(tmp_path), profile)
    assert read_profile(str(tmp_path)) == profile and not differences(profile, profile)


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"band_hz": 1}', b"\xff"])
def test_a_damaged_profile_is_ignored(tmp_path, content):
    (tmp_path / "audio_profile.json").write_bytes(content)
    assert read_profile(str(tmp_path)) is None


@pytest.mark.parametrize("changed, told", [
    (dict(band_hz=4031.0), "nothing above 4.0 kHz (training: 7.9 kHz)"),
    (dict(digital_silence=0.3), "30 % digital silence (training: 0 %)"),
    (dict(noise_floor_db=-25.0), "noise floor 25 dB below the peak (training: 55 dB)"),
    (dict(noise_floor_db=-80.0), "noise floor 80 dB below the peak (training: 55 dB)"),
    (dict(level_db=-45.0), "peaks of -45 dB"),
    (dict(offset=0.3), "a constant of 0.30 of the peak (training: 0.00)"),
    (dict(longest=60.0), "up to 60.0 s (training: up to 16.0 s)"),
    (dict(shortest=0.2), "only 0.20 s (training: at least 1.00 s)"),
])
def test_what_differs_is_named(changed, told):
    sentence, = differences(USUAL, USUAL._replace(**changed))
    assert told in sentence and ";" in sentence


def test_what_the_features_make_up_for_is_not_named():
    """Digital silence leaves only speech in the other frames, so it is not reported as noise, either."""
    gated = USUAL._replace(digital_silence=0.4, noise_floor_db=-30.0, band_hz=4031.0, level_db=-45.0)
    assert not differences(USUAL, gated, has_dynamic_range=True)
    assert differences(USUAL, USUAL._replace(noise_floor_db=-30.0), has_dynamic_range=True)


def test_audio_of_a_wider_band_is_named():
    sentence, = differences(USUAL._replace(band_hz=4031.0), USUAL)
    assert "sound up to 7.9 kHz (training: 4.0 kHz)" in sentence
