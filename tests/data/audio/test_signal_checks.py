"""What is wrong with the samples or the rate of a file that can be decoded."""
import struct

import numpy as np
import pytest

from open_seq2seq.data.rejection import RejectedData
from open_seq2seq.data.speech2text.audio import inspect_audio, read_audio
from tests.fixtures.audio_files import RATE, answers, chunk, encoded, format_chunk, pcm, riff, tone


@pytest.mark.parametrize("container, subtype", [("WAV", "PCM_16"), ("WAV", "FLOAT"), ("FLAC", "PCM_16"), ("OGG", "VORBIS")])
def test_channels_that_cancel_each_other_are_refused(write, container, subtype):
    one = tone(80000)
    path = write(encoded(container, subtype, np.stack([one, -one], 1)))
    assert answers(path)[0] == ("channels cancel each other",) * 3
    with pytest.raises(RejectedData, match=r"the mean of the 2 channels has .* % of their power.*sox INPUT OUTPUT.wav remix 1"):
        read_audio(path, RATE)


@pytest.mark.parametrize("container, subtype", [("WAV", "PCM_16"), ("WAV", "PCM_24"), ("FLAC", "PCM_16"), ("AIFF", "PCM_16"),
                                                ("OGG", "VORBIS"), ("WAV", "IMA_ADPCM")])
@pytest.mark.parametrize("place", [0.0, 0.25, 0.5, 1.0])
@pytest.mark.parametrize("length", [1600, 4000])
def test_quiet_hum_in_phase_does_not_hide_channels_that_cancel(write, container, subtype, place, length):
    one = tone(80000)
    mixed = np.stack([one, -one], 1)
    start = int(place * (80000 - length))
    mixed[start:start + length] = 0.01 * np.sin(0.05 * np.arange(length))[:, None]
    assert answers(write(encoded(container, subtype, mixed)))[0] == ("channels cancel each other",) * 3


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
def test_all_parts_of_a_joined_file_are_judged_together(write, subtype):
    one = tone(80000)
    mono, cancelling = encoded("WAV", subtype, one), encoded("WAV", subtype, np.stack([one, -one], 1))
    quiet = encoded("WAV", subtype, 0.01 * one)
    for loud in (mono + cancelling, cancelling + mono):
        assert answers(write(loud)) == ((160000,) * 3, [])
    for silent in (quiet + cancelling, cancelling + quiet, cancelling + cancelling):
        assert answers(write(silent))[0] == ("channels cancel each other",) * 3


def test_a_part_in_antiphase_does_not_decide(write):
    one = tone(80000)
    mixed = np.stack([one, one], 1)
    mixed[30000:50000, 1] *= -1
    for container, subtype in (("WAV", "PCM_16"), ("WAV", "PCM_24"), ("FLAC", "PCM_16")):
        assert answers(write(encoded(container, subtype, mixed))) == ((80000,) * 3, [])


def test_24_bits_in_4_bytes_are_read_where_the_header_is_unambiguous(write):
    samples = chunk(b"data", pcm(tone(), 32))
    assert answers(write(riff(format_chunk(24, block=4), samples)))[0] == ("damaged header",) * 3
    with pytest.raises(RejectedData, match="24 bits in 4 bytes per sample: Cool Edit stores floats.*Save it as 24-bit PCM"):
        inspect_audio(write(riff(format_chunk(24, block=4), samples)), RATE)
    guid = b"\x01\0\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71"
    extensible = chunk(b"fmt ", struct.pack("<HHIIHHHHI", 0xFFFE, 1, RATE, 4 * RATE, 4, 32, 22, 24, 4) + guid)
    path = write(riff(extensible, samples))
    assert answers(path) == ((12037,) * 3, [])
    np.testing.assert_allclose(read_audio(path, RATE), tone(), atol=1e-6)


@pytest.mark.parametrize("channels", [
    lambda one, other: [one, other],                      # independent
    lambda one, other: [one, 0 * one],                    # one is silent
    lambda one, other: [one, -0.8 * one],                 # partly inverted: 1 % of the power is left
    lambda one, other: [one] + [0 * one] * 15,
    lambda one, other: [0 * one, 0 * one],
])
def test_other_channels_are_averaged(write, channels):
    mixed = np.stack(channels(tone(80000), tone(80000, seed=3)), 1)
    path = write(encoded("WAV", "PCM_16", mixed))
    assert answers(path)[0] == (80000,) * 3
    np.testing.assert_allclose(read_audio(path, RATE), mixed.mean(axis=1), atol=2 ** -14)


def test_silence_is_reported(write):
    dither = np.random.RandomState(0).randint(-1, 2, 50000) / 32768.0
    for container, subtype in (("WAV", "PCM_16"), ("WAV", "FLOAT"), ("FLAC", "PCM_16")):
        for silence in (np.zeros(50000), dither, 0.25 + dither):
            path = write(encoded(container, subtype, silence))
            assert inspect_audio(path, RATE).is_silent
            assert answers(path)[1] == ["%s: the recording is silent" % path]
    # loud at one place that a first look does not meet
    late = np.zeros(50000)
    late[41000:41100] = 0.1
    for container in ("WAV", "FLAC"):
        path = write(encoded(container, "PCM_16", late))
        assert not inspect_audio(path, RATE).is_silent and answers(path)[1] == []


@pytest.mark.parametrize("rate", [0, 1, 2, 7, 1999, 384001, 16777216, 2 ** 31])
def test_impossible_rates_are_refused_without_resampling(write, rate):
    path = write(riff(format_chunk(rate=rate, byte_rate=0), chunk(b"data", pcm(tone()))))
    assert answers(path)[0] == ("impossible sample rate",) * 3
    with pytest.raises(RejectedData, match="a sample rate of %d Hz; recordings of speech have 2000 to 384000 Hz" % rate):
        inspect_audio(path, RATE)


@pytest.mark.parametrize("rate, unusual", [(8000, 0), (11025, 0), (44100, 0), (16001, 1), (4000, 0), (20480, 1)])
def test_unusual_rates_give_a_warning(write, rate, unusual):
    found, warnings = answers(write(riff(format_chunk(rate=rate), chunk(b"data", pcm(tone())))))
    assert len(set(found)) == 1 and len(warnings) == unusual
    assert all("%d Hz is unusual" % rate in warning for warning in warnings)


@pytest.mark.parametrize("fmt, reason", [
    (format_chunk(channels=0, block=2), "damaged header"),
    (format_chunk(block=3), "damaged header"),
    (format_chunk(bits=17, block=2), "damaged header"),
    (format_chunk(bits=16, encoding=3), "damaged header"),
    (format_chunk(channels=2000), "damaged header"),
    (format_chunk(bits=64), "damaged header"),
    (format_chunk(encoding=0x2000), "not audio"),
    (chunk(b"fmt ", bytes(8)), "not audio"),
])
def test_headers_that_cannot_be_are_refused(write, fmt, reason):
    assert answers(write(riff(fmt, chunk(b"data", pcm(tone())))))[0] == (reason,) * 3


def test_bytes_per_second_that_contradict_the_rate_give_a_warning(write):
    found, warnings = answers(write(riff(format_chunk(byte_rate=32001), chunk(b"data", pcm(tone())))))
    assert found == (12037,) * 3 and "32001 bytes per second" in warnings[0]


def test_samples_that_no_converter_writes(write):
    found, warnings = answers(write(encoded("WAV", "FLOAT", 32768 * tone())))
    assert found == (12037,) * 3 and "its samples reach" in warnings[0]
    assert inspect_audio(write(encoded("WAV", "FLOAT", 32768 * tone())), RATE).notes
    assert answers(write(encoded("WAV", "FLOAT", 1e20 * tone())))[0] == ("non-finite samples",) * 3
    # the same in two channels whose mean is not finite any more
    huge = np.full([5000, 2], 3e38, np.float32)
    assert answers(write(encoded("WAV", "FLOAT", huge)))[0] == ("non-finite samples",) * 3


def test_fields_of_aiff_and_nist_are_compared(write):
    aiff = bytearray(encoded("AIFF", "PCM_16"))
    place = aiff.index(b"COMM") + 10
    aiff[place:place + 4] = struct.pack(">I", 6000)
    assert answers(write(bytes(aiff)))[0] == ("damaged header",) * 3
    nist = encoded("NIST", "PCM_16")
    assert answers(write(nist.replace(b"sample_count -i 12037", b"sample_count -i 12036")))[0] == (12036,) * 3
    assert answers(write(nist.replace(b"sample_count -i 12037", b"sample_count -i 6037 ")))[0] == ("wrong length in header",) * 3
    assert answers(write(nist.replace(b"sample_n_bytes -i 2", b"sample_n_bytes -i x")))[0] == ("damaged header",) * 3
