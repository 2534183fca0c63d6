"""The web page and its requests as a WSGI application."""
import io
import json
import os
import sys
import traceback

from werkzeug.exceptions import HTTPException, MethodNotAllowed, RequestedRangeNotSatisfiable
from werkzeug.routing import Map, Rule
from werkzeug.utils import send_file
from werkzeug.wrappers import Request, Response

from open_seq2seq.decoding.writers import FORMATS
from open_seq2seq.errors import DataError
from open_seq2seq.transcription.web.http_error import HttpError
from open_seq2seq.transcription.web.recordings import DONE
from open_seq2seq.transcription.web.sound import check_sound
from open_seq2seq.transcription.web.uploads import receive

ANSWERED = "jasper.answered"           # in the environment of a request whose connection was used for a WebSocket
_ASSETS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "assets")
# not guessed by the system's table, which differs from machine to machine: browsers run scripts only of the right type
_ASSET_TYPES = {".html": "text/html", ".css": "text/css", ".svg": "image/svg+xml", ".js": "text/javascript"}
_DOWNLOAD_TYPES = {"txt": "text/plain", "json": "application/json", "srt": "application/x-subrip; charset=utf-8",
                   "vtt": "text/vtt", "ctm": "text/plain"}
_WRITERS = {extension: write for extension, write in FORMATS.values()}

ROUTES = Map([
    Rule("/", methods=["GET"], endpoint="page"),
    Rule("/assets/<asset>", methods=["GET"], endpoint="asset"),
    Rule("/health", methods=["GET"], endpoint="health"),
    Rule("/live", endpoint="live", websocket=True),
    Rule("/recordings", methods=["POST"], endpoint="upload"),
    Rule("/recordings/<identity>", methods=["GET"], endpoint="describe"),
    Rule("/recordings/<identity>", methods=["DELETE"], endpoint="forget"),
    Rule("/recordings/<identity>/audio.wav", methods=["GET"], endpoint="audio"),
    Rule("/recordings/<identity>/spectrogram", methods=["GET"], endpoint="spectrogram"),
    Rule("/recordings/<identity>/transcript.<extension>", methods=["GET"], endpoint="transcript"),
], strict_slashes=False, merge_slashes=False)


class Application:
    """Answers requests; every error is JSON with a sentence in ``error``.

    Args:
      access: Access.
      recordings: Recordings.
      live: LiveStreams.
      description: dict, what ``/health`` reports in addition.
    """

    def __init__(self, access, recordings, live, description):
        self._access, self._recordings, self._streams, self._description = access, recordings, live, description
        self._assets = _load_assets()

    def __call__(self, environ, start_response):
        return self._answer(Request(environ))(environ, start_response)

    def _answer(self, request):
        try:
            self._access.check(request.method, request.path, request.headers)
            endpoint, arguments = ROUTES.bind_to_environ(request.environ).match()
            if request.method != "POST" and request.content_length:
                raise HttpError(400, "A %s request has no body." % request.method)
            return getattr(self, "_" + endpoint)(request, **arguments)
        except HttpError as error:
            return error.get_response(request.environ)
        except HTTPException as error:
            return _own_sentence(error).get_response(request.environ)
        except Exception:
            traceback.print_exc(file=sys.stderr)
            return HttpError(500, "Internal server error; see the terminal that the server was started in.").get_response()

    def _page(self, request):
        return self._asset(request, "page.html")

    def _asset(self, _, asset):
        if asset not in self._assets:
            raise HttpError(404, "There is nothing at this address.")
        mimetype, content = self._assets[asset]
        return Response(content, mimetype=mimetype)

    def _health(self, _):
        busy, finished = self._recordings.count()
        return _json(200, {"status": "ok", "busy": busy, "finished": finished, "live_problem": self._streams.problem(),
                           **self._description})

    def _live(self, request):
        self._streams.serve(request.environ, request.args.to_dict())
        return _already_answered

    def _upload(self, request):
        recording, limits = self._recordings.new(), self._recordings.limits
        try:
            name = receive(request, recording.path("upload"), limits.max_bytes)
            try:
                check_sound(recording.path("upload"), limits.max_seconds)
            except DataError as error:
                raise HttpError(415, str(error))
        except BaseException:
            self._recordings.discard(recording)
            raise
        recording.name = name
        self._recordings.submit(recording)
        return _json(202, self._recordings.describe(recording), {"Location": "/recordings/" + recording.identity})

    def _describe(self, _, identity):
        return _json(200, self._recordings.describe(self._recordings.find(identity)))

    def _forget(self, _, identity):
        self._recordings.forget(identity)
        return Response(status=204)

    def _audio(self, request, identity):
        return self._file(request, identity, "audio.wav", "audio/wav")

    def _spectrogram(self, request, identity):
        return self._file(request, identity, "spectrogram", "application/octet-stream")

    def _file(self, request, identity, name, mimetype):
        recording = self._recordings.find(identity)
        if recording.spectrogram is None:
            raise HttpError(404, "The recording was not read yet.")
        path = recording.path(name)
        try:
            _drop_range_without_effect(request, os.path.getsize(path))
            response = send_file(path, request.environ, mimetype=mimetype, conditional=True, etag=False)
        except FileNotFoundError:      # it was removed at this moment
            raise HttpError(404, "The recording was removed.")
        response.headers["Accept-Ranges"] = "bytes"
        return response

    def _transcript(self, request, identity, extension):
        recording = self._recordings.find(identity)
        if extension not in _WRITERS:
            raise HttpError(404, "There is no %s of a transcript, only %s." % (extension, ", ".join(sorted(_WRITERS))))
        if recording.state != DONE:
            raise HttpError(404, "The recording is not transcribed yet.")
        content = _WRITERS[extension](recording.transcript, recording.name).encode("utf-8")
        name = "%s.%s" % (os.path.splitext(recording.name)[0] or recording.name, extension)
        return send_file(io.BytesIO(content), request.environ, _DOWNLOAD_TYPES[extension], as_attachment=True, download_name=name)


def _already_answered(environ, start_response):
    """The response after a WebSocket, whose connection has ended."""
    environ[ANSWERED] = True
    return []


def _json(status, value, headers=None):
    return Response(json.dumps(value, allow_nan=False), status, headers, mimetype="application/json")


def _drop_range_without_effect(request, size):
    """Malformed and several ranges, other units and a suffix longer than the file: the answer is the whole file, as RFC 9110
    allows; Werkzeug would refuse them."""
    ranges = request.range.ranges if request.range and request.range.units == "bytes" else []
    if len(ranges) != 1 or ranges[0][0] + size < 0:
        request.environ.pop("HTTP_RANGE", None)


def _own_sentence(error):
    """The HttpError for an exception of Werkzeug."""
    if isinstance(error, MethodNotAllowed):
        allowed = sorted(error.valid_methods)
        return HttpError(405, "This address takes only %s." % " and ".join(method for method in allowed if method != "HEAD"),
                         {"Allow": ", ".join(allowed)})
    if isinstance(error, RequestedRangeNotSatisfiable):
        return HttpError(416, "The recording has no such part.", {"Content-Range": "bytes */%d" % error.length})
    if error.code == 404:
        return HttpError(404, "There is nothing at this address.")
    return HttpError(error.code or 400, error.description or error.name)


def _load_assets():
    """{name: (media type, bytes)}; no other file can be requested."""
    assets = {}
    for name in os.listdir(_ASSETS):
        extension = os.path.splitext(name)[1]
        if extension in _ASSET_TYPES:
            with open(os.path.join(_ASSETS, name), "rb") as file:
                assets[name] = (_ASSET_TYPES[extension], file.read())
    return assets
