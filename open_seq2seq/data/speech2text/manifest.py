"""The manifest: a CSV file that lists audio files and what is said in them.

Columns ``wav_filename,wav_filesize,transcript`` in any order, others are ignored; the size is not read. UTF-8, with or
without byte order mark, any line ends. A transcript is text as it stands: ``null``, ``nan`` and ``12`` too.
"""
import collections
import csv
import difflib
import io
import os

from open_seq2seq.errors import DataError

AUDIO_COLUMN, TRANSCRIPT_COLUMN = "wav_filename", "transcript"

ManifestRow = collections.namedtuple("ManifestRow", "manifest row wav_filename audio_path transcript problem")
ManifestRow.__doc__ = """One row of a manifest: ``row`` is the number of its first line in the file, ``wav_filename`` the audio
file as written there, ``audio_path`` the same relative to the manifest's folder; ``problem`` says what is wrong with the
row (then the other fields may be empty) or is None."""

Utterance = collections.namedtuple(
    "Utterance", "index id audio_path wav_filename manifest row duration num_samples transcript labels")
Utterance.__doc__ = """One accepted row: ``index`` in the data layer's list; ``id`` (manifest:row) for messages; ``audio_path``
the file that was found; ``duration`` in s; ``num_samples`` at the model's rate; ``labels`` a tuple of int (empty in infer
mode)."""


def read_manifest(path, transcripts=True):
    """Reads a manifest.

    Args:
      path: the CSV file.
      transcripts: whether the transcript column is needed (not so for inference; it is then "" where absent).

    Returns:
      List of :class:`ManifestRow`, lines without any text left out.

    Raises:
      DataError: the file is missing, is not UTF-8, is not CSV, lacks a column or has no rows.
    """
    text = _read_text(path)
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows, columns, header, start = [], None, None, 1
    try:
        for fields in lines:
            row, start = start, lines.line_num + 1
            if not any(field.strip() for field in fields):
                continue
            if header is None:
                header = [name.strip() for name in fields]
                columns = _find_columns(path, header, transcripts)
                continue
            rows.append(_row(path, row, fields, header, columns))
    except csv.Error as error:
        raise DataError("%s:%d: not a row of CSV: %s. Expected fields with a comma between them; one that holds a comma or a "
                        'quote stands in double quotes, a quote in it is doubled' % (path, start, error))
    if header is None:
        raise DataError("manifest %s is empty; expected the line wav_filename,wav_filesize,transcript and a row for each "
                        "utterance" % path)
    if not rows:
        raise DataError("manifest %s has a header but no rows; expected one for each utterance" % path)
    return rows


def _read_text(path):
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise DataError("cannot read the manifest %s: %s. Expected a CSV file with wav_filename,wav_filesize,transcript; correct "
                        'data_layer_params["dataset_files"]' % (path, error.strerror))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # the position counts from behind the byte order mark
        line = data[:error.start + 3 * data.startswith(b"\xef\xbb\xbf")].count(b"\n") + 1
        raise DataError("%s:%d: not UTF-8 text (byte 0x%02x). Save the manifest as UTF-8, e.g. with: iconv -f latin1 -t utf-8"
                        % (path, line, error.object[error.start]))
    if "\0" in text:
        raise DataError("%s:%d: holds a NUL byte, so it is not a text file; expected CSV in UTF-8"
                        % (path, text[:text.index("\0")].count("\n") + 1))
    return text


def _find_columns(path, header, transcripts):
    needed = [AUDIO_COLUMN] + ([TRANSCRIPT_COLUMN] if transcripts else [])
    for name in needed:
        if header.count(name) > 1:
            raise DataError('%s:1: column "%s" is there %d times; keep one' % (path, name, header.count(name)))
        if name not in header:
            hint = ""
            close = difflib.get_close_matches(name, header, 1)
            if close:
                hint = ' (did you mean it by "%s"?)' % close[0]
            elif len(header) == 1 and any(separator in header[0] for separator in ";\t|"):
                hint = " (the fields must be separated by commas)"
            raise DataError('manifest %s has no column "%s"%s; its first line is "%s", expected "wav_filename,wav_filesize,'
                            'transcript"' % (path, name, hint, ",".join(header)[:200]))
    transcript = header.index(TRANSCRIPT_COLUMN) if TRANSCRIPT_COLUMN in header else None
    return header.index(AUDIO_COLUMN), transcript, transcripts


def _row(path, row, fields, header, columns):
    audio, transcript, transcripts = columns
    wav_filename = fields[audio] if audio < len(fields) else ""
    problem = None
    if len(fields) > len(header):
        problem = ("has %d fields, the first line has %d: a field that holds a comma must stand in double quotes"
                   % (len(fields), len(header)))
    elif not wav_filename.strip():
        problem = "names no audio file"
    elif transcripts and transcript >= len(fields):
        problem = "has %d fields, the first line has %d: the transcript is not there" % (len(fields), len(header))
    text = fields[transcript] if transcript is not None and transcript < len(fields) else ""
    return ManifestRow(path, row, wav_filename, os.path.join(os.path.dirname(path), wav_filename), text, problem)
