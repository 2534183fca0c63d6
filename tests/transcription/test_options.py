"""The command line: invalid and contradictory options are errors before anything is loaded."""
import os
import threading

import pytest

from open_seq2seq.errors import UsageError
from open_seq2seq.transcribe import main
from open_seq2seq.transcription.options import parse_options


def test_defaults():
    options = parse_options(["a.wav", "-", "--model", "m"])
    assert (options.inputs, options.model, options.formats, options.output) == (["a.wav", "-"], "m", ["text"], None)


def test_several_formats_go_into_a_folder(tmp_path):
    assert parse_options(["a.wav", "--model=m", "--format=text,srt", "--output", str(tmp_path)]).formats == ["text", "srt"]
    assert parse_options(["--model=m", "--format=text,srt", "--watch=x"]).formats == ["text", "srt"]


@pytest.mark.parametrize("arguments,message", [
    ([], "exactly one of"),
    (["a.wav", "--watch=x"], "exactly one of"),
    (["--microphone", "--serve"], "exactly one of"),
    (["a.wav", "--format=doc"], "'doc', expected one or several of text, json, srt, vtt, ctm"),
    (["a.wav", "--format=text,text"], "expected one or several"),
    (["a.wav", "--format=text,srt"], "give a folder for several with --output"),
    (["a.wav", "--output=pytest.ini"], "--output pytest.ini is a file"),
    (["-", "-"], "only once"),
    (["~nobody-of-this-name/a.wav"], "there is no such user"),
    (["a.wav", "--output=~nobody-of-this-name/x"], "--output ~nobody-of-this-name/x starts with"),
    (["a.wav", "--port=80"], "--port has no effect without --serve"),
    (["--serve", "--port=70000"], "'70000', expected a port from 0 to 65535"),
    (["--serve", "--max_seconds=nan"], "'nan', expected a time"),
    (["--serve", "--output=x"], "omit --output"),
    (["--watch=x", "--output=-"], "--watch writes into a folder"),
    (["a.wav", "--microphone_device=1"], "no effect without --microphone"),
    (["a.wav", "--latency=1"], "--latency has no effect without --microphone"),
    (["--microphone", "--latency=0"], "--latency.*'0', expected a time from 0.1 to 10"),
    (["--serve", "--voice_activity=off"], "--voice_activity has no effect without --microphone"),
    (["--microphone", "--device=npu"], "--microphone runs on the CPU"),
    (["a.wav", "--modle=x"], "--modle=x"),
])
def test_invalid_command_lines(arguments, message, monkeypatch):
    import os
    monkeypatch.chdir(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
    with pytest.raises(UsageError, match=message):
        parse_options(arguments + ["--model=m"])


def test_a_model_is_required():
    with pytest.raises(UsageError, match="--model"):
        parse_options(["a.wav"])


@pytest.mark.parametrize("flag", ["model", "output", "watch"])
def test_a_folder_that_is_not_utf8_is_refused_and_a_recording_accepted(flag):
    path = os.fsdecode(b"x\xff")
    with pytest.raises(UsageError) as caught:
        parse_options(["--model=m", "--%s=%s" % (flag, path)])
    assert str(caught.value).startswith("--%s x\\xff is not valid UTF-8 (x\\xff), and TensorFlow needs UTF-8 paths" % flag)
    assert parse_options(["--model=m", path]).inputs == [path]


def test_home_folders_are_expanded(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    options = parse_options(["~/a.wav", "-", "./~", "--model=~/run", "--output=~/out"])
    assert options.inputs == [str(tmp_path / "a.wav"), "-", "./~"]
    assert (options.model, options.output) == (str(tmp_path / "run"), str(tmp_path / "out"))
    assert parse_options(["--watch=~/in", "--model=m"]).watch == str(tmp_path / "in")


def test_a_microphone_has_a_name_or_a_number():
    for text, device in (("3", 3), ("USB 3", "USB 3")):
        assert parse_options(["--model=m", "--microphone", "--microphone_device", text]).microphone_device == device


def test_the_command_runs_in_any_thread(capsys):
    # only the main thread can set a handler of signals
    statuses = []
    thread = threading.Thread(target=lambda: statuses.append(main(["a.wav", "--watch=x", "--model=m"])))
    thread.start()
    thread.join()
    assert statuses == [2] and "exactly one of" in capsys.readouterr().err
