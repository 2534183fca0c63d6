"""Files as encoders write them, also into a pipe: layers I and II, MP3 of libavformat and LAME, FLAC in Ogg, variable blocks."""
import struct

import numpy as np
import pytest

from open_seq2seq.data.audio.flac import parse_frame_header
from open_seq2seq.data.audio.mpeg_frames import _crc16 as crc_of_info_frame
from open_seq2seq.data.audio.mpeg_frames import parse_header
from open_seq2seq.data.rejection import RejectedData
from open_seq2seq.data.speech2text.audio import inspect_audio, read_audio
from tests.fixtures.audio_files import RATE, answers, encoded, tone, without_info_frame
from tests.fixtures.flac_files import flac_frames, in_ogg, of_variable_block_size, without_length

DELAY = 529                        # samples of a decoder of layer III


def mpeg_frames(mp3):
    """The frames of an MP3, the Info frame included."""
    frames, place = [], 0
    while place < len(mp3):
        length = parse_header(mp3[place:place + 4]).length
        frames.append(mp3[place:place + length])
        place += length
    return frames


def silent_frames(layer, is_mpeg1, bit_rates):
    """Frames of layer I or II that hold silence: no bits are allocated to any band."""
    data = b""
    for bit_rate in bit_rates:
        head = bytes((0xFF, 0xE1 | is_mpeg1 << 3 | 0x10 | layer << 1, bit_rate << 4 | 0x08, 0xC0))
        data += head.ljust(parse_header(head).length, b"\0")
    return data


@pytest.mark.parametrize("layer, samples", [(3, 384), (2, 1152)])
@pytest.mark.parametrize("is_mpeg1", [0, 1])
@pytest.mark.parametrize("bit_rates", [[3] * 50, [10] * 10 + [3] * 300, [3] * 300 + [10] * 10, [3, 10, 4, 9] * 30, [5, 5]])
def test_all_frames_of_layers_1_and_2_are_read(write, layer, samples, is_mpeg1, bit_rates):
    rate = parse_header(silent_frames(layer, is_mpeg1, [3])).rate
    path = write(silent_frames(layer, is_mpeg1, bit_rates))
    assert answers(path, rate) == ((len(bit_rates) * samples,) * 3, [path + ": the recording is silent"])


def info_frame(mp3):
    """(place of the flags, place of the encoder's name) in an MP3's Info frame of the form that LAME writes."""
    place = 4 + parse_header(mp3[:4]).side + 4
    return place, place + 4 + 4 + 4 + 100 + 4


@pytest.mark.parametrize("rate, channels", [(16000, 1), (16000, 2), (44100, 1), (44100, 2)])
def test_the_checksum_that_libavformat_writes_into_the_info_frame(write, rate, channels):
    samples = tone(30000, channels, rate)
    mp3 = bytearray(encoded("MP3", "MPEG_LAYER_III", samples, rate, bitrate_mode="VARIABLE", compression_level=0.5))
    name = info_frame(mp3)[1]
    mp3[name:name + 9] = b"Lavc59.37"
    mp3[name + 34:name + 36] = b"\0\0"
    length = parse_header(mp3[:4]).length
    checksum = crc_of_info_frame(bytes(mp3[:min(length, 190)]).ljust(190, b"\0"))
    mp3[name + 34:name + 36] = struct.pack(">H", checksum)
    path = write(bytes(mp3))
    assert answers(path, rate) == ((30000,) * 3, [])
    mp3[name + 34] ^= 0x55
    assert "Info frame" in answers(write(bytes(mp3)), rate)[1][0]


@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE"])
@pytest.mark.parametrize("rate, channels", [(8000, 1), (16000, 2), (44100, 1), (48000, 2)])
def test_without_an_info_frame_only_the_delay_of_the_decoder_is_missing(write, mode, rate, channels):
    """As in a pipe, where the encoder cannot go back to fill the Info frame in; the number is the same for damaged tags."""
    mp3 = encoded("MP3", "MPEG_LAYER_III", tone(3 * rate, channels, rate), rate, bitrate_mode=mode, compression_level=0.5)
    bare = without_info_frame(mp3)
    expected = len(mpeg_frames(bare)) * parse_header(bare[:4]).samples - DELAY
    assert answers(write(bare), rate) == ((expected,) * 3, [])
    samples = read_audio(write(bare), rate)
    flags = info_frame(mp3)[0]
    without_count = mp3[:flags] + struct.pack(">I", 0) + mp3[flags + 4:]
    path = write(without_count)
    found, warnings = answers(path, rate)
    assert found == (expected,) * 3 and "states no length" in warnings[0]
    np.testing.assert_array_equal(read_audio(path, rate), samples)      # the Info frame is not decoded


@pytest.mark.parametrize("count, found, note", [(60, None, "states fewer frames than follow"), (-1, None, "states fewer frames"),
                                                (1, None, "missing"), (200, "wrong length in header", None)])
def test_an_info_frame_that_states_another_number_of_frames(write, count, found, note):
    mp3 = bytearray(encoded("MP3", "MPEG_LAYER_III", tone(150 * 576), bitrate_mode="VARIABLE", compression_level=0.5))
    bare = without_info_frame(bytes(mp3))
    frames = len(mpeg_frames(bare))
    place, name = info_frame(mp3)
    struct.pack_into(">I", mp3, place + 4, frames + count if count in (-1, 1) else count)
    mp3[name + 34:name + 36] = b"\0\0"      # no checksum, as older programs leave it
    path = write(bytes(mp3))
    expected = found or frames * 576 - DELAY
    found, warnings = answers(path)
    assert found == (expected,) * 3 and (not warnings if note is None else note in warnings[0])
    if note is not None:
        samples = read_audio(path, RATE)
        np.testing.assert_array_equal(samples, read_audio(write(bare), RATE))


@pytest.mark.parametrize("filler", [b"LAME3.99.5", b"LAME3.100", b"LAME3.98.4"])
def test_a_silent_first_frame_that_lame_filled_with_its_name_is_not_an_info_frame(write, filler):
    bare = without_info_frame(encoded("MP3", "MPEG_LAYER_III", tone(20000), bitrate_mode="CONSTANT", compression_level=0.0))
    frames = mpeg_frames(bare)
    side = 4 + parse_header(bare[:4]).side
    silent = frames[0][:4].ljust(side, b"\0") + (filler * 200)[:len(frames[0]) - side]
    path = write(silent + bare)
    assert answers(path) == (((len(frames) + 1) * 576 - DELAY,) * 3, [])


def test_bytes_behind_an_mp3_without_an_info_frame_are_no_missing_frames_of_a_header(write):
    bare = without_info_frame(encoded("MP3", "MPEG_LAYER_III", tone(60000)))
    with pytest.raises(RejectedData, match="1000 bytes between or behind the MPEG frames are not frames"):
        inspect_audio(write(bare + bytes(range(250)) * 4), RATE)


@pytest.mark.parametrize("start", [1, 13, 143])
def test_a_running_stream_that_was_recorded_from_within_a_frame(write, start):
    bare = without_info_frame(encoded("MP3", "MPEG_LAYER_III", tone(150000), bitrate_mode="CONSTANT", compression_level=0.5))
    frames = mpeg_frames(bare)
    path = write(bare[start:])
    expected = (len(frames) - 1) * 576 - DELAY
    assert answers(path) == ((expected,) * 3, ["%s: %d bytes between or behind the MPEG frames are not frames" % (
        path, len(frames[0]) - start)])
    with pytest.raises(RejectedData, match="expected WAV, FLAC"):
        inspect_audio(write(bytes(200) + bare[:400] + bytes(range(1, 200)) * 40), RATE)


def test_free_bit_rate_is_named(write):
    frame = bytes((0xFF, 0xFB, 0x00, 0xC4)) + bytes(231)
    with pytest.raises(RejectedData, match="free bit rate.*mpg123 -w OUTPUT.wav INPUT"):
        inspect_audio(write(frame * 20), RATE)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("is_open", [False, True])
def test_flac_in_ogg(write, subtype, channels, is_open):
    samples = tone(60001, channels)
    flac = encoded("FLAC", subtype, samples)
    ogg = in_ogg(without_length(flac) if is_open else flac)
    path = write(ogg)
    assert answers(path) == ((60001,) * 3, [])
    np.testing.assert_array_equal(read_audio(path, RATE), read_audio(write(flac), RATE))
    assert answers(write(ogg + ogg))[0] == (120002,) * 3      # chained
    assert answers(write(ogg[:len(ogg) // 2]))[0] == ("wrong length in header",) * 3
    damaged = bytearray(ogg)
    damaged[len(ogg) // 2] ^= 1
    assert answers(write(bytes(damaged)))[0] == ("wrong length in header",) * 3


@pytest.mark.parametrize("num_samples, is_refused", [(200000, True), (1000000, False)])
@pytest.mark.parametrize("is_lost", [False, True])
def test_a_damaged_or_lost_page_of_flac_in_ogg(write, num_samples, is_refused, is_lost):
    ogg = in_ogg(encoded("FLAC", "PCM_16", tone(num_samples)))
    pages = [place for place in range(len(ogg)) if ogg.startswith(b"OggS", place)]
    start, end = pages[len(pages) // 2:len(pages) // 2 + 2]
    page = b"" if is_lost else ogg[start:end - 9] + bytes((ogg[end - 9] ^ 1,)) + ogg[end - 8:end]
    found, warnings = answers(write(ogg[:start] + page + ogg[end:]))
    if is_refused:
        assert found == ("wrong length in header",) * 3
    else:
        assert found == (num_samples,) * 3 and "missing" in warnings[0]


@pytest.mark.parametrize("is_open", [False, True])
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
def test_flac_of_variable_block_size(write, subtype, is_open):
    """Frames of two block sizes in one stream, which state the number of their first sample."""
    first, second = tone(1152 * 30), tone(50000, seed=1)
    small = encoded("FLAC", subtype, first, compression_level=0.0)
    metadata, frames = flac_frames(encoded("FLAC", subtype, second, compression_level=1.0))
    frames = flac_frames(small)[1] + frames
    assert [parse_frame_header(frame[:16]).samples for frame in (frames[0], frames[-2])] == [1152, 4096]
    path = write(of_variable_block_size(metadata, frames, is_open))
    assert answers(path) == ((len(first) + len(second),) * 3, [])
    np.testing.assert_allclose(read_audio(path, RATE), np.concatenate([first, second]), atol=2 ** -14)
