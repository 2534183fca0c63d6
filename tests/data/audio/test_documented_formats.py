"""The table of docs/audio.md: every format that libsndfile writes, and made ones, are read or refused as it says."""
import io
import os
import re
import struct
import tempfile

import pytest
import soundfile

from open_seq2seq.data.audio.containers import AUDIO_EXTENSIONS, CONVERTIBLE_EXTENSIONS, unsupported_container
from open_seq2seq.data.rejection import RejectedData
from open_seq2seq.data.speech2text.audio import inspect_audio, read_audio
from tests.fixtures.audio_files import RATE, answers, chunk, encoded, format_chunk, riff, tone
from tests.paths import REPOSITORY

# libsndfile pads bytes or blocks where the container cannot state the number of samples
BLOCK_SAMPLES = {"IMA_ADPCM": 1017, "MS_ADPCM": 1012, "G721_32": 120, "G723_24": 120, "G723_40": 120, "PCM_U8": 256}
LOSSY = {"VORBIS", "OPUS", "MPEG_LAYER_I", "MPEG_LAYER_II", "MPEG_LAYER_III"}


def table():
    """{libsndfile's format: (set of subtypes that are read, set of those that are refused)}"""
    with open(os.path.join(REPOSITORY, "docs", "audio.md"), encoding="utf-8") as file:
        rows = [line.split("|")[1:-1] for line in file if line.startswith("| ") and "`" in line.split("|")[1]]
    found = {}
    for row in rows:
        for container in re.findall("`([A-Z0-9]+)`", row[0]):
            found[container] = tuple(set(re.findall("`([A-Z0-9_]+)`", cell)) for cell in row[1:3])
    return found


TABLE = table()


def can_be_written(container, subtype):
    """Whether libsndfile writes the format; it announces some that it cannot write."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            soundfile.write(os.path.join(folder, "a"), tone(), RATE, format=container, subtype=subtype)
    except (RuntimeError, ValueError, AssertionError):
        return False
    return True


WRITTEN = [(container, subtype) for container in sorted(soundfile.available_formats())
           for subtype in sorted(soundfile.available_subtypes(container)) if can_be_written(container, subtype)]


def written(container, subtype, tmp_path, samples):
    """Path of a file that libsndfile wrote."""
    path = str(tmp_path / "a.audio")
    soundfile.write(path, samples, RATE, format=container, subtype=subtype)
    return path


def test_the_extensions_of_recordings_are_documented_and_offered_by_the_web_page():
    with open(os.path.join(REPOSITORY, "docs", "audio.md"), encoding="utf-8") as file:
        sentence = re.search(r"the files with these extensions: ([^,]*?)\. Of other files", file.read(), re.DOTALL).group(1)
    assert tuple(re.findall("`([^`]+)`", sentence)) == AUDIO_EXTENSIONS
    page = os.path.join(REPOSITORY, "open_seq2seq", "transcription", "web", "assets", "page.html")
    with open(page, encoding="utf-8") as file:
        assert tuple(re.search('accept="audio/\\*,([^"]*)"', file.read()).group(1).split(",")) == AUDIO_EXTENSIONS


def test_the_table_names_every_format_of_libsndfile():
    assert set(soundfile.available_formats()) == set(TABLE)
    for container, (read, refused) in TABLE.items():
        assert not read & refused
        assert set(soundfile.available_subtypes(container)) <= read | refused


@pytest.mark.parametrize("container, subtype", WRITTEN)
def test_formats_are_read_or_refused_as_the_table_says(container, subtype, tmp_path):
    path = written(container, subtype, tmp_path, tone())
    read, refused = TABLE[container]
    found, _ = answers(path)
    if subtype in refused:
        assert set(found) <= {"not audio"}
        return
    assert subtype in read
    # one answer of all readers
    assert len(set(found)) == 1
    # the rate of VOC's 8 bits is rounded to 16,129 Hz
    assert abs(found[0] - 12037) <= BLOCK_SAMPLES.get(subtype, 1)
    samples = read_audio(path, RATE)[:12037]
    if subtype not in LOSSY and container != "VOC":
        assert (samples - tone()[:len(samples)]).std() < 0.05


@pytest.mark.parametrize("container, subtype", [pair for pair in WRITTEN if pair[1] in TABLE[pair[0]][0]])
@pytest.mark.parametrize("left", [0.3, 0.66, 0.95])
def test_cut_files_are_found_at_the_scan(container, subtype, left, tmp_path):
    path = written(container, subtype, tmp_path, tone())
    size = os.path.getsize(path)
    os.truncate(path, int(size * left))
    with pytest.raises(RejectedData):
        inspect_audio(path, RATE)
    assert all(isinstance(answer, str) for answer in answers(path)[0])


@pytest.mark.parametrize("name, data, kind", [
    ("memo.m4a", b"\0\0\0\x20ftypM4A \0\0\0\0M4A mp42isom" + bytes(400), "an MP4"),
    ("clip.3gp", b"\0\0\0\x18ftyp3gp4" + bytes(400), "a 3GP"),
    ("clip.mov", b"\0\0\0\x08wide" + bytes(400), "a QuickTime"),
    ("radio.amr", b"#!AMR\n" + b"\x3c" * 300, "an AMR"),
    ("talk.wma", b"\x30\x26\xb2\x75\x8e\x66\xcf\x11" + bytes(300), "a WMA"),
    ("talk.webm", b"\x1aE\xdf\xa3" + bytes(300), "a WebM or Matroska"),
    ("talk.aac", b"\xff\xf1\x50\x80" + bytes(300), "an AAC"),
    ("talk.avi", b"RIFF\0\0\1\0AVI LIST" + bytes(300), "an AVI"),
    ("talk.spx", b"OggS\0\2" + bytes(20) + b"\1\x50Speex   1.2" + bytes(300), "a Speex"),
    ("talk.ape", b"MAC \x96\x0f" + bytes(300), "a Monkey's Audio"),
    ("talk.wv", b"wvpk" + bytes(300), "a WavPack"),
])
def test_other_containers_get_one_sentence(name, data, kind, tmp_path):
    path = tmp_path / name
    path.write_bytes(data)
    sentence = unsupported_container(str(path))
    assert sentence.startswith("It is %s" % kind) and "Convert it to WAV first" in sentence
    assert answers(str(path))[0] == ("not audio",) * 3
    with pytest.raises(RejectedData, match="Convert it to WAV first"):
        read_audio(str(path), RATE)
    assert path.suffix in CONVERTIBLE_EXTENSIONS


def test_the_sentence_is_for_regular_files_only(tmp_path):
    os.mkfifo(str(tmp_path / "pipe.m4a"))
    (tmp_path / "good.wav").write_bytes(encoded("WAV", "PCM_16"))
    for name in ("pipe.m4a", "good.wav", "missing.m4a", "a\0b.m4a", "."):
        assert unsupported_container(os.path.join(str(tmp_path), name)) is None


def test_big_endian_wav_is_read(tmp_path):
    buffer = io.BytesIO()
    soundfile.write(buffer, tone(), RATE, format="WAV", subtype="PCM_16", endian="BIG")
    assert buffer.getvalue()[:4] == b"RIFX"
    (tmp_path / "a.wav").write_bytes(buffer.getvalue())
    assert answers(str(tmp_path / "a.wav"))[0] == (12037,) * 3
    assert abs(read_audio(str(tmp_path / "a.wav"), RATE) - tone()).max() <= 2 ** -15


def test_mp3_in_wav_is_read(tmp_path):
    mp3 = encoded("MP3", "MPEG_LAYER_III")
    fmt = format_chunk(bits=0, encoding=0x55, block=1)
    (tmp_path / "a.wav").write_bytes(riff(fmt, chunk(b"data", mp3)))
    (tmp_path / "cut.wav").write_bytes(riff(fmt, chunk(b"data", mp3[:len(mp3) // 2])))
    assert answers(str(tmp_path / "a.wav"))[0] == (12037,) * 3
    assert answers(str(tmp_path / "cut.wav"))[0] == ("wrong length in header",) * 3


def test_flac_behind_an_id3_tag_is_read(tmp_path):
    tag = b"ID3\4\0\0" + struct.pack(">I", 64) + bytes(64)
    (tmp_path / "a.flac").write_bytes(tag + encoded("FLAC", "PCM_16"))
    assert answers(str(tmp_path / "a.flac"))[0] == (12037,) * 3
