"""What is answered to which request."""
import http.server
import json
import os
import re
import shutil
import socket
import sys
import time
import traceback
import urllib.parse

from open_seq2seq.errors import DataError
from open_seq2seq.transcription.web.access import SECURITY_HEADERS
from open_seq2seq.transcription.web.byte_range import byte_range
from open_seq2seq.transcription.web.downloads import DOWNLOADS, content_disposition
from open_seq2seq.transcription.web.recordings import DONE
from open_seq2seq.transcription.web.refusal import Refusal
from open_seq2seq.transcription.web.sound import check_sound
from open_seq2seq.transcription.web.uploads import body_length, receive

IDLE_SECONDS = 30                      # a connection that says nothing for so long is closed
LINGER_SECONDS = 10.0                  # how long a refused upload is listened to, so that its sender gets to read why

_IDENTITY = r"(?P<identity>[A-Za-z0-9_-]{22})"
ROUTES = (
    ("GET", re.compile("/"), "send_page"),
    ("GET", re.compile("/assets/(?P<asset>[a-z_]+[.][a-z]+)"), "send_asset"),
    ("GET", re.compile("/health"), "send_health"),
    ("POST", re.compile("/recordings"), "take_recording"),
    ("GET", re.compile("/recordings/" + _IDENTITY), "send_recording"),
    ("DELETE", re.compile("/recordings/" + _IDENTITY), "forget_recording"),
    ("GET", re.compile("/recordings/%s/audio[.]wav" % _IDENTITY), "send_audio"),
    ("GET", re.compile("/recordings/%s/spectrogram" % _IDENTITY), "send_spectrogram"),
    ("GET", re.compile("/recordings/%s/transcript[.](?P<extension>[a-z]+)" % _IDENTITY), "send_transcript"),
)


class Handler(http.server.BaseHTTPRequestHandler):
    """One connection. ``server`` is a :class:`server.WebServer`: its access, recordings, assets and description are used."""

    protocol_version = "HTTP/1.1"
    server_version, sys_version = "Jasper", ""
    timeout = IDLE_SECONDS
    _unread = True                     # whether the request's body may still be on its way

    def do_GET(self):
        self._answer("GET")

    def do_HEAD(self):
        self._answer("GET")

    def do_POST(self):
        self._answer("POST")

    def do_DELETE(self):
        self._answer("DELETE")

    def do_PUT(self):
        self._answer("PUT")

    do_PATCH = do_OPTIONS = do_PUT

    def log_message(self, *_):
        pass                           # names of recordings are nobody's business, and a page asks often

    def handle_expect_100(self):
        return True                    # the answer is given once the request was found good, see take_recording

    def send_error(self, code, message=None, explain=None):
        # the base class calls this for requests that it cannot read
        self._unread = True
        self._refuse(Refusal(code, "The request cannot be understood (%s)." % (message or code)))

    def _answer(self, method):
        self._unread = self.headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in self.headers
        try:
            url = urllib.parse.urlsplit(self.path)
            self.server.access.check(self.command, url.path, self.headers)
            action, arguments = _route(method, url.path)
            if method != "POST" and self._unread:
                raise Refusal(400, "A %s request has no body." % self.command)
            getattr(self, action)(url, **arguments)
        except Refusal as refusal:
            self._refuse(refusal)
        except ValueError as error:    # urlsplit's, of a malformed address
            self._refuse(Refusal(400, "The request cannot be understood (%s)." % error))
        except (ConnectionError, socket.timeout):
            self.close_connection = True
        except Exception:
            traceback.print_exc(file=sys.stderr)
            self._refuse(Refusal(500, "Something is wrong with the server; the terminal that it was started in shows what."))

    # --- answers

    def send_page(self, _):
        self.send_asset(_, "page.html")

    def send_asset(self, _, asset):
        if asset not in self.server.assets:
            raise Refusal(404, "There is nothing at this address.")
        content_type, content = self.server.assets[asset]
        self._send(200, content, {"Content-Type": content_type})

    def send_health(self, _):
        busy, finished = self.server.recordings.count()
        self._send_json(200, {"status": "ok", "busy": busy, "finished": finished, **self.server.description})

    def take_recording(self, url):
        recordings = self.server.recordings
        length = body_length(self.headers, recordings.limits.max_bytes)
        recording = recordings.new()
        try:
            if self.headers.get("Expect", "").lower() == "100-continue":
                self.send_response_only(100)
                self.end_headers()
            name = receive(self.rfile, self.headers, url.query, length, recording.path("upload"), recordings.limits.max_bytes)
            self._unread = False
            try:
                check_sound(recording.path("upload"), recordings.limits.max_seconds)
            except DataError as error:
                raise Refusal(415, str(error))
        except BaseException:
            recordings.discard(recording)
            raise
        recording.name = name
        recordings.submit(recording)
        self._send_json(202, recordings.describe(recording), {"Location": "/recordings/" + recording.identity})

    def send_recording(self, _, identity):
        recordings = self.server.recordings
        self._send_json(200, recordings.describe(recordings.find(identity)))

    def forget_recording(self, _, identity):
        self.server.recordings.forget(identity)
        self._send(204, b"", {})

    def send_audio(self, _, identity):
        recording = self.server.recordings.find(identity)
        if recording.spectrogram is None:
            raise Refusal(404, "The recording was not read yet.")
        self._send_file(recording.path("audio.wav"), "audio/wav")

    def send_spectrogram(self, _, identity):
        recording = self.server.recordings.find(identity)
        if recording.spectrogram is None:
            raise Refusal(404, "The spectrogram is not there yet.")
        self._send_file(recording.path("spectrogram"), "application/octet-stream")

    def send_transcript(self, _, identity, extension):
        recording = self.server.recordings.find(identity)
        if extension not in DOWNLOADS:
            raise Refusal(404, "There is no %s of a transcript, only %s." % (extension, ", ".join(sorted(DOWNLOADS))))
        if recording.state != DONE:
            raise Refusal(404, "The recording is not transcribed yet.")
        content_type, write = DOWNLOADS[extension]
        self._send(200, write(recording.transcript, recording.name).encode("utf-8"), {
            "Content-Type": content_type, "Content-Disposition": content_disposition(recording.name, extension)})

    # --- how they are sent

    def _send_headers(self, status, headers):
        self.send_response(status)
        for name, value in SECURITY_HEADERS:
            self.send_header(name, value)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _send(self, status, content, headers):
        if status != 204:
            headers = dict(headers, **{"Content-Length": str(len(content))})
        self._send_headers(status, headers)
        if self.command != "HEAD":
            self.wfile.write(content)

    def _send_json(self, status, value, headers=None):
        content = json.dumps(value, allow_nan=False).encode("ascii")
        self._send(status, content, dict(headers or {}, **{"Content-Type": "application/json"}))

    def _send_file(self, path, content_type):
        try:
            file = open(path, "rb")
        except FileNotFoundError:      # forgotten in this very moment
            raise Refusal(404, "The recording was removed.")
        with file:
            size = os.fstat(file.fileno()).st_size
            try:
                part = byte_range(self.headers.get("Range"), size)
            except ValueError:
                raise Refusal(416, "The recording has no such part.", {"Content-Range": "bytes */%d" % size})
            start, end = part or (0, size)
            headers = {"Content-Type": content_type, "Accept-Ranges": "bytes", "Content-Length": str(end - start)}
            if part:
                headers["Content-Range"] = "bytes %d-%d/%d" % (start, end - 1, size)
            self._send_headers(206 if part else 200, headers)
            if self.command != "HEAD":
                file.seek(start)
                if end == size:
                    shutil.copyfileobj(file, self.wfile)
                else:
                    self.wfile.write(file.read(end - start))

    def _refuse(self, refusal):
        """Says no. What is left of the request would be taken for another, so the connection ends with it."""
        headers = dict(refusal.headers)
        if self._unread:
            headers["Connection"] = "close"
            self.close_connection = True
        if self.request_version == "HTTP/0.9":
            self.request_version = "HTTP/1.0"      # also of a line that is no request: with 0.9 no status would be sent
        try:
            self._send_json(refusal.status, {"error": refusal.sentence}, headers)
            if self._unread:
                self._linger()
        except OSError:
            self.close_connection = True

    def _linger(self):
        """Reads on for a while: a connection closed on unread bytes is reset, and the answer is lost with it."""
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_WR)
        self.connection.settimeout(1.0)
        deadline = time.monotonic() + LINGER_SECONDS
        while time.monotonic() < deadline and self.connection.recv(1 << 20):
            pass


def _route(method, path):
    """(name of the Handler's method, its arguments)"""
    allowed = set()
    for route_method, pattern, action in ROUTES:
        match = pattern.fullmatch(path)
        if match and route_method == method:
            return action, match.groupdict()
        if match:
            allowed.add(route_method)
    if allowed:
        raise Refusal(405, "This address takes only %s." % " and ".join(sorted(allowed)), {"Allow": ", ".join(sorted(allowed))})
    raise Refusal(404, "There is nothing at this address.")
