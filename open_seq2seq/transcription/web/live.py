"""Text while somebody speaks: a WebSocket that receives audio and sends text (package simple-websocket).

The client connects to ``/live?sample_rate=48000&latency=0.5`` and sends audio as binary messages, 16-bit little-endian samples
of one channel. The server sends JSON with the fields of ``StreamText`` and the ``separator`` between words, or
``{"error": sentence}`` before it closes the connection. The client's text message ``end`` ends the stream: what is left becomes
final, and the server closes the connection.
"""
import json
import sys
import threading
import traceback

import numpy as np

from open_seq2seq.errors import JasperError
from open_seq2seq.transcription.options import DEFAULT_LATENCY, LATENCIES
from open_seq2seq.transcription.web.http_error import HttpError

MOST_STREAMS = 4
MOST_MESSAGE_BYTES = 1 << 20       # 10 s at 48 kHz
RATES = (8000, 192000)             # Hz, of microphones


class LiveStreams:
    """The streams of a server, each in the thread of its connection.

    Args:
      open_stream: function of a latency in s that returns a ``StreamingTranscriber``, which is closed after the stream.
    """

    def __init__(self, open_stream):
        self._open_stream, self._lock, self._count = open_stream, threading.Lock(), 0

    @staticmethod
    def problem():
        """Why no stream can be opened, a sentence; None if one can."""
        for module, package in (("simple_websocket", "simple-websocket"), ("webrtcvad", "webrtcvad-wheels")):
            try:
                __import__(module)
            except ImportError:
                return "The server lacks the package %s; install it: python -m pip install %s" % (package, package)
        return None

    def serve(self, environ, arguments):
        """Serves one connection until it ends.

        Args:
          environ: of the WSGI request, which asks for a WebSocket.
          arguments: dict of str, those of the address.

        Raises:
          HttpError: 400 for wrong arguments, 501 if a package is missing, 503 if there are too many streams.
        """
        rate = _number(arguments, "sample_rate", None, *RATES)
        latency = _number(arguments, "latency", DEFAULT_LATENCY, *LATENCIES)
        problem = self.problem()
        if problem is not None:
            raise HttpError(501, problem)
        import simple_websocket
        with self._lock:
            if self._count >= MOST_STREAMS:
                raise HttpError(503, "%d streams are open, and more would be slower than speech. Close one." % self._count)
            self._count += 1
        try:
            # the request is read until its end, so nothing of the stream was read with it
            socket = simple_websocket.Server.accept(environ, max_message_size=MOST_MESSAGE_BYTES)
            try:
                self._run(socket, rate, latency)
                socket.close()
            except simple_websocket.ConnectionClosed:      # by the client
                pass
            except Exception:
                traceback.print_exc(file=sys.stderr)
                _send_error(socket, "Internal server error; see the terminal that the server was started in.")
                socket.close()
        finally:
            with self._lock:
                self._count -= 1

    def _run(self, socket, rate, latency):
        try:
            with self._open_stream(latency) as stream:
                while True:
                    message = socket.receive()
                    ended = isinstance(message, str)
                    if not ended and len(message) % 2:
                        _send_error(socket, "A message of audio has %d bytes, which is not a whole number of 16-bit samples."
                                    % len(message))
                        return
                    for text in stream.finish() if ended else stream.feed(np.frombuffer(message, "<i2").astype(np.int16), rate):
                        socket.send(json.dumps(as_dict(text, stream.separator), allow_nan=False))
                    if ended:
                        return
        except JasperError as error:
            _send_error(socket, str(error))


def as_dict(text, separator):
    """A ``StreamText`` in the form that JSON stores; ``separator``: the text between two words."""
    return {"final": text.final, "text": text.text, "start": text.start, "end": text.end, "segment": text.segment,
            "ends_segment": text.ends_segment, "separator": separator,
            "words": [{"text": word.text, "start": word.start, "end": word.end, "confidence": round(word.confidence, 4)}
                      for word in text.words]}


def _send_error(socket, sentence):
    socket.send(json.dumps({"error": sentence}))


def _number(arguments, name, default, lowest, highest):
    value = arguments.get(name, default)
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = None
    if number is None or not lowest <= number <= highest:
        raise HttpError(400, "%s is %s, expected a number from %g to %g." % (name, ascii(value), lowest, highest))
    return number
