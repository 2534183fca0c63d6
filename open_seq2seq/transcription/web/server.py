"""The local web page: ``serve`` runs it until it is told to stop, ``WebServer`` is the same within a program."""
import contextlib
import http.server
import ipaddress
import os
import signal
import socket
import sys
import threading

from open_seq2seq.errors import UsageError
from open_seq2seq.transcription.web.access import Access
from open_seq2seq.transcription.web.handler import Handler
from open_seq2seq.transcription.web.recordings import Limits, Recordings

LOOPBACK, PORT = "127.0.0.1", 8000
MAX_BYTES = 200 << 20                  # an hour of 16 kHz, 16-bit mono WAV has 110 MB
MAX_SECONDS = 3600.0
MAX_WAITING = 8
MAX_KEPT = 16
MAX_CONNECTIONS = 64                   # a browser opens 6

_WARNING = ("WARNING: on %s everybody who reaches this machine can use the page, and what is sent is not encrypted. Browsers "
            "allow the microphone on this machine only. `ssh -L %d:localhost:%d` from another machine is safer.\n")
_ASSETS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "assets")
_CONTENT_TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml",
                  ".js": "text/javascript; charset=utf-8"}


def serve(transcriber, host=LOOPBACK, port=PORT, max_bytes=MAX_BYTES, max_seconds=MAX_SECONDS):
    """Serves the page until SIGINT (Ctrl-C) or SIGTERM. To be called in the main thread.

    Args:
      transcriber: ``Transcriber``, or a function that loads one: it is called when the port is known to be free.
      host: address or name to listen on. Another than the loopback lets others in, which is warned about.
      port: 1..65535, or 0 for any free one.
      max_bytes: largest upload.
      max_seconds: longest recording.

    Raises:
      UsageError: the port is taken, or the address is not this machine's.
    """
    with listen(host, port) as http_server:
        # Ctrl-C ends the loading at once; only then it means an orderly end
        transcriber = transcriber() if callable(transcriber) else transcriber
        stopped = threading.Event()
        handlers = {number: signal.signal(number, lambda *_: stopped.set()) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            with WebServer(transcriber, host, port, max_bytes, max_seconds, http_server=http_server) as server:
                _serve_until(stopped, server, host, handlers)
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)


def _serve_until(stopped, server, host, handlers):
    if not server.is_loopback:
        sys.stderr.write(_WARNING % (host, server.port, server.port))
    sys.stdout.write("Open %s in a browser; Ctrl-C ends it.\n" % server.url)
    sys.stdout.flush()
    stopped.wait()
    # a second one ends the process at once
    for number in handlers:
        signal.signal(number, signal.SIG_DFL)
    sys.stdout.write("stopping\n")


class WebServer:
    """The page and what is behind it, served from threads of its own between ``__enter__`` and ``__exit__``.

    Args: as :func:`serve`, and
      max_waiting: recordings that may arrive, wait or be worked on at a time.
      max_kept: finished recordings that are kept; the oldest makes room.
      http_server: what :func:`listen` returned for this host and port; None: it listens itself.

    Attributes:
      url: str, where a browser on this machine finds it.
      port: int.
      is_loopback: whether only this machine reaches it.

    Raises:
      UsageError: the port is taken, or the address is not this machine's.
    """

    def __init__(self, transcriber, host=LOOPBACK, port=PORT, max_bytes=MAX_BYTES, max_seconds=MAX_SECONDS,
                 max_waiting=MAX_WAITING, max_kept=MAX_KEPT, http_server=None):
        self._http = http_server or listen(host, port)
        address, self.port = self._http.server_address[:2]
        parsed = ipaddress.ip_address(address.partition("%")[0])
        self.is_loopback = parsed.is_loopback
        if parsed.is_unspecified:
            address = "::1" if parsed.version == 6 else LOOPBACK
        self.url = "http://%s:%d/" % ("[%s]" % address if ":" in address else address, self.port)
        self._http.access = Access((host,) if self.is_loopback else (host, socket.gethostname()))
        self._http.assets = _load_assets()
        self._http.description = {"max_bytes": max_bytes, "max_seconds": max_seconds, "sample_rate": transcriber.sample_rate}
        self._http.recordings = Recordings(transcriber, Limits(max_bytes, max_seconds, max_waiting, max_kept))
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.1}, name="web", daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._http.shutdown()
        self._http.server_close()
        self._http.close_connections()
        self._http.recordings.close()


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 32

    def __init__(self, address, family):
        self.address_family = family
        self._connections, self._lock = set(), threading.Lock()
        super().__init__(address, Handler)

    def server_bind(self):
        # the base class looks up the machine's full name, which takes long where name servers do not answer
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = self.server_address[:2]

    def verify_request(self, request, client_address):
        with self._lock:
            if len(self._connections) >= MAX_CONNECTIONS:
                return False           # and it is closed
            self._connections.add(request)
            return True

    def shutdown_request(self, request):
        with self._lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def close_connections(self):
        """Ends what browsers keep open for later requests, too."""
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request, client_address):
        # a browser that goes away in the middle is nothing to tell of
        if not isinstance(sys.exc_info()[1], (ConnectionError, socket.timeout)):
            super().handle_error(request, client_address)


def listen(host, port):
    """Takes the port; who asks there waits until a :class:`WebServer` answers.

    Raises:
      UsageError: it is taken, or the address is not this machine's.
    """
    if not 0 <= port <= 65535:
        raise UsageError("cannot listen on %s, port %d: ports go up to 65535. Choose another with --port (0: any free one)"
                         % (host, port))
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return _Server(address, family)
    except (OSError, UnicodeError) as error:      # the latter of what cannot be a host's name
        raise UsageError("cannot listen on %s, port %s: %s. Choose another port with --port (0: any free one), or an address "
                         "of this machine with --host" % (host, port, getattr(error, "strerror", None) or error))


def _load_assets():
    """{name: (Content-Type, bytes)}; nothing else of the file system can be asked for."""
    assets = {}
    for name in os.listdir(_ASSETS):
        extension = os.path.splitext(name)[1]
        if extension in _CONTENT_TYPES:
            with open(os.path.join(_ASSETS, name), "rb") as file:
                assets[name] = (_CONTENT_TYPES[extension], file.read())
    return assets
