"""The manifest: a CSV file that lists audio files and their transcripts.

Columns ``wav_filename,wav_filesize,transcript`` in any order; the size is not read. Other columns, e.g. ``speaker``, are kept for
the report of an evaluation. UTF-8, with or without byte order mark, any line ends. A transcript is text: ``null``, ``nan`` and
``12`` too. Blanks around a field are removed, and transcripts are read in composed form (Unicode NFC); a note says how many.

A TSV list of fairseq, whose name ends in .tsv, is read as a manifest without transcripts.
"""
import collections
import csv
import difflib
import io
import os
import re
import unicodedata

from open_seq2seq.data.fairseq_files.audio_list import is_audio_list, read_audio_list
from open_seq2seq.errors import DataError
from open_seq2seq.text.text_file import read_text_file, require_utf8_path

AUDIO_COLUMN, SIZE_COLUMN, TRANSCRIPT_COLUMN = "wav_filename", "wav_filesize", "transcript"
SAMPLES_COLUMN = "samples"      # of a TSV list: at the file's own rate

_EXPECTED = ('Expected a CSV file with wav_filename,wav_filesize,transcript; correct the file or '
             'data_layer_params["dataset_files"]')
_BLANK_AND_QUOTE = re.compile(', +"')

ManifestRow = collections.namedtuple("ManifestRow", "manifest row wav_filename audio_path transcript problem columns",
                                     defaults=[()])
ManifestRow.__doc__ = """One row of a manifest.

manifest: path of the CSV file. row: number of the row's first line in the file. wav_filename: the audio file as written there,
without blanks around it. audio_path: the same relative to the manifest's folder. transcript: str. problem: what is wrong with the
row (the other fields may be empty then), a str or a RejectedData, or None. columns: the other columns, tuple of (name, value)."""

Utterance = collections.namedtuple(
    "Utterance", "index id audio_path wav_filename manifest row duration num_samples transcript labels columns", defaults=[()])
Utterance.__doc__ = """One accepted row.

index: place in the data layer's list. id: manifest:row, for messages. audio_path: the file that was found. duration: s.
num_samples: at the model's rate. labels: tuple of int (empty in infer mode). columns: see :class:`ManifestRow`."""


def read_manifest(path, transcripts=True, vocabulary=None, note=None, column=TRANSCRIPT_COLUMN):
    """Reads a manifest.

    Args:
      path: the CSV file.
      transcripts: whether the transcript column is required. False for inference; transcripts are "" where the column is absent.
      vocabulary: Vocabulary that the transcripts are for; one whose characters include combining marks keeps them. None: any.
      note: function that is called with a str for each kind of change made to the fields. None: not reported.
      column: name of the column with the transcripts.

    Returns:
      List of :class:`ManifestRow`. Rows whose fields are all empty are skipped.

    Raises:
      DataError: the file cannot be read, its path or contents are not UTF-8, it is not CSV, lacks a column or has no rows; it is
        a TSV list, and transcripts are required.
    """
    if is_audio_list(path):
        return _rows_of_audio_list(path, transcripts)
    rows, columns, header = [], None, None
    for row, fields in read_records(path):
        if header is None:
            header = [name.strip() for name in fields]
            columns = _find_columns(path, header, transcripts, column)
            continue
        rows.append(_row(path, row, fields, header, columns))
    if header is None:
        raise DataError("manifest %s is empty; expected the line wav_filename,wav_filesize,transcript and a row for each "
                        "utterance" % path)
    if not rows:
        raise DataError("manifest %s has a header but no rows; expected one for each utterance" % path)
    return _cleaned(path, rows, vocabulary, note or (lambda text: None))


def _rows_of_audio_list(path, transcripts):
    if transcripts:
        raise DataError("%s is a list of audio files without transcripts, which pre-training and inference read. For transcripts "
                        "expected a CSV file; python -m open_seq2seq.data.importers fairseq writes it" % path)
    return [ManifestRow(path, entry.row, entry.name, entry.path, "", None, ((SAMPLES_COLUMN, str(entry.num_samples)),))
            for entry in read_audio_list(path).entries]


def read_records(path):
    """Yields (number of the first line, list of str) for each row of a CSV file that is not empty; the first one is the header.

    The fields are as in the file, with the blanks around them.

    Raises:
      DataError: the file cannot be read, its path or contents are not UTF-8, or it is not CSV.
    """
    require_utf8_path(path)
    text = read_text_file(path, "manifest", _EXPECTED)
    # a quote after a blank begins a quoted field only where the reader skips the blank
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, skipinitialspace=_BLANK_AND_QUOTE.search(text) is not None)
    start = 1
    try:
        for fields in reader:
            row, start = start, reader.line_num + 1
            if any(field.strip() for field in fields):
                yield row, fields
    except csv.Error as error:
        raise DataError("%s:%d: not a row of CSV: %s. Expected fields separated by commas; a field that contains a comma or a "
                        "quote must be in double quotes, with the quotes in it doubled. Is a closing quote missing?"
                        % (path, start, error))


def _cleaned(path, rows, vocabulary, note):
    """The rows without blanks around the fields and with composed transcripts."""
    cleaned, stripped, composed = [], [], []
    for row in rows:
        wav_filename, transcript = row.wav_filename.strip(), row.transcript.strip()
        if wav_filename != row.wav_filename and os.path.exists(row.audio_path):
            wav_filename = row.wav_filename  # the blanks are part of the file's name
        if (wav_filename, transcript) != (row.wav_filename, row.transcript):
            stripped.append(row.row)
        if not transcript.isascii():
            decomposed = transcript
            transcript = vocabulary.composed(transcript) if vocabulary else unicodedata.normalize("NFC", transcript)
            if transcript != decomposed:
                composed.append(row.row)
        if (wav_filename, transcript) != (row.wav_filename, row.transcript):
            row = row._replace(wav_filename=wav_filename, transcript=transcript,
                               audio_path=os.path.join(os.path.dirname(path), wav_filename))
        cleaned.append(row)
    for numbers, change in ((stripped, "blanks around the fields were removed"),
                            (composed, "the transcript was converted to composed characters (Unicode NFC)")):
        if numbers:
            note("manifest %s: in %d of %d rows %s; the first is on line %d"
                 % (path, len(numbers), len(rows), change, numbers[0]))
    return cleaned


def _find_columns(path, header, transcripts, transcript_column):
    needed = [AUDIO_COLUMN] + ([transcript_column] if transcripts else [])
    for name in needed:
        if header.count(name) > 1:
            raise DataError('%s:1: column "%s" occurs %d times; keep one' % (path, name, header.count(name)))
        if name not in header:
            hint = ""
            close = difflib.get_close_matches(name, header, 1)
            if close:
                hint = ' (is "%s" meant?)' % close[0]
            elif len(header) == 1 and any(separator in header[0] for separator in ";\t|"):
                hint = " (the fields must be separated by commas)"
            raise DataError('manifest %s has no column "%s"%s; its first line is "%s", expected "wav_filename,wav_filesize,'
                            '%s"' % (path, name, hint, ",".join(header)[:200], transcript_column))
    transcript = header.index(transcript_column) if transcript_column in header else None
    # of a name that occurs twice the first column counts
    others = [(name, place) for place, name in enumerate(header)
              if name not in ("", AUDIO_COLUMN, SIZE_COLUMN, transcript_column) and header.index(name) == place]
    return header.index(AUDIO_COLUMN), transcript, transcripts, others


def _row(path, row, fields, header, columns):
    audio, transcript, transcripts, others = columns
    wav_filename = fields[audio] if audio < len(fields) else ""
    problem = None
    if len(fields) > len(header):
        problem = ("has %d fields, the first line has %d: a field that contains a comma must be in double quotes"
                   % (len(fields), len(header)))
    elif not wav_filename.strip():
        problem = "names no audio file"
    elif transcripts and transcript >= len(fields):
        problem = "has %d fields, the first line has %d: the transcript is missing" % (len(fields), len(header))
    text = fields[transcript] if transcript is not None and transcript < len(fields) else ""
    values = tuple((name, fields[place].strip()) for name, place in others if place < len(fields))
    return ManifestRow(path, row, wav_filename, os.path.join(os.path.dirname(path), wav_filename), text, problem, values)
