"""Text while somebody speaks: the WebSocket, over a real connection, and the page with Chromium's fake microphone."""
import json
import re

import numpy as np
import pytest
import soundfile

from open_seq2seq.transcription.streaming import StreamingTranscriber
from tests.transcription import conftest as tones
from tests.transcription.tone_network import ToneNetwork

simple_websocket = pytest.importorskip("simple_websocket")
WORDS, GAPS = ["abc", "face", "bad"], [0.4, 0.8, 0.8, 1.0]


@pytest.fixture
def served(web):
    """A server whose streams recognize the words of tones."""
    with ToneNetwork(tones) as network:
        client = web(open_stream=lambda latency: StreamingTranscriber(network, latency, voice_activity=False))
        client.network = network
        yield client


def connect(client, arguments="sample_rate=32000&latency=0.3", **headers):
    return simple_websocket.Client("ws://127.0.0.1:%d/live?%s" % (client.port, arguments), headers=headers)


def received(socket):
    """The messages until the server closes the connection."""
    messages = []
    try:
        while True:
            messages.append(json.loads(socket.receive(timeout=60)))
    except simple_websocket.ConnectionClosed:
        return messages


def test_words_arrive_while_audio_is_sent(served):
    samples, times = tones.spoken(WORDS, GAPS)
    audio = (np.repeat(samples, 2) * 32767).astype("<i2")
    socket = connect(served)
    for start in range(0, len(audio), 3200):
        socket.send(audio[start:start + 3200].tobytes())
    first = json.loads(socket.receive(timeout=60))       # before the end is announced
    socket.send("end")
    messages = [first] + received(socket)
    final = [message for message in messages if message["final"]]
    assert " ".join(message["text"] for message in final if message["text"]) == " ".join(WORDS)
    words = [word for message in final for word in message["words"]]
    assert [word["start"] for word in words] == [pytest.approx(start, abs=0.08) for start, _ in times]
    assert any(not message["final"] and message["text"] for message in messages)
    assert messages[-1]["ends_segment"] and {message["separator"] for message in messages} == {" "}
    # the connection is used up, and the server still answers others
    assert served.ask("GET", "/health").json["live_problem"] is None


@pytest.mark.parametrize("arguments, headers, status", [
    ("latency=0.5", {}, 400), ("sample_rate=fast", {}, 400), ("sample_rate=16000&latency=99", {}, 400),
    ("sample_rate=16000", {"Origin": "http://elsewhere.example"}, 403)])
def test_refused_connections(served, arguments, headers, status):
    with pytest.raises(simple_websocket.ConnectionError, match=str(status)):
        connect(served, arguments, **headers)


def test_bad_audio_and_too_many_streams(served):
    socket = connect(served)
    socket.send(b"odd")
    message, = received(socket)
    assert "16-bit" in message["error"]
    sockets = [connect(served) for _ in range(4)]
    with pytest.raises(simple_websocket.ConnectionError, match="503"):
        connect(served)
    for socket in sockets:
        socket.close()
    served.wait_until(lambda: received_or_refused(served))


def received_or_refused(client):
    """Whether a place is free again: the messages of an empty stream, else False."""
    try:
        socket = connect(client)
    except simple_websocket.ConnectionError:
        return False
    socket.send("end")
    return received(socket) == []


def test_missing_packages_are_named(served, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "webrtcvad", None)
    assert "webrtcvad-wheels" in served.ask("GET", "/health").json["live_problem"]
    with pytest.raises(simple_websocket.ConnectionError, match="501"):
        connect(served)


@pytest.mark.slow
def test_page_shows_words_while_the_microphone_hears_them(served, browser, tmp_path):
    samples, _ = tones.spoken(WORDS, GAPS)
    soundfile.write(str(tmp_path / "spoken.wav"), samples, tones.RATE)
    tab = browser("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
                  "--use-file-for-fake-audio-capture=" + str(tmp_path / "spoken.wav"))
    tab.open(served.server.url)
    tab.wait_for("document.querySelector('#limits').textContent")
    tab.click("#speak")
    tab.wait_for("document.querySelector('#live_partial').textContent")
    # the file is played again and again and may begin anywhere; the network of tones hears letters in some of the pauses
    tab.wait_for("/abc.*face.*bad/.test(document.querySelector('#live_final').textContent)")
    tab.click("#speak")
    tab.wait_for("document.querySelector('#speak').getAttribute('aria-pressed') === 'false'")
    final = tab.evaluate("document.querySelector('#live_final').textContent")
    assert re.search("abc.*face.*bad", final) and tab.evaluate("document.querySelector('#live_partial').textContent") == ""
    assert tab.evaluate("document.querySelector('#errors').textContent") == "" and tab.problems() == []
    # a stopped server is an error that says so
    tab.click("#speak")
    tab.wait_for("document.querySelector('#speak').getAttribute('aria-pressed') === 'true'")
    tab.wait_for("document.querySelector('#live_partial').textContent")
    served.server.__exit__()
    tab.wait_for("document.querySelector('#errors').textContent.includes('connection to the server ended')")


def test_internal_error_is_reported(web, capsys):
    class Broken:
        def __enter__(self):
            raise ValueError("broken")

        def __exit__(self, *_):
            pass

    client = web(open_stream=lambda latency: Broken())
    message, = received(connect(client))
    assert "Internal server error" in message["error"] and "ValueError: broken" in capsys.readouterr().err
