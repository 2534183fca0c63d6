"""Several recordings: results on stdout or in files, progress and errors on stderr."""
import io
import json
import types

import pytest
import soundfile

from open_seq2seq.errors import DataError
from open_seq2seq.transcription import Transcriber
from open_seq2seq.transcription.batch import Batch
from open_seq2seq.transcription.recordings import find_recordings


@pytest.fixture
def run(tones, tmp_path, capsys):
    """Transcribes files of a folder with a.wav ("abc") and b.wav ("bad"): status, out, err."""
    for name, word in (("a.wav", "abc"), ("b.wav", "bad")):
        soundfile.write(str(tmp_path / name), tones.spoken([word], [0.3, 0.3])[0], tones.RATE)
    (tmp_path / "c.wav").write_bytes(b"%PDF")

    def call(*names, formats=("text",), output=None, errors=()):
        recordings, found, skipped = find_recordings([name if name == "-" else str(tmp_path / name) for name in names])
        status = Batch(recordings, list(formats), output, list(errors) + found, skipped).run(Transcriber(tones.ToneModel()))
        captured = capsys.readouterr()
        return types.SimpleNamespace(status=status, out=captured.out, err=captured.err)
    return call


def test_of_one_recording_only_the_text_is_printed(run):
    done = run("a.wav")
    assert (done.status, done.out, done.err) == (0, "abc\n", "")


def test_of_several_each_line_names_its_recording(run, tmp_path):
    done = run("a.wav", "b.wav")
    assert done.out == "%s\tabc\n%s\tbad\n" % (tmp_path / "a.wav", tmp_path / "b.wav")
    lines = done.err.splitlines()
    assert lines[0] == "1 of 2: %s: 0.8 s of audio, 1 words" % (tmp_path / "a.wav")
    assert lines[2].startswith("2 of 2 recordings transcribed, 1.7 s of audio in ")
    assert [json.loads(line)["text"] for line in run("a.wav", "b.wav", formats=["json"]).out.splitlines()] == ["abc", "bad"]


def test_after_a_bad_recording_the_others_are_transcribed(run, tmp_path):
    output = tmp_path / "out"
    done = run("c.wav", "a.wav", "nix.wav", "b.wav", output=str(output), formats=["text", "ctm"])
    assert done.status == 3 and done.out == ""
    assert sorted(path.name for path in output.iterdir()) == ["a.wav.ctm", "a.wav.txt", "b.wav.ctm", "b.wav.txt"]
    assert "DataError: %s: not audio: the file begins with '%%PDF'" % (tmp_path / "c.wav") in done.err
    assert "nix.wav does not exist" in done.err and "2 of 3 recordings transcribed" in done.err


def test_errors_found_before_count(run):
    assert run("a.wav", errors=[DataError("early")]).status == 3


def test_standard_input(run, tones, monkeypatch):
    data = io.BytesIO()
    soundfile.write(data, tones.spoken(["fad"], [0.3, 0.3])[0], tones.RATE, format="FLAC")
    monkeypatch.setattr("sys.stdin", types.SimpleNamespace(buffer=io.BytesIO(data.getvalue())))
    assert run("-").out == "fad\n"
    monkeypatch.setattr("sys.stdin", types.SimpleNamespace(buffer=io.BytesIO()))
    done = run("-")
    assert done.status == 3 and done.err == "DataError: standard input: empty audio: the file has 0 bytes\n"
    monkeypatch.setattr("sys.stdin", None)
    done = run("-")
    assert done.status == 3 and done.err == "DataError: standard input is closed; pipe a recording into it\n"


def test_skipped_files_are_named_and_do_not_change_the_status(run, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "a.wav").rename(tmp_path / "folder" / "a.wav")
    (tmp_path / "folder" / "radio.amr").write_bytes(b"#!AMR\n" + b"\x3c" * 300)
    done = run("folder")
    assert (done.status, done.out) == (0, "abc\n")
    assert done.err.startswith("skipped %s: It is an AMR file" % (tmp_path / "folder" / "radio.amr"))
    assert "It is an AMR file" in run("folder/radio.amr").err      # the same sentence for the file itself
