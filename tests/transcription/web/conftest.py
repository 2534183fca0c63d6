"""A server with a transcriber of tones, a client, and a browser."""
import contextlib
import http.client
import json
import threading
import time
import types

import numpy as np
import pytest
import soundfile

from open_seq2seq.decoding.transcript import Word, make_transcript
from open_seq2seq.transcription.web.server import WebServer

RATE = 16000
# {frequency of a tone: its word}
WORDS = {500: "one", 1000: "two", 2000: "three"}
TIMEOUT = 60.0                         # seconds; long, it only ends tests that would hang


def tones(*frequencies):
    """float32 samples at 16 kHz: half a second of each tone, a quarter of a second of silence before, between and after them."""
    silence = np.zeros(RATE // 4, np.float32)
    parts = [silence]
    for frequency in frequencies:
        parts += [0.5 * np.sin(2 * np.pi * frequency * np.arange(RATE // 2) / RATE).astype(np.float32), silence]
    return np.concatenate(parts)


class ToneTranscriber:
    """Recognizes tones: it has the interface of ``Transcriber`` and known results.

    Attributes:
      gate: transcription waits for this event.
      started: set when a transcription begins.
      calls: names of the recordings in the order in which they were started.
      error: exception to raise, or None.
    """

    sample_rate = RATE
    decoding = "Decoding of tones"

    def __init__(self):
        self.gate, self.started, self.calls, self.error = threading.Event(), threading.Event(), [], None
        self.gate.set()

    def transcribe(self, path, sample_rate=None, name=None, progress=None, warn=None):
        self.calls.append(name)
        self.started.set()
        samples, rate = soundfile.read(path)
        while not self.gate.wait(0.01):
            progress(len(samples) / rate / 2)
        if self.error:
            raise self.error
        words = []
        for start in range(rate // 4, len(samples) - rate // 4, 3 * rate // 4):
            spectrum = np.abs(np.fft.rfft(samples[start:start + rate // 2]))
            loudest = int(spectrum.argmax()) * 2       # half a second: bins are 2 Hz wide
            if loudest in WORDS:
                words.append(Word(WORDS[loudest], start / rate, start / rate + 0.5, 0.5 if WORDS[loudest] == "two" else 0.95))
        progress(len(samples) / rate)
        return make_transcript(words, len(samples) / rate)


class Client:
    """Sends requests to a server.

    Args:
      server: WebServer.
    """

    def __init__(self, server):
        self.port = server.port

    def ask(self, method, path, body=None, headers=None):
        """Returns the response with ``status``, ``headers``, ``body`` (bytes) and ``json`` (None for other content)."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            content = response.read()
            kind = response.headers.get_content_type()
            return types.SimpleNamespace(status=response.status, headers=response.headers, body=content,
                                         json=json.loads(content.decode()) if kind == "application/json" and content else None)

    def upload(self, content, name="x.wav", **headers):
        """Uploads bytes as a whole body."""
        return self.ask("POST", "/recordings?name=" + name, content, headers)

    def counts(self):
        """(number of unfinished recordings, number of finished recordings)"""
        health = self.ask("GET", "/health").json
        return health["busy"], health["finished"]

    def wait(self, identity, *states):
        """Polls a recording until it is in one of the states; returns its description."""
        def description():
            answer = self.ask("GET", "/recordings/" + identity)
            assert answer.status == 200, answer.json
            return answer.json if answer.json["state"] in (states or ("done", "failed")) else None
        return self.wait_until(description)

    def wait_until(self, question):
        """Polls until the answer is truthy, and returns it; a refused connection is tried again."""
        deadline = time.monotonic() + TIMEOUT
        while True:
            with contextlib.suppress(ConnectionError, http.client.BadStatusLine):
                answer = question()
                if answer:
                    return answer
            assert time.monotonic() < deadline, question
            time.sleep(0.01)


@pytest.fixture
def transcriber():
    """A ToneTranscriber; its gate is open again when the test ends."""
    stand_in = ToneTranscriber()
    yield stand_in
    stand_in.gate.set()


@pytest.fixture
def web(transcriber, tmp_path, monkeypatch):
    """A factory of running servers: ``web(max_bytes=...)`` returns a Client; ``folder`` is where the server's files lie."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    with contextlib.ExitStack() as stack:
        def start(**options):
            server = stack.enter_context(WebServer(options.pop("transcriber", transcriber), port=0, **options))
            client = Client(server)
            client.server, client.folder = server, folder
            return client
        yield start


@pytest.fixture
def wav(tmp_path):
    """A factory of files: ``wav(500, 1000)`` writes those tones and returns the path."""
    def write(*frequencies, name="tones.wav"):
        path = tmp_path / name
        soundfile.write(str(path), tones(*frequencies), RATE)
        return path
    return write
