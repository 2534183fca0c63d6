"""Writes manifests: CSV files with the columns that the data layer reads.

``wav_filename,wav_filesize,transcript``; audio paths are relative to the CSV's own folder, so that a corpus can be moved. The
write is atomic.
"""
import collections
import csv
import io
import os

from open_seq2seq.errors import DataError
from open_seq2seq.files import replaced_file
from open_seq2seq.text.text_file import printable, require_utf8_path

COLUMNS = ("wav_filename", "wav_filesize", "transcript")

ManifestRow = collections.namedtuple("ManifestRow", "audio_path transcript")
ManifestRow.__doc__ = "One utterance: path of its audio file (absolute, or relative to the working directory) and its text."


def write_manifest(path, rows):
    """Writes one manifest.

    Args:
      path: the CSV file; an older one is replaced.
      rows: iterable of :class:`ManifestRow` whose audio files exist.

    Returns:
      The number of rows written.

    Raises:
      DataError: there are no rows, an audio file is missing, or its name is not valid UTF-8.
      StorageError: the file cannot be written.
    """
    folder = os.path.dirname(os.path.abspath(path))
    count = 0
    with replaced_file(path, newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for row in rows:
            relative = os.path.relpath(row.audio_path, folder)
            require_utf8_path(relative)
            writer.writerow((relative, _size(row.audio_path), row.transcript))
            count += 1
        if not count:
            raise DataError("%s would be empty: no utterance was found for it" % path)
    return count


def _size(audio_path):
    try:
        return os.path.getsize(audio_path)
    except OSError as error:
        raise DataError("audio file %s cannot be read: %s" % (printable(audio_path), error.strerror))


def manifest_bytes(rows, order=()):
    """The content of a manifest with other columns.

    Args:
      rows: list of (path relative to the manifest, size in bytes, transcript, list of (column, value)).
      order: names of columns that come first, in this order; others follow as they occur. A column without any value is left out.
        A column with the name of one of :data:`COLUMNS` becomes ``source_NAME``.
    """
    present = collections.OrderedDict()
    for _, _, _, columns in rows:
        for name, value in columns:
            if name and value:
                present[name] = None
    names = [name for name in order if name in present] + [name for name in present if name not in order]
    titles = ["source_" + name if name in COLUMNS else name for name in names]
    lines = []
    for path, size, transcript, columns in rows:
        values = dict(columns)
        lines.append([path, size, transcript] + [values.get(name, "") for name in names])
    return csv_bytes(list(COLUMNS) + titles, lines)


def csv_bytes(columns, rows):
    """A CSV file as bytes."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return stream.getvalue().encode("utf-8")
