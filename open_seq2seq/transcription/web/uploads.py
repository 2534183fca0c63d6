"""Writes the body of a request to a file: under a name chosen by the server, within a size limit, never whole in memory."""
import errno
import re
import time

from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.sansio.multipart import Epilogue, File, MultipartDecoder, NeedData

from open_seq2seq.transcription.web.http_error import HttpError

BLOCK = 64 << 10                       # bytes
MAX_NAME = 120                         # characters kept of the client's name for a file
UPLOAD_SECONDS = 600.0                 # longest time an upload may take
FORM_OVERHEAD = 64 << 10               # bytes of a form in addition to its file
FORM_BUFFER = 1 << 20                  # bytes of a form that the parser may hold
NO_NAME = "recording"
NO_LENGTH = ("The upload has no Content-Length. With curl, send a file: curl --data-binary @FILE or curl --form file=@FILE.")

_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def readable_size(number):
    """``number`` bytes as text, e.g. "200 MB"."""
    if number < 1 << 20:
        return "%.3g kB" % (number / 2.0 ** 10)
    return "%.4g MB" % round(number / 2.0 ** 20, 1)


def display_name(name):
    """The client's name for a file, fit to be shown: no folders, printable characters only. The server names no file after it."""
    last = re.split(r"[/\\]", name)[-1]
    shown = "".join(character for character in last if character.isprintable()).strip(" .")
    return shown[:MAX_NAME] or NO_NAME


def content_length(headers):
    """The length of a request's body according to its headers; None without a ``Content-Length``.

    Args:
      headers: ``email.message.Message``.

    Raises:
      HttpError: 411 for a body in chunks, 400 for an invalid length or several.
    """
    lengths = headers.get_all("Content-Length") or []
    if "Transfer-Encoding" in headers:
        raise HttpError(411, NO_LENGTH)
    if len(lengths) > 1 or (lengths and not re.fullmatch("[0-9]{1,18}", lengths[0].strip(), re.ASCII)):
        raise HttpError(400, "The request's Content-Length is not a number.")
    return int(lengths[0]) if lengths else None


class RequestBody:
    """The bytes of a request's body, and nothing of what follows it on the connection.

    Args:
      stream: buffered binary file of the connection.
      length: of the body, bytes.
      on_first_read: called before the first byte is read.

    Attributes:
      unread: number of bytes that were not read yet.
    """

    def __init__(self, stream, length, on_first_read=None):
        self._stream, self._length, self.unread = stream, length, length
        self._on_first_read = on_first_read
        self._deadline = time.monotonic() + UPLOAD_SECONDS

    def read(self, size):
        """Up to ``size`` bytes, none at the end.

        Raises:
          HttpError: 400 the body is cut short; 408 it takes too long.
        """
        if self._on_first_read is not None:
            self._on_first_read()
            self._on_first_read = None
        if not self.unread:
            return b""
        if time.monotonic() > self._deadline:
            raise HttpError(408, "The upload took longer than %d minutes." % (UPLOAD_SECONDS / 60))
        try:
            # read1 receives once: a read that waits for all bytes would never check the deadline
            block = self._stream.read1(min(size, self.unread))
        except OSError:                # a timeout, or the connection was reset
            block = b""
        if not block:
            raise HttpError(400, "The upload ended after %d of its %d bytes." % (self._length - self.unread, self._length))
        self.unread -= len(block)
        return block


def receive(request, path, max_bytes):
    """Writes the file that a request contains, as the whole body or as the file of a form.

    Args:
      request: ``werkzeug.Request`` whose ``wsgi.input`` ends with the body; ``?name=`` names a file that is the whole body.
      path: of the file to write; it must not exist yet.
      max_bytes: largest file.

    Returns:
      The name of the file for the user, see :func:`display_name`.

    Raises:
      HttpError: 400 the body is cut short, empty, or a form without a file; 408 it takes too long; 411 it has no length;
        413 it is too large; 507 the disk is full.
    """
    body, is_form = request.environ["wsgi.input"], request.mimetype == "multipart/form-data"
    if request.content_length is None:
        raise HttpError(411, NO_LENGTH)
    # checked before the first byte is read
    if request.content_length > max_bytes + (FORM_OVERHEAD if is_form else 0):
        raise _too_large(request.content_length, max_bytes)
    blocks = iter(lambda: body.read(BLOCK), b"")
    if is_form:
        events = _form_events(blocks, request.mimetype_params.get("boundary", ""))
        name = _first_file(events)
        _write(_content(events), path, max_bytes)
        for _ in events:               # fields after the file
            pass
    else:
        name = request.args.get("name", NO_NAME)
        _write(blocks, path, max_bytes)
    return display_name(name)


def _too_large(found, max_bytes):
    return HttpError(413, "The upload has %s; this server takes up to %s. Cut it, or save it as FLAC."
                     % (readable_size(found), readable_size(max_bytes)))


def _write(blocks, path, max_bytes):
    written = 0
    try:
        with open(path, "xb") as file:
            for block in blocks:
                written += len(block)
                if written > max_bytes:
                    raise _too_large(written, max_bytes)
                file.write(block)
    except OSError as error:
        if error.errno in _DISK_FULL:
            raise HttpError(507, "The server's disk is full.")
        raise
    if not written:
        raise HttpError(400, "The upload is empty (0 bytes).")


class _Decoder(MultipartDecoder):
    """Werkzeug's parser of forms, with its search for the beginning of a delimiter at the end of a block replaced.

    Werkzeug 2.2, the last one for Python 3.7, keeps all data after the last line break in memory and searches them again for
    every block (CVE-2023-46136): 32 MB of silence took 4 s. Werkzeug 3.1 adds a byte to the file where a block ends between the
    two hyphens after the last delimiter.
    """

    def last_newline(self, data=None):             # its name in 2.2 to 3.0
        data = self.buffer if data is None else data
        delimiter = b"--" + self.boundary
        found = data.rfind(delimiter)
        start = max((found if found >= 0 else len(data) - len(delimiter)) - len(b"\r\n"), 0)
        positions = [position for position in (data.find(b"\r", start), data.find(b"\n", start)) if position >= 0]
        return min(positions, default=len(data))

    _last_partial_boundary_index = last_newline    # its name in 3.1


def _form_events(blocks, boundary):
    """Yields the parser's events of a ``multipart/form-data`` body (RFC 7578)."""
    try:
        if not boundary:
            raise ValueError("it has no boundary")
        decoder = _Decoder(boundary.encode("ascii"), FORM_BUFFER)
        while True:
            decoder.receive_data(next(blocks, None))
            event = decoder.next_event()
            while not isinstance(event, (NeedData, Epilogue)):
                yield event
                event = decoder.next_event()
            if isinstance(event, Epilogue):
                return
    except UnicodeError:
        raise HttpError(400, "The upload's form is not valid: a file name or the boundary in it is not UTF-8. With curl, use "
                             "--data-binary @FILE instead of --form.")
    except (ValueError, RequestEntityTooLarge) as error:
        raise HttpError(400, "The upload's form is not valid (%s)." % error)


def _first_file(events):
    for event in events:
        if isinstance(event, File):
            return event.filename
    raise HttpError(400, "The upload's form contains no file.")


def _content(events):
    for event in events:
        yield event.data
        if not event.more_data:
            return
