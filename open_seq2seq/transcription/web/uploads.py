"""A request's body becomes a file, under a name of ours and within a limit."""
import errno
import re
import time
import urllib.parse

from open_seq2seq.transcription.web.multipart import MAX_PART_HEADER, FilePart, boundary_of
from open_seq2seq.transcription.web.refusal import Refusal

BLOCK = 256 << 10                      # bytes
MAX_NAME = 120                         # characters kept of the sender's name for a file
UPLOAD_SECONDS = 600.0                 # longest time an upload may take
FORM_OVERHEAD = 4 * MAX_PART_HEADER    # bytes of a form beside its file
NO_NAME = "recording"

_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def readable_size(number):
    """``number`` bytes in words, e.g. "200 MB"."""
    if number < 1 << 20:
        return "%.3g kB" % (number / 2.0 ** 10)
    return "%.4g MB" % round(number / 2.0 ** 20, 1)


def display_name(name):
    """What a sender calls a file, fit to be shown: no folders, nothing that cannot be printed. No file of ours is called so."""
    last = re.split(r"[/\\]", name)[-1]
    shown = "".join(character for character in last if character.isprintable()).strip(" .")
    return shown[:MAX_NAME] or NO_NAME


def body_length(headers, max_bytes):
    """The length of the body that a request announces, before any of it is read.

    Args:
      headers: ``email.message.Message``.
      max_bytes: largest file.

    Returns:
      int, bytes.

    Raises:
      Refusal: 411 without a length, 400 for a wrong one, 413 for more than ``max_bytes``.
    """
    lengths = headers.get_all("Content-Length") or []
    if "Transfer-Encoding" in headers or not lengths:
        raise Refusal(411, "The upload does not say how long it is (Content-Length). With curl, send a file: "
                           "curl --data-binary @FILE or curl --form file=@FILE.")
    if len(lengths) > 1 or not re.fullmatch("[0-9]{1,18}", lengths[0].strip(), re.ASCII):
        raise Refusal(400, "The request's Content-Length is no number.")
    length = int(lengths[0])
    if length > max_bytes + (FORM_OVERHEAD if _is_form(headers) else 0):
        raise _too_large(length, max_bytes)
    return length


def receive(stream, headers, query, length, path, max_bytes):
    """Writes the file that a request brings, alone or as the file of a form.

    Args:
      stream: binary file with the body.
      headers: ``email.message.Message``.
      query: of the request's URL; ``name=`` in it names the file that is the whole body.
      length: of the body, bytes.
      path: of the file to write; it must not exist yet.
      max_bytes: largest file.

    Returns:
      The name of the file for its sender to recognise, see :func:`display_name`.

    Raises:
      Refusal: 400 the body is cut short, empty, or a form without a file; 408 it takes too long; 413 it is too large; 507
        the disk is full.
    """
    body = _Body(stream, length)
    if _is_form(headers):
        part = FilePart(body.read, boundary_of(headers["Content-Type"]))
        name, chunks = part.name, part.chunks()
    else:
        name, chunks = urllib.parse.parse_qs(query).get("name", [NO_NAME])[0], iter(lambda: body.read(BLOCK), b"")
    _write(chunks, path, max_bytes)
    while body.read(BLOCK):            # fields behind the file
        pass
    return display_name(name)


def _is_form(headers):
    return headers.get_content_type() == "multipart/form-data" and "Content-Type" in headers


def _too_large(found, max_bytes):
    return Refusal(413, "The upload has %s; this server takes up to %s. Cut it, or save it as FLAC."
                   % (readable_size(found), readable_size(max_bytes)))


def _write(chunks, path, max_bytes):
    written = 0
    try:
        with open(path, "xb") as file:
            for chunk in chunks:
                written += len(chunk)
                if written > max_bytes:
                    raise _too_large(written, max_bytes)
                file.write(chunk)
    except OSError as error:
        if error.errno in _DISK_FULL:
            raise Refusal(507, "The server's disk is full.")
        raise
    if not written:
        raise Refusal(400, "The upload is empty (0 bytes).")


class _Body:
    """The bytes of a request's body and none of what follows it on the connection."""

    def __init__(self, stream, length):
        self._stream, self._length, self._left = stream, length, length
        self._deadline = time.monotonic() + UPLOAD_SECONDS

    def read(self, size):
        if not self._left:
            return b""
        if time.monotonic() > self._deadline:
            raise Refusal(408, "The upload took longer than %d minutes." % (UPLOAD_SECONDS / 60))
        try:
            # one receive at a time: a read that waits for all of its bytes would never see the deadline
            block = self._stream.read1(min(size, self._left))
        except OSError:                # a time-out, or the connection was reset
            block = b""
        if not block:
            raise Refusal(400, "The upload ended after %d of its %d bytes." % (self._length - self._left, self._length))
        self._left -= len(block)
        return block
