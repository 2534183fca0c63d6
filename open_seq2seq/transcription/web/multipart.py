"""The file in a ``multipart/form-data`` body (RFC 7578), read as it arrives.

The standard library's parsers want the whole body in memory.
"""
import email.parser

from open_seq2seq.transcription.web.refusal import Refusal

MAX_PART_HEADER = 16 << 10             # bytes; a browser writes about 150
MAX_BOUNDARY = 70                      # characters, RFC 2046


def boundary_of(content_type):
    """The boundary that a ``multipart/form-data`` Content-Type names, as bytes.

    Raises:
      Refusal: 400, there is none, or it is not one.
    """
    boundary = email.parser.HeaderParser().parsestr("Content-Type: %s\n\n" % content_type).get_boundary()
    if not boundary or len(boundary) > MAX_BOUNDARY or not boundary.isascii():
        raise Refusal(400, "The upload's form has no proper boundary.")
    return boundary.encode("ascii")


class FilePart:
    """The first file of a form; other fields are skipped.

    Args:
      read: ``read(size)`` gives up to ``size`` of the body's bytes, none at its end.
      boundary: bytes.

    Attributes:
      name: the name that the sender gave the file, str, not to be trusted.

    Raises:
      Refusal: 400, the form holds no file, or is not one.
    """

    BLOCK = 64 << 10

    def __init__(self, read, boundary):
        self._read, self._delimiter = read, b"\r\n--" + boundary
        self._buffer, self._ended = b"\r\n", False     # the first boundary has no line before it
        for _ in self._until_delimiter():
            pass
        while True:
            header = self._part_header()
            if header is None:
                raise Refusal(400, "The upload's form holds no file.")
            self.name = header.get_filename() if "Content-Disposition" in header else None
            if self.name is not None:
                break
            for _ in self._until_delimiter():
                pass

    def chunks(self):
        """Yields the file's bytes.

        Raises:
          Refusal: 400, the body ends inside the file.
        """
        return self._until_delimiter()

    def _fill(self):
        block = self._read(self.BLOCK)
        self._ended = not block
        self._buffer += block

    def _until_delimiter(self):
        """Yields what comes before the next delimiter, and takes the delimiter away."""
        while True:
            end = self._buffer.find(self._delimiter)
            if end >= 0:
                before, self._buffer = self._buffer[:end], self._buffer[end + len(self._delimiter):]
                if before:
                    yield before
                return
            # the end of what is there may be the delimiter's beginning
            safe = len(self._buffer) - len(self._delimiter) + 1
            if safe > 0:
                before, self._buffer = self._buffer[:safe], self._buffer[safe:]
                yield before
            self._fill()
            if self._ended:
                raise Refusal(400, "The upload's form ends in the middle of a field.")

    def _part_header(self):
        """The fields behind a delimiter, an ``email.message.Message``, or None behind the last one."""
        while b"\r\n\r\n" not in self._buffer and len(self._buffer) < MAX_PART_HEADER and not self._ended:
            if self._buffer.startswith(b"--"):
                return None
            self._fill()
        # the rest of the delimiter's line comes first
        header, found, rest = self._buffer.partition(b"\r\n\r\n")
        if header.startswith(b"--") or not found:
            return None
        self._buffer = rest
        # browsers write names in UTF-8 as they are; the parser for bytes would make riddles of them
        fields = header.partition(b"\r\n")[2].decode("utf-8", "replace")
        return email.parser.HeaderParser().parsestr(fields + "\r\n\r\n")
