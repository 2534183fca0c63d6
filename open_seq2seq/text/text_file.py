"""Text files that a user wrote: manifests, vocabularies, transcripts. They must be UTF-8; errors name another encoding."""
import codecs

from open_seq2seq.errors import DataError
from open_seq2seq.files import printable

_UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_UTF_32_MARKS = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)
_EXAMINED_BYTES = 1000  # of a file without a byte order mark


def read_text_file(path, kind, advice=""):
    """Reads a UTF-8 text file, with or without a byte order mark.

    Args:
      path: the file.
      kind: what the file is, e.g. "manifest", for the error.
      advice: sentence for the error where the file cannot be opened or is not a text file: what is expected, what to change.

    Returns:
      str, with the line ends that are in the file.

    Raises:
      DataError: the file cannot be read, is not UTF-8 or contains a NUL character. The message names the line, for UTF-16 and
        UTF-32 also the encoding and the command that converts the file.
    """
    advice = ". " + advice if advice else ""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise DataError("cannot read the %s %s: %s%s" % (kind, path, error.strerror or error, advice))
    except ValueError as error:  # a NUL character in the path
        raise DataError("cannot read the %s %r: %s%s" % (kind, path, error, advice))
    encoding = wide_encoding(data)
    if encoding:
        raise DataError("%s:1: the %s is %s text, expected UTF-8. Convert it with: iconv -f %s -t utf-8"
                        % (path, kind, encoding.upper(), encoding))
    mark = len(codecs.BOM_UTF8) if data.startswith(codecs.BOM_UTF8) else 0
    try:
        text = data[mark:].decode("utf-8")
    except UnicodeDecodeError as error:
        place = mark + error.start
        raise DataError("%s:%d: the %s is not UTF-8 text (byte 0x%02x at position %d). Save it as UTF-8, e.g. with: "
                        "iconv -f latin1 -t utf-8" % (path, line_of(data, place), kind, data[place], place))
    if "\0" in text:
        raise DataError("%s:%d: the %s contains a NUL character, so it is not a text file%s"
                        % (path, line_of(data, data.index(b"\0")), kind, advice or "; expected UTF-8 text"))
    return text


def require_utf8_path(path):
    """Raises DataError when a path is not valid UTF-8: manifests, lists of rejected rows and logs cannot contain it."""
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        raise DataError("the file name %s is not valid UTF-8. Rename the file, e.g. with: convmv -f latin1 -t utf-8 --notest FILE"
                        % printable(path))


def line_of(data, place):
    """The number of the line, counted from 1, in which ``data[place]`` is; ``data`` is bytes."""
    return data.count(b"\n", 0, place) + 1


def wide_encoding(data):
    """"utf-16", "utf-16le", "utf-16be" or "utf-32" if ``data``, the start of a file, has that encoding; else None."""
    if data.startswith(_UTF_32_MARKS):
        return "utf-32"
    if data.startswith(_UTF_16_MARKS):
        return "utf-16"
    # without a mark: in text of mostly ASCII characters, every second byte of UTF-16 is 0
    start = data[:_EXAMINED_BYTES]
    for zeros, others, name in ((start[1::2], start[::2], "utf-16le"), (start[::2], start[1::2], "utf-16be")):
        if len(start) >= 8 and zeros.count(0) > 0.7 * len(zeros) and others.count(0) == 0:
            return name
    return None
