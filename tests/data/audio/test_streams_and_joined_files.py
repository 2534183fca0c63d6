"""Files whose length is open, joined files, and fields that say more or less than the file holds: all readers agree."""
import struct

import numpy as np
import pytest
import soxr

from open_seq2seq.data.audio.mpeg import parse_header
from open_seq2seq.data.speech2text.audio import inspect_audio, read_audio
from open_seq2seq.data.speech2text.rejection import RejectedData
from tests.fixtures.audio_files import (
    RATE,
    answers,
    chunk,
    encoded,
    format_chunk,
    pcm,
    riff,
    tone,
    without_info_frame,
)

FIRST, SECOND = tone(seed=0), tone(9001, seed=1)


@pytest.fixture
def write(tmp_path):
    def write(data, name="a.audio"):
        (tmp_path / name).write_bytes(data)
        return str(tmp_path / name)
    return write


@pytest.mark.parametrize("bits", [16, 24])
@pytest.mark.parametrize("data_size, riff_size", [
    (0, 0), (0, 36), (0xFFFFFFFF, 0xFFFFFFFF), (0x7FFFFFFF, 0x7FFFFFFF), (0x7FFFF000, 0x7FFFF024), (0xFFFFFFD7, 0xFFFFFFFB),
    (2000000000, 2000000036), (0x80000000, 0x80000024)])
def test_wav_of_open_length_is_read_to_the_end(write, bits, data_size, riff_size):
    path = write(riff(format_chunk(bits), chunk(b"data", pcm(FIRST, bits), data_size), size=riff_size))
    assert answers(path) == ((12037,) * 3, [])
    np.testing.assert_allclose(read_audio(path, RATE), FIRST, atol=2 ** -14)


def test_two_streams_of_open_length_are_both_read(write):
    stream = riff(format_chunk(), chunk(b"data", pcm(FIRST), 0xFFFFFFFF), size=0xFFFFFFFF)
    path = write(stream + stream)
    assert answers(path)[0] == (24074,) * 3


def test_flac_of_unknown_length_is_read_to_the_end(write):
    flac = bytearray(encoded("FLAC", "PCM_16", tone(60000)))
    flac[21] &= 0xF0
    flac[22:26] = bytes(4)
    path = write(bytes(flac))
    assert answers(path) == ((60000,) * 3, [])
    np.testing.assert_allclose(read_audio(path, RATE), tone(60000), atol=2 ** -14)


@pytest.mark.parametrize("declared", [11000, 100, 24000])
def test_flac_with_another_number_of_samples_is_found(write, declared):
    flac = bytearray(encoded("FLAC", "PCM_16"))
    flac[22:26] = struct.pack(">I", declared)
    found, _ = answers(write(bytes(flac)))
    assert found == ("wrong length in header",) * 3


def test_flac_that_is_damaged_within_is_refused_when_it_is_decoded(write):
    flac = bytearray(encoded("FLAC", "PCM_16", tone(60000)))
    flac[len(flac) // 2] ^= 4
    found, _ = answers(write(bytes(flac)))
    assert found[1:] == ("unreadable",) * 2


def test_joined_flac_is_refused(write):
    flac = encoded("FLAC", "PCM_16")
    assert answers(write(flac + encoded("FLAC", "PCM_16", SECOND)))[0] == ("wrong length in header",) * 3
    assert answers(write(flac + flac))[0][1:] == ("wrong length in header",) * 2


@pytest.mark.parametrize("container, subtype, tolerance", [
    ("WAV", "PCM_16", 0.001), ("WAV", "PCM_24", 0.001), ("WAV", "FLOAT", 0.001), ("OGG", "VORBIS", 0.1), ("OGG", "OPUS", 0.1),
    ("MP3", "MPEG_LAYER_III", 0.1)])
def test_joined_files_are_read_one_after_the_other(write, container, subtype, tolerance):
    path = write(encoded(container, subtype, FIRST) + encoded(container, subtype, SECOND))
    assert answers(path) == ((12037 + 9001,) * 3, [])
    assert np.abs(read_audio(path, RATE) - np.concatenate([FIRST, SECOND])).max() < tolerance


def test_joined_wavs_may_differ_in_channels_but_not_in_rate(write):
    stereo = encoded("WAV", "PCM_16", tone(9001, 2))
    assert answers(write(encoded("WAV", "PCM_16") + stereo))[0] == (12037 + 9001,) * 3
    other_rate = encoded("WAV", "PCM_16", rate=8000)
    assert answers(write(encoded("WAV", "PCM_16") + other_rate))[0] == ("wrong length in header",) * 3


def test_the_second_of_joined_wavs_is_cut(write):
    assert answers(write(encoded("WAV", "PCM_16") + encoded("WAV", "PCM_16")[:9000]))[0] == ("wrong length in header",) * 3


@pytest.mark.parametrize("listed", [b"INFOISFT\x05\0\0\0abcde", b"INFOISFT\x05\0\0\0abcde\0"])
@pytest.mark.parametrize("pad", [True, False])
@pytest.mark.parametrize("data_first", [True, False])
def test_odd_chunks_with_and_without_their_pad_byte(write, listed, pad, data_first):
    chunks = [chunk(b"LIST", listed, pad=pad), chunk(b"data", pcm(FIRST))]
    path = write(riff(format_chunk(), *reversed(chunks) if data_first else chunks))
    assert answers(path) == ((12037,) * 3, [])


@pytest.mark.parametrize("num_samples", [0x61 // 2 + 1, 0x4161, 12037])
@pytest.mark.parametrize("pad", [b"", b"\0", b"x"])
def test_the_size_of_the_data_may_look_like_a_letter(write, num_samples, pad):
    """b"data" and b"b" of the size 98: b"atab" would be a name, too."""
    listed = chunk(b"LIST", b"INFOISFT\x05\0\0\0abcde", pad=False) + pad
    path = write(riff(format_chunk(), listed, chunk(b"data", pcm(tone(num_samples)))))
    assert answers(path) == ((num_samples,) * 3, [])


def test_odd_data_with_chunks_behind_it(write):
    for pad in (True, False):
        path = write(riff(format_chunk(8), chunk(b"data", bytes(range(100, 201)), pad=pad), chunk(b"LIST", b"INFO")))
        assert answers(path) == ((101,) * 3, [])


def test_bytes_behind_the_samples(write):
    wav = encoded("WAV", "PCM_16")
    path = write(wav + bytes(range(100)))
    assert answers(path) == ((12037,) * 3, ["%s: the file continues for 100 bytes behind the end that its header states" % path])
    assert answers(write(wav + bytes(range(1, 250)) * 9))[0] == ("wrong length in header",) * 3
    # a whole sector of zeros, and a cut off chunk of text
    assert answers(write(wav + bytes(4096))) == ((12037,) * 3, [])
    assert answers(write(wav + chunk(b"LIST", b"INFO", 1000))) == ((12037,) * 3, [])
    # the header declares less than there is
    assert answers(write(riff(format_chunk(), chunk(b"data", pcm(FIRST), 9000), size=36 + 24074)))[0] == (
        "wrong length in header",) * 3


@pytest.mark.parametrize("subtype, block", [("GSM610", 320), ("IMA_ADPCM", 1017), ("MS_ADPCM", 1012)])
def test_the_fact_chunk_ends_the_last_block(write, subtype, block):
    wav = bytearray(encoded("WAV", subtype, tone(32037)))
    place = wav.index(b"fact") + 8
    for stated, expected in ((32037, 32037), (32000 // block * block - 2 * block, None)):
        wav[place:place + 4] = struct.pack("<I", stated)
        path = write(bytes(wav))
        if expected is None:
            assert answers(path)[0] == ("damaged header",) * 3
        else:
            assert answers(path) == ((expected,) * 3, [])
    del wav[place - 8:place + 4]
    found, warnings = answers(write(bytes(wav)))
    assert len(set(found)) == 1 and 32037 <= found[0] < 32037 + block and "fact chunk" in warnings[0]


@pytest.mark.parametrize("mode, level", [("VARIABLE", 0.3), ("CONSTANT", 0.5)])
@pytest.mark.parametrize("rate, channels", [(16000, 1), (16000, 2), (44100, 1), (44100, 2), (8000, 1)])
def test_mp3_without_an_info_frame_is_decoded_completely(write, mode, level, rate, channels):
    """10 s of which libsndfile alone decodes 2 to 4, as the loud part comes late."""
    quiet = 0.001 * tone(5 * rate, channels, rate)
    samples = np.concatenate([quiet, 0.3 * np.random.RandomState(0).randn(*quiet.shape).astype(np.float32)])
    mp3 = encoded("MP3", "MPEG_LAYER_III", samples, rate, bitrate_mode=mode, compression_level=level)
    whole, bare = write(mp3, "whole.mp3"), write(without_info_frame(mp3), "bare.mp3")
    assert answers(whole, rate) == ((10 * rate,) * 3, [])
    found, warnings = answers(bare, rate)
    # the encoder's delay and padding are part of it
    frame = parse_header(mp3[:4]).samples
    assert len(set(found)) == 1 and 10 * rate <= found[0] <= 10 * rate + 3 * frame and not warnings
    delay = 1105 - 529
    late = read_audio(bare, rate)
    assert late[:5 * rate].std() < 0.01 < 0.1 < late[5 * rate + 2 * delay:10 * rate].std()


def test_variable_mp3_whose_info_frame_is_damaged_gives_a_warning(write):
    mp3 = bytearray(encoded("MP3", "MPEG_LAYER_III"))
    mp3[mp3.index(b"Xing") + 40] ^= 0x55
    found, warnings = answers(write(bytes(mp3)))
    assert len(set(found)) == 1 and 12037 <= found[0] < 12037 + 3 * 576 and "Info frame" in warnings[0]


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_ogg_with_damaged_lost_or_repeated_pages_is_found(write, subtype):
    ogg = encoded("OGG", subtype, tone(200000))
    pages = [place for place in range(len(ogg)) if ogg.startswith(b"OggS", place)] + [len(ogg)]
    assert len(pages) > 5
    middle = len(pages) // 2
    damaged = bytearray(ogg)
    damaged[pages[middle] + 200] ^= 1
    lost = ogg[:pages[middle]] + ogg[pages[middle + 1]:]
    cut = ogg[:pages[-2]]
    for data in (bytes(damaged), lost, cut):
        assert answers(write(data))[0] == ("wrong length in header",) * 3
    assert answers(write(ogg)) == ((200000,) * 3, [])
    assert answers(write(ogg[pages[2]:]))[0] == ("not audio",) * 3


@pytest.mark.parametrize("container, subtype", [("WAV", "PCM_16"), ("WAV", "ULAW"), ("AIFF", "PCM_16"), ("AU", "PCM_16"),
                                                ("CAF", "PCM_16"), ("W64", "PCM_24"), ("RF64", "PCM_16"), ("NIST", "PCM_16"),
                                                ("FLAC", "PCM_16"), ("VOC", "PCM_16")])
def test_a_small_missing_part_is_a_warning_and_its_limit_can_be_set(write, container, subtype):
    samples = tone(600000)
    data = encoded(container, subtype, samples)
    path = write(data[:int(len(data) * (0.997 if container == "FLAC" else 0.992))])
    found, warnings = answers(path)
    assert len(set(found)) == 1 and 0.985 * 600000 < found[0] < 0.998 * 600000
    assert len(warnings) == 1 and "missing" in warnings[0]
    assert inspect_audio(path, RATE).notes[0] in warnings[0]
    for read in (inspect_audio, read_audio):
        with pytest.raises(RejectedData, match="declares"):
            read(path, RATE, max_missing_fraction=0.001)
    half = write(data[:len(data) * 6 // 10])
    assert 0.55 * 600000 < len(read_audio(half, RATE, max_missing_fraction=0.5)) < 0.62 * 600000


def test_rates_are_converted_after_joining(write):
    path = write(encoded("WAV", "PCM_16", FIRST, 8000) + encoded("WAV", "PCM_16", SECOND, 8000))
    both = np.concatenate([FIRST, SECOND])
    np.testing.assert_allclose(read_audio(path, RATE), soxr.resample(both, 8000, RATE, quality="VHQ"), atol=1e-3)
    assert answers(path)[0] == (2 * len(both),) * 3
