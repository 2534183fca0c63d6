"""The audio files of the failing inputs: command line, standard input, --watch and upload give the same text or error."""
import http.client
import json
import os
import subprocess
import sys
import threading
import time
import types

import pytest
import soundfile

from open_seq2seq.errors import JasperError
from open_seq2seq.transcription import Transcriber
from open_seq2seq.transcription.batch import Batch
from open_seq2seq.transcription.recordings import Recording
from open_seq2seq.transcription.watch import FolderWatch
from open_seq2seq.transcription.web.server import WebServer
from tests.fixtures.audio_files import encoded, without_info_frame
from tests.fixtures.flac_files import in_ogg, without_length
from tests.transcription.conftest import RATE, ToneModel, spoken

# {file: its text}; FIRST of make_inputs.py says "abc", SECOND "fad"
TEXTS = dict.fromkeys(("reference.wav", "stream_size0.wav", "stream_size0_24bit.wav", "stream_placeholder_2e9.wav", "whole.flac",
                       "list_odd_unpadded.wav", "stream_unknown_length.flac", "one.ogg", "one.opus", "one.mp3",
                       "pipe_constant.mp3", "pipe_variable.mp3", "pipe.oga"), "abc")
TEXTS.update(dict.fromkeys(("chained.ogg", "chained.opus", "chained.mp3"), "abc fad"), **{"two_wavs_concatenated.wav": "abc abc"})
# {file: part of the error}
ERRORS = {"rate_of_1_hz.wav": "1 Hz", "antiphase.wav": "has 0 % of their power", "memo.m4a": "It is an MP4 (M4A) file",
          "radio.amr": "It is an AMR file", "cut.ogg": "no last page", "cut.mp3": "declares 37 MPEG frames"}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory, failing_inputs_script):
    """Folder of the failing inputs."""
    folder = tmp_path_factory.mktemp("inputs")
    for name, word in (("first.wav", "abc"), ("second.wav", "fad")):
        soundfile.write(str(folder / name), spoken([word], [0.5, 0.5])[0], RATE)
    subprocess.run([sys.executable, failing_inputs_script, str(folder / "made"), str(folder / "first.wav"),
                    str(folder / "second.wav")], check=True, capture_output=True)
    # as encoders write them into a pipe: without an Info frame, and of unknown length
    first, _ = soundfile.read(str(folder / "first.wav"))
    for mode in ("CONSTANT", "VARIABLE"):
        mp3 = encoded("MP3", "MPEG_LAYER_III", first, RATE, bitrate_mode=mode, compression_level=0.5)
        (folder / "made" / ("pipe_%s.mp3" % mode.lower())).write_bytes(without_info_frame(mp3))
    (folder / "made" / "pipe.oga").write_bytes(in_ogg(without_length(encoded("FLAC", "PCM_16", first, RATE))))
    return folder / "made"


@pytest.fixture(scope="module")
def transcriber():
    return Transcriber(ToneModel())


def by_command_line(transcriber, path):
    try:
        return transcriber.transcribe(str(path)).text
    except JasperError as error:
        return error


def by_standard_input(transcriber, path, monkeypatch, capsys):
    with open(str(path), "rb") as file:
        monkeypatch.setattr("sys.stdin", types.SimpleNamespace(buffer=file))
        status = Batch([Recording("-", "standard input", "stdin")], ["text"], None).run(transcriber)
    captured = capsys.readouterr()
    return captured.out.rstrip("\n") if status == 0 else captured.err.splitlines()[-1]


def by_watch(transcriber, path, folder):
    (folder / "in").mkdir()
    os.link(str(path), str(folder / "in" / path.name))
    lines = []
    watch = FolderWatch(transcriber, str(folder / "in"), str(folder / "out"), ["text"], threading.Event(), lines.append)
    watch.poll(), watch.poll()
    results = list((folder / "out").glob("*")) if (folder / "out").exists() else []
    return results[0].read_text().rstrip("\n") if results else lines[-1]


def by_upload(server, path):
    def ask(method, address, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        connection.request(method, address, body)
        return json.loads(connection.getresponse().read().decode())

    answer = ask("POST", "/recordings?name=%s" % path.name, path.read_bytes())
    while "id" in answer and answer["state"] not in ("done", "failed"):
        time.sleep(0.01)
        answer = ask("GET", "/recordings/" + answer["id"])
    return answer["text"] if answer.get("state") == "done" else answer["error"]


@pytest.fixture(scope="module")
def server(transcriber):
    with WebServer(transcriber, port=0) as running:
        yield running


@pytest.fixture
def answers(inputs, transcriber, server, tmp_path, monkeypatch, capsys):
    """Function of a file's name: the text, or the error, from the command line, standard input, --watch and an upload."""
    def of(name):
        path = inputs / name
        return [by_command_line(transcriber, path), by_standard_input(transcriber, path, monkeypatch, capsys),
                by_watch(transcriber, path, tmp_path), by_upload(server, path)]
    return of


@pytest.mark.shared
@pytest.mark.parametrize("name", sorted(TEXTS))
def test_the_same_text(answers, name):
    assert answers(name) == [TEXTS[name]] * 4


@pytest.mark.shared
@pytest.mark.parametrize("name", sorted(ERRORS))
def test_the_same_error(answers, name):
    first, *others = answers(name)
    # "PATH: REASON: SENTENCE"
    sentence = str(first).split(": ", 2)[2]
    assert isinstance(first, JasperError) and ERRORS[name] in sentence
    assert all(other.endswith(sentence) for other in others), others
