"""Blocks of a file are what reading it whole gives; files that are none are named with the reason."""
import io
import os

import numpy as np
import pytest
import soundfile

from open_seq2seq.data.speech2text.audio import read_audio
from open_seq2seq.errors import DataError
from open_seq2seq.transcription.audio_stream import blocks_of_file, duration_of_file, spooled

RATE = 16000


def samples(count, channels=1, seed=0):
    return 0.1 * np.random.RandomState(seed).normal(size=[count, channels])


@pytest.mark.parametrize("rate,channels,subtype", [
    (16000, 1, "PCM_16"), (16000, 2, "PCM_16"), (8000, 1, "PCM_U8"), (44100, 2, "PCM_24"), (48000, 3, "FLOAT")])
@pytest.mark.parametrize("count", [1, 1000, 300001])
def test_the_blocks_are_the_file(tmp_path, rate, channels, subtype, count):
    path = str(tmp_path / "a.wav")
    soundfile.write(path, samples(count, channels), rate, subtype=subtype)
    blocks = list(blocks_of_file(path, RATE))
    assert max(map(len, blocks)) <= 3 << 16
    whole = read_audio(path, RATE)
    joined = np.concatenate(blocks)
    assert joined.dtype == np.float32 and len(joined) == len(whole)
    np.testing.assert_allclose(joined, whole, atol=1e-6)
    assert duration_of_file(path) == count / rate


def write_bad(folder):
    """Files that are not recordings: {name: the message}."""
    good = io.BytesIO()
    soundfile.write(good, samples(40000)[:, 0], RATE, format="WAV", subtype="PCM_16")
    with_nan = samples(200000)[:, 0].astype(np.float32)
    with_nan[150000] = np.inf
    soundfile.write(str(folder / "nan.wav"), with_nan, RATE, subtype="FLOAT")
    soundfile.write(str(folder / "none.flac"), np.zeros(0), RATE)
    (folder / "empty.wav").write_bytes(b"")
    (folder / "page.wav").write_bytes(b"<!DOCTYPE html><html>")
    (folder / "cut.wav").write_bytes(good.getvalue()[:50000])
    os.mkfifo(str(folder / "pipe.wav"))
    return {"nan.wav": "NaN or infinite at 9.375 s", "none.flac": "empty audio", "empty.wav": "0 bytes",
            "page.wav": "HTML or XML", "cut.wav": "declares 80000 bytes of samples, the file holds 49956",
            "pipe.wav": "is a pipe", "nix.wav": "does not exist", ".": "is a pipe or a device|[Dd]irectory"}


def test_what_is_no_recording_is_named_with_the_reason(tmp_path):
    for name, said in write_bad(tmp_path).items():
        path = str(tmp_path / name)
        with pytest.raises(DataError, match=said) as raised:
            list(blocks_of_file(path, RATE))
        assert path in str(raised.value)
        assert duration_of_file(path) is None or name in ("nan.wav", "cut.wav")


def test_a_name_stands_for_a_temporary_path(tmp_path):
    (tmp_path / "x").write_bytes(b"GIF89a")
    with pytest.raises(DataError, match="^standard input: not audio: the file begins with 'GIF89a'"):
        list(blocks_of_file(str(tmp_path / "x"), RATE, "standard input"))


def test_a_writer_that_could_not_seek_back(tmp_path):
    """ffmpeg into a pipe leaves sizes of 0xFFFFFFFF in the header."""
    good = io.BytesIO()
    soundfile.write(good, samples(40000)[:, 0], RATE, format="WAV", subtype="PCM_16")
    data = bytearray(good.getvalue())
    data[4:8] = data[40:44] = b"\xff\xff\xff\xff"
    (tmp_path / "a.wav").write_bytes(bytes(data))
    assert sum(map(len, blocks_of_file(str(tmp_path / "a.wav"), RATE))) == 40000


def test_standard_input_is_kept_only_as_long_as_it_is_read():
    with spooled(io.BytesIO(b"x" * 3000000)) as path:
        assert os.path.getsize(path) == 3000000
    assert not os.path.exists(path)
