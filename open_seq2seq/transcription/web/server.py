"""The local web page: ``serve`` runs it until a signal, ``WebServer`` runs it within a program."""
import contextlib
import http.server
import ipaddress
import signal
import socket
import sys
import threading

from open_seq2seq.errors import UsageError
from open_seq2seq.transcription.web.access import Access
from open_seq2seq.transcription.web.application import Application
from open_seq2seq.transcription.web.handler import Handler
from open_seq2seq.transcription.web.live import LiveStreams
from open_seq2seq.transcription.web.recordings import Limits, Recordings

LOOPBACK, PORT = "127.0.0.1", 8000
MAX_BYTES = 200 << 20                  # an hour of 16 kHz, 16-bit mono WAV has 110 MB
MAX_SECONDS = 3600.0
MAX_WAITING = 8
MAX_KEPT = 16
MAX_CONNECTIONS = 64                   # a browser opens 6

_WARNING = ("WARNING: on %s everybody who can reach this machine can use the page, and the connection is not encrypted. Browsers "
            "allow the microphone on this machine only. `ssh -L %d:localhost:%d` from another machine is safer.\n")


def serve(transcriber, host=LOOPBACK, port=PORT, max_bytes=MAX_BYTES, max_seconds=MAX_SECONDS):
    """Serves the page until SIGINT (Ctrl-C) or SIGTERM. Call it in the main thread.

    Args:
      transcriber: ``Transcriber``, or a function that loads one, which is called once the port is bound.
      host: address or name to listen on. Any other than the loopback address lets other machines connect, which prints a warning.
      port: 1..65535, or 0 for any free one.
      max_bytes: largest upload.
      max_seconds: longest recording.

    Raises:
      UsageError: the port is in use, or the address is not one of this machine.
    """
    with listen(host, port) as http_server:
        # until the model is loaded, Ctrl-C ends the process at once; later it ends the server in order
        loaded = transcriber() if callable(transcriber) else transcriber
        stopped = threading.Event()
        handlers = {number: signal.signal(number, lambda *_: stopped.set()) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            with WebServer(loaded, host, port, max_bytes, max_seconds, http_server=http_server) as server:
                _serve_until(stopped, server, host, handlers)
        finally:
            if loaded is not transcriber:
                loaded.close()
            for number, handler in handlers.items():
                signal.signal(number, handler)


def _serve_until(stopped, server, host, handlers):
    if not server.is_loopback:
        sys.stderr.write(_WARNING % (host, server.port, server.port))
    sys.stdout.write("Open %s in a browser; Ctrl-C stops the server.\n" % server.url)
    sys.stdout.flush()
    stopped.wait()
    # a second signal ends the process at once
    for number in handlers:
        signal.signal(number, signal.SIG_DFL)
    sys.stdout.write("stopping\n")


class WebServer:
    """The page and its transcription, served from background threads between ``__enter__`` and ``__exit__``.

    Args: as :func:`serve`, and
      max_waiting: recordings that may be uploaded, waiting or transcribed at a time.
      max_kept: finished recordings that are kept; the oldest is removed for a new one.
      http_server: what :func:`listen` returned for this host and port; None to listen here.
      open_stream: function of a latency in s that returns a ``StreamingTranscriber``; None: one of the transcriber's model.

    Attributes:
      url: str, the page's address for a browser on this machine.
      port: int.
      is_loopback: whether only this machine can connect.

    Raises:
      UsageError: the port is in use, or the address is not one of this machine.
    """

    def __init__(self, transcriber, host=LOOPBACK, port=PORT, max_bytes=MAX_BYTES, max_seconds=MAX_SECONDS,
                 max_waiting=MAX_WAITING, max_kept=MAX_KEPT, http_server=None, open_stream=None):
        self._http = http_server or listen(host, port)
        address, self.port = self._http.server_address[:2]
        parsed = ipaddress.ip_address(address.partition("%")[0])
        self.is_loopback = parsed.is_loopback
        if parsed.is_unspecified:
            address = "::1" if parsed.version == 6 else LOOPBACK
        self.url = "http://%s:%d/" % ("[%s]" % address if ":" in address else address, self.port)
        access = Access((host,) if self.is_loopback else (host, socket.gethostname()))
        self._recordings = Recordings(transcriber, Limits(max_bytes, max_seconds, max_waiting, max_kept))
        self._http.app = Application(access, self._recordings, LiveStreams(open_stream or _streams_of(transcriber)), {
            "max_bytes": max_bytes, "max_seconds": max_seconds, "sample_rate": transcriber.sample_rate,
            "decoding": transcriber.decoding})
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.1}, name="web", daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._http.shutdown()
        self._http.server_close()
        self._http.close_connections()
        self._recordings.close()


def _streams_of(transcriber):
    def open_stream(latency):
        # not at the top: it imports TensorFlow, which the port is bound without
        from open_seq2seq.transcription.streaming import StreamingTranscriber
        return StreamingTranscriber(transcriber, latency)
    return open_stream


class HttpServer(http.server.ThreadingHTTPServer):
    """Listens on a socket and starts a thread for each connection; ``app`` is the WSGI application."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 32
    app = None
    # read by Werkzeug's handler
    ssl_context, multithread, multiprocess = None, True, False

    def __init__(self, address, family):
        self.address_family = family
        self._connections, self._lock = set(), threading.Lock()
        super().__init__(address, Handler)

    def server_bind(self):
        # the base class looks up the machine's full name, which is slow where name servers do not answer
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = self.server_address[:2]

    def verify_request(self, request, client_address):
        with self._lock:
            if len(self._connections) >= MAX_CONNECTIONS:
                return False           # the base class closes it
            self._connections.add(request)
            return True

    def shutdown_request(self, request):
        with self._lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def close_connections(self):
        """Closes all connections, also those that browsers keep open for later requests."""
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request, client_address):
        # a client that disconnects is not an error
        if not isinstance(sys.exc_info()[1], (ConnectionError, socket.timeout)):
            super().handle_error(request, client_address)


def listen(host, port):
    """Binds the port; requests wait until a :class:`WebServer` answers them.

    Raises:
      UsageError: the port is in use, or the address is not this machine's.
    """
    if not 0 <= port <= 65535:
        raise UsageError("cannot listen on %s, port %d: the highest port is 65535. Choose another with --port (0: any free one)"
                         % (host, port))
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return HttpServer(address, family)
    except (OSError, UnicodeError) as error:      # UnicodeError: not a valid host name
        raise UsageError("cannot listen on %s, port %s: %s. Choose another port with --port (0: any free one), or an address "
                         "of this machine with --host" % (host, port, getattr(error, "strerror", None) or error))
