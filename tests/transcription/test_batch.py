"""Many recordings: results, progress and errors each where they belong."""
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
    """Transcribes what the words name, in a folder with a.wav ("abc") and b.wav ("bad"): status, out, err."""
    for name, word in (("a.wav", "abc"), ("b.wav", "bad")):
        soundfile.write(str(tmp_path / name), tones.spoken([word], [0.3, 0.3])[0], tones.RATE)
    (tmp_path / "c.wav").write_bytes(b"%PDF")

    def call(*names, formats=("text",), output=None, errors=()):
        recordings, found = find_recordings([name if name == "-" else str(tmp_path / name) for name in names])
        status = Batch(recordings, list(formats), output, list(errors) + found).run(Transcriber(tones.ToneModel()))
        captured = capsys.readouterr()
        return types.SimpleNamespace(status=status, out=captured.out, err=captured.err)
    return call


def test_one_recording_is_its_text_and_nothing_else(run):
    done = run("a.wav")
    assert (done.status, done.out, done.err) == (0, "abc\n", "")


def test_of_several_each_line_says_whose_it_is(run, tmp_path):
    done = run("a.wav", "b.wav")
    assert done.out == "%s\tabc\n%s\tbad\n" % (tmp_path / "a.wav", tmp_path / "b.wav")
    lines = done.err.splitlines()
    assert lines[0] == "1 of 2: %s: 0.8 s of audio, 1 words" % (tmp_path / "a.wav")
    assert lines[2].startswith("2 of 2 recordings transcribed, 1.7 s of audio in ")
    assert [json.loads(line)["text"] for line in run("a.wav", "b.wav", formats=["json"]).out.splitlines()] == ["abc", "bad"]


def test_a_bad_recording_does_not_keep_the_others_from_it(run, tmp_path):
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
