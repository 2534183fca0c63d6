"""One HTTP connection: reads requests, calls the application, sends its responses."""
import contextlib
import socket
import time

from werkzeug.serving import WSGIRequestHandler

from open_seq2seq.transcription.web.access import SECURITY_HEADERS
from open_seq2seq.transcription.web.application import ANSWERED
from open_seq2seq.transcription.web.http_error import HttpError
from open_seq2seq.transcription.web.uploads import RequestBody, content_length

IDLE_SECONDS = 30                      # a connection without a request is closed after this time
LINGER_SECONDS = 10.0                  # how long a refused upload is read, so that its client can read the response


class Handler(WSGIRequestHandler):
    """``server`` is a :class:`server.HttpServer`, whose ``app`` answers.

    Unlike Werkzeug's own handler, it keeps connections open, asks for a body (100 Continue) only when the application reads it,
    and lets a client whose upload is refused read the response.
    """

    protocol_version = "HTTP/1.1"
    timeout = IDLE_SECONDS

    def log(self, *_):
        pass                           # names of recordings are private, and a page sends many requests

    log_request = log

    def version_string(self):
        return "Jasper"

    def handle_expect_100(self):
        return True                    # see _continue

    def send_error(self, code, message=None, explain=None):
        # the base class calls this for requests that it cannot parse
        if self.request_version == "HTTP/0.9":
            self.request_version = "HTTP/1.0"      # with 0.9 no status would be sent
        self._respond(HttpError(code, "The request is not valid (%s)." % (message or code)), {"REQUEST_METHOD": "GET"}, True)

    def run_wsgi(self):
        environ, body = {"REQUEST_METHOD": self.command}, None
        try:
            expects = self.headers.get("Expect", "").strip().lower() == "100-continue"
            body = RequestBody(self.rfile, content_length(self.headers) or 0, self._continue if expects else None)
            environ = dict(self.make_environ(), **{"wsgi.input": body})
            application = self.server.app
        except HttpError as error:
            application = error
        except ValueError as error:    # a malformed URL
            application = HttpError(400, "The request is not valid (%s)." % error)
        self._respond(application, environ, body)

    def _continue(self):
        self.send_response_only(100)
        self.end_headers()

    def _respond(self, application, environ, body):
        """Sends the application's response. Where part of the request was not read, it would be taken for another request, so the
        connection is closed."""
        def start_response(status, headers, exc_info=None):
            code, _, reason = status.partition(" ")
            self.send_response(int(code), reason)
            own = {name for name, _ in SECURITY_HEADERS}
            for name, value in list(SECURITY_HEADERS) + [header for header in headers if header[0] not in own]:
                self.send_header(name, value)
            if self._is_unread(body):
                self.send_header("Connection", "close")      # it sets close_connection
            self.end_headers()

        blocks = application(environ, start_response)
        if environ.get(ANSWERED):
            self.close_connection = True
            return
        try:
            for block in blocks:
                self.wfile.write(block)
        finally:
            if hasattr(blocks, "close"):
                blocks.close()
        if self._is_unread(body):
            self._linger()

    @staticmethod
    def _is_unread(body):
        return not isinstance(body, RequestBody) or body.unread > 0

    def _linger(self):
        """Reads on for a while: closing a connection with unread bytes resets it, and the client loses the response."""
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(1.0)
            deadline = time.monotonic() + LINGER_SECONDS
            while time.monotonic() < deadline and self.connection.recv(1 << 20):
                pass
