"""Effects on waveforms: the numbers that they promise, alignment, and waveforms at the edge of what there is."""
import threading

import numpy as np
import pytest
import scipy.signal

from open_seq2seq.data.effects import channel, level, noise, pauses, preparations, room, tempo
from open_seq2seq.data.effects.preparations import PREPARATIONS, prepared

RATES = (8000, 16000, 44100)


def speech(rate, seconds=2.0):
    """Harmonics that sweep, in words of 0.3 s with digital silence between them; silence at both ends. float32 [samples]."""
    time = np.arange(int(seconds * rate)) / rate
    phase = 2 * np.pi * (130 * time + 10 * np.sin(2 * np.pi * time))
    voice = sum(np.sin(order * phase) / order for order in range(1, 12))
    words = (time % 0.5 > 0.1) & (time % 0.5 < 0.4) & (time > 0.2) & (time < seconds - 0.2)
    return (0.1 * voice * words).astype(np.float32)


def delay(before, after):
    """Samples by which the best match of ``after`` comes later."""
    correlation = scipy.signal.correlate(after.astype(np.float64), before.astype(np.float64), method="fft")
    return int(np.argmax(correlation)) - len(before) + 1


def rms(waveform):
    return float(np.sqrt(np.mean(np.square(waveform, dtype=np.float64))))


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("codec", sorted(set(channel.FILE_CODECS) - set(channel.missing_file_codecs())))
def test_codecs_keep_length_alignment_and_level(codec, rate):
    waveform = speech(rate)
    for quality in (None, 0.9):
        decoded = channel.through_file(waveform, rate, codec, quality)
        assert decoded.dtype == np.float32 and decoded.shape == waveform.shape
        assert abs(delay(waveform, decoded)) <= 1e-4 * rate
        assert 0.8 < rms(decoded) / rms(waveform) < 1.1
        assert np.abs(decoded - waveform).max() > 1e-4


@pytest.mark.parametrize("change", [
    lambda waveform, rate: channel.through_rate(waveform, rate, 6000), channel.telephone,
    lambda waveform, rate: channel.band_limited(waveform, rate, 100, 3000), lambda waveform, rate: channel.companded(waveform),
    lambda waveform, rate: channel.coarsely_quantized(waveform, rate, 4),
    lambda waveform, rate: channel.equalized(waveform, rate, [3, -3, 0, 2])])
@pytest.mark.parametrize("rate", RATES)
def test_channels_keep_length_and_alignment(change, rate):
    waveform = speech(rate)
    changed = change(waveform, rate)
    assert changed.dtype == np.float32 and changed.shape == waveform.shape and delay(waveform, changed) == 0


def test_long_audio_in_a_small_stack_does_not_end_the_process():
    """libvorbis keeps what is written at once on the stack."""
    if "vorbis" in channel.missing_file_codecs():
        pytest.skip("no Vorbis")
    lengths, previous = [], threading.stack_size(1 << 18)
    try:
        waveform = np.tile(speech(16000), 20)
        thread = threading.Thread(target=lambda: lengths.append(len(channel.through_file(waveform, 16000, "vorbis"))))
        thread.start()
        thread.join()
    finally:
        threading.stack_size(previous)
    assert lengths == [len(waveform)]


def test_a_missing_codec_is_named_with_those_that_there_are(monkeypatch):
    monkeypatch.setattr(channel.soundfile, "available_formats", lambda: {"WAV": "WAV"})
    channel.missing_file_codecs.cache_clear()
    try:
        assert set(channel.missing_file_codecs()) == {"mp3", "opus", "vorbis"}
        with pytest.raises(ValueError, match="no opus codec; it has gsm, mulaw"):
            channel.through_file(speech(16000), 16000, "opus")
    finally:
        channel.missing_file_codecs.cache_clear()


def test_band_limits_have_their_slope():
    rate, time = 16000, np.arange(32000) / 16000
    for frequency, expected in ((150, -24), (1000, 0), (6800, -24), (3400, 0)):
        tone = np.sin(2 * np.pi * frequency * time).astype(np.float32)
        limited = channel.band_limited(tone, rate, 300, 3400, slope_db=24)[2000:-2000]
        assert 20 * np.log10(rms(limited) / rms(tone)) == pytest.approx(expected, abs=0.3)
    tone = np.sin(2 * np.pi * 5000 * time).astype(np.float32)
    assert rms(channel.through_rate(tone, rate, 8000)) < 0.01
    assert rms(channel.telephone(tone, rate)) < 0.01


def test_equalizer_has_its_gains():
    time = np.arange(32000) / 16000
    for frequency, expected in ((60, 6), (np.sqrt(60 * 8000), -6), (7990, 12)):
        tone = np.sin(2 * np.pi * frequency * time).astype(np.float32)
        changed = channel.equalized(tone, 16000, [6, -6, 12])[3000:-3000]
        assert 20 * np.log10(rms(changed) / rms(tone)) == pytest.approx(expected, abs=0.3)


def test_companding_is_that_of_eight_bits_of_mu_law():
    waveform = np.linspace(-1.2, 1.2, 100001).astype(np.float32)
    companded = channel.companded(waveform)
    values = np.unique(companded)
    assert len(values) == 255 and values[0] == -values[-1] == -1 and 0 in values
    inside = np.abs(waveform) < 1
    # G.711: a step of 1/16 of the segment, at most 3.5 % of the value
    assert np.abs(companded - waveform)[inside & (np.abs(waveform) > 0.01)].max() < 0.03
    np.testing.assert_array_equal(channel.companded(companded), companded)


@pytest.mark.parametrize("bits", [2, 3, 5])
def test_coarse_quantization_has_its_levels_and_keeps_silence(bits):
    waveform = speech(16000)
    quantized = channel.coarsely_quantized(waveform, 16000, bits)
    for start in range(0, 32000, 80):
        before, block = waveform[start:start + 80], quantized[start:start + 80]
        assert len(np.unique(block)) <= 2 ** bits
        assert np.abs(block - before).max() <= np.abs(before).max() * 2.0 ** -(bits - 1) * 1.001
        assert np.any(before) or not np.any(block)


def test_sixteen_bit_samples_stay_and_others_are_rounded():
    samples = np.arange(-32768, 32768)
    stored = samples.astype(np.float32) / 32768
    np.testing.assert_array_equal(level.rounded_to_16_bits(stored), stored)
    np.testing.assert_array_equal(level.as_16_bits(np.float32([-3, -1, 1, 7e20, 0.4 / 32768])), [-32768, -32768, 32767, 32767, 0])


def test_level_clipping_and_offset():
    waveform = speech(16000)
    assert rms(level.with_gain(waveform, -20)) == pytest.approx(0.1 * rms(waveform), rel=1e-4)
    clipped = level.clipped(waveform, 12)
    limit = np.abs(waveform).max() * 10 ** -0.6
    assert np.abs(clipped).max() == pytest.approx(limit, rel=1e-5)
    np.testing.assert_array_equal(clipped[np.abs(waveform) < 0.99 * limit], waveform[np.abs(waveform) < 0.99 * limit])
    assert level.with_offset(waveform, -0.1).mean() - waveform.mean() == pytest.approx(-0.1 * np.abs(waveform).max(), rel=1e-3)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("snr_db", [-5, 10, 30])
def test_signal_to_noise_ratio_is_as_stated_and_that_of_the_words(rate, snr_db):
    waveform = speech(rate)
    words = rms(waveform[np.abs(waveform) > 0])
    for color in noise.COLORS:
        added = noise.with_noise(waveform, color, snr_db, rate, np.random.RandomState(1)) - waveform
        assert 20 * np.log10(words / rms(added)) == pytest.approx(snr_db, abs=0.5)
    hum = noise.with_hum(waveform, 50, snr_db, rate, np.random.RandomState(1)) - waveform
    assert 20 * np.log10(words / rms(hum)) == pytest.approx(snr_db, abs=0.5)
    spectrum = np.abs(np.fft.rfft(hum * np.hanning(len(hum))))
    assert np.argmax(spectrum) * rate / len(hum) == pytest.approx(50, abs=1)
    # an offset of the noise is not noise
    white = noise.excerpt(noise.noise_bank("white"), len(waveform), np.random.RandomState(2))
    with_offset, without = (noise.mixed(waveform, other, snr_db, rate) for other in (5 + white, white))
    np.testing.assert_allclose(with_offset, without, atol=1e-4)


def test_colors_fall_by_their_slope_and_have_no_power_where_nothing_is_heard():
    for color, exponent in noise.COLORS.items():
        frequencies, density = scipy.signal.welch(noise.noise_bank(color), 16000, nperseg=16384)
        low, high = (density[(frequencies > center * 0.8) & (frequencies < center * 1.2)].mean() for center in (100, 3200))
        assert 10 * np.log10(low / high) == pytest.approx(10 * exponent * np.log10(32), abs=1)
        if exponent:
            assert density[frequencies < 10].sum() < 1e-2 * density.sum()
    assert rms(noise.noise_bank("brown")) == pytest.approx(1, rel=1e-3)


def test_excerpts_are_random_pieces_and_repeat_what_is_too_short():
    source = np.arange(10, dtype=np.float32)
    for seed in range(30):
        for length in (1, 7, 10, 25):
            piece = noise.excerpt(source, length, np.random.RandomState(seed))
            assert len(piece) == length
            np.testing.assert_array_equal(np.diff(piece) % 10, np.ones(length - 1))


def test_noise_floor_is_absolute():
    floor = noise.with_noise_floor(np.zeros(16000, np.float32), 1e-3, np.random.RandomState(0))
    assert rms(floor) == pytest.approx(1e-3, rel=0.03)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("time", [0.2, 0.4, 0.8])
def test_reverberation_time_is_as_stated(rate, time):
    """Schroeder's integral from -5 to -25 dB."""
    measured = []
    for seed in range(9):
        random = np.random.RandomState(seed)
        response = room.impulse_response(room.random_room(time, 1.0, random), rate, random)
        assert response.dtype == np.float32 and response[0] == pytest.approx(1, abs=0.6)
        energy = np.cumsum(response[::-1].astype(np.float64) ** 2)[::-1]
        decibels = 10 * np.log10(np.maximum(energy / energy[0], 1e-12))
        used = np.flatnonzero((decibels < -5) & (decibels > -25))
        measured.append(-60 / np.polyfit(used / rate, decibels[used], 1)[0])
    assert np.median(measured) == pytest.approx(time, rel=0.1)


def test_convolution_keeps_length_place_and_loudness():
    waveform = speech(16000)
    response = np.zeros(500, np.float32)
    response[120], response[300] = -0.5, 0.2
    wet = room.convolved(waveform, response)
    expected = waveform - 0.4 * np.pad(waveform, (180, 0), mode="constant")[:len(waveform)]
    np.testing.assert_allclose(wet, -expected * rms(waveform) / rms(expected), atol=1e-5)
    with pytest.raises(ValueError, match="no sample other than 0"):
        room.convolved(waveform, np.zeros(10, np.float32))


def test_pauses_are_found_filled_and_cut():
    rate, waveform = 16000, speech(16000)
    waveform += np.float32(1e-4) * noise.noise_bank("white")[:len(waveform)]
    found = pauses.find_pauses(waveform, rate)
    assert len(found) == 5 and found[0, 0] == 0 and found[-1, 1] == len(waveform)
    assert all(end - start >= 0.06 * rate for start, end in found)
    assert not np.any(pauses.with_pauses_of_noise(waveform, rate, 0.0, None)[found[1, 0]:found[1, 1]])
    noisy = pauses.with_pauses_of_noise(waveform, rate, 0.01, np.random.RandomState(0))
    assert rms(noisy[found[1, 0]:found[1, 1]]) == pytest.approx(0.01, rel=0.2)
    speaks = np.ones(len(waveform), bool)
    for start, end in found:
        speaks[start:end] = False
    np.testing.assert_array_equal(noisy[speaks], waveform[speaks])
    cut = pauses.with_shorter_pauses(waveform, rate, 0.03)
    assert len(cut) == speaks.sum() + 5 * 0.03 * rate
    inner = pauses.without_outer_pauses(waveform, rate)
    np.testing.assert_array_equal(inner, waveform[found[0, 1]:found[-1, 0]])


def pitch_of(waveform, rate):
    spectrum = np.abs(np.fft.rfft(waveform * np.hanning(len(waveform)), 1 << 18))
    frequencies = np.fft.rfftfreq(1 << 18, 1 / rate)
    return frequencies[np.argmax(spectrum * (frequencies < 300))]


@pytest.mark.parametrize("rate", RATES)
def test_tempo_keeps_the_pitch_and_pitch_keeps_the_tempo(rate):
    time = np.arange(int(1.5 * rate)) / rate
    voice = sum(np.sin(2 * np.pi * 140 * order * time) / order for order in range(1, 12))
    waveform = (0.2 * voice * (1 + 0.5 * np.sin(2 * np.pi * 4 * time))).astype(np.float32)
    for ratio in (0.8, 0.93, 1.2):
        changed = tempo.with_tempo(waveform, rate, ratio)
        assert changed.dtype == np.float32 and len(changed) == tempo.tempo_length(len(waveform), ratio)
        assert pitch_of(changed, rate) == pytest.approx(140, abs=0.5)
        assert rms(changed) == pytest.approx(rms(waveform), rel=0.05)
    for semitones in (-3, 2):
        changed = tempo.with_pitch(waveform, rate, semitones)
        assert len(changed) == len(waveform) and pitch_of(changed, rate) == pytest.approx(140 * 2 ** (semitones / 12), rel=0.005)


def test_tempo_moves_events_to_their_place():
    """The envelope of a slower waveform is the slower envelope."""
    waveform, rate = speech(16000, 3.0), 16000
    slow = tempo.with_tempo(waveform, rate, 1.25)

    def starts(samples):
        loud = np.abs(samples).reshape(-1, 400).max(axis=1) > 0.03
        return np.flatnonzero(np.diff(loud.astype(int)) == 1) * 400 / rate

    assert len(starts(waveform)) > 3
    np.testing.assert_allclose(starts(slow), 1.25 * starts(waveform), atol=0.03)


def test_lost_packets_are_silent_and_as_many_as_stated():
    waveform = np.ones(160000, np.float32)
    damaged = channel.with_lost_packets(waveform, 16000, 0.2, np.random.RandomState(0)).reshape(-1, 320)
    lost = (damaged == 0).all(axis=1)
    assert ((damaged == 1).all(axis=1) | lost).all() and lost.mean() == pytest.approx(0.2, abs=0.06)


def odd_waveforms():
    random = np.random.RandomState(0)
    yield "one sample", np.float32([0.3])
    yield "two samples", np.float32([0.3, -0.2])
    yield "shorter than a frame", (0.1 * random.standard_normal(150)).astype(np.float32)
    yield "100 ms", (0.1 * random.standard_normal(1600)).astype(np.float32)
    yield "digital silence", np.zeros(4000, np.float32)
    yield "an impulse", np.eye(1, 5000, 2500, dtype=np.float32)[0]
    yield "an offset", np.full(4000, 0.5, np.float32)
    yield "almost nothing", np.float32(1e-30) * speech(16000, 0.6)
    yield "huge", np.float32(1e10) * speech(16000, 0.6)
    yield "a view that cannot be written", np.broadcast_to(np.float32(0.1), [3000])


@pytest.mark.parametrize("name,waveform", odd_waveforms(), ids=lambda value: value if isinstance(value, str) else "")
def test_preparations_of_odd_waveforms_are_finite_and_as_long_as_promised(name, waveform):
    missing = channel.missing_file_codecs()
    for rate in RATES:
        for preparation in PREPARATIONS:
            if preparation.codec in missing:
                continue
            before = waveform.copy()
            changed = prepared(preparation, waveform, rate, 3)
            assert changed.dtype == np.float32 and np.isfinite(changed).all(), preparation.name
            assert 1 <= len(changed) <= preparation.longest(len(waveform), rate), preparation.name
            np.testing.assert_array_equal(waveform, before)


def test_preparations_depend_only_on_the_utterance():
    waveform = speech(16000) + np.float32(1e-4) * noise.noise_bank("white")[:32000]
    for preparation in PREPARATIONS:
        if preparation.codec in channel.missing_file_codecs():
            continue
        several = [prepared(preparation, waveform, 16000, index) for index in (5, 6, 7, 5)]
        np.testing.assert_array_equal(several[0], several[3])
        assert np.array_equal(several[0], waveform) == (preparation.name == "unchanged"), preparation.name
    names = [preparation.name for preparation in PREPARATIONS]
    assert len(set(names)) == len(names) == len(preparations.NAMES)
