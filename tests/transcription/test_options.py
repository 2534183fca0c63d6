"""The command line: what is contradictory is said before anything is loaded."""
import pytest

from open_seq2seq.errors import UsageError
from open_seq2seq.transcription.options import parse_options


def test_defaults():
    options = parse_options(["a.wav", "-", "--model", "m"])
    assert (options.inputs, options.model, options.formats, options.output) == (["a.wav", "-"], "m", ["text"], None)


def test_several_formats_go_into_a_folder(tmp_path):
    assert parse_options(["a.wav", "--model=m", "--format=text,srt", "--output", str(tmp_path)]).formats == ["text", "srt"]
    assert parse_options(["--model=m", "--format=text,srt", "--watch=x"]).formats == ["text", "srt"]


@pytest.mark.parametrize("words,message", [
    ([], "exactly one of them"),
    (["a.wav", "--watch=x"], "exactly one of them"),
    (["--microphone", "--serve"], "exactly one of them"),
    (["a.wav", "--format=doc"], "'doc', expected one or several of text, json, srt, vtt, ctm"),
    (["a.wav", "--format=text,text"], "expected one or several"),
    (["a.wav", "--format=text,srt"], "name a folder by --output"),
    (["a.wav", "--output=pytest.ini"], "--output pytest.ini is a file"),
    (["-", "-"], "only once"),
    (["a.wav", "--port=80"], "--port belongs to --serve"),
    (["--serve", "--port=70000"], "'70000', expected a port from 0 to 65535"),
    (["--serve", "--max_seconds=nan"], "'nan', expected a time"),
    (["--serve", "--output=x"], "leave out --output"),
    (["--watch=x", "--output=-"], "--watch writes into a folder"),
    (["a.wav", "--microphone_device=1"], "--microphone is not"),
    (["a.wav", "--modle=x"], "--modle=x"),
])
def test_what_is_wrong_is_said(words, message, monkeypatch):
    import os
    monkeypatch.chdir(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
    with pytest.raises(UsageError, match=message):
        parse_options(words + ["--model=m"])


def test_a_model_is_needed():
    with pytest.raises(UsageError, match="--model"):
        parse_options(["a.wav"])
