"""Sentences of text files, one a line: plain or gzip-compressed, or from stdin; without reading a whole file into memory."""
import codecs
import collections
import gzip
import os
import sys
import zlib

from open_seq2seq.errors import DataError
from open_seq2seq.text.text_file import require_utf8_path, wide_encoding

STDIN = "-"
LONGEST_LINE = 1 << 20  # bytes; a file with longer ones has no lines

MANIFEST_HEAD = "wav_filename,"

Sentence = collections.namedtuple("Sentence", "path line text")
Sentence.__doc__ = """A line of a text file. path: str. line: number from 1. text: str, not empty."""


def read_sentences(paths, progress=None):
    """Reads files line by line; empty lines are skipped.

    Args:
      paths: list of paths; names ending in ``.gz`` are decompressed; ``-`` is stdin.
      progress: function that is called with the number of bytes read of all files (compressed ones: of the file).

    Yields:
      :class:`Sentence`.

    Raises:
      DataError: a file cannot be read, is not UTF-8 text, is a damaged archive or a manifest. The message names the line.
    """
    before = 0
    for path in paths:
        if path != STDIN:
            require_utf8_path(path)
        name = "stdin" if path == STDIN else path
        file = None
        try:
            file = sys.stdin.buffer if path == STDIN else open(path, "rb")
            lines = gzip.GzipFile(fileobj=file) if path.endswith(".gz") else file
            for number, text in _lines(lines, name):
                if progress and number % 4096 == 0 and path != STDIN:
                    progress(before + file.tell())
                if text:
                    yield Sentence(name, number, text)
            if path != STDIN:
                before += file.tell()
        except (EOFError, zlib.error) as error:
            raise _damaged_archive(name, error)
        except OSError as error:
            if error.errno is None:  # gzip's own error, a class of its own only since Python 3.8
                raise _damaged_archive(name, error)
            raise DataError("cannot read the text file %s: %s. Expected UTF-8 text, one sentence a line" % (
                name, error.strerror or error))
        finally:
            if file is not None and path != STDIN:
                file.close()


def _damaged_archive(name, error):
    return DataError("%s is not a complete gzip file: %s. Compress it again, or give the text itself" % (name, error))


def total_bytes(paths):
    """Size of the files; None if one is stdin or cannot be read."""
    try:
        return None if STDIN in paths else sum(os.path.getsize(path) for path in paths)
    except OSError:
        return None


def _lines(file, name):
    """(number, text without line end) of each line of a binary file."""
    number = 0
    while True:
        line = file.readline(LONGEST_LINE)
        if not line:
            return
        number += 1
        if number == 1:
            encoding = wide_encoding(line[:1000])
            if encoding:
                raise DataError("%s:1: the text file is %s text, expected UTF-8. Convert it with: iconv -f %s -t utf-8" % (
                    name, encoding.upper(), encoding))
            if line.startswith(codecs.BOM_UTF8):
                line = line[len(codecs.BOM_UTF8):]
        if len(line) >= LONGEST_LINE and not line.endswith(b"\n"):
            raise DataError("%s:%d: the line is longer than %d bytes; expected one sentence a line" % (
                name, number, LONGEST_LINE))
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError as error:
            raise DataError("%s:%d: the text file is not UTF-8 text (byte 0x%02x). Save it as UTF-8, e.g. with: "
                            "iconv -f latin1 -t utf-8" % (name, number, line[error.start]))
        if number == 1 and text.startswith(MANIFEST_HEAD):
            raise DataError("%s:1: the text file is a manifest: %s. To read only its transcripts, give it with --manifest "
                            "(build_lm.py, corpus_statistics.py) or, with a name ending in .csv, to build_lm.py --dev" % (
                                name, text.strip()[:80]))
        if "\0" in text:
            raise DataError("%s:%d: the text file contains a NUL character, so it is not a text file; expected UTF-8 text, one "
                            "sentence a line" % (name, number))
        yield number, text.strip()
