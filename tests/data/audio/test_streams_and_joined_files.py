"""Files whose length is open, joined files, and fields that say more or less than the file holds: all readers agree."""
import os
import struct

import numpy as np
import pytest
import soxr

from open_seq2seq.data.audio.inspection import inspect_file, open_audio_file, open_part
from open_seq2seq.data.audio.mpeg_frames import parse_header
from open_seq2seq.data.rejection import RejectedData
from open_seq2seq.data.speech2text.audio import inspect_audio, read_audio
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


@pytest.mark.slow
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


def test_flac_of_unknown_length_that_was_cut_is_refused(write):
    flac = bytearray(encoded("FLAC", "PCM_16", tone(300000)))
    flac[21] &= 0xF0
    flac[22:26] = bytes(4)
    for end in (len(flac) * 2 // 3, len(flac) - 1, len(flac) - 100):
        path = write(bytes(flac[:end]))
        assert answers(path)[0] == ("wrong length in header",) * 3
        with pytest.raises(RejectedData, match="cut off or is damaged, and how much is missing is unknown"):
            inspect_audio(path, RATE)
    # tags of other programs and zeros are not a part of the recording
    for behind in (b"TAG" + bytes(125), b"APETAGEX" + b"\xd0\x07\0\0" + bytes(range(1, 53)), bytes(64)):
        found, _ = answers(write(bytes(flac) + behind))
        assert found == (300000,) * 3


OTHERS = {"WAV": ("WAV", "PCM_16"), "FLAC": ("FLAC", "PCM_16"), "Ogg": ("OGG", "VORBIS"), "AIFF": ("AIFF", "PCM_16"),
          "W64": ("W64", "PCM_16"), "AU": ("AU", "PCM_16"), "CAF": ("CAF", "PCM_16")}


@pytest.mark.parametrize("first", [("AIFF", "PCM_16"), ("AIFF", "ULAW"), ("FLAC", "PCM_16"), ("WAV", "PCM_16"), ("W64", "PCM_16"),
                                   ("AU", "PCM_16"), ("CAF", "PCM_16"), ("NIST", "PCM_16"), ("VOC", "PCM_16")])
@pytest.mark.parametrize("second", sorted(OTHERS))
def test_another_recording_behind_the_first_one_is_named(write, first, second):
    if first[0] == second == "WAV":
        second = "FLAC"      # joined WAV files are read
    data = encoded(*first)
    path = write(data + encoded(*OTHERS[second], samples=SECOND))
    assert answers(path)[0] == ("wrong length in header",) * 3
    message = r"another FLAC file begins at byte %d " if first[0] == second == "FLAC" else (
        r"another recording \(" + second + r"\) begins there; split the file at byte %d\. If ")
    with pytest.raises(RejectedData, match=message % len(data)):
        inspect_audio(path, RATE)


def test_mp3_behind_flac_does_not_look_like_a_cut(write):
    flac = encoded("FLAC", "PCM_16")
    with pytest.raises(RejectedData, match="continues for [0-9]+ bytes behind its last frame"):
        inspect_audio(write(flac + encoded("MP3", "MPEG_LAYER_III", SECOND)), RATE)
    with pytest.raises(RejectedData, match="declares 12037 samples.*cut off"):
        inspect_audio(write(flac[:-100]), RATE)


@pytest.mark.parametrize("subtype, rate", [("GSM610", 16000), ("IMA_ADPCM", 16000), ("MS_ADPCM", 16000), ("G721_32", 8000),
                                           ("NMS_ADPCM_16", 8000)])
@pytest.mark.parametrize("data_size", [0, 0xFFFFFFFF])
@pytest.mark.parametrize("fact", [0, 0xFFFFFFFF])
def test_streamed_blocks_are_read_to_the_end(write, subtype, rate, data_size, fact):
    wav = bytearray(encoded("WAV", subtype, tone(32037), rate))
    for name, value in ((b"RIFF", data_size), (b"fact", fact), (b"data", data_size)):
        place = wav.index(name) + (8 if name == b"fact" else 4)
        wav[place:place + 4] = struct.pack("<I", value)
    found, warnings = answers(write(bytes(wav)), rate)
    assert len(set(found)) == 1 and 32037 <= found[0] < 32037 + 1100 and warnings == []


def test_a_fact_chunk_that_is_not_filled_in_gives_a_warning(write):
    wav = bytearray(encoded("WAV", "IMA_ADPCM", tone(32037)))
    place = wav.index(b"fact") + 8
    wav[place:place + 4] = bytes(4)
    found, warnings = answers(write(bytes(wav)))
    assert len(set(found)) == 1 and found[0] >= 32037 and "is not filled in" in warnings[0]


def sparse(path, container, bits, encoding, size):
    """A file of more than 4 GiB: ones at its beginning, twos at its end, a hole between."""
    block = bits // 8
    head = encoded(container, "PCM_16", np.zeros(1))
    fmt = struct.pack("<HHIIHH", encoding, 1, RATE, RATE * block, block, bits)
    if container == "RF64":
        head = (b"RF64\xff\xff\xff\xffWAVEds64" + struct.pack("<IQQQI", 28, size + 72, size, size // block, 0)
                + chunk(b"fmt ", fmt) + b"data\xff\xff\xff\xff")
    else:
        tail = head[44:56]
        head = (head[:16] + struct.pack("<Q", 104 + size) + b"wave" + tail + b"fmt " + tail + struct.pack("<Q", 40) + fmt
                + b"data" + tail + struct.pack("<Q", 24 + size))
    with open(path, "wb") as file:
        file.write(head + b"\x11" * 3000)
        file.truncate(len(head) + size)
        file.seek(-3000, 2)
        file.write(b"\x22" * 3000)


@pytest.mark.parametrize("container", ["RF64", "W64"])
@pytest.mark.parametrize("bits, encoding, last", [(24, 1, 0x222222 / float(1 << 23)), (32, 1, 0x22222222 / float(1 << 31)),
                                                  (32, 3, None), (8, 7, None)])
def test_files_above_4_gib_are_read_to_the_end(tmp_path, container, bits, encoding, last):
    path = str(tmp_path / "large")
    size = 4400000000 // 24 * 24
    sparse(path, container, bits, encoding, size)
    try:
        info = inspect_audio(path, RATE) if encoding == 1 else None      # floats are read completely
        assert info is None or info.num_samples == size * 8 // bits and info.notes == ()
        with open_audio_file(path) as file:
            inspection = inspect_file(file)
            assert inspection.num_samples == size * 8 // bits and inspection.notes == ()
            part, = inspection.parts
            with open_part(file, part) as sound:
                sound.seek(inspection.num_samples - 10)
                block = sound.read(20, dtype="float64")
        assert len(block) == 10 and (block != 0).all() and (last is None or np.allclose(block, last))
    finally:
        os.remove(path)      # not to be kept by pytest


def test_more_than_4_gib_of_adpcm_is_refused_with_its_reason(tmp_path):
    path = str(tmp_path / "large.w64")
    data = bytearray(encoded("W64", "IMA_ADPCM", tone(32037)))
    size = 4400000000 // 1024 * 1024
    place = data.index(b"data") + 16
    data[place:place + 8] = struct.pack("<Q", 24 + size)
    fact = data.index(b"fact") + 24
    data[fact:fact + 8] = struct.pack("<Q", size // 1024 * 2041)
    with open(path, "wb") as file:
        file.write(data)
        file.truncate(place + 8 + size)
    try:
        with pytest.raises(RejectedData, match="cannot read more than 4 GiB of this WAV encoding"):
            inspect_audio(path, RATE)
    finally:
        os.remove(path)
