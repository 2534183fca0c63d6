"""Chained Ogg files and joined MP3 files that lost bytes, and what follows a file: nothing is lost without an error."""
import io
import struct

import numpy as np
import pytest
import soundfile

from open_seq2seq.data.audio.mpeg_frames import parse_header
from open_seq2seq.data.audio.ogg import page_checksum
from open_seq2seq.data.rejection import RejectedData
from open_seq2seq.data.speech2text.audio import inspect_audio, read_audio
from tests.fixtures.audio_files import RATE, answers, encoded, tone, without_info_frame

FIRST, SECOND = tone(60000, seed=0), tone(50001, seed=1)
REFUSED = ("wrong length in header",) * 3
MP3 = "MP3", "MPEG_LAYER_III"


def pages(ogg):
    """Offsets of the pages, and the end."""
    return [place for place in range(len(ogg)) if ogg.startswith(b"OggS\0", place)] + [len(ogg)]


def long_file(container, subtype, samples):
    """As ``encoded``, in blocks: libsndfile's Vorbis encoder overflows its stack when it gets minutes at once."""
    buffer = io.BytesIO()
    with soundfile.SoundFile(buffer, "w", RATE, 1, subtype, format=container) as sound:
        for start in range(0, len(samples), RATE):
            sound.write(samples[start:start + RATE])
    return buffer.getvalue()


def flipped(data, place, bit=1):
    changed = bytearray(data)
    changed[place] ^= bit
    return bytes(changed)


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
@pytest.mark.parametrize("lost", [1, 2, 3])
def test_a_second_ogg_stream_without_its_first_pages_is_refused(write, subtype, lost):
    first, second = encoded("OGG", subtype, FIRST), encoded("OGG", subtype, SECOND)
    path = write(first + second[pages(second)[lost]:])
    assert answers(path)[0] == REFUSED
    with pytest.raises(RejectedData, match="byte %d belongs to no stream: the first page" % len(first)):
        inspect_audio(path, RATE)


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
@pytest.mark.parametrize("place", [0, 5, 14, 22, 30])
def test_one_flipped_bit_in_the_first_page_of_the_second_stream_is_found(write, subtype, place):
    first = encoded("OGG", subtype, FIRST)
    assert answers(write(flipped(first + encoded("OGG", subtype, SECOND), len(first) + place, 2)))[0] == REFUSED


@pytest.mark.slow
@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
@pytest.mark.parametrize("kept", [1, 3, 4, 30])
def test_a_second_stream_that_is_cut_within_its_first_page_is_refused(write, subtype, kept):
    """Also when its remains are less than 1 % of the file."""
    first, second = long_file("OGG", subtype, tone(30 * RATE)), encoded("OGG", subtype, SECOND)
    assert kept < 0.01 * len(first)
    assert answers(write(first + second[:kept]))[0] == REFUSED


def test_two_long_vorbis_streams_without_the_second_first_page_are_refused(write):
    """libsndfile reports 2^63-1 samples for them."""
    first, second = (long_file("OGG", "VORBIS", tone(480000, seed=seed)) for seed in (0, 1))
    assert answers(write(first + second[pages(second)[1]:]))[0] == REFUSED


def test_pages_behind_the_last_page_of_their_own_stream_are_refused(write):
    ogg = encoded("OGG", "VORBIS", FIRST)
    places = pages(ogg)
    assert answers(write(ogg + ogg[places[2]:]))[0] == REFUSED


@pytest.mark.slow
@pytest.mark.parametrize("seconds, is_read", [(8, False), (300, True)])
def test_a_repeated_page_is_judged_by_its_bytes(write, seconds, is_read):
    ogg = long_file("OGG", "VORBIS", tone(seconds * RATE))
    places = pages(ogg)
    size = places[4] - places[3]
    found, warnings = answers(write(ogg[:places[4]] + ogg[places[3]:]))
    if is_read:
        assert found == (seconds * RATE,) * 3 and len(warnings) == 1 and "%d bytes" % size in warnings[0]
    else:
        assert found == REFUSED


FOLLOWING = {"WAV": encoded("WAV", "PCM_16", SECOND), "MP3": encoded(*MP3, samples=SECOND),
             "Ogg": encoded("OGG", "VORBIS", SECOND), "noise": np.random.RandomState(0).bytes(9000)}


@pytest.mark.parametrize("container, subtype, following", [
    ("OGG", "VORBIS", "WAV"), ("OGG", "VORBIS", "MP3"), ("OGG", "VORBIS", "noise"), ("OGG", "OPUS", "WAV"),
    ("OGG", "OPUS", "noise"), MP3 + ("WAV",), MP3 + ("Ogg",), MP3 + ("noise",)])
def test_other_data_behind_a_file_is_refused(write, container, subtype, following):
    path = write(encoded(container, subtype, FIRST) + FOLLOWING[following])
    assert answers(path)[0] == REFUSED
    with pytest.raises(RejectedData, match={"WAV": r"another recording \(WAV\)", "Ogg": r"another recording \(Ogg\)"}.get(
            following, "cannot be read|another recording")):
        inspect_audio(path, RATE)


@pytest.mark.parametrize("container, subtype", [("OGG", "VORBIS"), ("OGG", "OPUS"), MP3])
def test_few_bytes_and_padding_behind_a_file(write, container, subtype):
    whole = encoded(container, subtype, FIRST)
    found, warnings = answers(write(whole + b"\x55" * (len(whole) // 110)))
    assert found == (60000,) * 3 and len(warnings) == 1 and "%d bytes" % (len(whole) // 110) in warnings[0]
    assert answers(write(whole + bytes(4096))) == ((60000,) * 3, [])
    # a block of zeros this long may have been a second file
    assert answers(write(whole + bytes(1 << 17)))[0] == REFUSED


@pytest.mark.slow
def test_a_file_behind_a_chain_with_a_small_hole_is_still_refused(write):
    """What is tolerated in one stream does not hide what follows."""
    long, rest = long_file("OGG", "VORBIS", tone(300 * RATE)), encoded("WAV", "PCM_16", SECOND)
    places = pages(long)
    holed = long[:places[4]] + long[places[5]:]
    found, warnings = answers(write(holed))
    assert len(set(found)) == 1 and isinstance(found[0], int) and "missing" in warnings[0]
    assert answers(write(holed + rest))[0] == REFUSED


def joined_mp3():
    """(first, second) and their frames' offsets, ends included."""
    files = encoded(*MP3, samples=FIRST), encoded(*MP3, samples=SECOND)
    places = []
    for mp3 in files:
        offsets = [0]
        while offsets[-1] < len(mp3):
            offsets.append(offsets[-1] + parse_header(mp3[offsets[-1]:offsets[-1] + 4]).length)
        places.append(offsets)
    return files, places


@pytest.mark.parametrize("frames_before, frames_behind", [(0, 1), (1, 1), (3, 3), (7, 2), (2, 7)])
@pytest.mark.parametrize("into_a_frame", [11, 70])
def test_losses_at_the_seam_of_joined_mp3s_are_counted_per_file(write, frames_before, frames_behind, into_a_frame):
    (first, second), places = joined_mp3()
    kept = first[:places[0][-1 - frames_before]]
    path = write(kept + second[places[1][frames_behind] + into_a_frame:])
    assert answers(path)[0] == REFUSED
    # the Info frame of the second is there: the first lost its end
    found, _ = answers(write(first[:places[0][-4] + into_a_frame] + second))
    assert found == REFUSED


def _id3v2(size, body=b""):
    return b"ID3\3\0\0" + bytes(size >> shift & 127 for shift in (21, 14, 7, 0)) + body.ljust(size, b"\0")


def _ape(version, has_header):
    items = struct.pack("<II", 10, 0) + b"Title\0" + b"a" * 10
    size = len(items) + 32
    def frame(flags):
        return b"APETAGEX" + struct.pack("<IIII", version, size, 1, flags) + bytes(8)
    return (frame(0xA0000000) if has_header else b"") + items + frame(0x80000000 if has_header else 0)


ID3V1 = b"TAG" + b"a" * 125
TEXT = b"LYRICSBEGIN" + b"IND0000210" + b"LYR00005hello"
TAGS = {
    "ID3v1": ID3V1, "ID3v2": _id3v2(60), "ID3v1 and padded ID3v2": ID3V1 + _id3v2(4000, b"TIT2\0\0\0\5\0\0\0song"),
    "ID3v2 with sync words": _id3v2(4000, b"\xff\xfb\x90\x64" * 900), "enhanced": b"TAG+" + b"b" * 223 + ID3V1,
    "APE 2": _ape(2000, True), "APE 1": _ape(1000, False), "APE 2 and ID3v1": _ape(2000, True) + ID3V1,
    "Lyrics3v2": TEXT + b"%06d" % len(TEXT) + b"LYRICS200" + ID3V1, "Lyrics3v1": b"LYRICSBEGIN hello LYRICSEND" + ID3V1,
    "zeros": bytes(3000), "zeros and tags": bytes(512) + ID3V1 + bytes(700) + _id3v2(300)}


@pytest.mark.parametrize("name", sorted(TAGS))
def test_tags_and_padding_between_joined_mp3s_are_not_missing_audio(write, name):
    first, second = encoded(*MP3, samples=FIRST), encoded(*MP3, samples=SECOND)
    path = write(first + TAGS[name] + second + TAGS[name])
    assert answers(path) == ((110001,) * 3, [])
    assert np.abs(read_audio(path, RATE) - np.concatenate([FIRST, SECOND])).max() < 0.1


def test_a_tag_ends_the_file_in_front_of_it(write):
    """The frames of a second file without an Info frame do not make up for what the first lost."""
    first, second = encoded(*MP3, samples=FIRST), without_info_frame(encoded(*MP3, samples=SECOND))
    (_, _), (places, _) = joined_mp3()
    assert answers(write(first[:places[-5]] + ID3V1 + second))[0] == REFUSED
    found, _ = answers(write(first + ID3V1 + second))
    assert len(set(found)) == 1 and 110001 <= found[0] < 110001 + 3 * 576


@pytest.mark.parametrize("size", [20, 4000, 9000, 1 << 27])
def test_a_tag_with_a_wrong_size_hides_no_frames(write, size):
    first, second = encoded(*MP3, samples=FIRST), encoded(*MP3, samples=SECOND)
    tag = _id3v2(100)[:6] + _id3v2(size)[6:10] + bytes(100) if size < 1 << 20 else _id3v2(100)[:6] + b"\x7f" * 4 + bytes(100)
    for data, whole in ((first + tag + second, 110001), (tag + first, 60000)):
        found, warnings = answers(write(data))
        assert found in ((whole,) * 3, REFUSED)
    assert not any("missing" in warning for warning in warnings)


@pytest.mark.parametrize("name", ["ID3v1", "ID3v2", "APE 2", "Lyrics3v1"])
def test_a_file_that_ends_within_a_tag_was_cut(write, name):
    """The tag of a second file means that there was one; the others are a warning."""
    first = encoded(*MP3, samples=FIRST)
    for count in (12, 25):
        found, warnings = answers(write(first + TAGS[name][:count]))
        if name == "ID3v2":
            assert found == REFUSED
        else:
            assert found == (60000,) * 3 and len(warnings) == 1 and "cut off" in warnings[0]


@pytest.mark.parametrize("following", ["WAV", "noise"])
def test_a_tag_does_not_excuse_what_follows_it(write, following):
    assert answers(write(encoded(*MP3, samples=FIRST) + ID3V1 + FOLLOWING[following]))[0] == REFUSED


def test_mono_and_stereo_mp3s_are_separate_parts(write):
    mono, stereo = (without_info_frame(encoded(*MP3, samples=tone(30000, channels))) for channels in (1, 2))
    for data in (mono + stereo, stereo + mono):
        found, warnings = answers(write(data))
        assert len(set(found)) == 1 and 60000 <= found[0] < 60000 + 6 * 576 and not warnings


@pytest.mark.parametrize("position", [1 << 40, (1 << 62) + 5])
def test_more_samples_than_the_bytes_can_hold_are_refused(write, position):
    """An intact page whose position is impossible."""
    ogg = bytearray(encoded("OGG", "VORBIS", FIRST))
    last = pages(bytes(ogg))[-2]
    ogg[last + 6:last + 14] = struct.pack("<q", position)
    ogg[last + 22:last + 26] = bytes(4)
    ogg[last + 22:last + 26] = struct.pack("<I", page_checksum(bytes(ogg[last:])))
    path = write(bytes(ogg))
    assert answers(path)[0] == ("damaged header",) * 3
    with pytest.raises(RejectedData, match="a file of %d bytes cannot hold" % len(ogg)):
        inspect_audio(path, RATE)


@pytest.mark.slow
def test_long_digital_silence_is_not_too_many_samples(write):
    for container, subtype in (("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("OGG", "OPUS"), MP3, ("CAF", "ALAC_16")):
        data = long_file(container, subtype, np.zeros(4800000, np.float32))
        assert answers(write(data))[0] == (4800000,) * 3, container


HEADERS = (
    ("WAV", "PCM_16", 44), ("RF64", "PCM_16", 104), ("W64", "PCM_16", 104), ("FLAC", "PCM_16", 42), ("OGG", "VORBIS", 40),
    ("AIFF", "PCM_16", 54), ("AU", "PCM_16", 24), ("CAF", "PCM_16", 60), MP3 + (144,))


# an ID3 tag at the end of a FLAC file is not another recording
@pytest.mark.parametrize("first, container, subtype, header", [
    (first,) + other for first in ("WAV", "W64", "AIFF", "AU", "FLAC", "OGG") for other in HEADERS
    if (first, other[0]) != ("FLAC", "MP3")])
def test_another_recording_that_is_cut_within_its_header_is_refused(write, first, container, subtype, header):
    """However few of its bytes are there: how much is missing is unknown."""
    whole, other = encoded(first, "VORBIS" if first == "OGG" else "PCM_16", FIRST), encoded(container, subtype, SECOND)
    least = 3 if container == "MP3" else 1
    other = b"ID3\3\0\0\0\0\2\0" + bytes(256) + other if container == "MP3" else other
    for kept in (least, 3, 4, 7, 8, 11, 12, 15, 16, header):
        assert isinstance(answers(write(whole + other[:kept]))[0][0], str), kept


@pytest.mark.parametrize("tag", [b"", b"TAG" + b"a" * 125])
def test_a_second_mp3_that_is_cut_within_its_info_frame_is_refused(write, tag):
    first, second = encoded(*MP3, FIRST), encoded(*MP3, SECOND)
    assert parse_header(second[:4]).length > 100
    for kept in (1, 2, 3, 4, 19, 100, parse_header(second[:4]).length - 1):
        assert answers(write(first + tag + second[:kept]))[0] == REFUSED, kept
        with pytest.raises(RejectedData, match="another recording .MP3. begins at byte %d" % len(first + tag)):
            inspect_audio(write(first + tag + second[:kept]), RATE)


def test_small_losses_of_one_file_add_up(write):
    """0.95 % of the bytes are missing, and of the rest libsndfile does not decode the last block, which is incomplete."""
    w64 = encoded("W64", "MS_ADPCM", tone(120037, 2))
    size = int.from_bytes(w64[w64.index(b"data") + 16:][:8], "little")
    assert answers(write(w64))[0][0] >= 120037
    assert answers(write(w64[:len(w64) - int(0.0095 * size)]))[0] == REFUSED
