import io
import os
import struct
import wave

import numpy as np
import pytest
import soundfile

from open_seq2seq.data.rejection import RejectedData
from open_seq2seq.data.speech2text.audio import inspect_audio, read_audio, resampled_length, scan_audio

RATE = 16000
TIME = np.arange(RATE // 2) / float(RATE)
TONE = (0.5 * np.sin(2 * np.pi * 440 * TIME)).astype(np.float32)


def rejection_of(function, *arguments):
    with pytest.raises(RejectedData) as error:
        function(*arguments)
    return error.value.reason.name, str(error.value)


def wav_bytes(data, data_size=None, riff_size=None, channels=1, bits=16, encoding=1, extra=b""):
    fmt = struct.pack("<HHIIHH", encoding, channels, RATE, RATE * channels * bits // 8, channels * bits // 8, bits)
    body = b"WAVEfmt " + struct.pack("<I", len(fmt)) + fmt + extra + b"data"
    body += struct.pack("<I", len(data) if data_size is None else data_size) + data
    return b"RIFF" + struct.pack("<I", len(body) if riff_size is None else riff_size) + body


@pytest.fixture
def write(tmp_path):
    def write(data, name="a.wav"):
        path = tmp_path / name
        path.write_bytes(data)
        return str(path)
    return write


@pytest.mark.parametrize("file_format, subtype, tolerance", [
    ("WAV", "PCM_16", 2 ** -15), ("WAV", "PCM_U8", 2 ** -7), ("WAV", "PCM_24", 2 ** -22), ("WAV", "PCM_32", 2 ** -22),
    ("WAV", "FLOAT", 1e-9), ("WAV", "DOUBLE", 1e-7), ("WAV", "ULAW", 0.03), ("WAVEX", "PCM_16", 2 ** -15),
    ("FLAC", "PCM_16", 2 ** -15), ("FLAC", "PCM_24", 2 ** -22), ("RF64", "PCM_16", 2 ** -15),
])
def test_formats_hold_the_same_samples(tmp_path, file_format, subtype, tolerance):
    path = str(tmp_path / "a.audio")
    soundfile.write(path, TONE, RATE, format=file_format, subtype=subtype)
    samples = read_audio(path, RATE)
    assert samples.dtype == np.float32 and samples.shape == TONE.shape
    assert np.abs(samples - TONE).max() <= tolerance
    assert inspect_audio(path, RATE) == (path, 0.5, RATE // 2, False, (), RATE // 2)


@pytest.mark.parametrize("subtype", ["PCM_16", "FLOAT"])
def test_channels_are_averaged(tmp_path, subtype):
    path = str(tmp_path / "stereo.wav")
    soundfile.write(path, np.stack([TONE, 0.5 * TONE], 1), RATE, subtype=subtype)
    np.testing.assert_allclose(read_audio(path, RATE), 0.75 * TONE, atol=2 ** -14)
    assert inspect_audio(path, RATE).num_samples == len(TONE)


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000])
def test_other_rates_are_resampled(tmp_path, rate):
    path = str(tmp_path / "a.wav")
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(rate // 2) / rate)
    soundfile.write(path, tone, rate, subtype="PCM_16")
    samples, info = read_audio(path, RATE), inspect_audio(path, RATE)
    assert len(samples) == info.num_samples == resampled_length(rate // 2, rate, RATE)
    assert info.duration == pytest.approx(rate // 2 / rate)
    middle = slice(1000, -1000)
    np.testing.assert_allclose(samples[middle], TONE[:len(samples)][middle], atol=1e-3)


def test_chunks_around_the_samples_are_skipped(write):
    data = np.arange(5, dtype="<i2").tobytes()
    path = write(wav_bytes(data, extra=b"LIST" + struct.pack("<I", 3) + b"abc\0") + b"LIST\4\0\0\0abcd")
    assert (read_audio(path, RATE) * 32768).tolist() == [0, 1, 2, 3, 4]


def test_headers_cut_off_by_a_pipe_are_legal(write):
    data = np.arange(1, 9, dtype="<i2").tobytes()
    for number, (data_size, riff_size) in enumerate([(0, 36), (0, 0), (0xFFFFFFFF, 0xFFFFFFFF), (0x7FFFF000, 0x7FFFF024)]):
        path = write(wav_bytes(data, data_size, riff_size), "%d.wav" % number)
        assert inspect_audio(path, RATE).num_samples == 8
        assert (read_audio(path, RATE) * 32768).tolist() == list(range(1, 9))
    deep = write(wav_bytes(np.full(6, 256, "<i4").tobytes(), 0xFFFFFFFF, 0xFFFFFFFF, bits=32), "32.wav")
    assert inspect_audio(deep, RATE).num_samples == len(read_audio(deep, RATE)) == 6


def test_missing_file(tmp_path):
    path = str(tmp_path / "no.wav")
    assert rejection_of(inspect_audio, path, RATE) == ("missing file", "%s does not exist" % path)
    assert rejection_of(read_audio, path, RATE)[0] == "missing file"


def test_second_place_is_looked_at_only_when_the_first_is_empty(tmp_path):
    first, second = str(tmp_path / "first.wav"), str(tmp_path / "second.wav")
    soundfile.write(second, TONE, RATE)
    assert inspect_audio(first, RATE, second).path == second
    soundfile.write(first, TONE[:1600], RATE)
    assert inspect_audio(first, RATE, second)[:3] == (first, 0.1, 1600)


def test_page_named_wav_is_shown(write):
    path = write(b"<!DOCTYPE html>\n<html><body>404</body></html>")
    reason, detail = rejection_of(inspect_audio, path, RATE)
    assert reason == "not audio"
    assert detail.startswith(r"the file begins with '<!DOCTYPE html>\n<html><body>404</body></'. It is an HTML or XML page")


@pytest.mark.parametrize("data, reason, detail", [
    (b"", "empty audio", "the file has 0 bytes"),
    (wav_bytes(b""), "empty audio", "a WAV file without samples"),
    (wav_bytes(b"", 0, 0), "empty audio", "a WAV file without samples"),
    (b"RIFF\0\0\0\0WAVE", "not audio", 'a RIFF file of 12 bytes without a "fmt " chunk'),
    (wav_bytes(b"ab")[:40], "not audio", 'without a "data" chunk'),
    (b"hello, this is text", "not audio", "the file begins with 'hello, this is text'"),
    (wav_bytes(b"\0" * 100, 1000), "wrong length in header",
     "the header declares 1000 bytes of samples, the file holds 100; was it cut off"),
])
def test_unusable_files_are_explained(write, data, reason, detail):
    path = write(data)
    for function in (inspect_audio, read_audio):
        found, message = rejection_of(function, path, RATE)
        assert found == reason
        assert detail in message


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_float_files_with_non_finite_samples(tmp_path, value):
    path, samples = str(tmp_path / "a.wav"), TONE.copy()
    samples[[800, 900]] = value
    soundfile.write(path, samples, RATE, subtype="FLOAT")
    for function in (inspect_audio, read_audio):
        assert rejection_of(function, path, RATE) == (
            "non-finite samples", "a sample is NaN or infinite at 0.050 s; the program that wrote the file is at fault")


def test_cut_off_flac_is_found_when_it_is_read(tmp_path, write):
    noise = np.random.RandomState(0).uniform(-0.5, 0.5, RATE * 2)
    soundfile.write(str(tmp_path / "whole.flac"), noise, RATE)
    path = write((tmp_path / "whole.flac").read_bytes()[:30000], "cut.flac")
    assert rejection_of(read_audio, path, RATE)[0] in ("wrong length in header", "unreadable")


def test_directory_is_no_audio(tmp_path):
    assert rejection_of(inspect_audio, str(tmp_path), RATE)[0] == "unreadable"


def test_names_that_are_no_text_are_read(tmp_path):
    path = os.path.join(str(tmp_path), os.fsdecode(b"na\xefve.flac"))
    with open(path, "wb") as file:
        soundfile.write(file, TONE, RATE, format="FLAC")
    assert read_audio(path, RATE).shape == TONE.shape


def test_samples_without_a_header_are_refused(tmp_path):
    path = tmp_path / "samples.raw"
    path.write_bytes(bytes(3200))
    reason, detail = rejection_of(read_audio, str(path), RATE)
    assert reason == "not audio" and "save it as WAV or FLAC" in detail


def test_scan_keeps_the_order(tmp_path):
    paths = []
    for number in range(600):
        path = tmp_path / ("%d.wav" % number)
        if number % 100 != 7:
            buffer = io.BytesIO()
            with wave.open(buffer, "wb") as file:
                file.setparams((1, 2, RATE, 0, "NONE", ""))
                file.writeframes(bytes(2 * (number + 1)))
            path.write_bytes(buffer.getvalue())
        paths.append((str(path), None))
    results = scan_audio(paths, RATE, show_progress=False)
    assert [number for number, result in enumerate(results) if isinstance(result, RejectedData)] == [
        7, 107, 207, 307, 407, 507]
    assert all(result.num_samples == number + 1 for number, result in enumerate(results)
               if not isinstance(result, RejectedData))


def test_a_pipe_is_refused_without_waiting_for_a_writer(tmp_path):
    path = str(tmp_path / "pipe.wav")
    os.mkfifo(path)
    for function in (inspect_audio, read_audio):
        assert rejection_of(function, path, RATE) == ("not audio", "%s is a pipe or a device; expected a file" % path)
    assert rejection_of(inspect_audio, "/dev/zero", RATE)[0] == "not audio"
